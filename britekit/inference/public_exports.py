"""ONNX files that public britekit wrote: a network alone, whose classes and settings a checkpoint beside it holds.

They are known by what they lack, our metadata. `as_ours` gives one the form of our own exports, which then runs, is
packaged and embeds like these: classes and settings inside, our names of inputs and outputs, any number of windows,
weights in the same file, an embedding.
"""

from __future__ import annotations

import ast
import hashlib
import math
from pathlib import Path
from typing import Any

from britekit.errors import ModelError
from britekit.inference.backend import CHECKPOINT
from britekit.inference.seal import sealed

_SCOPES = "pkg.torch.onnx.name_scopes"  # what torch's exporter notes of a node: the modules around it


def is_public(model: Any) -> bool:
    """Return whether an OpenVINO model may be an export of public britekit: no metadata, one input, logits."""
    if model.has_rt_info(["framework", "format"]) or len(model.inputs) != 1 or len(model.outputs) > 2:
        return False
    shape = model.inputs[0].partial_shape
    return shape.rank.is_static and len(shape) == 4 and [len(x.partial_shape) for x in model.outputs] in ([2], [2, 3])


def source_of(path: Path) -> Path:
    """Return the checkpoint that holds classes and settings of an export: of its name, else the only one beside it.

    Raises `ModelError` if there is none, or there are several.
    """
    own = path.with_suffix(CHECKPOINT)
    if own.is_file():
        return own
    found = sorted(x for x in path.parent.glob(f"*{CHECKPOINT}") if x.is_file() and not x.name.startswith("."))
    if len(found) != 1:
        raise ModelError(
            f"{path} holds a network without a list of classes, as public britekit writes it, and {len(found)} "
            f"checkpoints lie beside it; put the one that it was made from there, named {own.name}"
        )
    return found[0]


def as_ours(path: Path) -> bytes:
    """Return an export of public britekit as an export of ours; its scores stay the same.

    The checkpoint counts as its source if it holds the weights of the last layer; otherwise the digest of the source
    is that of the file and of its weights.

    Raises
    ------
    ModelError
        See `source_of`; also if a file cannot be read, or the checkpoint has another number of classes.
    """
    from britekit.inference.exported import metadata_of

    source = source_of(path)
    try:
        import onnx

        from britekit.models.checkpoint import check_entries, read_archive, stored_classes
    except ImportError as error:
        raise ModelError(f"{path} of public britekit needs PyTorch and onnx, to read its classes") from error
    content, sha256 = read_archive(source)
    check_entries(content, source)
    try:
        hyper, settings = content["hyper_parameters"], content["training_cfg"]
        classes, multi_label = stored_classes(hyper), bool(hyper.get("multi_label", True))
        settings["audio"]["spec_height"]
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"checkpoint {source} lacks {error}; the classes of {path.name} are unknown") from error
    try:
        digest = _digest(path, onnx.load(path, load_external_data=False))
        model = onnx.load(path)
    except Exception as error:  # protobuf and onnx raise many kinds for a damaged file
        raise ModelError(f"{path} is not an ONNX model or is damaged: {' '.join(str(error).split())[:300]}") from error
    graph = model.graph
    width = graph.output[0].type.tensor_type.shape.dim[1].dim_value
    if width and width != len(classes):
        raise ModelError(
            f"{path} gives {width} scores, but {source} knows {len(classes)} classes; put the checkpoint "
            f"that it was made from beside it, named {path.with_suffix(CHECKPOINT).name}"
        )
    if _holds_last_layer(content["state_dict"], graph, len(classes)):
        digest = sha256
    own = source.stem == path.stem
    _free_windows(graph)
    _add_embedding(model)
    _rename_ports(graph)
    for node in graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    facts = metadata_of(
        classes,
        settings,
        multi_label,
        str(content.get("identifier", path.stem)) if own else path.stem,
        content.get("training_date"),
        digest,
    )
    for key, value in facts.items():
        model.metadata_props.add(key=key, value=value)
    return sealed(model.SerializeToString(deterministic=True))


def _digest(path: Path, model: Any) -> str:
    """Return the SHA-256 of a file and of the files that hold its weights."""
    names = {entry.value for x in model.graph.initializer for entry in x.external_data if entry.key == "location"}
    total = hashlib.sha256(path.read_bytes())
    for name in sorted(names):
        total.update((path.parent / name).read_bytes())
    return total.hexdigest()


def _holds_last_layer(weights: dict[str, Any], graph: Any, classes: int) -> bool:
    """Return whether a checkpoint has the weights of the layers that give a number for each class, bit for bit.

    Other layers may differ, since the exporter folds norms into convolutions; hidden ones can be as wide as there are
    classes.
    """
    from onnx import numpy_helper

    # Not biases, which may have the shape (C, 1).
    layers = [x for x in graph.initializer if len(x.dims) > 1 and math.prod(x.dims) > classes]
    wide = {x.name: x for x in layers if classes in (x.dims[0], x.dims[-1])}
    for node in graph.node:
        if node.op_type in ("Transpose", "Identity") and node.input[0] in wide:
            wide[node.output[0]] = wide[node.input[0]]
    makers = {name: node for node in graph.node for name in node.output}
    last, waiting = set(), {port.name for port in graph.output}
    while waiting:  # from the outputs back to the first such layer
        node = makers.pop(waiting.pop(), None)
        if node is not None:
            own = wide.keys() & set(node.input)
            last |= own
            waiting |= set() if own else set(node.input)
    known = {x.contiguous().numpy().tobytes() for x in weights.values() if x.ndim > 1 and len(x) == classes}
    arrays = [numpy_helper.to_array(wide[name]) for name in last]
    # Of a product with the transposed matrix, the exporter stores that.
    return bool(arrays) and all(not known.isdisjoint((x.tobytes(), x.T.tobytes())) for x in arrays)


def _free_windows(graph: Any) -> None:
    """Let a graph that was made for blocks of so many windows take any number."""
    import numpy as np
    from onnx import numpy_helper

    count = graph.input[0].type.tensor_type.shape.dim[0].dim_value
    for port in (*graph.input, *graph.output):
        port.type.tensor_type.shape.dim[0].dim_param = "windows"
    del graph.value_info[:]
    constants = {x.name: x for x in graph.initializer}
    for node in graph.node:
        shape = constants.get(node.input[1]) if node.op_type in ("Reshape", "Expand") else None
        sizes = [] if shape is None else numpy_helper.to_array(shape).tolist()
        if not sizes or sizes[0] != count:
            continue
        if node.op_type == "Expand":
            sizes[0] = 1  # stretched to what the other input has
        elif -1 in sizes:
            sizes[0] = 0  # that of the input, unless sizes of 0 are allowed
            for entry in node.attribute:
                entry.i = 0 if entry.name == "allowzero" else entry.i
        else:
            sizes[0] = -1
        node.input[1] = f"{node.name or node.output[0]}.sizes"
        graph.initializer.append(numpy_helper.from_array(np.array(sizes, np.int64), node.input[1]))


def _add_embedding(model: Any) -> None:
    """Add what the head takes, averaged over frequency and time, unless backbone and head cannot be told apart."""
    import onnx
    from onnx import TensorProto, helper

    from britekit.inference.exported import EMBEDDING_NAME

    graph = model.graph
    constants = {x.name for x in graph.initializer}
    head: set[str] = set()
    taken: dict[str, None] = {}
    for node in graph.node:  # a node comes after those that it depends on
        if not node.input:
            constants.update(node.output)
        elif _is_of_head(node) or head.intersection(node.input):
            taken |= {name: None for name in node.input if name and name not in constants and name not in head}
            head.update(node.output)
    shapes = {x.name: x.type.tensor_type.shape.dim for x in onnx.shape_inference.infer_shapes(model).graph.value_info}
    (features,) = taken if len(taken) == 1 else ("",)
    axes = list(range(2, len(shapes.get(features, ()))))
    if features not in shapes or len(axes) > 2:
        return
    if axes:
        axes_name = f"{EMBEDDING_NAME}.axes"
        graph.initializer.append(helper.make_tensor(axes_name, TensorProto.INT64, [len(axes)], axes))
        graph.node.append(helper.make_node("ReduceMean", [features, axes_name], [EMBEDDING_NAME], keepdims=0))
    else:
        graph.node.append(helper.make_node("Identity", [features], [EMBEDDING_NAME]))
    width = shapes[features][1].dim_value or None
    graph.output.append(helper.make_tensor_value_info(EMBEDDING_NAME, TensorProto.FLOAT, ["windows", width]))


def _is_of_head(node: Any) -> bool:
    scopes: list[str] = next((ast.literal_eval(x.value) for x in node.metadata_props if x.key == _SCOPES), [])
    return scopes[1:2] == ["head"] or any(name.startswith("head.") for name in node.input)


def _rename_ports(graph: Any) -> None:
    """Give input, logits of windows and those of frames our names."""
    from britekit.inference.exported import EMBEDDING_NAME, FRAMES_NAME, INPUT_NAME, SEGMENT_NAME

    ports = [x for x in (*graph.input, *graph.output) if x.name != EMBEDDING_NAME]
    ours = (INPUT_NAME, SEGMENT_NAME, FRAMES_NAME)
    # A tensor inside may have one of these names.
    names = {name: f"{name}.inside" for name in ours} | dict(zip((x.name for x in ports), ours, strict=False))
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for item in (*ports, *graph.initializer):
        item.name = names.get(item.name, item.name)

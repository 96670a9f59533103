"""ONNX files that public britekit wrote: a network alone, whose classes and settings a checkpoint beside it holds.

They are known by what they lack, our metadata. Names of inputs and outputs are made ours; a window runs alone, like in
our own exports.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from britekit.errors import ModelError
from britekit.inference.backend import CHECKPOINT


def is_public(model: Any) -> bool:
    """Return whether an OpenVINO model may be an export of public britekit: no metadata, one input, logits."""
    if model.has_rt_info(["framework", "format"]) or len(model.inputs) != 1 or len(model.outputs) > 2:
        return False
    shape = model.inputs[0].partial_shape
    return shape.rank.is_static and len(shape) == 4 and [len(x.partial_shape) for x in model.outputs] in ([2], [2, 3])


def rename_ports(model: Any, names: tuple[str, str, str]) -> None:
    """Give the input, the logits of windows and those of frames their names here."""
    for port, name in zip((model.inputs[0], *model.outputs), names, strict=False):
        port.tensor.set_names({name})


def source_of(path: Path) -> Path:
    """Return the checkpoint that holds classes and settings of an export: of its name, else the only one beside it.

    Raises
    ------
    ModelError
        There is none, or there are several.
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


def facts_of(model: Any, path: Path) -> dict[str, Any]:
    """Return classes, settings and kind of an export, from the checkpoint beside it.

    Raises
    ------
    ModelError
        See `source_of`; also if the checkpoint cannot be read, or has another number of classes.
    """
    source = source_of(path)
    try:
        from britekit.models.checkpoint import check_entries, read_archive, stored_classes
    except ImportError as error:
        raise ModelError(f"{path} of public britekit needs PyTorch, to read the classes in {source}") from error
    content, _ = read_archive(source)
    check_entries(content, source)
    try:
        hyper, settings = content["hyper_parameters"], content["training_cfg"]
        classes, multi_label = stored_classes(hyper), bool(hyper.get("multi_label", True))
        settings["audio"]["spec_height"]
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"checkpoint {source} lacks {error}; the classes of {path.name} are unknown") from error
    width = model.outputs[0].partial_shape[1]
    if width.is_static and width.get_length() != len(classes):
        raise ModelError(
            f"{path} gives {width.get_length()} scores, but {source} knows {len(classes)} classes; put the checkpoint "
            f"that it was made from beside it, named {path.with_suffix(CHECKPOINT).name}"
        )
    own = source.stem == path.stem
    return {
        "classes": classes,
        "training_cfg": settings,
        "multi_label": multi_label,
        "identifier": str(content.get("identifier", path.stem)) if own else path.stem,
        "training_date": content.get("training_date"),
    }

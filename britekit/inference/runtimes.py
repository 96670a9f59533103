"""Files of other projects that turn a waveform into a vector, run by OpenVINO, ONNX Runtime or LiteRT.

OpenVINO comes with britekit. It is asked first, and taken if the file's own runtime, where that is installed,
gives the same within 1e-3; a file that it cannot run needs ``pip install "britekit[embedders]"``. Each window
goes through the network alone, so its vector cannot depend on its neighbors.
"""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from britekit.errors import ModelError, some, suggest
from britekit.inference.exported import load_openvino
from britekit.processes import available_cores

# Largest difference between two runtimes that counts as equal.
TOLERANCE = 1e-3
TFLITE, ONNX = ".tflite", ".onnx"
_EXTRA = 'pip install "britekit[embedders]"'

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""One waveform (n,) to one vector (F,)."""


class NotFitting(ModelError):
    """A field of the description does not fit the file."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(f"{field}: {text}")


class Runtime:
    """A loaded file; made by `open_runtime`.

    Attributes
    ----------
    name
        ``openvino``, ``onnxruntime`` or ``litert``.
    width
        F, numbers of a vector.
    """

    def __init__(self, name: str, runs: list[Run], samples: int) -> None:
        self.name = name
        self._free: SimpleQueue[Run] = SimpleQueue()
        for each in runs:
            self._free.put(each)
        self._pool = ThreadPoolExecutor(len(runs), "britekit-embedder")
        self.width = len(self._one(np.zeros(samples, np.float32)))

    def __call__(self, waves_Bn: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (B, F) float32."""
        return np.stack(list(self._pool.map(self._one, waves_Bn)))

    def _one(self, wave_n: NDArray[np.float32]) -> NDArray[np.float32]:
        run = self._free.get()
        try:
            found = np.asarray(run(wave_n), np.float32)
        finally:
            self._free.put(run)
        # A vector per frame, (1, T, F), is averaged over the frames.
        found = found.reshape(-1, found.shape[-1]) if found.ndim > 1 else found[None]
        return found.mean(axis=0)


def open_runtime(path: Path, samples: int, input_name: str | None, output_name: str | None) -> Runtime:
    """Load a file with the runtime that gives what its own does.

    Parameters
    ----------
    path
        ONNX or TFLite.
    samples
        n, of a window.
    input_name, output_name
        Of the graph; None where it has only one. With LiteRT, also the name of a tensor inside the graph.

    Raises
    ------
    NotFitting
        The file has no such input or output, or takes another number of samples; names the field.
    ModelError
        No runtime that is installed can run the file.
    """
    if path.suffix not in (TFLITE, ONNX):
        raise NotFitting("file", f"{path.name} does not end in {ONNX} or {TFLITE}")
    own, module, package = (
        (_litert, "ai_edge_litert", "litert") if path.suffix == TFLITE else (_onnxruntime, "onnxruntime", "onnxruntime")
    )
    has_own = importlib.util.find_spec(module) is not None
    try:
        first: Runtime | None = Runtime("openvino", _openvino(path, samples, input_name, output_name), samples)
        reason = ""
    except NotFitting:
        if not has_own or path.suffix != TFLITE:  # a tensor inside a TFLite graph has no name for OpenVINO
            raise
        first, reason = None, "it has no such output"
    except RuntimeError as error:
        first, reason = None, _last_line(error)
    if not has_own:
        if first is None:
            raise ModelError(f"{path} cannot be run by OpenVINO ({reason}); {_EXTRA} brings its own runtime")
        return first
    reference = Runtime(package, own(path, samples, input_name, output_name), samples)
    if first is None:
        return reference
    noise = np.random.default_rng(0).normal(0, 0.1, (4, samples)).astype(np.float32)
    found, expected = first(noise), reference(noise)
    return first if found.shape == expected.shape and np.abs(found - expected).max() <= TOLERANCE else reference


def runtime_versions(name: str) -> str:
    """Return the version of the package that a runtime is in."""
    return version({"litert": "ai-edge-litert"}.get(name, name))


def _chosen(field: str, wanted: str | None, names: list[str]) -> str:
    if wanted is None:
        if len(names) != 1:
            raise NotFitting(field, f"the file has {len(names)} ({some(names, 6)}); name one")
        return names[0]
    if wanted not in names:
        raise NotFitting(field, f'the file has no "{wanted}"; it has {some(names, 6)}{suggest(wanted, names)}')
    return wanted


def _shape_for(samples: int, dims: list[int | None], name: str) -> list[int]:
    """Return the shape in which a window enters: (n,), (1, n) or (1, 1, n)."""
    *lead, last = dims
    if len(dims) > 3 or any(size not in (None, 1) for size in lead):
        raise NotFitting("input", f'"{name}" has the shape {_shown(dims)}; expected a waveform: n, 1 x n or 1 x 1 x n')
    if last not in (None, samples):
        raise NotFitting("seconds", f'rate x seconds make {samples} samples; "{name}" takes {last}')
    return [1] * len(lead) + [samples]


def _shown(dims: list[int | None]) -> str:
    return " x ".join("?" if size is None else str(size) for size in dims) or "a single number"


def _openvino(path: Path, samples: int, input_name: str | None, output_name: str | None) -> list[Run]:
    openvino = load_openvino()
    core = openvino.Core()
    model = core.read_model(str(path))

    def called(port: Any) -> str:
        # OpenVINO adds names of its own to those in the file, such as "INPUT:0".
        return min(port.names, key=len, default=port.node.friendly_name)

    inputs, outputs = ({called(port): port for port in ports} for ports in (model.inputs, model.outputs))
    start = inputs[_chosen("input", input_name, list(inputs))]
    if len(inputs) > 1:
        raise NotFitting("input", f"the file takes {some(inputs, 6)}; an embedder takes a waveform alone")
    end = _chosen("output", output_name, list(outputs))
    rank = start.partial_shape
    dims: list[int | None] = [None, None]
    if rank.rank.is_static:
        dims = [None if dim.is_dynamic else int(dim.get_length()) for dim in rank]
    shape = _shape_for(samples, dims, called(start))
    for result in model.get_results():
        if result.input(0).get_source_output().names.isdisjoint(outputs[end].names):
            model.remove_result(result)
    model.reshape({start: shape})
    cores = available_cores()
    settings = {"NUM_STREAMS": str(cores), "INFERENCE_NUM_THREADS": cores, "ENABLE_CPU_PINNING": False,
                "INFERENCE_PRECISION_HINT": "f32"}  # fmt: skip
    network = core.compile_model(model, "CPU", settings)

    def make() -> Run:
        request = network.create_infer_request()
        return lambda wave: np.array(request.infer({0: wave.reshape(shape)})[0])

    return [make() for _ in range(cores)]


def _onnxruntime(path: Path, samples: int, input_name: str | None, output_name: str | None) -> list[Run]:
    import onnxruntime  # type: ignore[import-not-found,unused-ignore]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # it raises kinds of its own, derived from nothing in common
        raise ModelError(f"{path} cannot be run by ONNX Runtime: {_last_line(error)}") from error
    inputs = {each.name: each for each in session.get_inputs()}
    start = inputs[_chosen("input", input_name, list(inputs))]
    end = _chosen("output", output_name, [each.name for each in session.get_outputs()])
    shape = _shape_for(samples, [size if isinstance(size, int) else None for size in start.shape], start.name)
    run: Run = lambda wave: session.run([end], {start.name: wave.reshape(shape)})[0]  # noqa: E731
    return [run] * available_cores()  # a session may be used by several threads


def _litert(path: Path, samples: int, input_name: str | None, output_name: str | None) -> list[Run]:
    from ai_edge_litert.interpreter import Interpreter  # type: ignore[import-not-found,unused-ignore]

    try:
        probe = Interpreter(str(path), num_threads=1)
        tensors = {each["name"]: each for each in probe.get_tensor_details()}
        inputs, outputs = (
            {each["name"]: each for each in found} for found in (probe.get_input_details(), probe.get_output_details())
        )
        start = inputs[_chosen("input", input_name, list(inputs))]
        content = path.read_bytes()
        if output_name is not None and output_name not in outputs and output_name in tensors:
            content = with_output(content, int(tensors[output_name]["index"]))
        else:
            _chosen("output", output_name, list(outputs))
        dims = [None if size < 0 else int(size) for size in start["shape_signature"]]
        shape = _shape_for(samples, dims, start["name"])

        def make() -> Run:
            interpreter = Interpreter(model_content=content, num_threads=1)
            interpreter.resize_tensor_input(start["index"], shape)
            interpreter.allocate_tensors()
            by_name = {each["name"]: each["index"] for each in interpreter.get_output_details()}
            end = by_name[output_name] if output_name is not None else next(iter(by_name.values()))

            def run(wave: NDArray[np.float32]) -> NDArray[np.float32]:
                interpreter.set_tensor(start["index"], wave.reshape(shape))
                interpreter.invoke()
                return np.array(interpreter.get_tensor(end))

            return run

        return [make() for _ in range(available_cores())]
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"{path} cannot be run by LiteRT: {_last_line(error)}") from error


def with_output(content: bytes, tensor: int) -> bytes:
    """Return a TFLite file whose only output is a tensor inside its graph.

    A TFLite file is a flatbuffer: model.subgraphs[0].outputs, fields 2 and 2, is a vector of tensor numbers,
    of which the first is replaced and its length set to 1. BirdNET's embeddings are such a tensor.

    Raises `ValueError` if it is not a TFLite file.
    """

    def number(at: int, kind: str = "<I") -> int:
        return int(struct.unpack_from(kind, content, at)[0])

    def field(table: int, place: int) -> int:
        """Return where the value of a table's field lies."""
        vtable = table - number(table, "<i")
        if 4 + 2 * place >= number(vtable, "<H"):
            raise ValueError("it has no graph")
        offset = number(vtable + 4 + 2 * place, "<H")
        if not offset:
            raise ValueError("it has no graph")
        return table + offset

    def followed(at: int) -> int:
        return at + number(at)

    try:
        graphs = followed(field(followed(0), 2))
        outputs = followed(field(followed(graphs + 4), 2))
        changed = bytearray(content)
        struct.pack_into("<Ii", changed, outputs, 1, tensor)
    except struct.error:
        raise ValueError("it is not a TFLite file") from None
    return bytes(changed)


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__

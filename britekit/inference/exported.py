"""Run exported models: ONNX files with classes and settings, run by OpenVINO without torch.

Each window runs alone, in a graph compiled for exactly one window, on one thread per core, so scores cannot depend on
other windows or on the number of cores. On two cores this takes no more time per window than batches of 8 or 16
(effnet.1: 4.6 ms of CPU against 5.1), and less memory.
"""

from __future__ import annotations

import copy
import functools
import json
import logging
import os
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from britekit.annotations.classes import ClassInfo
from britekit.errors import ModelError
from britekit.inference import public_exports
from britekit.inference.backend import PROBE
from britekit.inference.longer_windows import stretch_windows
from britekit.inference.precision import require_precision
from britekit.inference.seal import check_seal
from britekit.processes import available_cores

log = logging.getLogger(__name__)

INPUT_NAME, SEGMENT_NAME, FRAMES_NAME = "spectrograms", "segment", "frames"
EMBEDDING_NAME = "embedding"
FORMAT = "britekit-export-1"


@dataclass(frozen=True)
class ExportFacts:
    """The metadata of an export."""

    path: Path
    """The file."""
    classes: list[ClassInfo]
    """Position = class index."""
    training_cfg: dict[str, Any]
    """Whole configuration of the training run, nested plain values."""
    multi_label: bool
    """Whether scores are sigmoids; False for a softmax."""
    identifier: str
    training_date: str | None
    """Identifier and date of the checkpoint."""
    source_sha256: str
    """SHA-256 of the checkpoint it was made from; see `public_exports.as_ours` for files of public britekit."""
    frames: int | None
    """T, frames per window; None if the head gives no frames."""
    licence: str | None = None
    """Licence of the embedder in a probe."""


def metadata_of(
    classes: list[ClassInfo],
    training_cfg: dict[str, Any],
    multi_label: bool,
    identifier: str,
    training_date: str | None,
    source_sha256: str,
) -> dict[str, str]:
    """Return the metadata of an export, in the order of writing."""
    table = [[info.name, info.code, info.alt_name, info.alt_code] for info in classes]
    return {
        "format": FORMAT,
        "classes": json.dumps(table, ensure_ascii=False),
        "training_cfg": json.dumps(training_cfg, ensure_ascii=False, sort_keys=True),
        "multi_label": json.dumps(multi_label),
        "identifier": identifier,
        "training_date": training_date or "",
        "source_sha256": source_sha256,
    }


def read_export_facts(path: str | os.PathLike[str]) -> ExportFacts:
    """Read the metadata of an export.

    Raises `ModelError` if the file is missing, damaged, or not written by ``ckpt-onnx``.
    """
    if Path(path).suffix == PROBE:
        from britekit.inference.probe_file import read_probe_facts

        return read_probe_facts(path)
    try:
        state = os.stat(path)
    except OSError:
        raise ModelError(f"exported model {path} does not exist") from None
    facts = _remembered_facts(os.fspath(path), state.st_size, state.st_mtime_ns)
    return replace(facts, training_cfg=copy.deepcopy(facts.training_cfg))


@functools.lru_cache(maxsize=64)
def _remembered_facts(path: str, size: int, mtime_ns: int) -> ExportFacts:
    """Read facts once, since choosing models, settings and the backend all need them."""
    return _facts(_read_model(path), Path(path))


def open_export(
    path: str | os.PathLike[str], height: int | None = None, width: int | None = None
) -> tuple[Any, ExportFacts]:
    """Return an export as an OpenVINO model, not compiled, and its metadata.

    Raises
    ------
    ModelError
        See `read_export_facts`; also if its input size differs from the given one.
    """
    model = _read_model(path)
    facts = _facts(model, Path(path))
    if height is not None and width is not None:
        _check_size(model, Path(path), height, width)
    return model, facts


def copy_export(path: Path, target: Path) -> None:
    """Copy an export; a copy of one of public britekit has the form of ours, which needs no checkpoint beside it."""
    if path.suffix != PROBE and public_exports.is_public(_core().read_model(os.fspath(path))):
        target.write_bytes(public_exports.as_ours(path))
    else:
        shutil.copyfile(path, target)


class ExportedModel:
    """An export, compiled for single windows.

    Parameters
    ----------
    audio_power
        Exponent applied to normalized spectrograms, compiled into the graph.
    height, width
        Size of a spectrogram; checked against the network.
    embed
        Give embeddings (B, F) in place of logits; the head does not run.
    precision
        ``f32`` or ``bf16``.
    longer
        Columns and frames of windows that are longer than the network's own; None for its own.

    Attributes
    ----------
    width
        C, or F.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        audio_power: float,
        height: int,
        width: int,
        embed: bool = False,
        precision: str = "f32",
        longer: tuple[int, int] | None = None,
    ) -> None:
        require_precision(precision, "openvino", "cpu")
        openvino = load_openvino()
        from openvino import opset13

        self.path = Path(path)
        model = _read_model(path)
        self.facts = _facts(model, self.path)
        _check_size(model, self.path, height, width)
        self._output = EMBEDDING_NAME if embed else SEGMENT_NAME
        keep_outputs(model, {EMBEDDING_NAME} if embed else {SEGMENT_NAME, FRAMES_NAME})
        if longer is not None:
            stretch_windows(model, self.path, height, *longer)
            self.facts = replace(self.facts, frames=longer[1])
        else:
            model.reshape({INPUT_NAME: [1, 1, height, width]})
        if audio_power != 1.0:
            # Inside the graph it has no measurable cost, and gives the same bits as numpy (1 ms per window).
            start = model.input(INPUT_NAME)
            readers = list(start.get_target_inputs())
            powered = opset13.power(start, opset13.constant(np.float32(audio_power)))
            for reader in readers:
                reader.replace_source_output(powered.output(0))
            model.validate_nodes_and_infer_types()
        cores = available_cores()
        settings = {
            "NUM_STREAMS": str(cores),
            "INFERENCE_NUM_THREADS": cores,
            # Streams pinned to cores would wait for readers and other pinned processes: on a busy machine a window took
            # 9.6 ms instead of 8.3.
            "ENABLE_CPU_PINNING": False,
            # Some processors would use bfloat16, and scores would differ between machines.
            "INFERENCE_PRECISION_HINT": precision,
        }
        try:
            self._network = _core().compile_model(model, "CPU", settings)
        except RuntimeError as error:
            raise ModelError(f"{self.path} cannot be run by OpenVINO: {_first_line(error)}") from error
        # More requests than streams, so that a stream does not wait for Python to submit the next window.
        self._queue = openvino.AsyncInferQueue(self._network, 2 * cores)
        # Not a method: the queue would keep this object alive, and the network with it.
        self._queue.set_callback(functools.partial(_keep, self._output))
        self._frames = None if embed else self.facts.frames
        self.width = int(self._network.output(self._output).shape[1])

    def start(self, spectrograms_BHW: np.ndarray, padded: bool = True) -> tuple[np.ndarray, np.ndarray | None]:
        """Start scoring windows; return the arrays that hold their logits after `wait`, (B, C) and (B, C, T)."""
        from openvino import Tensor

        count = len(spectrograms_BHW)
        segment = np.empty((count, self.width), np.float32)
        frames = None
        if self._frames is not None:
            frames = np.empty((count, self.width, self._frames), np.float32)
        for window in range(count):
            image = np.ascontiguousarray(spectrograms_BHW[window : window + 1, None], np.float32)
            self._queue.start_async({INPUT_NAME: Tensor(image)}, (window, segment, frames, image))
        return segment, frames

    def wait(self) -> None:
        """Wait until all started windows are scored."""
        self._queue.wait_all()


def _keep(output: str, request: Any, where: tuple[int, np.ndarray, np.ndarray | None, np.ndarray]) -> None:
    window, segment, frames, _ = where  # the last keeps the input alive until now
    segment[window] = request.get_tensor(output).data[0]
    if frames is not None:
        frames[window] = request.get_tensor(FRAMES_NAME).data[0]


def keep_outputs(model: Any, names: set[str]) -> None:
    """Remove all other outputs from a graph, including the nodes that only they need."""
    for result in model.get_results():
        if not names & set(result.output(0).names):
            model.remove_result(result)


def _core() -> Any:
    return load_openvino().Core()


def _read_model(path: str | os.PathLike[str]) -> Any:
    if not Path(path).is_file():
        raise ModelError(f"exported model {path} does not exist")
    try:
        check_seal(path)
        model = _core().read_model(os.fspath(path))
        return _core().read_model(public_exports.as_ours(Path(path))) if public_exports.is_public(model) else model
    except (OSError, RuntimeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is not an ONNX model or is damaged: {_first_line(error)}") from error


def _facts(model: Any, path: Path) -> ExportFacts:
    def entry(name: str) -> str:
        # OpenVINO keeps an ONNX file's metadata under this name.
        if not model.has_rt_info(["framework", name]):
            raise ModelError(
                f'{path} has no {name}, so britekit did not write it; run "britekit ckpt-onnx" on its checkpoint'
            )
        return str(model.get_rt_info(["framework", name]).astype(str))

    if entry("format") != FORMAT:
        raise ModelError(f'{path} has the format "{entry("format")}"; this version reads "{FORMAT}"')
    outputs = {name: output for output in model.outputs for name in output.names}
    try:
        classes = [ClassInfo(*row) for row in json.loads(entry("classes"))]
        training_cfg = json.loads(entry("training_cfg"))
        multi_label = bool(json.loads(entry("multi_label")))
        if INPUT_NAME not in {name for port in model.inputs for name in port.names} or SEGMENT_NAME not in outputs:
            raise ValueError(f"its network has no {INPUT_NAME} or {SEGMENT_NAME}")
        if not isinstance(training_cfg, dict) or not isinstance(training_cfg.get("audio"), dict):
            raise ValueError("training_cfg has no section audio")
        width = outputs[SEGMENT_NAME].partial_shape[1]
        if width.is_static and width.get_length() != len(classes):
            raise ValueError(f"{len(classes)} classes for {width.get_length()} outputs")
    except (ValueError, TypeError) as error:
        raise ModelError(f"{path} is not a usable export: {error}") from error
    return ExportFacts(
        path=path,
        classes=classes,
        training_cfg=training_cfg,
        multi_label=multi_label,
        identifier=entry("identifier"),
        training_date=entry("training_date") or None,
        source_sha256=entry("source_sha256"),
        frames=_frames_in(model),
    )


def _frames_in(model: Any) -> int | None:
    """Return T, frames per window; None without a head that gives them."""
    length = next((x.partial_shape[2] for x in model.outputs if FRAMES_NAME in x.names), None)
    if length is None or length.is_static:
        return None if length is None else int(length.get_length())
    # Reshaping to one window resolves dynamic dimensions.
    shape = model.input(INPUT_NAME).partial_shape
    single = model.clone()
    single.reshape({INPUT_NAME: [1, 1, shape[2].get_length(), shape[3].get_length()]})
    return int(single.output(FRAMES_NAME).shape[2])


def _check_size(model: Any, path: Path, height: int, width: int) -> None:
    shape = model.input(INPUT_NAME).partial_shape
    wanted = (shape[2], shape[3])
    if not all(dim.is_dynamic or dim.get_length() == size for dim, size in zip(wanted, (height, width), strict=True)):
        raise ModelError(
            f"{path} takes spectrograms of {wanted[0]} x {wanted[1]}; spec_height and spec_width are {height} x {width}"
        )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def load_openvino() -> Any:
    """Import OpenVINO without its telemetry package.

    Importing OpenVINO creates a folder in the home directory and sends an event. With that package hidden it uses its
    own stub, sends nothing, and loads faster.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino

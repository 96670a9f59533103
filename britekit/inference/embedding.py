"""Embeddings: a backbone's output averaged over frequency and time, by any backend.

`SearchModel` embeds stored spectrograms, as they are, without ``infer.audio_power``; several models of one
width give the mean of theirs. `Embedder` is one model that embeds the windows of recordings exactly as they
are scored, or a file of another project that takes sound (`foreign`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from britekit.audio.window_grid import WindowGrid
from britekit.config import BaseConfig, resolve
from britekit.errors import ModelError, some
from britekit.files import sha256_of
from britekit.inference.backend import choose_backend
from britekit.inference.exported import EMBEDDING_NAME, ExportedModel, open_export
from britekit.inference.model_files import CHECKPOINT, member_paths, resolve_for_models
from britekit.inference.spilled_array import SpilledArray

log = logging.getLogger(__name__)


class Model(Protocol):
    """Computes embeddings of windows."""

    def start(self, windows: NDArray[np.float32], /) -> tuple[NDArray[np.float32], Any]:
        """Begin; return what holds the embeddings (B, F) after `wait`."""

    def wait(self) -> None:
        """Return when everything that was started is done."""


class SearchModel:
    """The models of ``misc.search_ckpt_path``.

    Raises `ModelError` if a model cannot be used, or their embeddings differ in width.

    Parameters
    ----------
    cfg
        Effective settings of the models, from `open_search_model`.
    paths
        Checkpoints or exports.
    """

    def __init__(self, cfg: BaseConfig, paths: Sequence[Path]) -> None:
        self.cfg = cfg
        self.height, self.width = cfg.audio.spec_height, cfg.audio.spec_width
        self._models, _, paths = load_models(cfg, paths, 1.0)
        widths = [width_of(model, cfg) for model in self._models]
        for path, width in zip(paths, widths, strict=True):
            if width != widths[0]:
                raise ModelError(
                    f"{paths[0]} gives embeddings of {widths[0]} numbers, {path} of "
                    f"{width}; search models must have the same width"
                )
        self.num_features = widths[0]

    def embed(self, images_BHW: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the mean embedding of the models, float32 (B, F), for spectrograms with values 0 to 1."""
        parts = [run(model, images_BHW) for model in self._models]
        if len(parts) == 1:
            return parts[0]
        mean: NDArray[np.float64] = np.stack(parts).mean(axis=0, dtype=np.float64)
        return mean.astype(np.float32)


def open_search_model(cfg_path: str | os.PathLike[str] | None) -> SearchModel:
    """Load the models of ``misc.search_ckpt_path`` with their stored settings.

    Raises `ModelError` if the field is not set, or its models are missing or cannot be used.
    """
    chosen = resolve(cfg_path)
    place = chosen.misc.search_ckpt_path
    if not place:
        raise ModelError(
            "misc.search_ckpt_path is not set; set it to the checkpoint, or folder of checkpoints, for embeddings"
        )
    if not Path(place).exists():
        raise ModelError(f"misc.search_ckpt_path is {place}, which does not exist; name a checkpoint")
    cfg, paths = resolve_for_models(cfg_path, None, place)
    return SearchModel(cfg, paths or member_paths(cfg, place))


def load_models(cfg: BaseConfig, paths: Sequence[Path], power: float) -> tuple[list[Model], str, list[Path]]:
    """Load the backbones of checkpoints or exports.

    Parameters
    ----------
    power
        Exponent on the spectrograms.

    Returns
    -------
    tuple
        The models, the device they run on, and the files that run.
    """
    choice = choose_backend(cfg, paths)
    size = (cfg.audio.spec_height, cfg.audio.spec_width)
    if choice.exports:
        without = [path for path in choice.exports if not _has_embedding(path)]
        if not without:
            return (
                [ExportedModel(path, power, *size, True, cfg.infer.precision) for path in choice.exports],
                "cpu",
                choice.exports,
            )
        if cfg.infer.backend == "openvino" or any(path.suffix != CHECKPOINT for path in paths):
            raise ModelError(
                f'{without[0]} gives no embeddings, only scores; run "britekit ckpt-onnx" on its checkpoint'
            )
        log.info("%s gives no embeddings; PyTorch computes them", without[0].name)
    from britekit.inference.torch_model import TorchModel
    from britekit.training.devices import choose_device

    device = choose_device(cfg.misc.force_cpu)
    infer = cfg.infer
    made = [TorchModel(path, device, power, infer.block_size, infer.precision, embed=True) for path in paths]
    return list(made), device.type, list(paths)


def run(model: Model, windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the embeddings (B, F) of windows."""
    made, _ = model.start(windows)
    model.wait()
    return made


def width_of(model: Model, cfg: BaseConfig) -> int:
    """Return F, how many numbers an embedding of a model has."""
    return run(model, np.zeros((1, cfg.audio.spec_height, cfg.audio.spec_width), np.float32)).shape[1]


def _has_embedding(path: Path) -> bool:
    model, _facts = open_export(path)
    return any(EMBEDDING_NAME in output.names for output in model.outputs)


class Embedder:
    """A model that turns the windows of recordings into vectors; the engine takes it as it takes an ensemble.

    Parameters
    ----------
    path
        The checkpoint, export or description of an embedder.
    device
        ``cpu``, ``cuda`` or ``mps``.
    identity
        What the vectors depend on besides the recording: plain values.
    takes_sound
        It wants waveforms and not spectrograms.
    licence
        Licence of the file, where its description states one.
    """

    sed_fps: int | None = None
    staggered = False
    spread: int | None = None
    frame_weights: NDArray[np.float32] | None = None

    def __init__(
        self,
        cfg: BaseConfig,
        path: Path,
        model: Model,
        width: int,
        device: str,
        identity: dict[str, Any],
        takes_sound: bool = False,
        licence: str | None = None,
    ) -> None:
        self.cfg, self.audio, self.path = cfg, cfg.audio, path
        self.device, self.takes_sound, self.licence = device, takes_sound, licence
        self._model, self._width = model, width
        self.identity = {**identity, "features": width, "overlap": cfg.infer.overlap}

    @property
    def width(self) -> int:
        """F, numbers of a vector."""
        return self._width

    @property
    def step_s(self) -> float:
        """Seconds from one window to the next."""
        return self.grid().step_s

    def grid(self, start_seconds: float = 0.0) -> WindowGrid:
        """Return where the windows of a recording begin."""
        return WindowGrid.for_overlap(self.audio.spec_duration, self.cfg.infer.overlap, start_seconds)

    def owners(self, place: int | None) -> NDArray[np.bool_]:
        """Return the members that compute a window: the only one."""
        return np.ones(1, np.bool_)

    def finish(self, starts_N: NDArray[np.float64], rows: SpilledArray) -> SpilledArray:
        """Return the vectors of a recording as they are: smoothing and scaling concern scores."""
        return rows

    def score(
        self, windows: NDArray[np.float32], /, *, owners_BM: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.float32], None]:
        """Return the vectors (B, F) of windows, float32, and None for frames."""
        return run(self._model, windows), None


def open_embedder(
    path: str | os.PathLike[str] | None = None,
    cfg_path: str | os.PathLike[str] | None = None,
    overrides: dict[str, Any] | None = None,
) -> Embedder:
    """Load what makes the vectors of an archive.

    Raises `ModelError` if there is no such model, there are several, or it cannot be used.

    Parameters
    ----------
    path
        A checkpoint, an export, or the YAML description of a file of another project; None takes
        ``misc.search_ckpt_path``, else the only model of ``misc.ckpt_folder``.
    cfg_path, overrides
        As `resolve_for_models` takes them.
    """
    if path is not None and Path(path).suffix in (".yaml", ".yml"):
        from britekit.inference.foreign import open_foreign

        cfg, model, identity, licence = open_foreign(Path(path), cfg_path, overrides)
        return Embedder(cfg, Path(path), model, model.width, "cpu", identity, takes_sound=True, licence=licence)
    place = resolve(cfg_path).misc.search_ckpt_path if path is None else path
    cfg, paths = resolve_for_models(cfg_path, overrides, place)
    if len(paths) > 1:
        raise ModelError(
            f"an archive holds the vectors of one model, and there are {len(paths)} ({some(p.name for p in paths)}); "
            "name one with --model"
        )
    models, device, ran = load_models(cfg, paths, cfg.infer.audio_power)
    sha256 = models[0].facts.source_sha256 if isinstance(models[0], ExportedModel) else sha256_of(ran[0])
    identity = {"model": sha256, "audio": cfg.audio.stored(), "audio_power": cfg.infer.audio_power}
    if cfg.infer.precision != "f32":
        identity["precision"] = cfg.infer.precision
    return Embedder(cfg, paths[0], models[0], width_of(models[0], cfg), device, identity)

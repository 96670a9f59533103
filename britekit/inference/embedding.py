"""Embeddings of spectrograms: a backbone's output averaged over frequency and time, by any backend.

Several models of one width give the mean of theirs. Spectrograms enter as they are stored, without
``infer.audio_power``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from britekit.config import BaseConfig, resolve
from britekit.errors import ModelError
from britekit.inference.backend import choose_backend
from britekit.inference.exported import EMBEDDING_NAME, INPUT_NAME, keep_outputs, load_openvino, open_export
from britekit.inference.model_files import CHECKPOINT, member_paths, resolve_for_models
from britekit.processes import available_cores

log = logging.getLogger(__name__)


class Embedder(Protocol):
    """One model that makes embeddings."""

    path: Path

    def embed(self, images_BHW: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (B, F) float32 for spectrograms with values 0 to 1."""


class SearchModel:
    """The models of ``misc.search_ckpt_path``.

    Parameters
    ----------
    cfg
        Settings in force for them; from `open_search_model`.
    paths
        Checkpoints or exports.

    Raises
    ------
    ModelError
        A model cannot be used, or they give embeddings of different width.
    """

    def __init__(self, cfg: BaseConfig, paths: Sequence[Path]) -> None:
        self.cfg = cfg
        self.height, self.width = cfg.audio.spec_height, cfg.audio.spec_width
        self._models = _load(cfg, paths)
        blank = np.zeros((1, self.height, self.width), np.float32)
        widths = [model.embed(blank).shape[1] for model in self._models]
        for model, width in zip(self._models, widths):
            if width != widths[0]:
                raise ModelError(
                    f"{self._models[0].path} gives embeddings of {widths[0]} numbers, {model.path} of "
                    f"{width}; models of one search must agree in that"
                )
        self.num_features = widths[0]

    def embed(self, images_BHW: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the mean embedding of the models, float32 (B, F), for spectrograms with values 0 to 1."""
        parts = [model.embed(images_BHW) for model in self._models]
        if len(parts) == 1:
            return parts[0]
        mean: NDArray[np.float64] = np.stack(parts).mean(axis=0, dtype=np.float64)
        return mean.astype(np.float32)


def open_search_model(cfg_path: str | os.PathLike[str] | None) -> SearchModel:
    """Load the models that ``misc.search_ckpt_path`` names, with the settings they bring.

    Raises
    ------
    ModelError
        The field is not set, or its models are missing or cannot be used.
    """
    chosen = resolve(cfg_path)
    place = chosen.misc.search_ckpt_path
    if not place:
        raise ModelError(
            "misc.search_ckpt_path is not set; name the checkpoint, or a folder of them, that makes embeddings"
        )
    if not Path(place).exists():
        raise ModelError(f"misc.search_ckpt_path is {place}, which does not exist; name a checkpoint")
    cfg, paths = resolve_for_models(cfg_path, None, place)
    return SearchModel(cfg, paths or member_paths(cfg, place))


def _load(cfg: BaseConfig, paths: Sequence[Path]) -> list[Embedder]:
    choice = choose_backend(cfg, paths)
    if choice.exports:
        without = [path for path in choice.exports if not _has_embedding(path)]
        if not without:
            return [ExportedEmbedder(path, cfg.audio.spec_height, cfg.audio.spec_width) for path in choice.exports]
        if cfg.infer.backend == "openvino" or any(path.suffix != CHECKPOINT for path in paths):
            raise ModelError(
                f'{without[0]} was made by a version without embeddings; run "britekit ckpt-onnx" on its checkpoint'
            )
        log.info("%s gives no embeddings; PyTorch computes them", without[0].name)
    from britekit.inference.torch_embedder import TorchEmbedder

    return [TorchEmbedder(path, cfg) for path in paths]


def _has_embedding(path: Path) -> bool:
    model, _facts = open_export(path)
    return any(EMBEDDING_NAME in output.names for output in model.outputs)


class ExportedEmbedder:
    """An export of which only the backbone runs, a window at a time, spread over the cores.

    Parameters
    ----------
    path
        The file.
    height, width
        Size of a spectrogram.
    """

    def __init__(self, path: Path, height: int, width: int) -> None:
        openvino = load_openvino()
        self.path = path
        model, _facts = open_export(path, height, width)
        keep_outputs(model, {EMBEDDING_NAME})
        model.reshape({INPUT_NAME: [1, 1, height, width]})
        cores = available_cores()
        settings = {"NUM_STREAMS": str(cores), "INFERENCE_NUM_THREADS": cores, "INFERENCE_PRECISION_HINT": "f32"}
        try:
            self._network = openvino.Core().compile_model(model, "CPU", settings)
        except RuntimeError as error:
            raise ModelError(f"{path} cannot be run by OpenVINO: {str(error).splitlines()[0]}") from error
        self._width = int(self._network.output(EMBEDDING_NAME).shape[1])
        self._queue = openvino.AsyncInferQueue(self._network, 2 * cores)
        self._queue.set_callback(_keep)

    def embed(self, images_BHW: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (B, F) float32."""
        from openvino import Tensor

        result = np.empty((len(images_BHW), self._width), np.float32)
        for window in range(len(images_BHW)):
            image = np.ascontiguousarray(images_BHW[window : window + 1, None], np.float32)
            self._queue.start_async({INPUT_NAME: Tensor(image)}, (window, result, image))
        self._queue.wait_all()
        return result


def _keep(request: Any, where: tuple[int, NDArray[np.float32], NDArray[np.float32]]) -> None:
    window, result, _ = where  # the last keeps the input alive until now
    result[window] = request.get_tensor(EMBEDDING_NAME).data[0]

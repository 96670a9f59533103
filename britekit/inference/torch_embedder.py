"""Embeddings by PyTorch, on the CPU or a GPU."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from britekit.config import BaseConfig
from britekit.errors import ModelError
from britekit.models.checkpoint import load_checkpoint
from britekit.training.devices import choose_device

# As for scores: on two cores 16 take the least time per window.
_CPU_BATCH = 16


class TorchEmbedder:
    """A checkpoint of which only the backbone runs, in batches of one fixed size.

    Parameters
    ----------
    path
        The checkpoint.
    cfg
        ``misc.force_cpu``, ``infer.block_size``, ``infer.autocast``.
    """

    def __init__(self, path: Path, cfg: BaseConfig) -> None:
        self.path = path
        self._device = choose_device(cfg.misc.force_cpu)
        on_gpu = self._device.type == "cuda"
        self._batch = cfg.infer.block_size if on_gpu else min(cfg.infer.block_size, _CPU_BATCH)
        self._autocast = cfg.infer.autocast and on_gpu
        self._network = load_checkpoint(path, self._device).recognizer.eval()

    def embed(self, images_BHW: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (B, F) float32."""
        parts = []
        mixed = torch.autocast("cuda") if self._autocast else contextlib.nullcontext()
        for first in range(0, len(images_BHW), self._batch):
            part = images_BHW[first : first + self._batch]
            # Padded: kernels are chosen by the size of a batch, and other kernels round differently.
            padded = np.zeros((self._batch, 1, *part.shape[1:]), np.float32)
            padded[: len(part), 0] = part
            try:
                with torch.inference_mode(), mixed:
                    made = self._network.embed(torch.from_numpy(padded).to(self._device))
            except torch.cuda.OutOfMemoryError as error:
                raise ModelError(
                    f"the GPU has too little memory for infer.block_size {self._batch}; give a smaller one"
                ) from error
            parts.append(made[: len(part)].float().cpu().numpy())
        return np.concatenate(parts)

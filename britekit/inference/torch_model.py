"""Run checkpoints with PyTorch, on the CPU or a GPU, in batches of one fixed size."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np
import torch

from britekit.errors import ModelError
from britekit.inference.precision import require_precision
from britekit.models.checkpoint import StoredModel, load_checkpoint

# On two cores, 16 took the least time per window: 18 ms of CPU against 25 for 8 and 56 for 1.
_CPU_BATCH = 16
# The engine passes at most this many; with 200, two thirds of the GPU's work was padding.
_GPU_BATCH = 64


class TorchModel:
    """A checkpoint on a device.

    Batches are zero-padded to one size, since kernels depend on the batch size, and other kernels round differently.

    Parameters
    ----------
    device
        Result of `training.devices.choose_device`.
    precision
        ``f32`` or ``bf16``.
    embed
        Give embeddings (B, F) in place of logits; the head does not run.
    longer
        Columns and frames of windows that are longer than the network's own; None for its own.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        device: torch.device,
        audio_power: float,
        block_size: int,
        precision: str = "f32",
        embed: bool = False,
        longer: tuple[int, int] | None = None,
    ) -> None:
        require_precision(precision, "torch", device.type)
        self.stored: StoredModel = load_checkpoint(Path(path), device)
        self._device = device
        self._power = audio_power
        self._batch = batch_size(device, block_size)
        self._half = precision == "bf16"
        layout = torch.channels_last if device.type in ("cpu", "cuda") else torch.contiguous_format
        self._network = self.stored.recognizer.to(memory_format=layout).eval()
        self._layout = layout
        self._embed = embed
        if longer is not None:
            for module in self._network.modules():
                if isinstance(getattr(module, "frames", None), int):
                    module.frames = longer[1]

    def start(self, spectrograms_BHW: np.ndarray, padded: bool = True) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the logits of windows: (B, C), and (B, C, T) or None; see `Ensemble.score` for ``padded``."""
        segments: list[np.ndarray] = []
        frames: list[np.ndarray] = []
        for first in range(0, len(spectrograms_BHW), self._batch):
            part = spectrograms_BHW[first : first + self._batch]
            segment, frame = self._run(part, self._batch if padded else len(part))
            segments.append(segment[: len(part)])
            if frame is not None:
                frames.append(frame[: len(part)])
        return np.concatenate(segments), np.concatenate(frames) if frames else None

    def wait(self) -> None:
        """Do nothing, since `start` is synchronous."""

    def _run(self, part_BHW: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray | None]:
        padded = np.zeros((size, 1, *part_BHW.shape[1:]), np.float32)
        padded[: len(part_BHW), 0] = part_BHW
        mixed = torch.autocast(self._device.type, torch.bfloat16) if self._half else contextlib.nullcontext()
        try:
            with torch.inference_mode(), mixed:
                x = torch.from_numpy(padded).to(self._device)
                x = x.pow(self._power).contiguous(memory_format=self._layout)
                segment, frames = (self._network.embed(x), None) if self._embed else self._network(x)
        except torch.cuda.OutOfMemoryError as error:
            raise ModelError(
                f"the GPU has too little memory for infer.block_size {self._batch}; give a smaller one"
            ) from error
        return segment.float().cpu().numpy(), None if frames is None else frames.float().cpu().numpy()


def batch_size(device: torch.device, block_size: int) -> int:
    """Return the fixed batch size on a device, at most ``block_size``."""
    return min(block_size, _GPU_BATCH if device.type == "cuda" else _CPU_BATCH)

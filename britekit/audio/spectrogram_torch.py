"""Compute the same as ``spectrogram`` on a GPU, by torch and torchaudio.

Decoding and resampling stay on CPU threads, with the same implementation. The filters are those of
``frequency_scales``, so results differ only by rounding. torch is imported inside functions, since the CPU path does
not need it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import astuple
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from britekit.audio.frequency_scales import filter_matrix
from britekit.audio.spectrogram import SpectrogramTransform, segment_of, spectrogram_transform
from britekit.config.audio import AudioConfig
from britekit.errors import InputError

if TYPE_CHECKING:
    import torch

_DEVICE = re.compile(r"cpu|cuda(:\d+)?|mps")
# Spectra of 32 segments at the default settings take 120 MB.
_SEGMENTS_AT_ONCE = 32
_AMIN = 1e-10


def checked_device(name: str | None) -> str:
    """Return the name of an existing device; None is "cpu". Only the name of a GPU imports torch.

    Raises `InputError` if the name is not cpu, cuda, cuda:N or mps, or the machine has no such device.
    """
    if name is None or name == "cpu":
        return "cpu"
    if not isinstance(name, str) or not _DEVICE.fullmatch(name):
        raise InputError(f'device "{name}" is unknown; give cpu, cuda, cuda:0 or mps')
    import torch

    if name == "mps":
        there = torch.backends.mps.is_available()
    else:
        there = int(name.partition(":")[2] or 0) < torch.cuda.device_count()
    if not there:
        raise InputError(f'device "{name}" is not on this machine; give cpu, or leave the device out')
    return name


class TorchTransform:
    """Computes spectrograms of batches of segments on one device, for one set of settings.

    Parameters
    ----------
    duration
        Length of a segment in seconds, if not ``cfg.spec_duration``.
    """

    def __init__(self, cfg: AudioConfig, duration: float | None, device: str) -> None:
        import torch

        self.shape: SpectrogramTransform = spectrogram_transform(cfg, duration)
        self.device = torch.device(device)
        self._power = float(cfg.power)
        self._decibels = (float(cfg.top_db), float(cfg.db_power)) if cfg.decibels else None
        weights = filter_matrix(
            cfg.freq_scale, self.shape.height, float(cfg.min_freq), float(cfg.max_freq),
            self.shape.sampling_rate, self.shape.n_fft, float(cfg.log_freq_gain), cfg.mel_norm,
        )  # fmt: skip
        # Training may have enabled TF32 or half precision for float32 products in the whole process. They do not affect
        # double precision; MPS has neither.
        self._wide = torch.float32 if self.device.type == "mps" else torch.float64
        self._weights_RF = torch.from_numpy(weights.T.copy()).to(self._wide).to(self.device)
        self._window = torch.hann_window(self.shape.window_length, dtype=torch.float32).to(self.device)

    def __call__(self, segments_Bn: torch.Tensor) -> torch.Tensor:
        """Return the spectrograms, not normalized, (B, H, W), of float32 segments (B, n) of one length."""
        import torch

        with torch.inference_mode(), torch.autocast(self.device.type, enabled=False):
            parts = [self._raw(part) for part in segments_Bn.to(self.device).split(_SEGMENTS_AT_ONCE)]
            return torch.cat(parts) if len(parts) != 1 else parts[0]

    def _raw(self, segments_Bn: torch.Tensor) -> torch.Tensor:
        import torch
        import torchaudio

        amplitude = torchaudio.functional.spectrogram(
            self._reflected(segments_Bn), pad=0, window=self._window, n_fft=self.shape.n_fft,
            hop_length=self.shape.hop, win_length=self.shape.window_length, power=self._power,
            normalized=False, center=False,
        )  # fmt: skip
        rows = torch.matmul(self._weights_RF, amplitude[:, :, : self.shape.width].to(self._wide)).float()
        rows = torch.nn.functional.pad(rows, (0, self.shape.width - rows.shape[-1]))
        return rows if self._decibels is None else _decibels(rows, *self._decibels)

    def _reflected(self, segments_Bn: torch.Tensor) -> torch.Tensor:
        import torch

        edge, length = self.shape.n_fft // 2, segments_Bn.shape[-1]
        if edge < length:
            return torch.nn.functional.pad(segments_Bn[:, None], (edge, edge), "reflect")[:, 0]
        # torch reflects only once; a segment shorter than half an FFT needs repeated reflection.
        order = np.pad(np.arange(length), edge, "reflect")
        return segments_Bn[:, torch.from_numpy(order).to(segments_Bn.device)]


class DeviceBatch:
    """Collects segments, and computes their spectrograms together on a device.

    Full segments are always computed in batches of ``size``, padded with zeros, since a device's FFT may round
    differently in batches of another size. So a spectrogram does not depend on its neighbors.
    """

    def __init__(self, cfg: AudioConfig, size: int, device: str) -> None:
        self._transform = torch_transform(cfg, None, device)
        self._size = size
        self._segments: list[np.ndarray] = []

    def add(self, segment: np.ndarray) -> None:
        """Add the samples of a segment, float32 (n,)."""
        self._segments.append(segment)

    def take(self) -> np.ndarray:
        """Return the normalized spectrograms of the added segments, float32 (B, H, W), and clear them."""
        segments, self._segments = self._segments, []
        return normalized(_of_any_length(self._transform, segments, self._size)).cpu().numpy()


def compute_spectrograms_on(
    device: str, signal: np.ndarray, starts: Sequence[float], cfg: AudioConfig, duration: float | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute `spectrogram.compute_spectrograms` on a device; equal within 1e-4 after normalization."""
    transform = torch_transform(cfg, duration, device)
    signal = np.ascontiguousarray(signal, np.float32)
    found = [segment_of(signal, 0, len(signal), start, transform.shape) for start in starts]
    present = np.array([segment is not None for segment in found], bool)
    raw = np.zeros((len(starts), transform.shape.height, transform.shape.width), np.float32)
    images = np.zeros_like(raw)
    if present.any():
        raw_BFT = _of_any_length(transform, [segment for segment in found if segment is not None])
        raw[present] = raw_BFT.cpu().numpy()
        images[present] = normalized(raw_BFT).cpu().numpy()
    return images, raw, present


def normalized(raw_BFT: torch.Tensor) -> torch.Tensor:
    """Scale each image to [0, 1]; a flat one becomes zeros."""
    low = raw_BFT.amin(dim=(1, 2), keepdim=True)
    span = raw_BFT.amax(dim=(1, 2), keepdim=True) - low
    flat = span <= 0
    return ((raw_BFT - low) / span.masked_fill(flat, 1.0)).masked_fill(flat, 0.0)


def torch_transform(cfg: AudioConfig, duration: float | None, device: str) -> TorchTransform:
    """Return the transform for these settings and device, cached by their values."""
    return _cached_transform(astuple(cfg), duration, device)


@lru_cache(maxsize=16)
def _cached_transform(values: tuple[Any, ...], duration: float | None, device: str) -> TorchTransform:
    return TorchTransform(AudioConfig(*values), duration, device)


def _of_any_length(transform: TorchTransform, segments: list[np.ndarray], fill_to: int = 0) -> torch.Tensor:
    """Return the raw spectrograms of segments in order; equal lengths are computed together."""
    import torch

    shape = (len(segments), transform.shape.height, transform.shape.width)
    out = torch.empty(shape, dtype=torch.float32, device=transform.device)
    places: dict[int, list[int]] = {}
    for place, segment in enumerate(segments):
        places.setdefault(len(segment), []).append(place)
    whole = transform.shape.count(transform.shape.duration)
    for length, here in places.items():
        # Bounds are rounded down, so full segments may differ by one sample in length.
        rows = max(len(here), fill_to) if abs(length - whole) <= 1 else len(here)
        together = np.zeros((rows, length), np.float32)
        for row, place in enumerate(here):
            together[row] = segments[place]
        out[here] = transform(torch.from_numpy(together))[: len(here)]
    return out


def _decibels(rows_BFT: torch.Tensor, top_db: float, db_power: float) -> torch.Tensor:
    image = 10.0 * rows_BFT.clamp(min=_AMIN).log10()
    image = image.maximum(image.amax(dim=(1, 2), keepdim=True) - top_db)
    image = image - image.amin(dim=(1, 2), keepdim=True)
    return image if db_power == 1.0 else image.pow(db_power)

"""Compute spectrograms of a signal at start times: scipy.fft on float32 and one matrix product per band of rows.

Every segment is computed separately, in blocks of a fixed number of frames: frames are centered with reflected edges,
so neighbors share none, and a spectrogram is identical whatever it is computed together with.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import astuple
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.fft  # type: ignore[import-untyped]
from numpy.lib.stride_tricks import sliding_window_view

from britekit.audio.frequency_scales import frequency_scale
from britekit.config.audio import AudioConfig
from britekit.errors import ConfigError

# Fastest of 16 to 480 at the default settings: 60 frames and their transforms fit a core's 1 MB cache.
_FRAMES_PER_BLOCK = 60
# A start time such as 0.29 s times 100 Hz is 28.999999999999996 samples.
_ROUNDING = 1e-6
_AMIN = 1e-10


class SpectrogramTransform:
    """Computes spectrograms of segments for one set of settings; thread-safe.

    Attributes
    ----------
    height, width : int
        Rows and columns of a spectrogram.
    window_length, n_fft, hop : int
        In samples.
    """

    def __init__(self, cfg: AudioConfig, duration: float | None = None) -> None:
        rate = int(cfg.sampling_rate)
        self.sampling_rate = rate
        self.duration = float(cfg.spec_duration if duration is None else duration)
        self.height = int(cfg.spec_height)
        self.width = int(cfg.spec_width)
        if duration is not None and duration != cfg.spec_duration:
            self.width = max(1, round(cfg.spec_width * self.duration / cfg.spec_duration))
        self.window_length = cfg.window_samples
        self.n_fft = cfg.fft_samples
        self.hop = cfg.hop_samples
        if self.window_length < 2 or self.hop < 1 or self.n_fft < self.window_length:
            raise ConfigError(
                f"audio settings give a window of {self.window_length} samples, an FFT of {self.n_fft} and a "
                f"hop of {self.hop}; the window needs 2 or more, the FFT the window, the hop 1 or more"
            )
        self.min_samples = self.count(min(1.0, self.duration))
        self._power = float(cfg.power)
        self._decibels = (float(cfg.top_db), float(cfg.db_power)) if cfg.decibels else None
        self._scale = frequency_scale(
            cfg.freq_scale,
            self.height,
            float(cfg.min_freq),
            float(cfg.max_freq),
            rate,
            self.n_fft,
            float(cfg.log_freq_gain),
            cfg.mel_norm,
        )
        # Periodic Hann, as for every FFT use.
        self._window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.window_length) / self.window_length)).astype(
            np.float32
        )
        # The window is in the middle of the FFT frame; zeros around it change only phases, so a frame is cut at its
        # window and padded at the end.
        self._lead = self.n_fft // 2 - (self.n_fft - self.window_length) // 2
        self._buffers = threading.local()

    def count(self, seconds: float) -> int:
        """Return floor(seconds · sampling rate), tolerating rounding of the product."""
        return math.floor(seconds * self.sampling_rate + _ROUNDING)

    def bounds(self, start: float) -> tuple[int, int]:
        """Return the first sample of the segment at ``start`` seconds, and the one after its last."""
        return self.count(start), self.count(start + self.duration)

    def frames(self, samples: int) -> int:
        """Return the number of columns that a segment of ``samples`` samples fills."""
        whole = 1 + (samples + 2 * (self.n_fft // 2) - self.n_fft) // self.hop
        return max(0, min(self.width, whole))

    def raw(self, segment: np.ndarray, out_FT: np.ndarray) -> None:
        """Write the spectrogram of a segment, float32 (n,), to ``out_FT`` (height, width), not normalized."""
        frames = self.frames(len(segment))
        rows_TF = self._filtered(segment, frames)
        out_FT[:, :frames] = rows_TF.T
        out_FT[:, frames:] = 0.0
        if self._decibels is not None:
            to_decibels(out_FT, *self._decibels)

    def _filtered(self, segment: np.ndarray, frames: int) -> np.ndarray:
        work = self._work()
        windows = self._windows(segment, frames)
        scale = self._scale
        for at in range(0, frames, _FRAMES_PER_BLOCK):
            now = min(_FRAMES_PER_BLOCK, frames - at)
            np.multiply(windows[at : at + now], self._window, out=work.padded[:now, : self.window_length])
            spectrum = scipy.fft.rfft(work.padded[:now], axis=-1, workers=1)
            amplitude = work.amplitude[:now]
            np.abs(spectrum[:, scale.bin : scale.bin_end], out=amplitude)
            if self._power == 2.0:
                np.multiply(amplitude, amplitude, out=amplitude)
            elif self._power != 1.0:
                np.power(amplitude, np.float32(self._power), out=amplitude)
            for band in scale.bands:
                work.rows[at : at + now, band.row : band.row_end] = amplitude[:, band.bin : band.bin_end] @ band.weights
        return work.rows[:frames]

    def _windows(self, segment: np.ndarray, frames: int) -> np.ndarray:
        """Return the windows of all frames, (frames, window_length), a view of the reflected segment."""
        right = max(0, (frames - 1) * self.hop + self.window_length - self._lead - len(segment))
        if len(segment) > max(self._lead, right):
            parts = [segment[self._lead : 0 : -1], segment, segment[-2 : -2 - right : -1]]
            padded = np.concatenate(parts)
        else:
            padded = np.pad(segment, (self._lead, right), "reflect")
        return sliding_window_view(padded, self.window_length)[:: self.hop][:frames]

    def _work(self) -> _Work:
        work = getattr(self._buffers, "work", None)
        if work is None:
            work = self._buffers.work = _Work(self)
        return work


class _Work:
    """Buffers of one thread; columns of ``padded`` beyond the window stay zero."""

    def __init__(self, transform: SpectrogramTransform) -> None:
        bins = transform._scale.bin_end - transform._scale.bin
        self.padded = np.zeros((_FRAMES_PER_BLOCK, transform.n_fft), np.float32)
        self.amplitude = np.empty((_FRAMES_PER_BLOCK, bins), np.float32)
        self.rows = np.empty((transform.width, transform.height), np.float32)


def compute_spectrograms(
    signal: np.ndarray, starts: Sequence[float], cfg: AudioConfig, duration: float | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the spectrograms of segments of a signal.

    Parameters
    ----------
    signal
        float32 (n,), one channel at ``cfg.sampling_rate``.
    starts
        Start times in seconds; before 0 the signal is zero.
    duration
        Length of a segment in seconds, if not ``cfg.spec_duration``; the width scales with it.

    Returns
    -------
    normalized : float32 (B, H, W)
        Each in [0, 1]; all zeros if flat.
    raw : float32 (B, H, W)
        Amplitudes or decibels.
    present : bool (B,)
        False, with zeros in the arrays, if there is less than one second of audio (or less than ``duration`` if that is
        shorter).
    """
    transform = spectrogram_transform(cfg, duration)
    signal = np.ascontiguousarray(signal, np.float32)
    raw = np.zeros((len(starts), transform.height, transform.width), np.float32)
    present = np.zeros(len(starts), bool)
    for index, start in enumerate(starts):
        segment = segment_of(signal, 0, len(signal), start, transform)
        if segment is not None:
            transform.raw(segment, raw[index])
            present[index] = True
    normalized = raw.copy()
    normalize(normalized)
    return normalized, raw, present


def segment_of(
    samples: np.ndarray, offset: int, total: int, start: float, transform: SpectrogramTransform
) -> np.ndarray | None:
    """Return the samples of a segment, or None if it is absent.

    Parameters
    ----------
    samples
        float32; the available part of the recording from sample ``offset`` on.
    offset
        Position of ``samples[0]`` in the recording.
    total
        Number of samples known so far; must be all of them if the segment extends beyond.
    start
        Start in seconds; before 0 there are zeros.
    """
    first, end = transform.bounds(start)
    end = min(end, total)
    if end - max(first, 0) < transform.min_samples:
        return None
    segment = samples[max(first, 0) - offset : end - offset]
    return np.concatenate([np.zeros(-first, np.float32), segment]) if first < 0 else segment


def to_decibels(image: np.ndarray, top_db: float, db_power: float) -> None:
    """Convert amplitudes in place to decibels above the smallest kept value, to the power ``db_power``."""
    np.maximum(image, np.float32(_AMIN), out=image)
    np.log10(image, out=image)
    image *= np.float32(10.0)
    np.maximum(image, image.max() - np.float32(top_db), out=image)
    image -= image.min()
    if db_power != 1.0:
        np.power(image, np.float32(db_power), out=image)


def normalize(images_BFT: np.ndarray) -> None:
    """Bring each image to [0, 1] in place; a flat one becomes zeros."""
    for image in images_BFT:
        low = image.min()
        span = image.max() - low
        if span > 0:
            image -= low
            image /= span
        else:
            image[:] = 0.0


def spectrogram_transform(cfg: AudioConfig, duration: float | None = None) -> SpectrogramTransform:
    """Return the transform for these settings, cached by their values, so that changes of ``cfg`` take effect."""
    return _cached_transform(astuple(cfg), duration)


@lru_cache(maxsize=16)
def _cached_transform(values: tuple[Any, ...], duration: float | None) -> SpectrogramTransform:
    return SpectrogramTransform(AudioConfig(*values), duration)

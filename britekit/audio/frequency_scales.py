"""Compute the weights that turn FFT bins into rows of a spectrogram: mel, linear and log scales.

A scale is a matrix (bins, rows), row 0 the lowest frequency. Most weights are zero, so the product is computed in
bands: a few rows at a time over the bins that they use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from britekit.errors import ConfigError

_OCTAVE_WIDTH = 1.0 / 12.0
# exp(-20.7) = 1e-9 of the peak: far below the required accuracy of 1e-4, and it keeps the bands narrow.
_NEGLIGIBLE_EXPONENT = -20.7
_ROWS_PER_BAND = 32


@dataclass(frozen=True, eq=False)
class Band:
    """Rows ``row`` to ``row_end`` need only bins ``bin`` to ``bin_end``; weights float32 (bins, rows)."""

    bin: int
    bin_end: int
    row: int
    row_end: int
    weights: np.ndarray


@dataclass(frozen=True, eq=False)
class FrequencyScale:
    """A filter matrix over the FFT's bins ``bin`` to ``bin_end``, in bands that count from ``bin``."""

    bin: int
    bin_end: int
    bands: tuple[Band, ...]


def hz_to_mel(hz: np.ndarray | float) -> np.ndarray:
    """Convert to the HTK mel scale, 2595·log10(1 + f/700) (O'Shaughnessy 1987, as in HTK)."""
    return 2595.0 * np.log10(1.0 + np.asarray(hz, np.float64) / 700.0)


def mel_to_hz(mel: np.ndarray) -> np.ndarray:
    """Convert from the HTK mel scale, the inverse of `hz_to_mel`."""
    return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)


def mel_weights(bins_hz: np.ndarray, rows: int, min_freq: float, max_freq: float, norm: str | None) -> np.ndarray:
    """Return triangular filters, evenly spaced in mel, float64 (bins, rows).

    Peaks are 1, or with ``norm="slaney"`` 2/width in Hz, so that every filter has the same area.
    """
    edges = mel_to_hz(np.linspace(hz_to_mel(min_freq), hz_to_mel(max_freq), rows + 2))
    width = np.diff(edges)
    rising = (bins_hz[:, None] - edges[None, :-2]) / width[:-1]
    falling = (edges[None, 2:] - bins_hz[:, None]) / width[1:]
    weights = np.maximum(0.0, np.minimum(rising, falling))
    if norm == "slaney":
        weights *= 2.0 / (edges[2:] - edges[:-2])
    return weights


def linear_weights(bins_hz: np.ndarray, rows: int, min_freq: float, max_freq: float) -> np.ndarray:
    """Return the means over neighboring bins between two frequencies, float64 (bins, rows).

    Area interpolation as in ``torch.nn.functional.interpolate(mode="area")``: row i is the mean of the bins
    that [i·n/rows, (i + 1)·n/rows] touches, so neighboring rows may share a bin.
    """
    inside = np.flatnonzero((bins_hz >= min_freq) & (bins_hz <= max_freq))
    if not len(inside):
        raise ConfigError(
            f"no FFT bin lies between audio.min_freq {min_freq} and audio.max_freq {max_freq}; "
            f"widen the range or raise audio.win_length"
        )
    weights = np.zeros((len(bins_hz), rows))
    for row in range(rows):
        low, high = row * len(inside) // rows, -(-(row + 1) * len(inside) // rows)
        weights[inside[low:high], row] = 1.0 / (high - low)
    return weights


def log_weights(bins_hz: np.ndarray, rows: int, min_freq: float, max_freq: float, gain: float) -> np.ndarray:
    """Return Gaussian filters of one twelfth octave, evenly spaced in log2, float64 (bins, rows).

    Each filter sums to 1; row c is then multiplied by (c/min_freq)^gain, since high sounds are weaker.
    """
    lowest = max(min_freq, 1.0)
    centers = np.exp2(np.linspace(math.log2(lowest), math.log2(max_freq), rows))
    with np.errstate(divide="ignore"):
        distance = (np.log2(bins_hz)[:, None] - np.log2(centers)[None, :]) / _OCTAVE_WIDTH
    exponent = -0.5 * distance**2
    # If bins are far apart, all weights of a row could underflow: scale by the largest before dividing by the sum.
    exponent -= exponent.max(axis=0)
    weights = np.where(exponent > _NEGLIGIBLE_EXPONENT, np.exp(exponent), 0.0)
    return weights / weights.sum(axis=0) * (centers / lowest) ** gain


def filter_matrix(
    scale: str,
    rows: int,
    min_freq: float,
    max_freq: float,
    sampling_rate: int,
    n_fft: int,
    log_freq_gain: float = 0.6,
    mel_norm: str | None = None,
) -> np.ndarray:
    """Return the weights of all FFT bins for each row, float64 (n_fft // 2 + 1, rows).

    Raises `ConfigError` if the scale is not one of mel, linear, log.
    """
    bins_hz = np.arange(n_fft // 2 + 1) * (sampling_rate / n_fft)
    if scale == "mel":
        return mel_weights(bins_hz, rows, min_freq, max_freq, mel_norm)
    if scale == "linear":
        return linear_weights(bins_hz, rows, min_freq, max_freq)
    if scale == "log":
        return log_weights(bins_hz, rows, min_freq, max_freq, log_freq_gain)
    raise ConfigError(f'audio.freq_scale is "{scale}"; allowed are mel, linear, log')


@lru_cache(maxsize=32)
def frequency_scale(
    scale: str,
    rows: int,
    min_freq: float,
    max_freq: float,
    sampling_rate: int,
    n_fft: int,
    log_freq_gain: float = 0.6,
    mel_norm: str | None = None,
) -> FrequencyScale:
    """Return ``filter_matrix`` in bands, float32, cached by its settings and shared, so read-only."""
    weights = filter_matrix(scale, rows, min_freq, max_freq, sampling_rate, n_fft, log_freq_gain, mel_norm)
    first, end = _used(weights)
    bands = []
    for row in range(0, rows, _ROWS_PER_BAND):
        part = weights[first:end, row : row + _ROWS_PER_BAND]
        low, high = _used(part)
        block = np.ascontiguousarray(part[low:high], np.float32)
        block.setflags(write=False)
        bands.append(Band(low, high, row, row + part.shape[1], block))
    return FrequencyScale(first, end, tuple(bands))


def _used(weights: np.ndarray) -> tuple[int, int]:
    """Return the range of bins with any weight, at least one bin wide."""
    bins = np.flatnonzero(weights.any(axis=1))
    return (int(bins[0]), int(bins[-1]) + 1) if len(bins) else (0, 1)

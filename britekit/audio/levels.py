"""Level and noise floor of windows of sound, and the mean spectrum of their spectrograms."""

from __future__ import annotations

import numpy as np

# Frames of the noise floor, seconds; the share of the quietest frames that are noise.
FRAME_S = 0.02
QUIETEST = 0.1
# Digital silence has no level in dB.
SILENCE_DB = -120.0
BANDS = 16
TRAITS = ("level", "noise", *(f"band {number}" for number in range(1, BANDS + 1)))
"""Names of what `describe` returns for a window."""


def levels_of(segment: np.ndarray, rate: int) -> tuple[float, float]:
    """Return level and noise floor in dB relative to full scale (a square wave of 1.0 has 0 dB).

    The noise floor is the tenth percentile of the mean squares of frames of 20 ms: what is there between the sounds.

    Parameters
    ----------
    segment
        (n,) samples, -1 to 1.
    """
    size = max(1, round(FRAME_S * rate))
    count = max(1, len(segment) // size)
    if len(segment) == 0:
        return SILENCE_DB, SILENCE_DB
    framed = segment[: count * size].reshape(count, -1)
    power_F = np.einsum("fs,fs->f", framed, framed, dtype=np.float64) / framed.shape[1]
    return _decibels(float(power_F.mean())), _decibels(float(np.quantile(power_F, QUIETEST)))


def spectrum_of(spectrograms_BHW: np.ndarray) -> np.ndarray:
    """Return the mean of spectrograms over time in 16 bands of frequency, lowest first: (B, 16) float32, 0 to 1."""
    rows_BH = spectrograms_BHW.mean(axis=2, dtype=np.float32)
    edges = np.linspace(0, rows_BH.shape[1], BANDS + 1).astype(int)
    return np.stack(
        [rows_BH[:, a:b].mean(axis=1) if b > a else rows_BH[:, a] for a, b in zip(edges, edges[1:])], axis=1
    )


def _decibels(power: float) -> float:
    return max(SILENCE_DB, 10.0 * float(np.log10(power))) if power > 0 else SILENCE_DB

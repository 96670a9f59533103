"""Place round numbers on the axes of a spectrogram: frequencies on any scale, and time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from britekit.audio.frequency_scales import filter_matrix, hz_to_mel, mel_to_hz
from britekit.config.audio import AudioConfig

_FREQUENCY_STEPS = tuple(m * 10.0**e for e in (5, 4, 3, 2, 1, 0) for m in (5, 2, 1))
# On a curved scale these are chosen in this order while there is room.
_LEADING = (1, 5, 2, 3, 8, 4, 6, 7, 9, 1.5, 2.5)
_FEWEST = 3
_REACH = 1.06
_TIME_STEPS = (
    *(m * 10.0**e for e in (-4, -3, -2, -1) for m in (1, 2, 5)),
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400),
)


@dataclass(frozen=True)
class Ticks:
    """Tick positions along an axis, their labels, and the axis title."""

    places: list[float]
    labels: list[str]
    name: str


def row_centers_hz(cfg: AudioConfig) -> NDArray[np.float64]:
    """Return the frequency at the center of each row of a spectrogram, ascending, float64 (H,)."""
    rows, low, high = cfg.spec_height, float(cfg.min_freq), float(cfg.max_freq)
    if cfg.freq_scale == "mel":
        return mel_to_hz(np.linspace(hz_to_mel(low), hz_to_mel(high), rows + 2))[1:-1]
    if cfg.freq_scale == "log":
        return np.exp2(np.linspace(math.log2(max(low, 1.0)), math.log2(high), rows))
    weights = filter_matrix("linear", rows, low, high, cfg.sampling_rate, cfg.fft_samples)
    bins_hz = np.arange(len(weights)) * (cfg.sampling_rate / cfg.fft_samples)
    return np.asarray(bins_hz @ weights / weights.sum(axis=0))


def frequency_ticks(row_hz: NDArray[np.float64], most: int = 12) -> Ticks:
    """Return round frequencies as row numbers (row 0 = center of the lowest row), in kHz, or Hz below 1 kHz.

    Parameters
    ----------
    row_hz
        (H,) center of each row, ascending, on any scale.
    most
        Largest number of ticks.
    """
    if len(row_hz) < 2:
        return Ticks([0.0], [f"{row_hz[0]:g}"], "Frequency (Hz)")
    # The outermost rows extend half a row beyond their centers, and their filters slightly more than a row.
    low = float(row_hz[0] - _REACH * (row_hz[1] - row_hz[0]))
    high = float(row_hz[-1] + _REACH * (row_hz[-1] - row_hz[-2]))
    chosen = {} if _is_even(row_hz) else _ticks_of_curved_scale(row_hz, low, high, most)
    if len(chosen) < _FEWEST:
        chosen = _ticks_of_even_scale(row_hz, low, high, most)
    unit, factor = ("kHz", 1000.0) if high >= 1000 else ("Hz", 1.0)
    ordered = sorted(chosen)
    return Ticks([chosen[mark] for mark in ordered], [f"{mark / factor:g}" for mark in ordered], f"Frequency ({unit})")


def time_ticks(start_s: float, seconds: float, most: int = 10) -> Ticks:
    """Return round times from the first to the last second; long durations in minutes or hours."""
    end = start_s + seconds
    step = next((step for step in _TIME_STEPS if seconds / step <= most), 86_400.0 * math.ceil(seconds / 86_400 / most))
    first = math.ceil(start_s / step - 1e-9)
    places = [step * k for k in range(first, math.floor(end / step + 1e-9) + 1)]
    if seconds <= 120:
        return Ticks(places, [f"{place:.6g}" if place < 1e5 else f"{place:.0f}" for place in places], "Time (s)")
    if end < 3600:
        return Ticks(places, [f"{int(place // 60)}:{int(place % 60):02}" for place in places], "Time (min:s)")
    if step < 60:
        labels = [f"{int(p // 3600)}:{int(p % 3600 // 60):02}:{int(p % 60):02}" for p in places]
        return Ticks(places, labels, "Time (h:min:s)")
    return Ticks(places, [f"{int(p // 3600)}:{int(p % 3600 // 60):02}" for p in places], "Time (h:min)")


def _is_even(row_hz: NDArray[np.float64]) -> bool:
    """Return whether rows are equally spaced; on a linear scale neighbors may share an FFT bin."""
    straight = np.linspace(row_hz[0], row_hz[-1], len(row_hz))
    return bool(np.abs(row_hz - straight).max() <= 0.03 * (row_hz[-1] - row_hz[0]))


def _ticks_of_even_scale(row_hz: NDArray[np.float64], low: float, high: float, most: int) -> dict[float, float]:
    """Return the multiples of the smallest round step that fits, with their positions."""
    chosen: dict[float, float] = {}
    for step in _FREQUENCY_STEPS:
        marks = [step * k for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
        if len(marks) > most:
            break
        chosen = {mark: _place(mark, row_hz) for mark in marks}
    return chosen


def _ticks_of_curved_scale(row_hz: NDArray[np.float64], low: float, high: float, most: int) -> dict[float, float]:
    """Return 1, 5, 2 … of each decade, with their positions, as far as they fit."""
    chosen: dict[float, float] = {}
    gap = (len(row_hz) - 1) / most
    for leading in _LEADING:
        for decade in range(6):
            mark = leading * 10.0**decade
            place = _place(mark, row_hz)
            if low <= mark <= high and all(abs(place - other) >= gap for other in chosen.values()):
                chosen[mark] = place
    return chosen


def _place(mark: float, row_hz: NDArray[np.float64]) -> float:
    """Return the row number of a frequency, clipped to half a row outside."""
    rows = len(row_hz)
    if mark < row_hz[0]:
        return max(-0.5, float((mark - row_hz[0]) / (row_hz[1] - row_hz[0])))
    if mark > row_hz[-1]:
        return min(rows - 0.5, float(rows - 1 + (mark - row_hz[-1]) / (row_hz[-1] - row_hz[-2])))
    return float(np.interp(mark, row_hz, np.arange(rows)))

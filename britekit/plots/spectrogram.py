"""One spectrogram with its axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from britekit.plots.style import figure

_ROUND_HZ = (50, 100, 200, 500, 1000, 2000, 3000, 4000, 5000, 6000, 8000, 10_000, 12_000, 15_000, 20_000)
_HIGH_HZ = tuple(range(25_000, 250_001, 5_000))


def plot_spectrogram(
    path: str | Path,
    image_HW: ArrayLike,
    row_hz: ArrayLike,
    seconds: float,
    start_s: float = 0.0,
    title: str = "",
    power: float = 1.0,
) -> None:
    """Draw a spectrogram; time in seconds, frequency in kHz (Hz if all of it lies below 1 kHz).

    Parameters
    ----------
    path
        Picture to write.
    image_HW
        (H, W) values, row 0 the lowest frequency.
    row_hz
        (H,) centre frequency of each row, ascending: the scale may be mel, linear or logarithmic.
    seconds
        Length that the columns cover.
    start_s
        Time of the first column.
    title
        Above the picture.
    power
        Exponent on the values scaled to 0 … 1; below 1 it shows faint sounds.
    """
    image, hz = np.asarray(image_HW, dtype=np.float32), np.asarray(row_hz, dtype=np.float64)
    if image.ndim != 2 or hz.shape != image.shape[:1]:
        raise ValueError(f"image has shape {image.shape}, row_hz {hz.shape}; expected (H, W) and (H,)")
    low, high = float(np.nanmin(image)), float(np.nanmax(image))
    shown = ((image - low) / (high - low) if high > low else np.zeros_like(image)) ** power
    with figure(path, width=6.0, height=3.2) as drawn:
        axes = drawn.subplots()
        axes.imshow(
            shown, origin="lower", aspect="auto", cmap="gray_r", interpolation="nearest", vmin=0, vmax=1,
            extent=(start_s, start_s + seconds, -0.5, len(hz) - 0.5),
        )  # fmt: skip
        unit, factor = ("kHz", 1000.0) if hz[-1] >= 1000 else ("Hz", 1.0)
        marks = _marks(hz)
        axes.set_yticks(np.interp(marks, hz, np.arange(len(hz))), [f"{mark / factor:g}" for mark in marks])
        axes.set(xlabel="Time (s)", ylabel=f"Frequency ({unit})")
        axes.grid(visible=False)
        for side in ("top", "right"):
            axes.spines[side].set_visible(True)
        if title:
            axes.set_title(title)


def _marks(hz: NDArray[np.float64]) -> list[float]:
    """Choose round frequencies inside the range, at least a twelfth of the height apart."""
    inside = [mark for mark in (*_ROUND_HZ, *_HIGH_HZ) if hz[0] <= mark <= hz[-1]]
    chosen: list[float] = []
    places: list[float] = []
    # From the top, where the scale is densest in what people look for: whole kHz come first.
    for mark in sorted(inside, key=lambda value: (value % 1000 != 0, value % 5000 != 0, value)):
        place = float(np.interp(mark, hz, np.arange(len(hz)))) / max(len(hz) - 1, 1)
        if all(abs(place - other) >= 1 / 12 for other in places):
            chosen.append(float(mark))
            places.append(place)
    return sorted(chosen)

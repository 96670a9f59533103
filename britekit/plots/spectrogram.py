"""Draw spectrograms with or without axes, for all commands.

Legend: F frequency rows (row 0 the lowest), T time columns.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from britekit.errors import InputError
from britekit.files import atomic_path
from britekit.plots.axis_ticks import Ticks, frequency_ticks, time_ticks
from britekit.plots.lettering import set_name
from britekit.plots.style import DPI, SPECTROGRAM_COLORS, common_style

SUFFIXES = (".jpeg", ".jpg", ".png")
WIDTH_PX, HEIGHT_PX = 960, 480
_LEFT, _RIGHT, _TOP, _BOTTOM = 82, 18, 36, 64  # room around the axes, in pixels
_JPEG_QUALITY = 90


class SpectrogramPlot:
    """Draws pictures of one size and one frequency scale; created once, used many times.

    Parameters
    ----------
    row_hz
        (F,) center frequency of each row, ascending: the scale may be mel, linear or logarithmic.

    Notes
    -----
    matplotlib draws axes and text; numpy scales and inserts the spectrogram itself, in a fifth of the time of
    ``imshow`` and without interpolation.
    """

    def __init__(self, row_hz: ArrayLike, width: int = WIDTH_PX, height: int = HEIGHT_PX) -> None:
        hz = np.asarray(row_hz, dtype=np.float64)
        self._rows = len(hz)
        self._left, self._bottom = _LEFT, _BOTTOM
        self._columns, self._lines = width - _LEFT - _RIGHT, height - _TOP - _BOTTOM
        with common_style():
            self._figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
            self._canvas = FigureCanvasAgg(self._figure)
            place = (_LEFT / width, _BOTTOM / height, self._columns / width, self._lines / height)
            self._axes = self._figure.add_axes(place)
            self._axes.grid(visible=False)
            for side in ("top", "right"):
                self._axes.spines[side].set_visible(True)
            ticks = frequency_ticks(hz, most=max(3, self._lines // 28))
            self._axes.set_ylim(-0.5, self._rows - 0.5)
            self._axes.set_yticks(ticks.places, ticks.labels)
            self._axes.set_ylabel(ticks.name)
            self._title = self._axes.set_title("")

    def save(
        self,
        path: str | Path,
        image_FT: ArrayLike,
        seconds: float,
        start_s: float = 0.0,
        title: str = "",
        power: float = 1.0,
    ) -> None:
        """Write one picture.

        Parameters
        ----------
        path
            ``.jpeg``, ``.jpg`` or ``.png``; written atomically.
        image_FT
            Values; the smallest is drawn lightest, the largest darkest.
        seconds
            Duration of the spectrogram.
        start_s
            Time of the first column.
        power
            Exponent applied to the values scaled to 0 … 1; below 1 it shows faint sounds.
        """
        image = np.asarray(image_FT, dtype=np.float32)
        if image.ndim != 2 or len(image) != self._rows:
            raise ValueError(f"image has shape {image.shape}; expected ({self._rows}, T)")
        with common_style():
            self._axes.set_xlim(start_s, start_s + seconds)
            ticks: Ticks = time_ticks(start_s, seconds, most=max(2, self._columns // 80))
            self._axes.set_xticks(ticks.places, ticks.labels)
            self._axes.set_xlabel(ticks.name)
            set_name(self._title, title)
            self._canvas.draw()
        picture = np.asarray(self._canvas.buffer_rgba())[:, :, :3].copy()
        # Row 0 of a picture is at the top.
        end = picture.shape[0] - self._bottom
        inside = picture[end - self._lines : end, self._left : self._left + self._columns]
        inside[1:-1, 1:-1] = colored(image, power, self._lines - 2, self._columns - 2)
        save_picture(path, picture)


def plot_spectrogram(
    path: str | Path,
    image_FT: ArrayLike,
    row_hz: ArrayLike,
    seconds: float,
    start_s: float = 0.0,
    title: str = "",
    power: float = 1.0,
) -> None:
    """Draw one spectrogram with axes; see `SpectrogramPlot` for the arguments, and for many pictures."""
    image, hz = np.asarray(image_FT, dtype=np.float32), np.asarray(row_hz, dtype=np.float64)
    if image.ndim != 2 or hz.shape != image.shape[:1]:
        raise ValueError(f"image has shape {image.shape}, row_hz {hz.shape}; expected (F, T) and (F,)")
    SpectrogramPlot(hz).save(path, image, seconds, start_s, title, power)


def plot_bare_spectrogram(
    path: str | Path, image_FT: ArrayLike, power: float = 1.0, width: int | None = None, height: int | None = None
) -> None:
    """Draw a spectrogram without axes.

    Parameters
    ----------
    path, image_FT, power
        As in `SpectrogramPlot.save`.
    width, height
        Size of the picture in pixels; by default each value is a square of pixels, as large as fits `WIDTH_PX`.
    """
    image = np.asarray(image_FT, dtype=np.float32)
    scale = max(1, WIDTH_PX // max(1, image.shape[1]))
    save_picture(path, colored(image, power, height or image.shape[0] * scale, width or image.shape[1] * scale))


def colored(image_FT: NDArray[np.float32], power: float, height: int, width: int) -> NDArray[np.uint8]:
    """Return a spectrogram in colors, uint8 (height, width, 3), with the lowest row at the bottom.

    If there are more columns than pixels, each pixel shows the strongest, so that short calls stay visible.
    """
    low, high = float(np.nanmin(image_FT)), float(np.nanmax(image_FT))
    scaled = (image_FT - low) / (high - low) if high > low else np.zeros_like(image_FT)
    levels = np.rint(np.nan_to_num(scaled) ** np.float32(power) * 255).astype(np.uint8)
    columns = levels.shape[1]
    if columns > width:
        levels = np.maximum.reduceat(levels, np.arange(width) * columns // width, axis=1)
    else:
        levels = levels[:, np.arange(width) * columns // width]
    rows = np.arange(height)[::-1] * len(levels) // height
    return _colors()[levels[rows]]


def save_picture(path: str | Path, picture: NDArray[np.uint8]) -> None:
    """Write colors, uint8 (height, width, 3), as JPEG or PNG, atomically."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f'{path}: no picture can be written as "{suffix}"; expected {", ".join(SUFFIXES)}')
    # No chroma subsampling, which would smear a color map.
    settings: dict[str, Any] = {} if suffix == ".png" else {"quality": _JPEG_QUALITY, "subsampling": 0}
    with atomic_path(path) as partial:
        Image.fromarray(picture).save(partial, **settings)


@lru_cache(maxsize=1)
def _colors() -> NDArray[np.uint8]:
    table = colormaps[SPECTROGRAM_COLORS](np.arange(256))[:, :3]
    return np.rint(table * 255).astype(np.uint8)

"""Draw small spectrograms with a marked interval, fast enough for a gallery of dozens."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from PIL import Image

from britekit.config.audio import AudioConfig
from britekit.plots.axis_ticks import frequency_ticks, row_centers_hz
from britekit.plots.style import ORANGE, SPECTROGRAM_COLORS, common_style

_DPI = 110
_POWER = 0.6  # shows faint sounds


class ExamplePlot:
    """Draws spectrograms as JPEG, with lines at both ends of a marked interval.

    Parameters
    ----------
    cfg
        Section ``audio``, for the frequencies of the rows.
    """

    def __init__(self, cfg: AudioConfig) -> None:
        ticks = frequency_ticks(row_centers_hz(cfg), 5)
        with common_style():
            drawn = Figure(figsize=(4.0, 2.0), dpi=_DPI)
            self._canvas = FigureCanvasAgg(drawn)
            # Fixed margins and one figure for all: creating a figure takes longer than drawing into it.
            self._axes = drawn.add_axes((0.12, 0.2, 0.86, 0.76))
            self._image = self._axes.imshow(
                np.zeros((cfg.spec_height, 2)), origin="lower", aspect="auto", cmap=SPECTROGRAM_COLORS, vmin=0, vmax=1,
                interpolation="nearest",
            )  # fmt: skip
            self._lines = [self._axes.axvline(0, color=ORANGE, linewidth=1.4) for _ in range(2)]
            self._axes.set_yticks(ticks.places, ticks.labels)
            self._axes.set_ylabel(ticks.name, fontsize=7)
            self._axes.set_xlabel("Time (s)", fontsize=7, labelpad=1)
            self._axes.tick_params(labelsize=7)
            self._axes.grid(visible=False)

    def draw(self, image_HW: ArrayLike, seconds: float, start_s: float, marked_s: tuple[float, float]) -> bytes:
        """Return a picture as JPEG bytes.

        Parameters
        ----------
        image_HW
            (H, W) values from 0 to 1, row 0 the lowest frequency.
        start_s
            Time of the first column.
        marked_s
            Start and end of the marked interval.
        """
        image = np.asarray(image_HW, dtype=np.float32) ** _POWER
        with common_style():
            self._image.set_data(image)
            self._image.set_extent((start_s, start_s + seconds, -0.5, len(image) - 0.5))
            self._axes.set_xlim(start_s, start_s + seconds)
            for line, place in zip(self._lines, marked_s, strict=True):
                line.set_xdata([place, place])
                line.set_visible(start_s < place < start_s + seconds)
            self._canvas.draw()
        buffer = io.BytesIO()
        Image.fromarray(np.asarray(self._canvas.buffer_rgba())[..., :3]).save(buffer, "jpeg", quality=80)
        return buffer.getvalue()

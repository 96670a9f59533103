"""A spectrogram with a marked stretch, small and quickly drawn: a gallery has dozens of them."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from britekit.config.audio import AudioConfig
from britekit.plots.axis_ticks import frequency_ticks, row_centres_hz
from britekit.plots.style import ORANGE, common_style

_DPI = 110


def draw_example(
    target: BinaryIO,
    image_HW: ArrayLike,
    cfg: AudioConfig,
    seconds: float,
    start_s: float,
    marked_s: tuple[float, float],
    power: float = 0.6,
) -> None:
    """Draw a spectrogram as JPEG, with lines where a stretch begins and ends.

    Parameters
    ----------
    target
        Open binary file.
    image_HW
        (H, W) values from 0 to 1, row 0 the lowest frequency.
    cfg
        Section ``audio``, for the frequencies of the rows.
    seconds
        Length that the columns cover.
    start_s
        Time of the first column.
    marked_s
        Begin and end of the stretch.
    power
        Exponent on the values; below 1 it shows faint sounds.
    """
    image = np.asarray(image_HW, dtype=np.float32) ** power
    ticks = frequency_ticks(row_centres_hz(cfg), 5)
    with common_style():
        drawn = Figure(figsize=(4.0, 2.0), dpi=_DPI)
        FigureCanvasAgg(drawn)
        # Fixed margins: computing them for each of dozens would take longer than drawing.
        axes = drawn.add_axes((0.12, 0.2, 0.86, 0.76))
        axes.imshow(
            image, origin="lower", aspect="auto", cmap="gray_r", interpolation="bilinear", vmin=0, vmax=1,
            extent=(start_s, start_s + seconds, -0.5, len(image) - 0.5),
        )  # fmt: skip
        for place in marked_s:
            if start_s < place < start_s + seconds:
                axes.axvline(place, color=ORANGE, linewidth=1.4)
        axes.set_yticks(ticks.places, ticks.labels)
        axes.set_ylabel(ticks.name, fontsize=7)
        axes.set_xlabel("Time (s)", fontsize=7, labelpad=1)
        axes.tick_params(labelsize=7)
        axes.grid(visible=False)
        drawn.savefig(target, format="jpeg", dpi=_DPI, pil_kwargs={"quality": 80})

"""Plot a spectrogram with the frames that carry its score, above the scores that blanking leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from britekit.plots.axis_ticks import frequency_ticks, time_ticks
from britekit.plots.lettering import set_name
from britekit.plots.style import BLUE, GRAY, ORANGE, SPECTROGRAM_COLORS, figure


def plot_occlusion(
    path: str | Path,
    image_FT: NDArray[np.float32],
    row_hz: NDArray[np.float64],
    seconds: float,
    start_s: float,
    title: str,
    *,
    score: float,
    left: NDArray[np.float64],
    right: NDArray[np.float64],
    active: NDArray[np.bool_],
    lost_below: float,
) -> None:
    """Draw a spectrogram whose active frames are tinted, and the scores without its first and last frames below it.

    Parameters
    ----------
    image_FT
        Spectrogram, row 0 the lowest frequency.
    row_hz
        (F,) center frequency of each row.
    seconds, start_s
        Duration of the spectrogram, and where it begins.
    left, right
        (n - 1,) scores without the first, and without the last, 1 … n - 1 frames.
    active
        (n,) whether a frame carries the score.
    lost_below
        Below this score, the class counts as lost.
    """
    frames, edges = len(active), np.linspace(start_s, start_s + seconds, len(active) + 1)
    with figure(path, width=6.4, height=4.4) as drawn:
        top, bottom = drawn.subplots(2, 1, sharex=True, height_ratios=(2.4, 1))
        rows = len(image_FT)
        top.imshow(
            image_FT, origin="lower", aspect="auto", cmap=SPECTROGRAM_COLORS, interpolation="nearest",
            extent=(edges[0], edges[-1], -0.5, rows - 0.5),
        )  # fmt: skip
        ticks = frequency_ticks(row_hz, most=7)
        top.set_yticks(ticks.places, ticks.labels)
        top.set_ylabel(ticks.name)
        top.grid(visible=False)
        for axes in (top, bottom):
            for k in np.flatnonzero(active):
                axes.axvspan(edges[k], edges[k + 1], color=ORANGE, alpha=0.28, linewidth=0)
        # Each curve begins with the whole spectrogram: nothing is blanked at its own edge.
        without_first, without_last = np.append(score, left), np.append(score, right)[::-1]
        bottom.plot(edges[:frames], without_first, color=BLUE, marker=".", label="without what is before")
        bottom.plot(edges[1:], without_last, color="black", linestyle="--", marker=".", label="without what is after")
        bottom.axhline(lost_below, color=GRAY, linewidth=0.8, linestyle=":", label=f"lost below {lost_below:.3f}")
        bottom.set_ylim(-0.03, 1.03)
        bottom.set_ylabel("Score")
        bottom.set_xlim(edges[0], edges[-1])
        times = time_ticks(start_s, seconds, most=8)
        bottom.set_xticks(times.places, times.labels)
        bottom.set_xlabel(times.name)
        drawn.legend(*bottom.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        set_name(top.set_title(""), title)

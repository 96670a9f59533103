"""Plot a reliability diagram: mean prediction against observed frequency."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from britekit.plots.style import BLUE, GRAY, ORANGE, figure, unit_axes


@dataclass(frozen=True)
class ReliabilityLine:
    """A series of a reliability diagram; empty bins are NaN. B: bins."""

    name: str
    predicted_B: NDArray[np.floating]
    observed_B: NDArray[np.floating]
    low_B: NDArray[np.floating]
    high_B: NDArray[np.floating]
    """95 % interval of the observed frequency."""
    count_B: NDArray[np.integer]


def plot_message(path: str | Path, text: str) -> None:
    """Write a picture with one sentence, if there is nothing to draw."""
    with figure(path, 5.0, 1.2) as drawn:
        axes = drawn.subplots()
        axes.axis("off")
        axes.text(0.5, 0.5, text, ha="center", va="center")


def plot_reliability(path: str | Path, before: ReliabilityLine, after: ReliabilityLine | None, title: str) -> None:
    """Draw observed frequency against mean prediction, with intervals, the diagonal and the cells per bin.

    Parameters
    ----------
    before, after
        Bins of equal width over [0, 1]; ``after`` may be absent.
    """
    lines = [(before, ORANGE, "s", "--")] + ([(after, BLUE, "o", "-")] if after else [])
    with figure(path, width=4.8, height=6.0) as drawn:
        top, bottom = drawn.subplots(2, 1, height_ratios=[4.2, 1], sharex=True)
        top.plot([0, 1], [0, 1], color=GRAY, linewidth=1, linestyle=":", label="perfect")
        for line, color, marker, style in lines:
            _draw(top, line, color, marker, style)
        unit_axes(top, "", "Observed frequency")
        top.set_aspect("auto")  # equal scales would make this panel narrower than the one below
        top.set_title(title)
        top.legend(loc="upper left" if _lies_below(before) else "lower right")
        for place, (line, color, _, _) in enumerate(lines):
            bins = len(line.count_B)
            width = 0.84 / bins / len(lines)
            left = np.arange(bins) / bins + 0.08 / bins + place * width
            bottom.bar(left, line.count_B, width, align="edge", color=color)
        # Log scale: nearly all cells of a detector fall into the first bin.
        bottom.set_yscale("symlog", linthresh=1)
        bottom.set_ylim(bottom=0)
        bottom.set(xlim=(-0.01, 1.01), xlabel="Mean prediction", ylabel="Cells")
        bottom.grid(axis="x", visible=False)


def _draw(axes: Axes, line: ReliabilityLine, color: str, marker: str, style: str) -> None:
    filled = line.count_B > 0
    x, y = line.predicted_B[filled], line.observed_B[filled]
    error = np.stack([y - line.low_B[filled], line.high_B[filled] - y])
    axes.errorbar(
        x, y, yerr=np.maximum(error, 0), color=color, marker=marker, markersize=3.5, linestyle=style,
        linewidth=1.3, elinewidth=0.9, capsize=2, label=line.name,
    )  # fmt: skip


def _lies_below(line: ReliabilityLine) -> bool:
    """Return whether predictions are mostly too high, which leaves the upper left corner free."""
    gap = (line.observed_B - line.predicted_B)[line.count_B > 0]
    return bool(len(gap)) and float(gap.mean()) < 0

"""Plot precision over thresholds, with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from britekit.plots.style import BLUE, GRAY, figure

_COLUMNS = 3


def plot_precision(path: str | Path, curves: Mapping[str, Sequence[tuple[float, float, float, float]]]) -> None:
    """Draw one panel per class.

    Parameters
    ----------
    curves
        (threshold, precision, low, high) by class name, in ascending order of thresholds.
    """
    columns = min(_COLUMNS, len(curves))
    rows = -(-len(curves) // columns)
    with figure(path, width=2.6 * columns, height=2.4 * rows) as drawn:
        grid = drawn.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for place, (name, points) in enumerate(curves.items()):
            axes = grid[place // columns, place % columns]
            thresholds, values, lows, highs = zip(*points, strict=True)
            axes.fill_between(thresholds, lows, highs, color=BLUE, alpha=0.2, linewidth=0)
            axes.plot(thresholds, values, color=BLUE, marker="o" if len(points) < 3 else None)
            axes.set_title(name.replace("$", r"\$"))
            axes.set(xlim=(0, 1), ylim=(0, 1.01))
        for place in range(len(curves), rows * columns):
            grid[place // columns, place % columns].axis("off")
        drawn.supxlabel("Threshold", fontsize=9, color=GRAY)
        drawn.supylabel("Precision", fontsize=9, color=GRAY)

"""Plot differences between two periods with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from britekit.plots.style import BLUE, GRAY, figure

RED = "#b5453c"


def plot_drift(path: str | Path, rows: Sequence[tuple[str, float, float, float, bool]]) -> None:
    """Draw one line per measure, scaled so that 1 is what is tolerated.

    Parameters
    ----------
    rows
        (name, difference, low, high, drifted), each in units of the tolerance; NaN bounds draw no interval.
    """
    with figure(path, width=6.0, height=0.9 + 0.24 * len(rows)) as drawn:
        axes = drawn.subplots()
        axes.axvspan(-1, 1, color=GRAY, alpha=0.12, linewidth=0)
        axes.axvline(0, color=GRAY, linewidth=0.8)
        for place, (_, value, low, high, drifted) in enumerate(rows):
            color = RED if drifted else BLUE
            axes.plot([low, high], [place, place], color=color, linewidth=1.5)
            axes.plot([value], [place], color=color, marker="o", markersize=4)
        axes.set_yticks(range(len(rows)), [name.replace("$", r"\$") for name, *_ in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel("difference, in units of what is tolerated (gray)")

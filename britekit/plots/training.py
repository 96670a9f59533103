"""The course of a training run, or of its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.ticker import MaxNLocator

from britekit.plots.style import BLUE, GREEN, ORANGE, RED, figure

_COLOURS = (BLUE, ORANGE, GREEN, RED)
_LINES = ("-", "-.", "--", ":")
_LEFT_OVER = 0.5  # of the room left and right of a single epoch


def plot_training_curve(
    path: str | Path,
    epochs: Sequence[float],
    losses: Mapping[str, Sequence[float]],
    scores: Mapping[str, Sequence[float]] | None = None,
    title: str = "Training",
) -> None:
    """Draw losses, and below them scores such as ROC-AUC, over epochs.

    Parameters
    ----------
    path
        Picture to write.
    epochs
        Number of each epoch.
    losses
        Name to one value per epoch; NaN where there is none.
    scores
        Likewise, between 0 and 1.
    title
        Above the axes.
    """
    panels = [(values, label) for values, label in ((losses, "Loss"), (scores or {}, "Score")) if values]
    if not panels:
        raise ValueError("a training curve needs at least one series")
    with figure(path, width=5.5, height=1.4 + 2.2 * len(panels)) as drawn:
        grid = drawn.subplots(len(panels), 1, sharex=True, squeeze=False)
        for axes, (values, label) in zip(grid[:, 0], panels, strict=True):
            for k, (name, series) in enumerate(values.items()):
                # A line of one point is invisible.
                marker = "o" if len(series) < 3 else None
                axes.plot(
                    epochs, series, color=_COLOURS[k % 4], linestyle=_LINES[k % 4], marker=marker, label=name
                )
            axes.set_ylabel(label)
            if label == "Loss":
                axes.set_ylim(bottom=0)
            axes.legend(loc="best")
        last = grid[-1, 0]
        last.set_xlabel("Epoch")
        last.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(epochs) == 1:
            last.set_xlim(epochs[0] - _LEFT_OVER, epochs[0] + _LEFT_OVER)
        grid[0, 0].set_title(title)

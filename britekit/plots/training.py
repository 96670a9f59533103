"""Plot the course of a training run or its checkpoints, and the search for a learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from britekit.plots.style import BLUE, GREEN, LIGHT, ORANGE, RED, figure

_COLORS = (BLUE, ORANGE, GREEN, RED)
_LINES = ("-", "-.", "--", ":")
_LEFT_OVER = 0.5  # share of the space left and right of a single epoch


def plot_training_curve(
    path: str | Path,
    epochs: Sequence[float],
    losses: Mapping[str, Sequence[float]],
    scores: Mapping[str, Sequence[float]] | None = None,
    title: str = "Training",
    axis: str = "Epoch",
) -> None:
    """Draw losses, and scores such as ROC-AUC below them, over epochs.

    Parameters
    ----------
    losses
        Values per epoch by name; NaN if missing.
    scores
        Likewise, from 0 to 1.
    """
    panels = [(values, label) for values, label in ((losses, "Loss"), (scores or {}, "Score")) if values]
    if not panels:
        raise ValueError("a training curve needs at least one series")
    with figure(path, width=5.5, height=1.4 + 2.2 * len(panels)) as drawn:
        grid = drawn.subplots(len(panels), 1, sharex=True, squeeze=False)
        for axes, (values, label) in zip(grid[:, 0], panels, strict=True):
            for k, (name, series) in enumerate(values.items()):
                # A line with one point is invisible.
                marker = "o" if len(series) < 3 else None
                axes.plot(epochs, series, color=_COLORS[k % 4], linestyle=_LINES[k % 4], marker=marker, label=name)
            axes.set_ylabel(label)
            if label == "Loss":
                axes.set_ylim(bottom=0)
            axes.legend(loc="best")
        last = grid[-1, 0]
        last.set_xlabel(axis)
        last.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(epochs) == 1:
            last.set_xlim(epochs[0] - _LEFT_OVER, epochs[0] + _LEFT_OVER)
        grid[0, 0].set_title(title)


def plot_learning_rates(
    path: str | Path,
    rates: Sequence[float] | NDArray[np.float64],
    losses: Sequence[float] | NDArray[np.float64],
    smoothed: Sequence[float] | NDArray[np.float64],
    suggestion: float,
) -> None:
    """Draw the loss over rising learning rates, and the suggested rate.

    Parameters
    ----------
    rates, losses, smoothed
        One value per batch.
    """
    with figure(path, width=5.5, height=3.6) as drawn:
        axes = drawn.subplots()
        axes.plot(rates, losses, color=LIGHT, linewidth=1.0, label="Each batch")
        axes.plot(rates, smoothed, color=BLUE, label="Smoothed")
        axes.axvline(suggestion, color=RED, linestyle="--", label=f"Fastest fall: {suggestion:.2g}")
        axes.set_xscale("log")
        low, high = float(np.min(smoothed)), float(np.max(smoothed[: max(1, int(np.argmin(smoothed)))]))
        # Diverging losses would flatten the relevant part.
        axes.set_ylim(max(0.0, low - 0.3 * (high - low)), high + 0.7 * (high - low))
        axes.set(xlabel="Learning rate", ylabel="Loss", title="Loss while the learning rate rises")
        axes.legend(loc="best")

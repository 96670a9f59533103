"""Plot a search of settings: its history, importances, and the score of each value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from britekit.plots.style import BLUE, GRAY, ORANGE, RED, figure

_MOST_TICKS = 8


def plot_history(path: str | Path, numbers: Sequence[int], scores: Sequence[float], metric: str) -> None:
    """Draw the score of each trial and the best so far.

    Parameters
    ----------
    numbers, scores
        Number and score of each completed trial, by number.
    """
    with figure(path, width=5.5, height=3.4) as drawn:
        axes = drawn.subplots()
        axes.plot(numbers, scores, "o", color=BLUE, markersize=4, label="Trial")
        axes.step(numbers, np.maximum.accumulate(scores), where="post", color=ORANGE, label="Best so far", zorder=1)
        best = int(np.argmax(scores))
        axes.plot(numbers[best], scores[best], "o", color=RED, markersize=6, label=f"Best: {scores[best]:.4f}")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="Trial", ylabel=metric, title="Score of each trial")
        axes.legend(loc="best")


def plot_importances(path: str | Path, importances: Mapping[str, float]) -> None:
    """Draw the importance of each setting, the largest on top."""
    names = sorted(importances, key=lambda name: importances[name])
    with figure(path, width=5.5, height=1.2 + 0.32 * len(names)) as drawn:
        axes = drawn.subplots()
        values = [importances[name] for name in names]
        axes.barh(names, values, color=BLUE, height=0.6)
        for place, value in enumerate(values):
            axes.text(value + 0.01, place, f"{value:.2f}", va="center", fontsize=8, color=GRAY)
        axes.grid(visible=False, axis="y")
        axes.set(xlim=(0, 1.08), xlabel="Share of the variance of scores (fANOVA)")
        axes.set_title("Which settings matter")


def plot_slices(path: str | Path, values: Mapping[str, Sequence[Any]], scores: Sequence[float], metric: str) -> None:
    """Draw the score of each trial over the value of each setting, and the mean of values tried repeatedly.

    Parameters
    ----------
    values
        Values by setting, one for each trial.
    """
    columns = min(3, len(values))
    rows = -(-len(values) // columns)
    score_T = np.asarray(scores, dtype=np.float64)
    with figure(path, width=0.6 + 2.7 * columns, height=0.4 + 2.5 * rows) as drawn:
        grid = drawn.subplots(rows, columns, squeeze=False, sharey=True)
        for axes, (name, given) in zip(grid.flat, values.items(), strict=False):
            is_number = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in given)
            distinct = sorted(set(given)) if is_number else list(dict.fromkeys(map(str, given)))
            places = list(given) if is_number else [distinct.index(str(v)) for v in given]
            axes.plot(places, score_T, "o", color=BLUE, markersize=3.5, alpha=0.7)
            at = distinct if is_number else list(range(len(distinct)))
            means = [score_T[np.asarray(places) == place].mean() for place in at]
            # If few values were tried twice, a line of means would just connect the points.
            if 2 * len(distinct) <= len(given):
                axes.plot(at, means, "-" if is_number else "_", color=ORANGE, markersize=14, label="Mean")
            if is_number and len(distinct) <= _MOST_TICKS:
                axes.set_xticks(distinct, [f"{v:g}" for v in distinct], rotation=45 if len(distinct) > 4 else 0)
            elif not is_number:
                axes.set_xticks(at, distinct, rotation=30, ha="right")
                axes.set_xlim(-0.5, len(distinct) - 0.5)
            axes.set_xlabel(name)
        for axes in grid.flat[len(values) :]:
            axes.set_visible(False)
        for line in grid[:, 0]:
            line.set_ylabel(metric)
        for axes in grid.flat:
            if axes.get_legend_handles_labels()[0]:
                axes.legend(loc="best", fontsize=8)
                break

"""Plot precision-recall and ROC curves, and precision and recall per threshold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from britekit.plots.style import BLUE, GRAY, ORANGE, figure, unit_axes

Array = NDArray[np.floating]


def plot_pr_curve(
    path: str | Path, recall: Array, precision: Array, area: float, prevalence: float, title: str
) -> None:
    """Draw precision against recall.

    Parameters
    ----------
    recall, precision
        One point per threshold, from the highest threshold to the lowest.
    prevalence
        Share of true cells, drawn as a dashed line: the precision of a random ranking.
    """
    with figure(path) as drawn:
        axes = drawn.subplots()
        # Recall rises in steps from one threshold to the next; there are no operating points in between.
        axes.plot(
            np.concatenate([[0.0], recall]), np.concatenate([precision[:1], precision]), color=BLUE,
            drawstyle="steps-pre", label=f"PR-AUC {area:.3f}",
        )  # fmt: skip
        axes.axhline(prevalence, color=GRAY, linewidth=1, linestyle="--", label=f"chance {prevalence:.3f}")
        unit_axes(axes, "Recall", "Precision")
        axes.set_title(title)
        if area > 0.5:
            # Place the legend above the chance line if that runs near the bottom.
            axes.legend(loc="lower left", bbox_to_anchor=(0, prevalence if prevalence < 0.25 else 0))
        else:
            axes.legend(loc="upper right")


def plot_roc_curve(
    path: str | Path, false_positive_rate: Array, true_positive_rate: Array, area: float, title: str
) -> None:
    """Draw the true positive rate against the false positive rate; the dashed diagonal is chance."""
    with figure(path) as drawn:
        axes = drawn.subplots()
        axes.plot(
            np.concatenate([[0.0], false_positive_rate]), np.concatenate([[0.0], true_positive_rate]),
            color=BLUE, label=f"ROC-AUC {area:.3f}",
        )  # fmt: skip
        axes.plot([0, 1], [0, 1], color=GRAY, linewidth=1, linestyle="--", label="chance 0.500")
        unit_axes(axes, "False positive rate", "True positive rate")
        axes.set_title(title)
        axes.legend(loc="lower right")


def plot_inverted_roc_curve(
    path: str | Path, false_positive_rate: Array, true_positive_rate: Array, area: float, title: str
) -> None:
    """Draw 1 - false positive rate against recall, to be read like a precision-recall curve."""
    with figure(path) as drawn:
        axes = drawn.subplots()
        axes.plot(
            np.concatenate([[0.0], true_positive_rate]), 1 - np.concatenate([[0.0], false_positive_rate]),
            color=BLUE, label=f"ROC-AUC {area:.3f}",
        )  # fmt: skip
        axes.plot([0, 1], [1, 0], color=GRAY, linewidth=1, linestyle="--", label="chance 0.500")
        unit_axes(axes, "Recall", "1 − false positive rate")
        axes.set_title(title)
        axes.legend(loc="lower left")


def plot_pr_per_threshold(
    path: str | Path, thresholds: Array, precision: Array, recall: Array, chosen: float | None, title: str
) -> None:
    """Draw precision and recall against the threshold, with a line at the chosen one."""
    with figure(path, width=5.5) as drawn:
        axes = drawn.subplots()
        axes.plot(thresholds, precision, color=BLUE, label="Precision")
        axes.plot(thresholds, recall, color=ORANGE, linestyle="-.", label="Recall")
        if chosen is not None:
            axes.axvline(chosen, color=GRAY, linewidth=1, linestyle="--", label=f"min_score {chosen:g}")
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel="Score threshold", ylabel="Precision, recall")
        axes.set_title(title)
        axes.legend(loc="best")

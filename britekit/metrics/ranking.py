"""Compute areas under the PR and ROC curves, per class and over classes.

N: units, C: classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from britekit.metrics.counts import ThresholdCounts, count_by_threshold

COMBINED = {"combo_pr": ("macro_pr", "micro_pr_trained"), "combo_roc": ("macro_roc", "micro_roc_trained")}
"""Metrics that are the mean of two figures of `ranking_summary`."""


def average_precision(truth: ArrayLike, scores: ArrayLike) -> float:
    """Return the PR-AUC: the sum of (R_n - R_{n-1}) P_n over descending distinct thresholds.

    Not interpolated, as in scikit-learn's ``average_precision_score``. NaN without positives.
    """
    return area_under_pr(count_by_threshold(truth, scores))


def roc_auc(truth: ArrayLike, scores: ArrayLike) -> float:
    """Return the probability that a positive outranks a negative, ties counting one half.

    NaN without positives or without negatives. Hanley & McNeil, Radiology 143 (1982) 29-36.
    """
    return area_under_roc(count_by_threshold(truth, scores))


def area_under_pr(counts: ThresholdCounts) -> float:
    """Return the average precision of counted thresholds; NaN without positives."""
    if counts.positives == 0:
        return float("nan")
    gained = np.diff(counts.tp, prepend=0)
    return float(np.sum(gained * (counts.tp / (counts.tp + counts.fp))) / counts.positives)


# Rows added to every class in the padded cmAP.
PADDING = 5


def padded_area_under_pr(counts: ThresholdCounts, padding: int = PADDING) -> float:
    """Return the average precision with true units added above all others; NaN without positives.

    The mean over classes is the padded cmAP of BirdCLEF 2023: a class with few positives, whose average precision
    depends on one or two scores, counts for less.
    """
    if counts.positives == 0:
        return float("nan")
    gained = np.diff(counts.tp, prepend=0)
    precision = (counts.tp + padding) / (counts.tp + padding + counts.fp)
    return float((np.sum(gained * precision) + padding) / (counts.positives + padding))


def area_under_roc(counts: ThresholdCounts) -> float:
    """Return the ROC-AUC of counted thresholds; NaN unless there are positives and negatives."""
    pairs = float(counts.positives) * float(counts.negatives)
    if pairs == 0:
        return float("nan")
    # Each false unit is outranked by the positives above it, and by half of the positives with the same score.
    false_here = np.diff(counts.fp, prepend=0)
    above = counts.tp - np.diff(counts.tp, prepend=0) / 2
    return float(np.sum(false_here * above) / pairs)


@dataclass(frozen=True)
class ClassRanking:
    """PR-AUC and ROC-AUC per class; NaN where undefined."""

    pr_auc_C: NDArray[np.float64]
    roc_auc_C: NDArray[np.float64]
    padded_pr_auc_C: NDArray[np.float64]
    """With five true units added above all others, for the padded cmAP."""
    positives_C: NDArray[np.int64]
    rows: int

    @property
    def without_positives(self) -> NDArray[np.int64]:
        """Columns true in no row: neither area is defined."""
        return np.flatnonzero(self.positives_C == 0)

    @property
    def always_positive(self) -> NDArray[np.int64]:
        """Columns true in every row: ROC-AUC is undefined."""
        return np.flatnonzero(self.positives_C == self.rows) if self.rows else np.zeros(0, dtype=np.int64)


def rank_classes(truth_NC: ArrayLike, scores_NC: ArrayLike, columns: Sequence[int] | None = None) -> ClassRanking:
    """Compute the areas of each column, or of those named."""
    truth, scores = np.asarray(truth_NC), np.asarray(scores_NC)
    chosen = range(truth.shape[1]) if columns is None else columns
    counted = [count_by_threshold(truth[:, c], scores[:, c]) for c in chosen]
    return ClassRanking(
        pr_auc_C=np.array([area_under_pr(each) for each in counted], dtype=np.float64),
        roc_auc_C=np.array([area_under_roc(each) for each in counted], dtype=np.float64),
        padded_pr_auc_C=np.array([padded_area_under_pr(each) for each in counted], dtype=np.float64),
        positives_C=np.array([each.positives for each in counted], dtype=np.int64),
        rows=truth.shape[0],
    )


def mean_defined(values: ArrayLike) -> float:
    """Return the mean of the values that are not NaN; NaN if there are none."""
    array = np.asarray(values, dtype=np.float64)
    defined = array[~np.isnan(array)]
    return float(defined.mean()) if len(defined) else float("nan")


def ranking_summary(
    truth_NC: ArrayLike, scores_NC: ArrayLike, annotated_columns: Sequence[int] | None = None
) -> dict[str, float]:
    """Compute macro and micro PR-AUC and ROC-AUC.

    Parameters
    ----------
    truth_NC, scores_NC
        One row per unit, one column per trained class.
    annotated_columns
        Columns of the annotated classes; default all.

    Returns
    -------
    dict
        ``macro_pr``, ``macro_roc`` (means over annotated classes for which the area is defined), ``micro_pr``,
        ``micro_roc`` (pooled over the annotated columns), ``micro_pr_trained``, ``micro_roc_trained`` (all cells). NaN
        where undefined.
    """
    truth, scores = np.asarray(truth_NC), np.asarray(scores_NC)
    columns = list(range(truth.shape[1])) if annotated_columns is None else list(annotated_columns)
    per_class = rank_classes(truth, scores, columns)
    trained = count_by_threshold(truth, scores)
    if columns == list(range(truth.shape[1])):
        annotated = trained
    else:
        annotated = count_by_threshold(truth[:, columns], scores[:, columns])
    return {
        "macro_pr": mean_defined(per_class.pr_auc_C),
        "micro_pr": area_under_pr(annotated),
        "macro_roc": mean_defined(per_class.roc_auc_C),
        "micro_roc": area_under_roc(annotated),
        "micro_pr_trained": area_under_pr(trained),
        "micro_roc_trained": area_under_roc(trained),
    }

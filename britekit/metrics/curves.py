"""Compute PR and ROC curves and tables per threshold, and thin them for files and plots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from britekit.metrics.counts import ThresholdCounts


@dataclass(frozen=True)
class Curve:
    """One point per threshold, from the highest threshold to the lowest.

    A rate of 0/0 is 0, but the false positive rate is NaN without negatives, and recall is NaN without positives.
    """

    thresholds: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    """Also the true positive rate."""
    false_positive_rate: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.thresholds)

    def take(self, index: NDArray[np.int64]) -> Curve:
        """Return the chosen points."""
        return Curve(self.thresholds[index], self.precision[index], self.recall[index], self.false_positive_rate[index])


def curve_of(counts: ThresholdCounts) -> Curve:
    """Return precision, recall and false positive rate at every distinct score."""
    return _curve(counts.thresholds.astype(np.float64), counts.tp, counts.fp, counts)


def curve_at(counts: ThresholdCounts, thresholds: NDArray[np.float64]) -> Curve:
    """Return precision, recall and false positive rate at given thresholds (detection: score >= threshold).

    Parameters
    ----------
    counts
        All distinct scores with their counts.
    thresholds
        Any order; a threshold above every score detects nothing.
    """
    # Negated scores ascend; the number at or above each threshold indexes the counts. A float32 score of 0.7 reaches
    # the threshold 0.7, although it is slightly less in double precision.
    scores = counts.thresholds
    reached = np.searchsorted(-scores, -np.asarray(thresholds).astype(scores.dtype), side="right")
    tp = np.concatenate([[0], counts.tp])[reached]
    fp = np.concatenate([[0], counts.fp])[reached]
    return _curve(thresholds, tp, fp, counts)


def coarse(counts: ThresholdCounts, limit: int) -> ThresholdCounts:
    """Return about ``limit`` of the thresholds at most, at equal steps of true and of false units.

    The first ones are all kept, since precision jumps there. Counts at each threshold stay exact.
    """
    size = len(counts.thresholds)
    if size <= limit:
        return counts
    part = limit // 3
    chosen = [np.arange(part), np.array([size - 1])]
    chosen += [np.searchsorted(each, np.linspace(0, each[-1], part)) for each in (counts.tp, counts.fp)]
    index = np.unique(np.minimum(np.concatenate(chosen), size - 1))
    return ThresholdCounts(counts.thresholds[index], counts.tp[index], counts.fp[index])


def rounded_thresholds(counts: ThresholdCounts, decimals: int = 3) -> NDArray[np.float64]:
    """Return the distinct scores as a table prints them: rounded down, highest first.

    They are rounded down, so that each score reaches its printed threshold. This limits a table to 10**decimals + 1
    rows.
    """
    factor = 10**decimals
    # float32 scores such as 0.7 lie just below their decimal; 1e-4 of a step corrects that.
    return np.unique(np.floor(counts.thresholds.astype(np.float64) * factor + 1e-4))[::-1] / factor


def thin(x: NDArray[np.float64], y: NDArray[np.float64], limit: int) -> NDArray[np.int64]:
    """Return at most ``limit`` indices of points that preserve a curve's shape, including both ends.

    Points are taken at equal steps along the curve's length, so that jagged parts keep more points than straight ones.
    """
    if len(x) <= limit:
        return np.arange(len(x))
    # Without the small constant, long runs of equal points would divide by zero.
    steps = np.hypot(np.diff(x), np.diff(y)) + 1e-12
    length = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = np.searchsorted(length, np.linspace(0, length[-1], limit))
    return np.unique(np.clip(wanted, 0, len(x) - 1))


def _curve(thresholds: NDArray, tp: NDArray, fp: NDArray, counts: ThresholdCounts) -> Curve:
    found = tp + fp
    nothing = np.full(len(tp), np.nan)
    return Curve(
        thresholds=thresholds,
        precision=np.divide(tp, found, out=np.zeros(len(tp)), where=found > 0),
        recall=tp / counts.positives if counts.positives else nothing,
        false_positive_rate=fp / counts.negatives if counts.negatives else nothing,
    )

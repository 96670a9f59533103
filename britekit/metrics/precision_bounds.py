"""Find the lowest threshold whose lower confidence bound of precision meets a requirement.

M: cells of one class, T: thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from britekit.metrics.calibration import wilson_interval

# One-sided 95 %.
Z = 1.644854


@dataclass(frozen=True)
class PrecisionBounds:
    """Precision of one class at every distinct value, highest first."""

    thresholds: NDArray[np.float64]
    precision: NDArray[np.float64]
    lower: NDArray[np.float64]
    """Lower bound: below the true precision with 95 % confidence."""
    recall: NDArray[np.float64]
    """NaN if the class is never true."""
    detections: NDArray[np.int64]
    recordings: NDArray[np.int64]
    """Number of recordings with a detection."""

    def lowest(self, wanted: float) -> int | None:
        """Return the index of the lowest threshold whose lower bound is at least ``wanted``, or None."""
        met = np.flatnonzero(self.lower >= wanted)
        return int(met[-1]) if len(met) else None


def bound_precision(truth: ArrayLike, values: ArrayLike, groups: ArrayLike) -> PrecisionBounds:
    """Compute the precision of one class, with its lower bound, at every distinct value.

    The bound is Wilson's (1927) with the effective number of independent detections: their number divided by the design
    effect, which is the variance of precision between recordings relative to that of independent detections (Kish,
    Survey Sampling, 1965). If all detections are true, or all false, the design effect cannot be estimated, and each
    recording counts as one detection.

    Parameters
    ----------
    truth, values
        (M,) each; a value at or above a threshold is a detection.
    groups
        (M,) recording of each cell.
    """
    y = np.asarray(truth, dtype=bool).ravel()
    order = np.argsort(-np.asarray(values, dtype=np.float64).ravel(), kind="stable")
    sorted_values = np.asarray(values, dtype=np.float64).ravel()[order]
    y, positives = y[order].astype(np.float64), int(np.count_nonzero(y))
    _, group = np.unique(np.asarray(groups).ravel()[order], return_inverse=True)
    ends = np.flatnonzero(np.append(np.diff(sorted_values) != 0, True)) if len(y) else np.zeros(0, np.int64)
    # Cumulative sums over recordings of tp², tp n and n² after each detection.
    before = _earlier(group)
    hits_before = _earlier(group, y)
    tp, n = np.cumsum(y), np.arange(1, len(y) + 1, dtype=np.float64)
    tp_tp = np.cumsum(y * (2 * hits_before + 1))
    tp_n = np.cumsum(hits_before + y * (before + 1))
    n_n = np.cumsum(2 * before + 1)
    recordings = np.cumsum(before == 0)
    tp, n, tp_tp, tp_n, n_n, recordings = (x[ends] for x in (tp, n, tp_tp, tp_n, n_n, recordings))
    p = tp / n
    with np.errstate(invalid="ignore", divide="ignore"):
        between = (tp_tp - 2 * p * tp_n + p * p * n_n) * recordings / (recordings - 1)
        effect = np.maximum(between / (n * p * (1 - p)), 1.0)
        worth = np.where((tp == 0) | (tp == n) | (recordings < 2), recordings, n / effect)
    lower = wilson_interval(p * worth, worth, Z)[0]
    recall = tp / positives if positives else np.full(len(tp), np.nan)
    return PrecisionBounds(sorted_values[ends], p, lower, recall, n.astype(np.int64), recordings.astype(np.int64))


def _earlier(group: NDArray[np.int64], weight: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Return for each cell the number (or sum of weights) of earlier cells in its recording."""
    order = np.argsort(group, kind="stable")
    w = np.ones(len(group)) if weight is None else weight[order]
    summed = np.cumsum(w) - w
    first = np.flatnonzero(np.diff(group[order], prepend=-1))
    sizes = np.diff(np.append(first, len(group)))
    earlier = np.empty(len(group))
    earlier[order] = summed - np.repeat(summed[first], sizes)
    return earlier

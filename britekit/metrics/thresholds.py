"""Compute precision and recall at one threshold, and top-1 accuracy.

N: units, C: classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Detections:
    """True positives, false positives and misses per class at one threshold."""

    tp_C: NDArray[np.int64]
    fp_C: NDArray[np.int64]
    fn_C: NDArray[np.int64]

    @property
    def precision_C(self) -> NDArray[np.float64]:
        """Precision per class; 0/0 = 0."""
        return _ratio(self.tp_C, self.tp_C + self.fp_C)

    @property
    def recall_C(self) -> NDArray[np.float64]:
        """Recall per class; 0/0 = 0."""
        return _ratio(self.tp_C, self.tp_C + self.fn_C)

    def precision(self, columns: ArrayLike | None = None) -> float:
        """Return the precision over all cells of the columns (default all); 0/0 = 0."""
        tp, fp, _ = self._totals(columns)
        return tp / (tp + fp) if tp + fp else 0.0

    def recall(self, columns: ArrayLike | None = None) -> float:
        """Return the recall over all cells of the columns (default all); 0/0 = 0."""
        tp, _, fn = self._totals(columns)
        return tp / (tp + fn) if tp + fn else 0.0

    def _totals(self, columns: ArrayLike | None) -> tuple[int, int, int]:
        chosen = slice(None) if columns is None else np.asarray(columns, dtype=np.int64)
        return int(self.tp_C[chosen].sum()), int(self.fp_C[chosen].sum()), int(self.fn_C[chosen].sum())


def detect(truth_NC: ArrayLike, scores_NC: ArrayLike, threshold: float) -> Detections:
    """Count detections: scores at or above the threshold."""
    truth = np.asarray(truth_NC, dtype=bool)
    found = np.asarray(scores_NC) >= threshold
    tp = np.count_nonzero(truth & found, axis=0)
    return Detections(tp, np.count_nonzero(found, axis=0) - tp, np.count_nonzero(truth, axis=0) - tp)


def top_one_accuracy(truth_NC: ArrayLike, scores_NC: ArrayLike) -> float:
    """Return the share of rows whose highest score is that of the single true class.

    If k classes share the highest score and the true one is among them, the row counts 1/k, the expected value of a
    random choice, independent of column order.

    Returns
    -------
    float
        NaN unless there are rows and every row has exactly one true class.
    """
    truth = np.asarray(truth_NC, dtype=bool)
    scores = np.asarray(scores_NC)
    if not truth.shape[0] or not np.all(np.count_nonzero(truth, axis=1) == 1):
        return float("nan")
    highest = scores == scores.max(axis=1, keepdims=True)
    right = np.count_nonzero(highest & truth, axis=1)
    return float(np.mean(right / np.count_nonzero(highest, axis=1)))


def count_ranges(scores: ArrayLike, ranges: int = 10) -> NDArray[np.int64]:
    """Count scores in equal ranges of [0, 1]; a border belongs to the range above it, 1 to the last."""
    flat = np.asarray(scores).ravel()
    # 10 times 0.7 in float32 rounds to 7, as it should; comparing with 0.7 in float64 would fail.
    index = np.clip(np.floor(flat * flat.dtype.type(ranges)).astype(np.int64), 0, ranges - 1)
    return np.bincount(index, minlength=ranges)


def _ratio(part: NDArray, whole: NDArray) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)

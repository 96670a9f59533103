"""Count the seconds of detections, and how many of them are true.

Labels are trimmed so that those of one class do not overlap, and clipped to their unit (`scored_units.py`).
N: units, C: classes, R: recordings, T: thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from britekit.evaluation.scored_units import ScoredUnits
from britekit.evaluation.thresholded_values import ThresholdedValues

# 0.01, 0.02 … 1.00
THRESHOLDS = np.arange(1, 101) / 100


@dataclass(frozen=True)
class SecondsAtThresholds:
    """Seconds of true and false detections."""

    true_TC: NDArray[np.float64]
    false_TC: NDArray[np.float64]
    """(T, C) for each of `THRESHOLDS`."""
    true_RC: NDArray[np.float64]
    false_RC: NDArray[np.float64]
    """(R, C) by recording, at the chosen threshold."""
    missed_C: NDArray[np.float64]
    """(C,) total length of the units with a missed class, at the chosen threshold."""

    def precision(self, columns: ArrayLike | None = None) -> float:
        """Return precision in seconds at the chosen threshold, over columns (default all); 0/0 = 0."""
        chosen = slice(None) if columns is None else np.asarray(columns, dtype=np.int64)
        true, false = float(self.true_RC[:, chosen].sum()), float(self.false_RC[:, chosen].sum())
        return true / (true + false) if true + false else 0.0

    def precision_T(self, columns: ArrayLike | None = None) -> NDArray[np.float64]:
        """Return (T,) precision in seconds at each threshold; 0/0 = 0."""
        chosen = slice(None) if columns is None else np.asarray(columns, dtype=np.int64)
        true, false = self.true_TC[:, chosen].sum(axis=1), self.false_TC[:, chosen].sum(axis=1)
        return np.divide(true, true + false, out=np.zeros(len(true)), where=true + false > 0)

    def true_at_precision(self, wanted: float) -> float:
        """Return the most true seconds at any threshold with at least the given precision in seconds.

        Sums over all trained classes, since detections of a class that never occurs are false too; 0 if no threshold
        reaches the precision.
        """
        reached = self.precision_T() >= wanted
        return float(self.true_TC.sum(axis=1)[reached].max(initial=0.0))


def count_seconds(data: ScoredUnits, decisions: ThresholdedValues, threshold: float) -> SecondsAtThresholds:
    """Count the seconds of detections of a test per block or recording."""
    classes, recordings = len(data.labels), len(data.recordings)
    steps = len(THRESHOLDS)
    true_T = np.zeros((steps + 1, classes))
    false_T = np.zeros((steps + 1, classes))
    true_R, false_R = np.zeros((recordings, classes)), np.zeros((recordings, classes))
    group_W = data.groups_N[data.window_row_W]
    present = data.window_scores_WC >= 0
    values = decisions.apply(np.maximum(data.window_scores_WC, 0))
    for c in range(classes):
        seconds = data.window_seconds_WC[:, min(c, data.window_seconds_WC.shape[1] - 1)].astype(np.float64)
        seconds = np.where(present[:, c], seconds, 0.0)
        right = data.truth_NC[data.window_row_W, c]
        # 0.53 in float32 is slightly below 0.53, and so is 100 times it; 1e-4 of a step corrects that.
        place = np.clip(np.floor(values[:, c] * np.float32(steps) + 1e-4).astype(np.int64), 0, steps)
        found = values[:, c] >= threshold
        for total, by_recording, mask in ((true_T, true_R, right), (false_T, false_R, ~right)):
            total[:, c] = np.bincount(place, seconds * mask, minlength=steps + 1)
            by_recording[:, c] = np.bincount(group_W, seconds * (mask & found), minlength=recordings)
    missed = data.truth_NC & ~(decisions.values_NC >= threshold)
    return SecondsAtThresholds(
        true_TC=np.cumsum(true_T[::-1], axis=0)[::-1][1:],
        false_TC=np.cumsum(false_T[::-1], axis=0)[::-1][1:],
        true_RC=true_R,
        false_RC=false_R,
        missed_C=data.lengths_N @ missed,
    )

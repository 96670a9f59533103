"""Count what was detected instead of missed classes.

N: units, C: classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ROWS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class MissedFor:
    """Units with a missed class, by what was detected there instead."""

    misses_C: NDArray[np.int64]
    """(C,) number of units in which a class is true and not detected."""
    wrong_CC: NDArray[np.int64]
    """[missed, detected]: number of them with a false positive of another class."""
    right_CC: NDArray[np.int64]
    """[missed, detected]: number of them with a true positive of another class."""
    nothing_C: NDArray[np.int64]
    """(C,) number of them in which nothing was detected."""


def count_missed_for(truth_NC: NDArray[np.bool_], found_NC: NDArray[np.bool_]) -> MissedFor:
    """Count detections in units with a missed class; one unit may count for several classes."""
    classes = truth_NC.shape[1]
    wrong, right = np.zeros((classes, classes)), np.zeros((classes, classes))
    misses, nothing = np.zeros(classes, dtype=np.int64), np.zeros(classes, dtype=np.int64)
    for first in range(0, len(truth_NC), _ROWS_AT_ONCE):
        truth, found = truth_NC[first : first + _ROWS_AT_ONCE], found_NC[first : first + _ROWS_AT_ONCE]
        missed = truth & ~found
        rows = missed.any(axis=1)
        truth, found, missed = truth[rows], found[rows], missed[rows]
        misses += np.count_nonzero(missed, axis=0)
        nothing += np.count_nonzero(missed[~found.any(axis=1)], axis=0)
        weights = missed.T.astype(np.float32)
        wrong += weights @ (found & ~truth).astype(np.float32)
        right += weights @ (found & truth).astype(np.float32)
    return MissedFor(misses, np.rint(wrong).astype(np.int64), np.rint(right).astype(np.int64), nothing)

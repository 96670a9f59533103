"""Lengths of time intervals that may overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Stretches:
    """Time intervals ordered by group and start, without overlap within a group. M: intervals."""

    group_M: NDArray[np.int64]
    start_M: NDArray[np.float64]
    end_M: NDArray[np.float64]

    def seconds(self, groups: int) -> NDArray[np.float64]:
        """Return the summed length of each group."""
        summed = np.bincount(self.group_M, self.end_M - self.start_M, minlength=groups)
        return summed.astype(np.float64)


def join_stretches(group: ArrayLike, start: ArrayLike, end: ArrayLike, gap_s: float = 0.0) -> Stretches:
    """Join intervals that overlap or touch within a group, so that no time counts twice.

    Parameters
    ----------
    group
        (M,) group of each interval, from 0, such as a class in a recording.
    start, end
        (M,) seconds.
    gap_s
        Gaps up to this length count as touching, since label files round times.
    """
    groups, starts = np.asarray(group, dtype=np.int64), np.asarray(start, dtype=np.float64)
    ends = np.asarray(end, dtype=np.float64)
    order = np.lexsort((starts, groups))
    groups, starts, ends = groups[order], starts[order], ends[order]
    first = begins(groups, starts, ends, gap_s)
    if not len(first):
        return Stretches(groups, starts, ends)
    return Stretches(groups[first], starts[first], np.maximum.reduceat(ends, first))


def begins(
    groups: NDArray[np.int64], starts: NDArray[np.float64], ends: NDArray[np.float64], gap_s: float
) -> NDArray[np.int64]:
    """Mark intervals that do not touch any earlier one; input ordered by group and start.

    A negative gap requires that much overlap.
    """
    if not len(groups):
        return np.zeros(0, dtype=np.int64)
    # Shift groups one behind the other, so that one running maximum serves all.
    apart = float(ends.max()) + abs(gap_s) + 1.0
    reached = np.maximum.accumulate(ends + groups * apart)
    return np.flatnonzero(np.append(True, (starts + groups * apart)[1:] > reached[:-1] + gap_s))

"""One call heard in several channels of a recording is one detection: that of the channel that heard it best.

A label is merged into a better one (a higher score; with equal scores the lower channel, then the earlier start) of the
same class in another channel if that covers more than half of it, so windows that overlap by half stay apart. Times and
score are those of the better label; a label of which less is covered stays. A merged label merges no other.
M: labels, P: pairs of labels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_COVERED = 0.5
_ROWS = 1 << 20


def merged_labels(
    recording_M: NDArray[np.int32],
    channel_M: NDArray[np.int32],
    name_M: NDArray[np.int32],
    start_M: NDArray[np.floating],
    end_M: NDArray[np.floating],
    score_M: NDArray[np.float32],
) -> NDArray[np.bool_]:
    """Return which labels a better one of another channel stands for, (M,)."""
    merged = np.zeros(len(recording_M), bool)
    order = np.lexsort((start_M, name_M, recording_M))
    groups = np.flatnonzero(np.diff(recording_M[order], prepend=-1) | np.diff(name_M[order], prepend=-1))
    first = 0
    # In parts of whole groups: pairs of all labels would take more memory than the labels.
    while first < len(groups):
        stop = max(first + 1, int(np.searchsorted(groups, groups[first] + _ROWS)))
        rows = order[groups[first] : groups[stop] if stop < len(groups) else None]
        group = recording_M[rows].astype(np.int64) << 32 | name_M[rows]
        better, worse = _pairs(group, channel_M[rows], start_M[rows], end_M[rows], score_M[rows])
        merged[rows] = _resolved(len(rows), better, worse)
        first = stop
    return merged


def _pairs(
    group_M: NDArray, channel_M: NDArray, start_M: NDArray, end_M: NDArray, score_M: NDArray
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs (P,) of rows, the first of which would merge the second; rows are sorted by group and start."""
    start, end = start_M.astype(np.float64), end_M.astype(np.float64)
    found: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    one = np.arange(len(start) - 1)
    step = 1
    while len(one):
        other = one + step
        near = (group_M[other] == group_M[one]) & (start[other] < end[one])
        one, other = one[near], other[near]  # starts ascend, so what is not near now is not near farther on
        apart = channel_M[one] != channel_M[other]
        a, b = one[apart], other[apart]
        first = (score_M[a] > score_M[b]) | ((score_M[a] == score_M[b]) & (channel_M[a] < channel_M[b]))
        better, worse = np.where(first, a, b), np.where(first, b, a)
        overlap = np.minimum(end[a], end[b]) - np.maximum(start[a], start[b])
        covers = overlap > _COVERED * (end[worse] - start[worse]) + 1e-6
        found.append((better[covers], worse[covers]))
        step += 1
        one = one[one + step < len(start)]
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    better, worse = (np.concatenate(column) for column in zip(*found, strict=True))
    return better, worse


def _resolved(count: int, better_P: NDArray[np.int64], worse_P: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which of the rows are merged, the best ones first: a row is, if one that is kept is better."""
    merged = np.zeros(count, bool)
    while len(worse_P):
        open_M = np.zeros(count, bool)
        open_M[worse_P] = True
        kept = ~open_M[better_P]  # nothing left is better than these
        merged[worse_P[kept]] = True
        left = ~merged[worse_P] & ~merged[better_P]
        better_P, worse_P = better_P[left], worse_P[left]
    return merged

"""Measure how well time intervals agree: intersection over union of connected intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from britekit.metrics.durations import Stretches, begins

# Intervals that share less than this touch; they do not overlap.
_SHARED_S = 1e-6


def component_overlaps(claimed: Stretches, labeled: Stretches) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the group and the intersection over union of each component.

    A component is a connected set of overlapping intervals: annotations of one class in a recording and the labels that
    overlap them, directly or through others. An isolated annotation or label has the value 0.

    Parameters
    ----------
    claimed, labeled
        Annotations and labels, each joined (`join_stretches`), groups numbered alike.
    """
    group = np.concatenate([claimed.group_M, labeled.group_M])
    start = np.concatenate([claimed.start_M, labeled.start_M])
    end = np.concatenate([claimed.end_M, labeled.end_M])
    order = np.lexsort((start, group))
    group, start, end = group[order], start[order], end[order]
    first = begins(group, start, end, -_SHARED_S)
    if not len(first):
        return group, np.zeros(0)
    together = np.maximum.reduceat(end, first) - start[first]
    # Time that a component covers twice is in both, since neither input overlaps itself.
    shared = np.add.reduceat(end - start, first) - together
    return group[first], np.where(shared > _SHARED_S, shared / np.maximum(together, _SHARED_S), 0.0)

"""How much of a sound a window must hold to count as one in which it is heard."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from britekit.annotations.segments import Annotation

# A few hundredths of a second of a long sound at a window's edge claim nothing.
HELD_S = 0.3


def least_held(lengths_s: ArrayLike, window_s: float) -> NDArray[np.float64]:
    """Return how many seconds of sounds of these lengths a window must hold.

    That is the smallest of 0.3 s, half the sound and half the window, so that a short call counts in each
    window that holds it whole, wherever it lies there.
    """
    return np.minimum(np.asarray(lengths_s, dtype=np.float64), min(2 * HELD_S, window_s)) / 2


def is_held(item: Annotation, start_s: float, window_s: float) -> bool:
    """Tell whether a window of ``window_s`` seconds that begins at ``start_s`` holds enough of a sound."""
    inside = min(item.end, start_s + window_s) - max(item.start, start_s)
    return bool(inside >= least_held(item.end - item.start, window_s) - 1e-9)

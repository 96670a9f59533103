"""Lay truth and scores of a test per segment on a grid of rows.

A recording of R seconds has a row k for every interval [k p, k p + L] with k p < R - L + 1, where L is the length of a
label and p the step between labels. Shorter recordings, down to the second that inference needs for one window, have
the first row, so that no short clip is missing from a test. If inference also scored the remainder, there is one more
row: the next on the grid, or the window that ends with the recording. R: recordings, N: rows, C: classes, M:
annotations or labels, W: windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from britekit.annotations.held import least_held
from britekit.audio.window_grid import WindowGrid

# Inference scores recordings of at least this length (or of one window, if that is shorter).
SHORTEST_S = 1.0
# Rows are times divided by the step; this fraction of a row tolerates rounding of the division.
_ROW_EPSILON = 1e-6
# Label files round times to a hundredth of a second.
ROUNDED_S = 0.0051


Scored = Literal["windows", "frames", None]


@dataclass(frozen=True)
class Grid:
    """The rows of all recordings, one recording after the other."""

    rows_R: NDArray[np.int64]
    """(R,) number of rows of each recording; 0 if it is too short to be scored."""
    length_s: float
    """L, length of a row in seconds."""
    step_s: float
    """p, step between rows in seconds."""
    ends_R: NDArray[np.float64]
    """(R,) start of the last row if it ends with the recording instead of lying on the grid; else NaN."""

    @cached_property
    def starts_N(self) -> NDArray[np.float64]:
        """(N,) start of each row in its recording, in seconds."""
        starts = (self.row_index_N * self.step_s).astype(np.float64)
        last = self.first_R + self.rows_R - 1
        off_grid = np.isfinite(self.ends_R)
        starts[last[off_grid]] = self.ends_R[off_grid]
        return starts

    @cached_property
    def first_R(self) -> NDArray[np.int64]:
        """(R,) index of the first row of each recording."""
        return np.cumsum(self.rows_R) - self.rows_R

    @cached_property
    def row_recording_N(self) -> NDArray[np.int64]:
        """(N,) recording of each row."""
        return np.repeat(np.arange(len(self.rows_R)), self.rows_R)

    @cached_property
    def row_index_N(self) -> NDArray[np.int64]:
        """(N,) number of each row in its recording, from 0."""
        return np.arange(self.rows) - np.repeat(self.first_R, self.rows_R)

    @property
    def rows(self) -> int:
        """N, the number of rows."""
        return int(self.rows_R.sum())


def build_grid(seconds_R: ArrayLike, length_s: float, step_s: float, scored: Scored = None) -> Grid:
    """Lay rows over recordings of the given lengths.

    Parameters
    ----------
    seconds_R
        (R,) lengths of the recordings.
    length_s, step_s
        L and p.
    scored
        What inference scored up to the end of each recording: windows, the last of which may end with it, or frames in
        groups of L; None for labels of other programs, which have only the rows of the formula.
    """
    seconds = np.asarray(seconds_R, dtype=np.float64)
    shortest = min(SHORTEST_S, length_s)
    rows = np.ceil((seconds - length_s + 1) / step_s - _ROW_EPSILON)
    ends = np.full(len(seconds), np.nan)
    scorable = seconds >= shortest - _ROW_EPSILON
    if scored is not None:
        # Every row needs a score: short windows and short recordings have fewer rows than the formula says.
        room = np.floor((seconds - shortest) / step_s + _ROW_EPSILON) + 1
        if scored == "frames":
            room = np.ceil(seconds / step_s - _ROW_EPSILON)
        else:
            room[seconds <= length_s + _ROW_EPSILON] = 1
        rows = np.where(scorable, np.minimum(rows, room), 0)
    rows = np.maximum(rows, scorable).astype(np.int64)
    if scored is not None:
        grid = WindowGrid(length_s, step_s, shortest)
        reached = (rows - 1) * step_s + length_s
        for r in np.flatnonzero((rows > 0) & (seconds > reached)):
            end = grid.closing(seconds[r], reached[r])
            if end is None:
                continue
            if scored == "windows" and rows[r] * step_s > seconds[r] - shortest + _ROW_EPSILON:
                ends[r] = end
            rows[r] += 1
    return Grid(rows, float(length_s), float(step_s), ends)


def find_step(recording_M: ArrayLike, starts_M: ArrayLike, length_s: float) -> float:
    """Return the step between labels.

    This is the smallest gap between distinct starts in the recording with most labels, averaged over all gaps that
    differ from it only by rounding: an error of 5 ms would add up to whole rows in an hour. It never exceeds the label
    length, since a wider gap means that labels are missing.
    """
    recordings, starts = np.asarray(recording_M), np.asarray(starts_M)
    if not len(recordings):
        return float(length_s)
    # In parts: bincount converts its input to wide integers.
    size, at_once = int(recordings.max()) + 1, 1 << 20
    parts = [recordings[k : k + at_once] for k in range(0, len(recordings), at_once)]
    busiest = np.argmax(sum(np.bincount(part, minlength=size) for part in parts))
    gaps = np.diff(np.unique(starts[recordings == busiest].astype(np.float64)))
    gaps = gaps[gaps > 1e-6]  # two roundings of the same start
    if not len(gaps):
        return float(length_s)
    smallest = gaps[gaps <= gaps.min() + 2 * ROUNDED_S].mean()
    return float(min(smallest, length_s))


def mark_truth(
    grid: Grid, recording_M: ArrayLike, column_M: ArrayLike, start_M: ArrayLike, end_M: ArrayLike, classes: int
) -> NDArray[np.bool_]:
    """Mark the rows that annotations cover.

    An annotation marks the rows that hold enough of it, see `least_held`.

    Returns
    -------
    ndarray
        (N, C) bool.
    """
    recordings = np.asarray(recording_M, dtype=np.int64)
    columns = np.asarray(column_M, dtype=np.int64)
    first, marked, closing = _marked_rows(grid, recordings, start_M, end_M)
    # Expand each annotation into its rows: first, first + 1, … last.
    rows = np.arange(int(marked.sum())) - np.repeat(np.cumsum(marked) - marked, marked)
    rows += np.repeat(grid.first_R[recordings] + first, marked)
    truth = np.zeros((grid.rows, classes), dtype=bool)
    truth[rows, np.repeat(columns, marked)] = True
    truth[(grid.first_R + grid.rows_R - 1)[recordings[closing]], columns[closing]] = True
    return truth


def count_marked(grid: Grid, recording_M: ArrayLike, start_M: ArrayLike, end_M: ArrayLike) -> NDArray[np.int64]:
    """Return how many rows each annotation marks; 0 if no row holds enough of it."""
    _, marked, closing = _marked_rows(grid, np.asarray(recording_M, dtype=np.int64), start_M, end_M)
    return marked + closing


def _marked_rows(
    grid: Grid, recordings: NDArray[np.int64], start_M: ArrayLike, end_M: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return the grid rows that each annotation marks, and whether it marks the last row off the grid.

    The rows are given as the first one, counted within its recording, and their number.
    """
    start, end = np.asarray(start_M, dtype=np.float64), np.asarray(end_M, dtype=np.float64)
    held = least_held(end - start, grid.length_s)
    first = np.ceil((start - (grid.length_s - held)) / grid.step_s - _ROW_EPSILON)
    last = np.floor((end - held) / grid.step_s + _ROW_EPSILON)
    first = np.maximum(first, 0).astype(np.int64)
    off_grid = np.isfinite(grid.ends_R)
    last = np.minimum(last, (grid.rows_R - 1 - off_grid)[recordings]).astype(np.int64)
    closing_start = grid.ends_R[recordings]
    inside = np.minimum(end, closing_start + grid.length_s) - np.maximum(start, closing_start)
    return first, np.maximum(last - first + 1, 0), inside >= held - 1e-9  # False where there is NaN


def place_windows(
    grid: Grid, recording_W: ArrayLike, starts_W: ArrayLike, scores_WC: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Put the scores of windows into rows floor(start / p); the highest wins where several meet.

    The window that ends with a recording goes to the last row.

    Returns
    -------
    ndarray
        (N, C) float32; rows without a window are 0, windows beyond the last row are ignored.
    """
    rows, kept = _rows_of(grid, recording_W, starts_W, _ROW_EPSILON * grid.step_s)
    scores = np.zeros((grid.rows, scores_WC.shape[1]), dtype=np.float32)
    chosen = scores_WC[kept] if not kept.all() else scores_WC
    if len(np.unique(rows)) == len(rows):
        scores[rows] = chosen
    else:
        np.maximum.at(scores, rows, chosen)
    return scores


def place_labels(
    grid: Grid,
    recording_M: ArrayLike,
    column_M: ArrayLike,
    starts_M: ArrayLike,
    score_M: ArrayLike,
    scores_NC: NDArray[np.float32],
) -> None:
    """Put the scores of single labels into rows floor(start / p), tolerating rounded times.

    The highest label of a cell wins; labels beyond the last row are ignored.
    """
    # A start is rounded once; the step contains the rounding of the two starts it was computed from.
    rows, kept = _rows_of(grid, recording_M, starts_M, 3 * ROUNDED_S)
    rows *= scores_NC.shape[1]
    rows += np.asarray(column_M)[kept]
    # Index a flat view: numpy has a fast path for that, but not for index pairs.
    np.maximum.at(scores_NC.reshape(-1), rows, np.asarray(score_M, dtype=np.float32)[kept])


def _rows_of(grid: Grid, recording: ArrayLike, starts: ArrayLike, forgiven_s: float) -> tuple[NDArray, NDArray]:
    """Return the row of each start up to the last row, and a mask of the starts that were kept."""
    recordings = np.asarray(recording, dtype=np.int64)
    exact = np.asarray(starts, dtype=np.float64)
    index = np.floor((exact + forgiven_s) / grid.step_s).astype(np.int64)
    off_grid = np.isfinite(grid.ends_R)
    kept = index < (grid.rows_R - off_grid)[recordings]
    if off_grid.any():
        from_end = np.abs(exact - grid.ends_R[recordings])
        from_grid = np.abs(exact - np.rint(exact / grid.step_s) * grid.step_s)
        closing = (from_end <= max(forgiven_s, _ROW_EPSILON)) & (from_end < from_grid)
        index[closing] = grid.rows_R[recordings[closing]] - 1
        kept |= closing
    return (grid.first_R[recordings] + index)[kept], kept

"""Lay frame scores of overlapping windows on one time grid (algorithms page, section 6, step 4)."""

from __future__ import annotations

import numpy as np

from britekit.inference.spilled_array import SpilledArray


class FrameGrid:
    """Frames of a recording, round(fps * seconds) in all; frames of overlapping windows are averaged, with weights.

    Frames that no later window can reach move to a `SpilledArray`, so memory does not grow with the recording.

    Parameters
    ----------
    num_classes
        C.
    rows
        Receives the finished frames; None keeps rows in memory.
    """

    def __init__(self, num_classes: int, fps: int, rows: SpilledArray | None = None) -> None:
        self._fps = fps
        self._rows = SpilledArray(num_classes) if rows is None else rows
        self._sum = np.zeros((256, num_classes), np.float32)
        self._count = np.zeros(256, np.float32)
        self._first = 0  # frame number of the first row in the buffer
        self._end = 0  # frame number after the last one of any window

    def add(self, start_s: float, frames_CT: np.ndarray, weight: float | np.ndarray = 1.0) -> None:
        """Add the frames of one window at round(start * fps); windows must have ascending starts.

        Parameters
        ----------
        start_s
            Start of the window; what lies before 0 is cut off.
        weight
            Weight of the window in the mean, or of each of its frames (T,), above 0.
        """
        first = round(start_s * self._fps)
        if first < 0:
            weight = weight if np.ndim(weight) == 0 else np.asarray(weight)[-first:]
            frames_CT, first = frames_CT[:, -first:], 0
            if not frames_CT.shape[1]:
                return
        if first < self._first:
            raise ValueError(f"the window at {start_s} s comes after a later one")
        if first >= self._first + len(self._count) // 2:
            self._release(first)
        past = first + frames_CT.shape[1]
        if past - self._first > len(self._count):
            more = max(past - self._first, 2 * len(self._count)) - len(self._count)
            self._sum = np.concatenate([self._sum, np.zeros((more, self._sum.shape[1]), np.float32)])
            self._count = np.concatenate([self._count, np.zeros(more, np.float32)])
        held = slice(first - self._first, past - self._first)
        if np.ndim(weight) == 0 and weight == 1.0:
            self._sum[held] += frames_CT.T
        else:
            self._sum[held] += frames_CT.T * np.asarray(weight, np.float32).reshape(-1, 1)
        self._count[held] += weight
        self._end = max(self._end, past)

    def finish(self, seconds: float) -> SpilledArray:
        """Return the mean scores (F, C), F = round(fps * seconds); frames that no window covers are 0."""
        length = round(seconds * self._fps)
        self._release(max(length, self._first))
        self._rows.truncate(length)
        return self._rows

    def _release(self, first: int) -> None:
        """Move the frames before ``first`` to the finished rows."""
        known = min(first, self._end) - self._first
        if known > 0:
            scores = np.zeros((known, self._sum.shape[1]), np.float32)
            np.divide(
                self._sum[:known],
                self._count[:known, None],
                out=scores,
                where=self._count[:known, None] > 0,
                casting="unsafe",
            )
            self._rows.append(scores)
        else:
            known = 0
        self._rows.append_zeros(first - self._first - known)
        left = max(self._end - first, 0)
        for held in (self._sum, self._count):
            held[:left] = held[known : known + left].copy()
            held[left:] = 0
        self._first = first
        self._end = max(self._end, first)


def taper(frames: int) -> np.ndarray:
    """Return the weights (T,) of a window's frames, float32: a Hann window that does not reach 0 at its edges."""
    places = np.arange(1, frames + 1)
    return (0.5 - 0.5 * np.cos(2 * np.pi * places / (frames + 1))).astype(np.float32)

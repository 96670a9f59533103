"""Frame scores of a recording's windows on one time grid (algorithms page, section 6, step 4)."""

from __future__ import annotations

import numpy as np


class FrameGrid:
    """Frames of round(fps * seconds) steps; where windows overlap, their frames are averaged.

    Parameters
    ----------
    num_classes
        C.
    fps
        Frames per second.
    """

    def __init__(self, num_classes: int, fps: int) -> None:
        self._fps = fps
        self._sum = np.zeros((256, num_classes), np.float32)
        self._count = np.zeros(256, np.uint16)

    def add(self, start_s: float, frames_CT: np.ndarray) -> None:
        """Lay the frames of one window at round(start * fps)."""
        first = round(start_s * self._fps)
        last = first + frames_CT.shape[1]
        if last > len(self._count):
            # Doubling keeps the copying linear in the length of the recording.
            rows = max(last, 2 * len(self._count))
            self._sum = np.concatenate(
                [self._sum, np.zeros((rows - len(self._sum), self._sum.shape[1]), np.float32)]
            )
            self._count = np.concatenate([self._count, np.zeros(rows - len(self._count), np.uint16)])
        self._sum[first:last] += frames_CT.T
        self._count[first:last] += 1

    def finish(self, seconds: float) -> np.ndarray:
        """Return the mean scores (F, C), F = round(fps * seconds); frames that no window covers are 0."""
        length = round(seconds * self._fps)
        known = min(length, len(self._count))
        scores = np.zeros((length, self._sum.shape[1]), np.float32)
        np.divide(
            self._sum[:known],
            self._count[:known, None],
            out=scores[:known],
            where=self._count[:known, None] > 0,
            casting="unsafe",
        )
        return scores

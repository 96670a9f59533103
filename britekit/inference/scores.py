"""Scores of an ensemble for one recording."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from britekit.inference.spilled_array import SpilledArray


@dataclass(frozen=True, eq=False)
class RecordingScores:
    """Scores of one recording, not calibrated."""

    starts: np.ndarray
    """(N,) starts of the windows, seconds, float64."""
    score_rows: SpilledArray
    """(N, C) mean scores of the members; NaN where a screen left a window out."""
    frame_rows: SpilledArray | None
    """(F, C) scores per frame from 0 s on, F = round(fps * seconds); None without SED heads."""
    seconds: float
    """Length of the recording in seconds."""
    damaged_at: float | None
    """Second at which the damage begins; None if intact."""
    traits: np.ndarray | None = None
    """(N, T) `britekit.audio.levels.TRAITS` of each window; None unless the engine was asked for them."""

    @property
    def scores(self) -> np.ndarray:
        """(N, C) float32, all of them in memory."""
        return self.score_rows.array()

    @property
    def frames(self) -> np.ndarray | None:
        """(F, C) float32, all of them in memory, or None."""
        return None if self.frame_rows is None else self.frame_rows.array()

    def close(self) -> None:
        """Release the disk space of the scores."""
        self.score_rows.close()
        if self.frame_rows is not None:
            self.frame_rows.close()

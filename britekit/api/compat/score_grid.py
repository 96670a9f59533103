"""Scores of windows of several models on the frames of one recording, averaged where windows overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from britekit.inference.ensemble import Ensemble


class ScoreGrid:
    """Frames of a recording, round(fps * seconds) of them.

    Parameters
    ----------
    seconds
        Length of the recording.
    ensemble
        The models.
    whole_windows
        Without SED heads, lay a window's score over all of its frames.
    """

    def __init__(self, seconds: float, ensemble: Ensemble, whole_windows: bool = False) -> None:
        self.has_frames = ensemble.sed_fps is not None
        self._fps = ensemble.sed_fps or ensemble.cfg.train.sed_fps
        self._per_window = max(1, round(self._fps * ensemble.duration))
        self._whole_windows = whole_windows
        length = round(seconds * self._fps) if self.has_frames or whole_windows else 0
        self._sum = np.zeros((length, len(ensemble.classes)), np.float32)
        self.count = np.zeros(length, np.int64)

    def add(
        self, starts: Sequence[float], segment_NC: np.ndarray, frames_NTC: np.ndarray | None, models: int = 1
    ) -> None:
        """Lay windows, the mean of so many models, at round(start * fps); what is outside the recording is cut off."""
        if frames_NTC is None and not self._whole_windows:
            return
        for place, start in enumerate(starts):
            window = frames_NTC[place] if frames_NTC is not None else segment_NC[place : place + 1]
            first = round(start * self._fps)
            past = min(first + (len(window) if frames_NTC is not None else self._per_window), len(self.count))
            begin = max(first, 0)
            if begin < past:
                inside = window if len(window) == 1 else window[begin - first : past - first]
                self._sum[begin:past] += np.float32(models) * inside
                self.count[begin:past] += models

    def mean(self) -> np.ndarray:
        """Return the mean scores, float32 (F, C); 0 where no window lies."""
        return self._sum / np.maximum(self.count, 1)[:, None].astype(np.float32)

"""Labels of arrays of scores, for the calls of public britekit.

N windows, C classes, T frames of a window, F frames of a recording.
"""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from britekit.annotations.labels import Label
from britekit.api.scored import labels_to_table, write_audacity
from britekit.config import BaseConfig
from britekit.errors import InputError
from britekit.inference.ensemble import Ensemble
from britekit.inference.frames import FrameGrid
from britekit.inference.labeling import Labeler
from britekit.inference.scores import RecordingScores
from britekit.inference.spilled_array import SpilledArray
from britekit.occurrence.prior import RecordingPrior


@dataclass
class ScoredStretch:
    """A stretch of a recording in which a class is heard; ``get_segment_labels`` and ``get_frame_labels`` give them."""

    score: float
    start_time: float
    end_time: float


class ArrayLabels:
    """Labels and tables of arrays of scores that are calibrated already; part of `Predictor`."""

    cfg: BaseConfig
    class_names: list[str]
    quantile: float | None
    _ensemble: Ensemble
    _as_given: Labeler
    _seconds: dict[int, float]

    def get_class_name(self, label: str) -> str:
        """Return the name of a class that labels show as ``label``; what is not one stays as it is."""
        shown = (info.label(self.cfg.infer.label_field) for info in self._ensemble.classes)
        return dict(zip(shown, self.class_names, strict=True)).get(label, label)

    def show_scores(self, scores: np.ndarray | None, frame_map: np.ndarray | None) -> None:
        """Print the ten highest classes of the first window."""
        if frame_map is not None:
            frames = max(1, round(self.cfg.train.sed_fps * self.cfg.audio.spec_duration))
            first = frame_map[:frames].max(axis=0, initial=0)
        else:
            first = scores[0] if scores is not None and len(scores) else np.zeros(0)
        for place in np.argsort(-first, kind="stable")[:10].tolist():
            print(f"{self._ensemble.classes[place].label(self.cfg.infer.label_field)} = {first[place]:.6f}")

    def get_segment_labels(self, scores: np.ndarray, start_times: Sequence[float]) -> dict[str, list[ScoredStretch]]:
        """Return the labels of windows by what they show, by the settings of the section ``infer``."""
        return _by_name(self._labels("", scores, None, start_times))

    def get_frame_labels(self, frame_map: np.ndarray) -> dict[str, list[ScoredStretch]]:
        """Return the labels of frames by what they show, by the settings of the section ``infer``.

        Labels as long as the sounds are listed for every class, be it with none.
        """
        found = _by_name(self._labels("", np.empty((0, len(self.class_names)), np.float32), frame_map, []))
        if self._as_given.rules.segment_frames is not None:
            return found
        shown = [info.label(self.cfg.infer.label_field) for info in self._as_given.classes]
        return {name: found.get(name, []) for name in shown}

    def get_dataframe(
        self,
        score_array: np.ndarray | None,
        frame_map: np.ndarray | None,
        start_times: Sequence[float] | None,
        recording_name: str,
    ) -> Any:
        """Return labels as a pandas data frame with the columns of ``scores.csv``; of frames, where there are any."""
        return labels_to_table(self._labels(recording_name, score_array, frame_map, start_times))

    def save_audacity_labels(
        self,
        scores: np.ndarray,
        frame_map: np.ndarray | None,
        start_times: Sequence[float],
        file_path: str | os.PathLike[str],
    ) -> None:
        """Write labels as an Audacity label file."""
        write_audacity(self._labels("", scores, frame_map, start_times), file_path)

    def to_global_frames(
        self, frame_scores: np.ndarray, offsets_sec: Sequence[float], recording_duration_sec: float
    ) -> np.ndarray:
        """Lay the frames of windows on one grid; where windows overlap, their frames are averaged.

        Parameters
        ----------
        frame_scores
            (N, C, T).
        offsets_sec
            Starts of the windows, seconds.
        recording_duration_sec
            Length of the recording.

        Returns
        -------
        float32 (F, C), F = round(sed_fps * recording_duration_sec); 0 where there is no window.
        """
        windows = np.asarray(frame_scores, np.float32)
        if windows.ndim != 3 or len(windows) != len(offsets_sec):
            raise InputError(
                f"frame scores of shape {windows.shape} for {len(offsets_sec)} windows; "
                "expected (windows, classes, frames)"
            )
        grid = FrameGrid(windows.shape[1], self.cfg.train.sed_fps)
        for place in np.argsort(offsets_sec, kind="stable"):
            grid.add(float(offsets_sec[place]), windows[place])
        return grid.finish(recording_duration_sec).array()

    def _remember(self, seconds: float, *arrays: np.ndarray | None) -> None:
        """Keep the length of the recording that scores are of, so that labels made of them end where it does."""
        for array in arrays:
            if array is not None:
                self._seconds[id(array)] = seconds
                weakref.finalize(array, self._seconds.pop, id(array), None)

    def _labels(
        self,
        recording: str,
        scores: np.ndarray | None,
        frame_map: np.ndarray | None,
        starts: Sequence[float] | None,
        labeler: Labeler | None = None,
        prior: RecordingPrior | None = None,
    ) -> list[Label]:
        labeler = labeler or self._as_given
        if scores is None or starts is None:
            scores, starts = np.empty((0, len(self.class_names)), np.float32), []
        seconds = self._seconds.get(id(scores if frame_map is None else frame_map), math.inf)
        result = RecordingScores(
            starts=np.array(starts, np.float64),
            score_rows=self._rows(scores),
            frame_rows=None if frame_map is None else self._rows(frame_map),
            seconds=seconds,
            damaged_at=None,
        )
        return labeler.labels(recording, result, prior)

    def _rows(self, values: np.ndarray) -> SpilledArray:
        table = np.asarray(values, np.float32)
        if table.ndim != 2 or table.shape[1] != len(self.class_names):
            raise InputError(
                f"scores of shape {table.shape}; expected a column for each of {len(self.class_names)} classes"
            )
        rows = SpilledArray(len(self.class_names))
        rows.append(table)
        return rows


def _by_name(labels: Sequence[Label]) -> dict[str, list[ScoredStretch]]:
    found: dict[str, list[ScoredStretch]] = {}
    for label in labels:
        found.setdefault(label.name, []).append(ScoredStretch(label.score, label.start, label.end))
    return found

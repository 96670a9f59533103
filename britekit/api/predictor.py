"""`Predictor`: scores and labels of one recording at a time, for people at a prompt.

N windows, C classes, T frames of a window, F frames of a recording.
"""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from britekit import formats
from britekit.annotations.labels import CSV_COLUMNS, Label
from britekit.api.scored import ScoredRecording
from britekit.config import BaseConfig
from britekit.errors import InputError
from britekit.files import write_text
from britekit.inference.engine import Engine
from britekit.inference.ensemble import load_ensemble
from britekit.inference.frames import FrameGrid
from britekit.inference.labelling import Labeller
from britekit.inference.model_files import resolve_for_models
from britekit.inference.scores import RecordingScores
from britekit.inference.spilled_array import SpilledArray


class Predictor:
    """An ensemble, loaded once.

    Parameters
    ----------
    model_path
        A model or a directory of models; None takes ``misc.ckpt_folder``.
    device
        ``cpu`` forbids a GPU; None takes one that is there.
    cfg
        Settings; None takes those in force, as commands do. Audio settings are those of the models.
    raw
        Leave the scores of labels as they are; otherwise they are calibrated as `britekit analyze` does it.
    thresholds
        Use the threshold of each class that the calibration holds in place of ``infer.min_score``.

    Attributes
    ----------
    calibrated
        Whether the scores of labels are calibrated, and by what.
    class_names, class_codes
        The C classes, in the order of the scores.

    Raises
    ------
    ModelError
        There is no model, or the models do not go together.
    """

    def __init__(
        self,
        model_path: str | os.PathLike[str] | None = None,
        device: str | None = None,
        cfg: BaseConfig | None = None,
        raw: bool = False,
        thresholds: bool = False,
    ) -> None:
        if device not in (None, "cpu", "cuda", "mps"):
            raise InputError(f'device "{device}" is not one of cpu, cuda, mps')
        overrides = {"misc.force_cpu": True} if device == "cpu" else None
        self.cfg, paths = resolve_for_models(None, overrides, model_path, cfg)
        self.cfg.misc.force_cpu |= device == "cpu"
        self._ensemble = load_ensemble(self.cfg, paths)
        if device not in (None, self._ensemble.device):
            raise InputError(f'device "{device}" was asked for; the models run on {self._ensemble.device}')
        self._labeller = Labeller(self.cfg, self._ensemble, self._ensemble.calibration(raw), thresholds)
        self.calibrated = self._labeller.calibration.describe()
        self._seconds: dict[int, float] = {}
        self.class_names = [info.name for info in self._ensemble.classes]
        self.class_codes = [info.code for info in self._ensemble.classes]

    def score(self, recording_path: str | os.PathLike[str]) -> ScoredRecording:
        """Score a recording; raises `InputError` if it cannot be read."""
        with Engine(self._ensemble, threads=1) as engine:
            found = ScoredRecording(Path(recording_path), engine.score(recording_path), self)
        for array in (found.scores, found.frames):  # so that labels of these arrays end where the recording does
            if array is not None:
                self._seconds[id(array)] = found.seconds
                weakref.finalize(array, self._seconds.pop, id(array), None)
        return found

    def labels_of(self, scored: ScoredRecording) -> list[Label]:
        """Return the labels of a scored recording."""
        return self._labels(scored.path.stem, scored.scores, scored.frames, scored.starts.tolist())

    def get_raw_scores(
        self, recording_path: str | os.PathLike[str]
    ) -> tuple[np.ndarray, np.ndarray | None, list[float]]:
        """Score a recording.

        Returns
        -------
        scores : float32 (N, C)
            Mean scores of the models, not calibrated.
        frame_map : float32 (F, C) or None
            The same per frame from 0 s on; None without SED heads.
        start_times : list of float
            Of the N windows, seconds.

        Raises
        ------
        InputError
            The recording cannot be read.
        """
        found = self.score(recording_path)
        return found.scores, found.frames, found.starts.tolist()

    get_recording_scores = get_raw_scores

    def get_segment_labels(self, scores: np.ndarray, start_times: Sequence[float]) -> list[Label]:
        """Return labels of windows, calibrated, by the settings of the section ``infer``."""
        return self._labels("", scores, None, start_times)

    def get_frame_labels(self, frame_map: np.ndarray) -> list[Label]:
        """Return labels of frames, calibrated, by the settings of the section ``infer``."""
        return self._labels("", np.empty((0, len(self.class_names)), np.float32), frame_map, [])

    def get_dataframe(
        self,
        scores: np.ndarray,
        frame_map: np.ndarray | None,
        start_times: Sequence[float],
        recording_name: str,
    ) -> Any:
        """Return labels as a pandas data frame with the columns of ``scores.csv``."""
        import pandas

        labels = self._labels(recording_name, scores, frame_map, start_times)
        rows = [(x.recording, x.name, x.start, x.end, x.score) for x in labels]
        return pandas.DataFrame(rows, columns=list(CSV_COLUMNS))

    def save_audacity_labels(
        self,
        scores: np.ndarray,
        frame_map: np.ndarray | None,
        start_times: Sequence[float],
        file_path: str | os.PathLike[str],
    ) -> None:
        """Write labels as an Audacity label file."""
        labels = self._labels("", scores, frame_map, start_times)
        rows = formats.grouped((x.name, "", "", x.start, x.end, x.score, x.confirmed) for x in labels)
        content = formats.get("audacity").render(formats.Recording(""), rows, formats.Facts())
        write_text(file_path, content.decode())

    def to_global_frames(self, frame_scores: np.ndarray, offsets_sec: Sequence[float], duration: float) -> np.ndarray:
        """Lay the frames of windows on one grid; where windows overlap, their frames are averaged.

        Parameters
        ----------
        frame_scores
            (N, C, T).
        offsets_sec
            Starts of the windows, seconds.
        duration
            Of the recording, seconds.

        Returns
        -------
        float32 (F, C), F = round(sed_fps * duration); 0 where there is no window.
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
        return grid.finish(duration).array()

    def _labels(
        self, recording: str, scores: np.ndarray, frame_map: np.ndarray | None, starts: Sequence[float]
    ) -> list[Label]:
        result = RecordingScores(
            starts=np.array(starts, np.float64),
            score_rows=self._rows(scores),
            frame_rows=None if frame_map is None else self._rows(frame_map),
            seconds=self._seconds.get(id(scores if frame_map is None else frame_map), math.inf),
            damaged_at=None,
        )
        return self._labeller.labels(recording, result)

    def _rows(self, values: np.ndarray) -> SpilledArray:
        table = np.asarray(values, np.float32)
        if table.ndim != 2 or table.shape[1] != len(self.class_names):
            raise InputError(
                f"scores of shape {table.shape}; expected a column for each of {len(self.class_names)} classes"
            )
        rows = SpilledArray(len(self.class_names))
        rows.append(table)
        return rows

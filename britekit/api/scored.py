"""`ScoredRecording`: what a `Predictor` finds in one recording."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from britekit import formats
from britekit.annotations.labels import CSV_COLUMNS, Label
from britekit.errors import counted
from britekit.files import write_text
from britekit.inference.scores import RecordingScores
from britekit.plots.picture import Picture, draw_picture

if TYPE_CHECKING:
    import pandas

    from britekit.api.predictor import Predictor


class ScoredRecording:
    """Scores of one recording; N windows, C classes, F frames.

    Attributes
    ----------
    path
        The recording.
    scores
        float32 (N, C), mean scores of the models, not calibrated.
    frames
        The same per frame from 0 s on, float32 (F, C); None without SED heads.
    starts
        Of the N windows, seconds, float64.
    seconds
        Length of the recording.
    damaged_at
        Second at which a damaged recording ends; None if it is whole.
    class_names
        The C classes.
    """

    def __init__(self, path: Path, result: RecordingScores, predictor: Predictor) -> None:
        self.path, self.starts, self.seconds = path, result.starts, result.seconds
        self.scores: np.ndarray = result.scores
        self.frames: np.ndarray | None = result.frames
        self.damaged_at = result.damaged_at
        self.class_names = list(predictor.class_names)
        self._predictor = predictor

    def __repr__(self) -> str:
        size = f"{self.seconds:.1f} s, {counted(len(self.scores), 'window')}"
        return f"<ScoredRecording {self.path.name}: {size}, {counted(len(self.class_names), 'class', 'classes')}>"

    def labels(self) -> list[Label]:
        """Return labels by the settings of the section ``infer``, calibrated unless the predictor is raw."""
        return self._predictor.labels_of(self)

    def to_dataframe(self) -> pandas.DataFrame:
        """Return the labels as a pandas data frame: recording, name, start_time, end_time, score."""
        return labels_to_table(self.labels())

    def to_audacity(self, path: str | os.PathLike[str]) -> None:
        """Write the labels as an Audacity label file."""
        write_audacity(self.labels(), path)

    def plot(self, path: str | os.PathLike[str] | None = None, limit: int = 10) -> Picture:
        """Draw the scores of the `limit` classes with the highest ones over time."""
        from britekit.plots.scores import plot_scores

        highest = self.scores.max(axis=0, initial=0)
        shown = sorted(np.argsort(-highest, kind="stable")[:limit].tolist())
        names = [self.class_names[c] for c in shown]
        return draw_picture(lambda file: plot_scores(file, self.starts, self.scores[:, shown], names), path)


def labels_to_table(labels: Sequence[Label]) -> pandas.DataFrame:
    """Return labels as a pandas data frame: recording, name, start_time, end_time, score."""
    import pandas

    rows = [(x.recording, x.name, x.start, x.end, x.score) for x in labels]
    return pandas.DataFrame(rows, columns=list(CSV_COLUMNS))


def write_audacity(labels: Sequence[Label], path: str | os.PathLike[str]) -> None:
    """Write the labels of one recording as an Audacity label file."""
    rows = formats.grouped((x.name, "", "", x.start, x.end, x.score, x.confirmed) for x in labels)
    write_text(path, formats.get("audacity").render(formats.Recording(""), rows, formats.Facts()).decode())

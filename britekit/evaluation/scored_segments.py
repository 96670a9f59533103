"""Read annotations and scores as matrices on one grid, and record what had to be excluded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from britekit.annotations.held import PAST_END_S, split_at_ends, spots
from britekit.annotations.reconciling import Reconciler
from britekit.annotations.scores import ScoreTable
from britekit.annotations.segments import Annotation
from britekit.config import BaseConfig
from britekit.errors import InputError
from britekit.evaluation.analyzed_scores import AnalyzedScores, source_of_table
from britekit.evaluation.exclusions import Exclusions, audio_files, find_lengths, root_of
from britekit.evaluation.grid import Grid, build_grid, count_marked, mark_truth
from britekit.evaluation.score_reading import find_label_dir, read_scores
from britekit.evaluation.scored_test import ScoredTest, common_facts, require_usable
from britekit.formats import read_any_annotations


@dataclass(frozen=True)
class ScoredSegments(ScoredTest):
    """Truth and scores of the annotated recordings, one row per segment and one column per trained class."""

    unit: ClassVar[Literal["segment"]] = "segment"

    grid: Grid

    @property
    def groups_N(self) -> NDArray[np.int64]:
        """(N,) recording of each row."""
        return self.grid.row_recording_N

    @property
    def numbers_N(self) -> NDArray[np.int64]:
        """(N,) index of each segment in its recording, from 0."""
        return self.grid.row_index_N

    @property
    def starts_N(self) -> NDArray[np.float64]:
        """(N,) start of each segment in its recording, in seconds."""
        return self.grid.starts_N

    @property
    def lengths_N(self) -> NDArray[np.float64]:
        """(N,) seconds of each segment."""
        return np.full(self.grid.rows, self.grid.length_s)

    @cached_property
    def row_names(self) -> list[str]:
        """(N,) ``{recording}-{segment}``, counted from 0: segment k begins at k steps."""
        names = self.recordings
        pairs = zip(self.grid.row_recording_N.tolist(), self.grid.row_index_N.tolist(), strict=True)
        return [f"{names[r]}-{k}" for r, k in pairs]


def read_scored_segments(
    annotations_path: str | Path,
    label_dir: str | Path | ScoreTable,
    recordings_dir: str | Path | None,
    cfg: BaseConfig,
    strict: bool = False,
) -> ScoredSegments:
    """Read annotations and scores and lay them on the grid of segments.

    Raises `InputError` if a file cannot be read, or no annotation can be used.

    Parameters
    ----------
    annotations_path
        CSV with recording, class, start_time, end_time, Audacity labels, a Raven selection table, or a folder of these.
        Only the recordings that it names belong to the test. A class may be given by its name in the scores, its name,
        its code or an alternate.
    label_dir
        Output directory of ``analyze``, as a path or relative to the recordings directory; or its scores.
    recordings_dir
        Where the audio is; default: the directory of the annotations. Only needed for recordings whose length the
        scores do not contain.
    strict
        Raise for an annotated class that the models do not know, instead of excluding it.
    """
    folder = root_of(annotations_path, recordings_dir)
    if not Path(annotations_path).exists():
        raise InputError(f"{annotations_path} does not exist; expected annotations per segment")
    field, codes = cfg.infer.label_field, cfg.misc.map_codes
    if isinstance(label_dir, ScoreTable):
        source = source_of_table(label_dir, Path("scores"), field, codes)
    else:
        place, classes = find_label_dir(label_dir, folder), cfg.misc.classes_file
        source = read_scores(place, field, codes, classes, cfg.infer.test_screened)
    known = {*source.recordings, *audio_files(folder, recursive=False)}
    annotations = read_any_annotations(annotations_path, cfg.misc.map_codes, known=sorted(known))
    if not annotations:
        raise InputError(f"{annotations_path} contains no annotation; add a row with an empty class for silence")
    annotations = _as_labeled(annotations, source)
    exclusions = Exclusions()
    first_row: dict[str, str] = {}
    for item in annotations:
        first_row.setdefault(item.recording, item.where)
        first_row.setdefault(item.ends_in or item.recording, item.where)
    seconds = find_lengths(first_row, source, folder, exclusions)
    annotations = split_at_ends(annotations, seconds.get)
    seconds = _without_short(seconds, source, exclusions)
    recordings = list(seconds)
    usable = _usable(annotations, seconds, source, exclusions)
    grid = build_grid(list(seconds.values()), source.length_s, source.step_s, source.scored)
    order = {name: k for k, name in enumerate(recordings)}
    claims = [a for a in usable if a.label]
    _note_times(claims, grid, order, seconds, exclusions)
    exclusions.not_annotated = sorted(source.recordings - set(first_row))
    exclusions.report(source, strict, annotations_path)
    require_usable(bool(claims), annotations_path, source, exclusions, "every row has an empty class")
    column = {label: k for k, label in enumerate(source.labels)}
    truth = mark_truth(
        grid,
        [order[a.recording] for a in claims],
        [column[a.label] for a in claims],
        [a.start for a in claims],
        [a.end for a in claims],
        len(source.labels),
    )
    scores = source.lay(grid, recordings)
    return ScoredSegments(
        **common_facts(source, seconds, exclusions),
        grid=grid,
        truth_NC=truth,
        scores_NC=scores,
        annotated=sorted({column[a.label] for a in claims}),
    )


def _as_labeled(annotations: list[Annotation], source: AnalyzedScores) -> list[Annotation]:
    """Return annotations with the name of their class in the scores; unknown labels stay unchanged."""
    known = set(source.labels)
    others = {a.label for a in annotations if a.label} - known
    reconciler = Reconciler(source.classes)
    meant = {label: reconciler.find(label) for label in others}
    order = {id(info): k for k, info in enumerate(source.classes)}
    called = {label: source.labels[order[id(info)]] for label, info in meant.items() if info is not None}
    return [replace(a, label=called.get(a.label, a.label)) for a in annotations]


def _without_short(seconds: dict[str, float], source: AnalyzedScores, exclusions: Exclusions) -> dict[str, float]:
    rows = build_grid(list(seconds.values()), source.length_s, source.step_s, source.scored).rows_R
    exclusions.too_short = [name for name, count in zip(seconds, rows, strict=True) if not count]
    return {name: value for name, value in seconds.items() if name not in set(exclusions.too_short)}


def _usable(
    annotations: list[Annotation], seconds: dict[str, float], source: AnalyzedScores, exclusions: Exclusions
) -> list[Annotation]:
    """Return annotations of known classes in recordings with a known length; keep rows of silent recordings."""
    known = set(source.labels)
    usable, beyond = [], []
    for annotation in annotations:
        if annotation.recording not in seconds:
            continue
        if annotation.label and annotation.label not in known:
            exclusions.add_unknown(annotation.label, annotation.where)
            continue
        if annotation.start >= seconds[annotation.recording] and annotation.label:
            beyond.append(annotation)
            continue
        usable.append(annotation)
    exclusions.beyond_end = spots(beyond)
    return usable


def _note_times(
    claims: list[Annotation], grid: Grid, order: dict[str, int], seconds: dict[str, float], exclusions: Exclusions
) -> None:
    """Record annotations that mark no segment, and those that end after their recording."""
    marked = count_marked(
        grid, [order[a.recording] for a in claims], [a.start for a in claims], [a.end for a in claims]
    )
    exclusions.unmarked = spots([a for a, rows in zip(claims, marked.tolist(), strict=True) if not rows])
    exclusions.past_end = spots([a for a in claims if a.end > seconds[a.recording] + PAST_END_S])

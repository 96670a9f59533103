"""Sum seconds per class in annotations and in labels; overlapping time counts once."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from britekit.annotations.classes import map_name
from britekit.annotations.label_table import read_label_table
from britekit.errors import InputError
from britekit.evaluation.exclusions import audio_files, root_of, split_boxes
from britekit.evaluation.matrix_file import write_table
from britekit.evaluation.score_reading import read_manifest
from britekit.files import together
from britekit.formats import read_any_annotations
from britekit.metrics.durations import join_stretches

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seconds:
    """Seconds of each class in each recording. R: recordings, C: classes."""

    recordings: list[str]
    classes: list[str]
    seconds_RC: NDArray[np.float64]


def annotated_seconds(path: str | Path, map_codes: Mapping[str, str] | None = None) -> Seconds:
    """Sum the time of annotations per recording and class, with names mapped by `misc.map_codes`.

    Raises `InputError` if the annotations cannot be read, or contain no sound.
    """
    root = root_of(path)
    annotations = read_any_annotations(path, map_codes, known=audio_files(root, recursive=False))
    claims = split_boxes([a for a in annotations if a.label], {}, root)
    if not claims:
        raise InputError(f"{path} contains no annotation of a sound")
    recordings = sorted({a.recording for a in [*annotations, *claims]})
    classes = sorted({a.label for a in claims})
    return _summed(
        recordings,
        classes,
        _places(recordings, (a.recording for a in claims)),
        _places(classes, (a.label for a in claims)),
        np.array([a.start for a in claims]),
        np.array([a.end for a in claims]),
    )


def labeled_seconds(directory: str | Path, min_score: float, map_codes: Mapping[str, str] | None = None) -> Seconds:
    """Sum the time of labels with at least this score, per recording and class mapped by `misc.map_codes`.

    Raises `InputError` if there are no labels with such a score.
    """
    table = read_label_table(directory)
    _warn_of_missing(Path(directory), min_score)
    used = np.flatnonzero(table.score_M >= np.float32(min_score))
    if not len(used):
        best = f", the highest has {float(table.score_M.max()):.3f}" if len(table) else ""
        raise InputError(f"{directory} contains no label with a score of at least {min_score:g}{best}")
    names = [map_name(name, map_codes) for name in table.names]
    recordings, classes = sorted(table.recordings), sorted({names[k] for k in np.unique(table.name_M[used])})
    return _summed(
        recordings,
        classes,
        _places(recordings, table.recordings)[table.recording_M[used]],
        _places(classes, (names[k] for k in table.name_M[used].tolist())),
        table.start_M[used],
        table.end_M[used],
    )


def _warn_of_missing(folder: Path, min_score: float) -> None:
    """Warn if the labels were made with a higher minimum score than the given one."""
    made_with = (read_manifest(folder).get("inference") or {}).get("min_score")
    if isinstance(made_with, (int, float)) and made_with > min_score:
        log.warning(
            "%s was made with a min_score of %g: labels of lower scores, from %g on, are missing there; run "
            "analyze with a lower --min-score", folder, made_with, min_score,
        )  # fmt: skip


def write_annotated(directory: str | Path, found: Seconds) -> list[Path]:
    """Write ``test_summary.csv`` and ``test_details.csv``."""
    folder = Path(directory)
    cells = [
        (found.recordings[r], found.classes[c], _shown(found.seconds_RC[r, c]))
        for r, c in np.argwhere(found.seconds_RC > 0)
    ]
    with together():
        return [
            write_table(folder / "test_summary.csv", [("class", "seconds"), *_totals(found)]),
            write_table(folder / "test_details.csv", [("recording", "class", "seconds"), *cells]),
        ]


def write_labeled(directory: str | Path, found: Seconds) -> list[Path]:
    """Write ``summary.csv``, ``classes.csv``, ``recordings.csv`` and ``details.csv``."""
    folder = Path(directory)
    totals = _totals(found)
    order = np.argsort(-found.seconds_RC.sum(axis=0), kind="stable")
    heard: list[Sequence[object]] = [("recording", "classes")]
    details: list[Sequence[object]] = [("recording", *found.classes)]
    for name, row in zip(found.recordings, found.seconds_RC, strict=True):
        heard.append((name, " ".join(found.classes[c] for c in np.flatnonzero(row))))
        details.append((name, *map(_shown, row)))
    with together():
        return [
            write_table(folder / "summary.csv", [("class", "seconds"), *totals]),
            write_table(folder / "classes.csv", [("class", "seconds"), *(totals[k] for k in order)]),
            write_table(folder / "recordings.csv", heard),
            write_table(folder / "details.csv", details),
        ]


def _summed(
    recordings: list[str], classes: list[str], recording: NDArray, column: NDArray, start: NDArray, end: NDArray
) -> Seconds:
    cells = len(recordings) * len(classes)
    seconds = join_stretches(recording * len(classes) + column, start, end).seconds(cells)
    return Seconds(recordings, classes, seconds.reshape(len(recordings), len(classes)))


def _places(names: Sequence[str], wanted: Iterable[str]) -> NDArray[np.int64]:
    order = {name: k for k, name in enumerate(names)}
    return np.array([order[name] for name in wanted], dtype=np.int64)


def _totals(found: Seconds) -> list[tuple[str, str]]:
    sums = found.seconds_RC.sum(axis=0).tolist()
    return [(name, _shown(value)) for name, value in zip(found.classes, sums, strict=True)]


def _shown(seconds: float) -> str:
    """Format seconds with one decimal, or up to three below one second, so that no sound shows as 0.0."""
    if seconds >= 1:
        return f"{seconds:.1f}"
    text = f"{seconds:.3f}".rstrip("0")
    return f"{text}0" if text.endswith(".") else text

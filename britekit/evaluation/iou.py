"""Intersection over union of labels and annotated sounds, by threshold.

R: recordings, T: thresholds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from britekit.annotations.analyzed import analyzed_seconds
from britekit.annotations.classes import map_name
from britekit.annotations.label_table import LabelTable, read_label_table
from britekit.annotations.reconciling import Reconciler
from britekit.config import BaseConfig
from britekit.errors import InputError, some, suggest
from britekit.evaluation.exclusions import root_of, split_boxes
from britekit.evaluation.grid import ROUNDED_S
from britekit.evaluation.matrix_file import write_table
from britekit.evaluation.score_reading import find_label_dir, read_manifest, trained_classes
from britekit.files import together, write_text
from britekit.formats import read_any_annotations
from britekit.metrics.durations import join_stretches
from britekit.metrics.overlap import component_overlaps

_MOST_THRESHOLDS = 10_001


@dataclass(frozen=True)
class Localization:
    """Mean intersection over union of components of annotations and labels."""

    thresholds: NDArray[np.float64]
    recordings: list[str]
    """Annotated recordings, sorted."""
    iou_T: NDArray[np.float64]
    """(T,) mean over all components."""
    iou_TR: NDArray[np.float64]
    """(T, R) mean over the components of a recording."""
    pairs: int
    """Number of annotated pairs of recording and class."""
    unknown: dict[str, int]
    """Annotated classes that labels never name, with their number of annotations."""
    unlabelled: list[str] = field(default_factory=list)
    """Annotated recordings without labels: each of their components counts as 0."""
    cut_at: float = 0.0
    """Score below which labels are missing; 0 if none are missing."""

    @property
    def cautions(self) -> list[str]:
        """Return notes for the reader, one sentence each."""
        notes = [self.unlabelled_sentence] if self.unlabelled else []
        if self.cut_at > self.thresholds[0]:
            notes.append(
                f"no labels have scores below {self.cut_at:.3g}: lower thresholds give the same as "
                "this one, and the area is not that of the models; run analyze with a lower --min-score"
            )
        return notes

    @property
    def area(self) -> float:
        """Area under the mean by threshold, by trapezoids."""
        return float(np.trapezoid(self.iou_T, self.thresholds))

    @property
    def unlabelled_sentence(self) -> str:
        """Return notes about recordings without labels."""
        return f"no labels for {some(self.unlabelled)}: counted as 0"

    @property
    def best(self) -> int:
        """Index of the threshold with the highest mean; the lowest if several are equal."""
        return int(np.argmax(self.iou_T))


def make_thresholds(start: float, end: float, step: float, also: Sequence[float] = ()) -> NDArray[np.float64]:
    """Return the thresholds from start to end, and the additional ones in ``also``.

    Raises `InputError` if a value is not a valid threshold, or there are too many.
    """
    if not (step > 0 and math.isfinite(step)):
        raise InputError(f"--incr is {step:g}; expected a number above 0")
    if not 0 <= start <= end <= 1:
        raise InputError(f"--start {start:g} and --end {end:g}: expected 0 <= start <= end <= 1")
    count = math.floor((end - start) / step + 1e-9) + 1
    if count > _MOST_THRESHOLDS:
        raise InputError(f"--incr {step:g} makes {count} thresholds; expected at most {_MOST_THRESHOLDS}")
    return np.unique(np.round([*(start + step * np.arange(count)), *also], 10))


def measure_localization(
    annotations_path: str | Path, label_dir: str | Path, cfg: BaseConfig, thresholds: NDArray[np.float64]
) -> Localization:
    """Compare annotations per segment with labels of any length, at each threshold.

    Per annotated recording and class, touching labels at or above the threshold are joined, and overlapping intervals
    are grouped into components. The value of a component is the length of its intersection divided by the length of its
    union; 0 for an isolated one.

    Raises `InputError` if annotations or labels cannot be read, or no annotation names a class of the labels.
    """
    folder = find_label_dir(label_dir, root_of(annotations_path))
    table = read_label_table(folder)
    claims = read_any_annotations(annotations_path, cfg.misc.map_codes, known=table.recordings)
    annotations = split_boxes([a for a in claims if a.label], analyzed_seconds(folder), root_of(annotations_path))
    if not annotations:
        raise InputError(f"{annotations_path} contains no annotation of a sound")
    manifest = read_manifest(folder)
    field = (manifest.get("inference") or {}).get("label_field", cfg.infer.label_field)
    classes, labels = trained_classes(folder, manifest, field, cfg.misc.map_codes, table, cfg.misc.classes_file)
    # As in a test: the name in labels comes first, then name, code and alternates.
    meant = dict(zip(labels, labels, strict=True))
    label_of = {id(info): label for info, label in zip(classes, labels, strict=True)}
    reconciler = Reconciler(classes)
    for text in {a.label for a in annotations} - meant.keys():
        info = reconciler.find(text)
        if info is not None:
            meant[text] = label_of[id(info)]
    unknown: dict[str, int] = {}
    for a in annotations:
        if a.label not in meant:
            unknown[a.label] = unknown.get(a.label, 0) + 1
    usable = [a for a in annotations if a.label in meant]
    if not usable:
        name = next(iter(unknown))
        raise InputError(
            f"{annotations_path}: no annotated class is known to the labels in {folder} (the first is "
            f'"{name}"){suggest(name, labels)}'
        )
    pairs: dict[tuple[str, str], int] = {}
    keys = [pairs.setdefault((a.recording, meant[a.label]), len(pairs)) for a in usable]
    claimed = join_stretches(keys, [a.start for a in usable], [a.end for a in usable])
    recordings = sorted({a.recording for a in usable})
    order = {name: k for k, name in enumerate(recordings)}
    recording_of = np.array([order[recording] for recording, _ in pairs])
    named = [map_name(name, cfg.misc.map_codes) for name in table.names]
    pair_of = np.full((len(table.recordings) + 1, len(named) + 1), -1)
    places = {name: k for k, name in enumerate(table.recordings)}
    for (recording, label), key in pairs.items():
        for column, name in enumerate(named):
            if name == label and recording in places:
                pair_of[places[recording], column] = key
    key_M = pair_of[table.recording_M, table.name_M]
    used = np.flatnonzero(key_M >= 0)
    key_M, start_M, end_M = key_M[used], table.start_M[used], table.end_M[used]
    score_M = table.score_M[used]
    means, by_recording = [], []
    for threshold in thresholds:
        found = score_M >= np.float32(threshold)
        labeled = join_stretches(key_M[found], start_M[found], end_M[found], 2 * ROUNDED_S)
        group, overlap = component_overlaps(claimed, labeled)
        means.append(float(overlap.mean()))
        number = np.bincount(recording_of[group], minlength=len(recordings))
        total = np.bincount(recording_of[group], overlap, minlength=len(recordings))
        by_recording.append(total / number)
    unlabelled = [name for name in recordings if name not in places]
    return Localization(
        thresholds,
        recordings,
        np.array(means),
        np.stack(by_recording),
        len(pairs),
        unknown,
        unlabelled,
        _cut_of(manifest, table),
    )


def _cut_of(manifest: dict[str, Any], table: LabelTable) -> float:
    """Return the lowest possible score of labels from their manifest, else the lowest that occurs."""
    made_with = (manifest.get("inference") or {}).get("min_score")
    if isinstance(made_with, (int, float)):
        return float(made_with)
    return float(table.score_M.min(initial=1.0))


def write_localization(directory: str | Path, found: Localization, t1: float, t2: float) -> list[Path]:
    """Write ``thresholds.csv``, ``recordings.csv`` and ``summary.txt``."""
    folder = Path(directory)
    with together():
        written = [
            write_table(folder / "thresholds.csv", _threshold_rows(found)),
            write_table(folder / "recordings.csv", _recording_rows(found, t1, t2)),
            folder / "summary.txt",
        ]
        write_text(written[-1], summary_text(found, t1, t2))
    return written


def summary_text(found: Localization, t1: float, t2: float) -> str:
    """Return the results as text."""
    best = found.best
    lines = [
        "Intersection over union of annotations and labels",
        "",
        f"  Recordings:            {len(found.recordings)}",
        f"  Recordings × classes:  {found.pairs}",
        f"  Highest mean:          {found.iou_T[best]:.3f} at threshold {found.thresholds[best]:g}",
        f"  Area under the curve:  {found.area:.3f}",
        *(f"  At threshold {t:g}:      {found.iou_T[nearest(found, t)]:.3f}" for t in (t1, t2)),
    ]
    lines += [
        f'  - class "{name}" is not known to the labels: {count} annotations left out'
        for name, count in sorted(found.unknown.items())
    ]
    lines += [f"  - {sentence}" for sentence in found.cautions]
    return "\n".join(lines) + "\n"


def nearest(found: Localization, threshold: float) -> int:
    """Return the index of the nearest threshold."""
    return int(np.argmin(np.abs(found.thresholds - threshold)))


def _threshold_rows(found: Localization) -> Iterator[Sequence[object]]:
    yield "threshold", "iou"
    for threshold, value in zip(found.thresholds, found.iou_T, strict=True):
        yield f"{threshold:g}", f"{value:.3f}"


def _recording_rows(found: Localization, t1: float, t2: float) -> Iterator[Sequence[object]]:
    yield "recording", "iou_max", f"iou_{t1:g}", f"iou_{t2:g}"
    places = [nearest(found, t) for t in (t1, t2)]
    for r, name in enumerate(found.recordings):
        column = found.iou_TR[:, r]
        yield name, f"{column.max():.3f}", *(f"{column[place]:.3f}" for place in places)

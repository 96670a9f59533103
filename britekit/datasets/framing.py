"""In which frames of a stored segment a class is heard: by tables of occlusion, or by annotations of its recording.

Legend: T frames of a segment.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from britekit.annotations.classes import ClassInfo
from britekit.annotations.held import is_held
from britekit.annotations.names import RecordingNames
from britekit.annotations.reconciling import Reconciler
from britekit.annotations.segments import Annotation, read_annotations
from britekit.audio.files import name_key
from britekit.database.schema import Class, Recording, Segment, SegmentClass
from britekit.datasets.frame_labels import Vector
from britekit.datasets.occlusion import read_occlusions
from britekit.errors import InputError, counted, some
from britekit.files import write_csv

log = logging.getLogger(__name__)

# analyze-db writes it beside the tables of classes.
_SUMMARY = "class_summary.csv"


@dataclass
class Framed:
    """Frame labels, and how many segments of each class are labeled over their whole length."""

    labels: dict[int, dict[str, Vector]] = field(default_factory=dict)
    """By segment, the vector of each class, by code."""

    def add(self, segment: int, code: str, vector: Vector) -> None:
        """Add the frames of a class of a segment."""
        self.labels.setdefault(segment, {})[code] = vector

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return, by code, the number of segments, and of those labeled over their whole length."""
        found: dict[str, tuple[int, int]] = {}
        for vectors in self.labels.values():
            for code, vector in vectors.items():
                segments, whole = found.get(code, (0, 0))
                found[code] = (segments + 1, whole + int(vector.all()))
        return dict(sorted(found.items()))

    def write_tables(self, folder: Path) -> None:
        """Write a table of each class: Segment ID, frame_1 to frame_T."""
        for code in self.counts():
            rows = [(segment, vectors[code]) for segment, vectors in sorted(self.labels.items()) if code in vectors]
            header = ["Segment ID", *(f"frame_{n}" for n in range(1, len(rows[0][1]) + 1))]
            write_csv(folder / f"{code}.csv", [header, *([segment, *map(int, vector)] for segment, vector in rows)])


def frames_by_occlusion(folder: Path, names: Sequence[str] | None, frames: int, alpha: float, pad: int = 0) -> Framed:
    """Return frame labels from the tables of ``analyze-db --occlude``, each named by the code of its class.

    Raises `InputError` if there is no table, or one cannot be used; names file and row.

    Parameters
    ----------
    names
        File names in the folder; None for all tables.
    frames
        T, which the tables must have.
    alpha, pad
        See `britekit.datasets.occlusion.Occlusion.active`.
    """
    paths = [folder / name for name in names] if names is not None else sorted(folder.glob("*.csv"))
    paths = [path for path in paths if names is not None or path.name != _SUMMARY]
    if not paths:
        raise InputError(f"{folder} holds no tables of classes; write them with analyze-db --occlude")
    found = Framed()
    for path in paths:
        for row in read_occlusions(path):
            active = row.active(alpha, pad)
            if len(active) != frames:
                raise InputError(
                    f"{path} has {len(active)} frames per segment, audio.spec_duration × train.sed_fps make {frames}; "
                    "use the settings of the models that were analyzed"
                )
            found.add(row.segment_id, path.stem, active.astype(np.float32))
    if not found.labels:
        raise InputError(f"{folder}: the tables list no segments")
    return found


def frames_by_annotations(
    session: Session, path: Path, frames: int, duration: float, map_codes: dict[str, str]
) -> Framed:
    """Return frame labels of stored segments from annotations of their recordings.

    A frame holds a class if it holds the smallest of 0.3 s, half the annotated sound and half the frame. A segment
    of a recording without annotations, or with a class of which no annotation lies in it, gets no frame labels for it,
    which is reported.

    Raises `InputError` if the annotations cannot be read, name a class that the database does not have, or no segment.

    Parameters
    ----------
    path
        Annotations: recording, class, start_time, end_time.
    """
    rows = session.execute(
        select(Segment.id, Segment.offset, Recording.filename, Recording.id, Class.name, Class.code)
        .join(SegmentClass, SegmentClass.segment_id == Segment.id)
        .join(Class, Class.id == SegmentClass.class_id)
        .join(Recording, Recording.id == Segment.recording_id)
        .order_by(Segment.id, Class.name)
    ).all()
    owners: dict[str, set[int]] = {}
    for _, _, filename, recording_id, _, _ in rows:
        owners.setdefault(_key(filename), set()).add(recording_id)
    unclear = {key for key, ids in owners.items() if len(ids) > 1}
    columns = select(Class.name, Class.code, Class.alt_name, Class.alt_code)
    classes = [ClassInfo(*(value or "" for value in row)) for row in session.execute(columns)]
    annotations = Reconciler(classes).reconcile(read_annotations(path, map_codes, RecordingNames(owners)))
    heard: dict[tuple[str, str], list[Annotation]] = {}
    for item in annotations:
        if item.end > item.start:
            heard.setdefault((item.recording, item.label), []).append(item)
    annotated = {item.recording for item in annotations}
    found, silent, without = Framed(), [], set()
    step = duration / frames
    for segment, offset, filename, _, name, code in rows:
        key = _key(filename)
        if key not in annotated or key in unclear:
            without.add(segment)
            continue
        near = [a for a in heard.get((key, name), ()) if a.end > offset and a.start < offset + duration]
        vector = np.array([any(is_held(a, offset + n * step, step) for a in near) for n in range(frames)], np.float32)
        if vector.any():
            found.add(segment, code or name, vector)
        else:
            silent.append(f"{filename} at {offset:g} s ({name})")
    _report(path, annotated - owners.keys(), unclear & annotated, without, silent)
    if not found.labels:
        raise InputError(f"{path} annotates no stored segment of {session.info['where']}; compare names and times")
    return found


def _key(filename: str) -> str:
    return name_key(PurePath(filename).stem)


def _report(
    path: Path, absent: Iterable[str], unclear: Iterable[str], without: Iterable[int], silent: Sequence[str]
) -> None:
    """Warn of what got no frame labels."""
    for names, what in (
        (sorted(absent), "annotated recordings are not in the database"),
        (sorted(unclear), "names of recordings stand for several in the database, which get no frame labels"),
    ):
        if names:
            log.warning("%s: %d %s: %s", path, len(names), what, some(names, 5))
    segments = set(without)
    if segments:
        log.warning("%s in recordings without annotations here get no frame labels", counted(len(segments), "segment"))
    if silent:
        log.warning(
            "%s: %d segments have a class of which no annotation lies in them, so no frame labels: %s",
            path, len(silent), some(silent, 5),
        )  # fmt: skip

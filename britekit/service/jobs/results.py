"""Convert a scored recording to what the store holds, and that to an answer.

Labels are stored by class, as `britekit.formats` has them, so any format, label field and choice of classes can be had
later; the bytes are those of ``analyze``.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from britekit import formats
from britekit.annotations.classes import ClassInfo
from britekit.annotations.recording_info import RecordingInfo
from britekit.formats import Facts, Recording, Rows
from britekit.inference.labeling import Labeler
from britekit.inference.occurrence_notes import note_of
from britekit.inference.scores import RecordingScores
from britekit.occurrence.prior import RecordingPrior
from britekit.service.answers import json_text, pieces
from britekit.service.forms import FormatForm, LabeledForm, wanted_classes
from britekit.service.jobs.job import Job
from britekit.service.places import note_facts, stated_info

_PIECE_BYTES = 1 << 20
_FIELDS = ("names", "codes", "alt_names", "alt_codes")
_Columns = tuple[np.ndarray, ...]


def stored_result(
    labeler: Labeler, result: RecordingScores, prior: RecordingPrior | None, known: RecordingInfo, label_field: str
) -> tuple[dict[str, Any], list[bytes], int]:
    """Return the facts, pieces and number of labels to store.

    Parameters
    ----------
    labeler
        Labels by class names, at the threshold of the job.
    known
        What the recording's metadata, name and folder tell.
    label_field
        The model's default.
    """
    parts, held, size, count = list[bytes](), list[bytes](), 0, 0
    present: set[str] = set()
    for rows in labeler.rows(result, prior):
        data = rows.to_bytes()
        held.append(data)
        size, count = size + len(data), count + len(rows)
        present.add(rows.class_name)
        if size >= _PIECE_BYTES:
            parts.append(b"".join(held))
            held, size = [], 0
    if held:
        parts.append(b"".join(held))
    facts = labeler.facts
    shown = {(kind, info.label(kind)) for info in labeler.classes if info.name in present for kind in _FIELDS}
    # Also those that share a label with one that was heard: the first of them stands for all in tables.
    classes = [info for info in labeler.classes if any((kind, info.label(kind)) in shown for kind in _FIELDS)]
    about = {
        "seconds": result.seconds,
        "damaged_at": result.damaged_at,
        "min_score": labeler.rules.min_score,
        "calibrated": not labeler.calibration.is_identity,
        **note_facts(None if prior is None else note_of(labeler, result, prior)),
        "label_field": label_field,
        "classes": [[info.name, info.code, info.alt_name, info.alt_code] for info in classes],
        "facts": {"low_hz": facts.low_hz, "high_hz": facts.high_hz, "marks": facts.marks, "more": dict(facts.more)},
        "known": {
            "file": known.path.name,
            "site": known.site,
            "start": known.start and known.start.isoformat(),
            "latitude": known.latitude,
            "longitude": known.longitude,
        },
    }
    return about, parts, count


def json_answer(job: Job, labels: Iterator[bytes], fields: FormatForm, known: Sequence[str]) -> Iterator[bytes]:
    """Return the detections as `/detections` returns them."""
    field = fields.label_field or job.facts["label_field"]
    classes = {info.name: info for info in _classes(job)}
    columns = _columns(labels, _wanted(job, fields, known))
    names = sorted(columns)
    starts, ends, scores, confirmed = _joined([columns[name] for name in names])
    of = np.repeat(np.arange(len(names)), [len(columns[name][0]) for name in names])
    order = np.lexsort((of, starts))

    def rows(part: slice) -> list[dict[str, Any]]:
        here = order[part]
        values = (of[here].tolist(), *(column[here].tolist() for column in (starts, ends, scores, confirmed)))
        return [
            {
                "class_name": names[place],
                "class_code": classes[names[place]].code,
                "label": classes[names[place]].label(field),
                "start": start,
                "end": end,
                "score": score,
                "confirmed": sure,
            }
            for place, start, end, score, sure in zip(*values, strict=True)
        ]

    kept = ("seconds", "damaged_at", "min_score", "calibrated", "occurrence")
    facts = {"recording": job.name, "job": job.id, **{key: job.facts[key] for key in kept if key in job.facts}}
    if job.options.get("channel"):
        facts["channel"] = int(job.options["channel"])
    return json_text(facts, "detections", pieces(len(order), rows))


def text_answer(
    job: Job, labels: Iterator[bytes], fields: FormatForm, known: Sequence[str], form: LabeledForm
) -> Iterator[bytes]:
    """Return the detections in a format, piece by piece.

    Parameters
    ----------
    form
        The fields with which the job was submitted.
    """
    kind = formats.get(fields.format)
    facts = Facts(**job.facts["facts"])
    info = stated_info(_known(job), form) if "time_start" in kind.columns else None
    # Without an upload, the recording has a place, as for `analyze`.
    path = job.source if job.source.startswith("/") else ""
    channel = int(job.options["channel"]) if job.options.get("channel") else None
    recording = Recording(job.name, path, job.facts["seconds"], job.facts["damaged_at"], info, channel)
    rows = _rows(job, _columns(labels, _wanted(job, fields, known)), fields.label_field or job.facts["label_field"])
    return _written(kind.writer, recording, rows, facts)


def _written(
    make: Callable[..., formats.Writer] | None, recording: Recording, rows: Iterator[Rows], facts: Facts
) -> Iterator[bytes]:
    assert make is not None
    out = _Held()
    writer = make(out, facts)
    for piece in rows:
        writer.add(recording, piece)
        yield out.taken()
    writer.end(recording)
    writer.close()
    yield out.taken()


class _Held(io.RawIOBase):
    """Bytes that were written and not sent yet; a file, since Parquet wants one."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, data: Any, /) -> int:
        self._parts.append(bytes(data))
        self._size += len(self._parts[-1])
        return len(self._parts[-1])

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _rows(job: Job, columns: dict[str, _Columns], field: str) -> Iterator[Rows]:
    """Yield the labels in the order of files: by what they show, then by start and end."""
    classes = _classes(job)
    shown: dict[str, list[str]] = {}
    first: dict[str, ClassInfo] = {}
    for info in classes:
        first.setdefault(info.label(field), info)
        if info.name in columns:
            shown.setdefault(info.label(field), []).append(info.name)
    for label in sorted(shown):
        found = _joined([columns[name] for name in shown[label]])
        if len(shown[label]) > 1:
            order = np.lexsort((found[1], found[0]))
            found = tuple(column[order] for column in found)
        yield from formats.in_pieces(label, first[label].name, first[label].code, *found)


def _columns(labels: Iterator[bytes], wanted: set[str] | None) -> dict[str, _Columns]:
    """Return starts, ends, scores and confirmed of each class."""
    found: dict[str, list[_Columns]] = {}
    for data in labels:
        for rows in formats.read_rows(io.BytesIO(data), len(data)):
            if wanted is None or rows.class_name in wanted:
                kinds = (np.float64, np.float64, np.float32, np.bool_)
                values = (rows.starts, rows.ends, rows.scores, rows.confirmed)
                arrays: _Columns = tuple(np.array(value, kind) for value, kind in zip(values, kinds, strict=True))
                found.setdefault(rows.class_name, []).append(arrays)
    return {name: _joined(parts) for name, parts in found.items()}


def _joined(parts: Sequence[_Columns]) -> _Columns:
    empty = (np.empty(0, np.float64), np.empty(0, np.float64), np.empty(0, np.float32), np.empty(0, np.bool_))
    return tuple(np.concatenate(columns) for columns in zip(empty, *parts, strict=True))


def _classes(job: Job) -> list[ClassInfo]:
    return [ClassInfo(*row) for row in job.facts["classes"]]


def _known(job: Job) -> RecordingInfo:
    known = job.facts["known"]
    start = datetime.fromisoformat(known["start"]) if known["start"] else None
    place = {key: known[key] for key in ("site", "latitude", "longitude")}
    return RecordingInfo(Path(known["file"]), start=start, **place)


def _wanted(job: Job, fields: FormatForm, known: Sequence[str]) -> set[str] | None:
    if fields.classes is None:
        return None
    return wanted_classes(fields.classes, sorted({*known, *(row[0] for row in job.facts["classes"])}))

"""Copying one class with all that belongs to it from one database to another."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from britekit.database.absences import absences, add_absences
from britekit.database.classes import add_class, find_class, get_or_add_category, require_class
from britekit.database.recordings import Facts, add_recording, find_recording, get_or_add_source
from britekit.database.schema import (
    DEFAULT_NAME,
    Category,
    Recording,
    RecordingInfo,
    Segment,
    SegmentAbsence,
    SegmentClass,
    SoundType,
    Source,
    SpecGroup,
    SpecValue,
)
from britekit.database.segments import add_segments, segments_of
from britekit.database.spectrograms import differing_settings, get_or_add_group, group_settings
from britekit.errors import DatabaseError
from britekit.progress import track

log = logging.getLogger(__name__)

# Two offsets closer than this are one: decimal fractions are rounded differently by different programs.
_SAME_OFFSET_S = 1e-6
# Two files of one name and source whose lengths differ by more are two recordings.
_SAME_LENGTH_S = 0.1
_VALUES_AT_ONCE = 500


@dataclass
class Copied:
    """Numbers of new rows in the destination."""

    recordings: int = 0
    segments: int = 0
    spectrograms: int = 0


@dataclass
class _Names:
    """IDs in the destination for IDs in the origin, filled as they are met."""

    sources: dict[int | None, int] = field(default_factory=dict)
    soundtypes: dict[int | None, int | None] = field(default_factory=lambda: {None: None})
    groups: dict[int | None, int] = field(default_factory=dict)


def copy_class(origin: Session, destination: Session, name: str) -> Copied:
    """Copy a class with its category, sources, recordings, segments, links and spectrograms.

    What the destination has already (a recording of the same file name and source, a segment of the same recording and
    offset) is used; spectrograms of groups that such a segment lacks are added. The caller commits the destination.

    Raises `DatabaseError` if the class is not in the origin, or is in the destination, or its code belongs to another
    class there; or one of its recordings has the name and source of a longer or shorter one there.
    """
    row = require_class(origin, name)
    if find_class(destination, name) is not None:
        raise DatabaseError(
            f'class "{name}" is already in {destination.info["where"]}; remove it there with del-class, or '
            "choose another destination"
        )
    category = origin.scalar(select(Category.name).where(Category.id == row.category_id)) or DEFAULT_NAME
    class_id = add_class(
        destination,
        name,
        row.code or "",
        get_or_add_category(destination, category),
        row.alt_name or "",
        row.alt_code or "",
    )
    recordings = origin.scalars(
        select(Segment.recording_id)
        .where(Segment.id.in_(_judged(origin, row.id)), Segment.recording_id.is_not(None))
        .distinct()
    ).all()
    copied, names = Copied(), _Names()
    for recording_id in track(sorted(key for key in recordings if key is not None), what="copy"):
        _copy_recording(origin, destination, recording_id, row.id, class_id, names, copied)
    return copied


def _judged(origin: Session, class_id: int) -> Any:
    """Return a query for the segments in which a class is heard, or known not to be heard."""
    heard = select(SegmentClass.segment_id).where(SegmentClass.class_id == class_id)
    if not origin.info["has_absences"]:
        return heard
    return heard.union_all(select(SegmentAbsence.segment_id).where(SegmentAbsence.class_id == class_id))


def _copy_recording(
    origin: Session,
    destination: Session,
    recording_id: int,
    old_class: int,
    new_class: int,
    names: _Names,
    copied: Copied,
) -> None:
    recording = origin.scalars(select(Recording).where(Recording.id == recording_id)).one()
    source_id = _source(origin, destination, recording.source_id, names)
    there = find_recording(destination, source_id, recording.filename)
    if there is not None:
        _check_length(origin, destination, recording, there)
        new_id, present = there.id, segments_of(destination, there.id)
    else:
        new_id = add_recording(
            destination,
            source_id,
            recording.filename,
            recording.path or "",
            recording.seconds,
            _facts(origin, recording_id),
        )
        present = {}
        copied.recordings += 1
    segments = origin.execute(
        select(Segment.id, Segment.offset, SegmentClass.class_id, SegmentClass.soundtype_id)
        .outerjoin(SegmentClass, (SegmentClass.segment_id == Segment.id) & (SegmentClass.class_id == old_class))
        .where(Segment.recording_id == recording_id, Segment.id.in_(_judged(origin, old_class)))
        .order_by(Segment.offset)
    ).all()
    known = [_same(row[1], present) for row in segments]
    missing = [row[1] for row, segment in zip(segments, known) if segment is None]
    added = iter(add_segments(destination, new_id, missing))
    copied.segments += len(missing)
    new_of = {row[0]: next(added) if segment is None else segment for row, segment in zip(segments, known)}
    links = [
        {
            "segment_id": new_of[segment_id],
            "class_id": new_class,
            "soundtype_id": _soundtype(origin, destination, soundtype, names),
        }
        for segment_id, _offset, heard, soundtype in segments
        if heard is not None
    ]
    if links:
        destination.execute(insert(SegmentClass), links)
    _copy_absences(origin, destination, new_of, set(present.values()), old_class, new_class)
    _copy_audio(origin, destination, new_of)
    _copy_values(origin, destination, new_of, names, copied)


def _copy_absences(
    origin: Session, destination: Session, new_of: dict[int, int], present: set[int], old_class: int, new_class: int
) -> None:
    """Copy what is known only in part; a segment that was there, and is wholly known, stays so."""
    partly = absences(destination, list(new_of.values()))
    absent = {
        new_of[segment]: [new_class] if old_class in classes else []
        for segment, classes in absences(origin, list(new_of)).items()
        if new_of[segment] not in present or new_of[segment] in partly
    }
    add_absences(destination, absent)


def _check_length(origin: Session, destination: Session, recording: Recording, there: Recording) -> None:
    """Refuse to take another recording for this one; lengths that are not known say nothing."""
    if recording.seconds and there.seconds and abs(recording.seconds - there.seconds) > _SAME_LENGTH_S:
        raise DatabaseError(
            f"{recording.filename} lasts {recording.seconds:g} s in {origin.info['where']}, but "
            f"{there.seconds:g} s in {destination.info['where']}, so these are two recordings of one name "
            "and source; remove one with del-rec, or extract one again from a renamed file"
        )


def _copy_audio(origin: Session, destination: Session, new_of: dict[int, int]) -> None:
    keys = list(new_of)
    for start in range(0, len(keys), _VALUES_AT_ONCE):
        query = select(Segment.id, Segment.audio, Segment.sampling_rate).where(
            Segment.id.in_(keys[start : start + _VALUES_AT_ONCE]), Segment.audio.is_not(None)
        )
        for segment_id, audio, rate in origin.execute(query).yield_per(50):
            destination.execute(
                update(Segment)
                .where(Segment.id == new_of[segment_id], Segment.audio.is_(None))
                .values(audio=audio, sampling_rate=rate),
                execution_options={"synchronize_session": False},
            )


def _copy_values(origin: Session, destination: Session, new_of: dict[int, int], names: _Names, copied: Copied) -> None:
    keys = list(new_of)
    for start in range(0, len(keys), _VALUES_AT_ONCE):
        chunk = keys[start : start + _VALUES_AT_ONCE]
        there = set(
            destination.execute(
                select(SpecValue.segment_id, SpecValue.specgroup_id).where(
                    SpecValue.segment_id.in_([new_of[key] for key in chunk])
                )
            ).tuples()
        )
        query = (
            select(SpecValue.segment_id, SpecValue.specgroup_id, SpecValue.value, SpecValue.embedding)
            .where(SpecValue.segment_id.in_(chunk))
            .order_by(SpecValue.id)
        )
        rows: list[dict[str, Any]] = []
        for segment_id, group, value, embedding in origin.execute(query):
            key = new_of[segment_id or 0], _group(origin, destination, group, names)
            if key not in there:
                rows.append({"segment_id": key[0], "specgroup_id": key[1], "value": value, "embedding": embedding})
        if rows:
            destination.execute(insert(SpecValue), rows)
            copied.spectrograms += len(rows)


def _source(origin: Session, destination: Session, key: int | None, names: _Names) -> int:
    if key not in names.sources:
        name = origin.scalar(select(Source.name).where(Source.id == key)) or DEFAULT_NAME
        names.sources[key] = get_or_add_source(destination, name)
    return names.sources[key]


def _soundtype(origin: Session, destination: Session, key: int | None, names: _Names) -> int | None:
    if key not in names.soundtypes:
        row = origin.scalars(select(SoundType).where(SoundType.id == key)).one()
        found = destination.scalar(select(SoundType.id).where(SoundType.name == row.name))
        if found is None:
            values = {
                "name": row.name,
                "description": row.description,
                "inserted_date": destination.info["inserted_date"],
            }
            found = destination.scalars(insert(SoundType).values(values).returning(SoundType.id)).one()
        names.soundtypes[key] = found
    return names.soundtypes[key]


def _group(origin: Session, destination: Session, key: int | None, names: _Names) -> int:
    if key not in names.groups:
        name = origin.scalar(select(SpecGroup.name).where(SpecGroup.id == key)) or DEFAULT_NAME
        settings = group_settings(origin, key) if key is not None else {}
        names.groups[key] = get_or_add_group(destination, name, settings or None)
        different = differing_settings(group_settings(destination, names.groups[key]), settings)
        if different:
            log.warning(
                'spectrogram group "%s" of %s was made with other audio settings than that of %s (%s), and '
                "holds both now; recompute it with reextract",
                name, destination.info["where"], origin.info["where"], "; ".join(different),
            )  # fmt: skip
    return names.groups[key]


def _facts(origin: Session, recording_id: int) -> Facts:
    if not origin.info["has_recording_info"]:
        return Facts()
    row = origin.scalar(select(RecordingInfo).where(RecordingInfo.recording_id == recording_id))
    if row is None:
        return Facts()
    return Facts(row.group_name, row.licence, row.author, row.url, row.time, row.latitude, row.longitude)


def _same(offset: float, present: dict[float, int]) -> int | None:
    if offset in present:
        return present[offset]
    near: Sequence[float] = [there for there in present if abs(there - offset) < _SAME_OFFSET_S]
    return present[near[0]] if near else None

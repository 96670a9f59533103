"""Removing categories, classes, sources, recordings, segments, sound types and spectrogram groups.

Rows that hang on others are removed table by table and not by cascades, so that each can be counted, and so
that files of other programs, which may lack a foreign key, hold nothing loose afterwards. A recording that
would be left without any segment, and a segment without any class, go too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from britekit.audio.files import composed
from britekit.database.absences import unknown_segments
from britekit.database.classes import require_class
from britekit.database.named import require_named
from britekit.database.recordings import NamedRecordings, forms_of
from britekit.database.schema import (
    TABLES,
    Base,
    Category,
    Class,
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
from britekit.errors import DatabaseError, some, suggest

# Servers and SQLite bind some 32,000 values at most; planning takes longer the more there are.
_CHUNK = 5_000


class Removed(Counter[str]):
    """Numbers of rows removed, by table."""

    def lines(self) -> list[str]:
        """Return ``table = rows`` for each table that lost any, in the order of the schema."""
        return [f"{table.__tablename__} = {self[table.__tablename__]}" for table in TABLES if self[table.__tablename__]]


def delete_category(session: Session, name: str) -> Removed:
    """Remove a category, its classes, and the recordings that belong to these alone; the caller commits."""
    category_id = require_named(session, Category, "category", name)
    removed = _delete_classes(session, Class.category_id == category_id)
    _delete(session, removed, Category, Category.id == category_id)
    return removed


def delete_class(session: Session, name: str) -> Removed:
    """Remove a class and the recordings that have a segment of it; the caller commits.

    A recording that also has a segment of another class loses only the links to this one, and the segments
    that would be left without any class.
    """
    return _delete_classes(session, Class.id == require_class(session, name).id)


def delete_source(session: Session, name: str) -> Removed:
    """Remove a source with all its recordings; the caller commits."""
    source_id = require_named(session, Source, "source", name)
    removed = Removed()
    while recordings := session.scalars(
        select(Recording.id).where(Recording.source_id == source_id).limit(_CHUNK)
    ).all():
        removed += delete_recordings(session, recordings)
    _delete(session, removed, Source, Source.id == source_id)
    return removed


def delete_named_recordings(session: Session, name: str) -> Removed:
    """Remove the recordings of the file name that a name means, of whatever source; the caller commits."""
    filename = require_filename(session, name)
    return delete_recordings(session, session.scalars(_of_file(filename)).all())


def require_filename(session: Session, name: str) -> str:
    """Return the file name of the recordings that a name means.

    Raises `DatabaseError` if there is none, or recordings of several file names could be meant.
    """
    if session.scalar(_of_file(name).limit(1)) is not None:
        return name
    found = NamedRecordings(session).find(name)
    filenames = set(session.scalars(select(Recording.filename).where(Recording.id.in_(found[:_CHUNK]))))
    if len({composed(filename) for filename in filenames}) == 1:
        return min(filenames)
    # Not every name is fetched for the suggestion: a database may hold a million.
    near = session.scalars(
        select(Recording.filename).where(Recording.filename.startswith(name[:3], autoescape=True)).limit(1000)
    )
    where = session.info["where"]
    if filenames:
        listed = some([f'"{filename}"' for filename in sorted(filenames)], 3)
        raise DatabaseError(f'recording "{name}" could be any of {listed} in {where}; give the name with its extension')
    raise DatabaseError(
        f'recording "{name}" is not in {where}{suggest(name, near) or "; give its file name with extension"}'
    )


def _of_file(filename: str) -> Any:
    return select(Recording.id).where(Recording.filename.in_(forms_of(filename)))


def delete_group(session: Session, name: str) -> Removed:
    """Remove a spectrogram group and its spectrograms; segments stay. The caller commits."""
    group_id = require_named(session, SpecGroup, "spectrogram group", name)
    removed = Removed()
    _delete(session, removed, SpecValue, SpecValue.specgroup_id == group_id)
    _delete(session, removed, SpecGroup, SpecGroup.id == group_id)
    return removed


def delete_soundtype(session: Session, name: str) -> Removed:
    """Remove a sound type; links that named it stay without one. The caller commits."""
    soundtype_id = require_named(session, SoundType, "sound type", name)
    removed = Removed()
    session.execute(
        update(SegmentClass).where(SegmentClass.soundtype_id == soundtype_id).values(soundtype_id=None),
        execution_options={"synchronize_session": False},
    )
    _delete(session, removed, SoundType, SoundType.id == soundtype_id)
    return removed


def delete_recordings(session: Session, recording_ids: Iterable[int]) -> Removed:
    """Remove recordings with their segments, links and spectrograms; the caller commits."""
    removed = Removed()
    for chunk in _chunks(recording_ids):
        segments = select(Segment.id).where(Segment.recording_id.in_(chunk))
        _delete(session, removed, SpecValue, SpecValue.segment_id.in_(segments))
        _delete(session, removed, SegmentClass, SegmentClass.segment_id.in_(segments))
        _delete(session, removed, Segment, Segment.recording_id.in_(chunk))
        _delete(session, removed, RecordingInfo, RecordingInfo.recording_id.in_(chunk))
        _delete(session, removed, Recording, Recording.id.in_(chunk))
    return removed


def delete_segments(session: Session, segment_ids: Iterable[int]) -> Removed:
    """Remove segments with their links and spectrograms, and recordings left without any.

    The caller commits.
    """
    removed = Removed()
    for chunk in _chunks(segment_ids):
        recordings = session.scalars(
            select(Segment.recording_id).where(Segment.id.in_(chunk), Segment.recording_id.is_not(None)).distinct()
        ).all()
        _delete(session, removed, SpecValue, SpecValue.segment_id.in_(chunk))
        _delete(session, removed, SegmentClass, SegmentClass.segment_id.in_(chunk))
        _delete(session, removed, Segment, Segment.id.in_(chunk))
        empty = session.scalars(
            select(Recording.id).where(
                Recording.id.in_(recordings), ~select(Segment.id).where(Segment.recording_id == Recording.id).exists()
            )
        ).all()
        removed += delete_recordings(session, empty)
    return removed


def unlink_segments(session: Session, segment_ids: Iterable[int], class_id: int) -> Removed:
    """Take a class from segments; those of which nothing else is known are removed. The caller commits."""
    removed = Removed()
    for chunk in _chunks(segment_ids):
        _delete(session, removed, SegmentClass, SegmentClass.class_id == class_id, SegmentClass.segment_id.in_(chunk))
        bare = session.scalars(
            select(Segment.id).where(
                Segment.id.in_(chunk), ~select(SegmentClass.id).where(SegmentClass.segment_id == Segment.id).exists()
            )
        ).all()
        judged = _judged(session, bare)
        removed += delete_segments(session, [key for key in bare if key not in judged])
    return removed


def _delete_classes(session: Session, condition: ColumnElement[bool]) -> Removed:
    """Remove the classes that ``condition`` names, as `delete_class` does."""
    doomed = select(Class.id).where(condition)
    removed = Removed()
    linked = select(Segment.recording_id).join(SegmentClass, SegmentClass.segment_id == Segment.id)
    touched = session.scalars(
        linked.where(SegmentClass.class_id.in_(doomed), Segment.recording_id.is_not(None)).distinct()
    ).all()
    for chunk in _chunks(touched):
        shared = set(
            session.scalars(
                linked.where(Segment.recording_id.in_(chunk), SegmentClass.class_id.not_in(doomed)).distinct()
            )
        )
        if session.info["has_absences"]:
            judged = select(Segment.recording_id).join(SegmentAbsence, SegmentAbsence.segment_id == Segment.id)
            shared |= set(
                session.scalars(
                    judged.where(Segment.recording_id.in_(chunk), SegmentAbsence.class_id.not_in(doomed)).distinct()
                )
            )
        removed += delete_recordings(session, [key for key in chunk if key not in shared])
        if shared:
            removed += _take_classes(session, sorted(key for key in shared if key is not None), doomed)
    _delete(session, removed, SegmentClass, SegmentClass.class_id.in_(doomed))
    if session.info["has_absences"]:
        _delete(session, removed, SegmentAbsence, SegmentAbsence.class_id.in_(doomed))
    _delete(session, removed, Class, condition)
    removed.update(delete_segments(session, unknown_segments(session)))
    return removed


def _take_classes(session: Session, recordings: Sequence[int], doomed: Any) -> Removed:
    """Take classes from recordings that have others too, with the segments that had no other."""
    removed = Removed()
    segments = session.scalars(
        select(SegmentClass.segment_id)
        .join(Segment, Segment.id == SegmentClass.segment_id)
        .where(Segment.recording_id.in_(recordings), SegmentClass.class_id.in_(doomed))
        .distinct()
    ).all()
    for chunk in _chunks(key for key in segments if key is not None):
        staying = set(
            session.scalars(
                select(SegmentClass.segment_id).where(
                    SegmentClass.segment_id.in_(chunk), SegmentClass.class_id.not_in(doomed)
                )
            )
        )
        staying |= _judged(session, chunk, doomed)
        _delete(session, removed, SegmentClass, SegmentClass.segment_id.in_(chunk), SegmentClass.class_id.in_(doomed))
        removed += delete_segments(session, [key for key in chunk if key not in staying])
    return removed


def _judged(session: Session, segments: Sequence[int], doomed: Any = None) -> set[int]:
    """Return the segments in which a class, other than the doomed ones, is known not to be heard."""
    if not session.info["has_absences"]:
        return set()
    query = select(SegmentAbsence.segment_id).where(
        SegmentAbsence.segment_id.in_(segments), SegmentAbsence.class_id.is_not(None)
    )
    if doomed is not None:
        query = query.where(SegmentAbsence.class_id.not_in(doomed))
    return set(session.scalars(query))


def _delete(session: Session, removed: Removed, table: type[Base], *conditions: ColumnElement[bool]) -> None:
    # Without looking for objects in memory that the rows may belong to: there are none, and it costs a query.
    done = session.execute(delete(table).where(*conditions), execution_options={"synchronize_session": False})
    removed[table.__tablename__] += done.rowcount  # type: ignore[attr-defined]


def _chunks(keys: Iterable[int | None]) -> Iterator[list[int]]:
    held: list[int] = []
    for key in keys:
        if key is not None:
            held.append(key)
        if len(held) == _CHUNK:
            yield held
            held = []
    if held:
        yield held

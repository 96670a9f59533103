"""Sources, recordings and what is known about them."""

from __future__ import annotations

import unicodedata
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import ColumnElement, insert, select, update
from sqlalchemy.orm import Session

from britekit.database.schema import Recording, RecordingInfo, Segment, SegmentClass, Source


@dataclass(frozen=True)
class Facts:
    """What is known about a recording beyond its file; None or empty where nothing is."""

    group_name: str | None = None
    licence: str | None = None
    author: str | None = None
    url: str | None = None
    time: str | None = None
    latitude: float | None = None
    longitude: float | None = None


def get_or_add_source(session: Session, name: str) -> int:
    """Return the ID of a source, adding it if it is new."""
    found = session.scalar(select(Source.id).where(Source.name == name))
    if found is not None:
        return found
    date = session.info["inserted_date"]
    return session.scalars(insert(Source).values(name=name, inserted_date=date).returning(Source.id)).one()


def find_recording(session: Session, source_id: int, filename: str) -> Recording | None:
    """Return the recording of that source and file name, or None."""
    query = select(Recording).where(Recording.filename == filename, Recording.source_id == source_id)
    return session.scalars(query.order_by(Recording.id).limit(1)).first()


def named_recordings(session: Session, name: str, source: str = "") -> list[int]:
    """Return the IDs of the recordings of a file name or stem, of one source or of any.

    Where none has the name as it is written, accents may be composed otherwise.
    """
    return next(filter(None, (_named_exactly(session, form, source) for form in forms_of(name))), [])


def forms_of(name: str) -> list[str]:
    """Return a name as it is written, and with its accents composed and decomposed; each once."""
    return list(dict.fromkeys([name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD"))]))


def _named_exactly(session: Session, name: str, source: str) -> list[int]:
    begins: ColumnElement[bool]
    if session.get_bind().dialect.name == "sqlite":
        # Between "stem." and "stem/" lie the names that begin with "stem.": a range that the index answers.
        begins = Recording.filename.between(f"{name}.", f"{name}/")
    else:
        begins = Recording.filename.startswith(f"{name}.", autoescape=True)  # servers have orders of their own
    query = select(Recording.id, Recording.filename).where((Recording.filename == name) | begins).order_by(Recording.id)
    if source:
        query = query.join(Source, Source.id == Recording.source_id).where(Source.name == source)
    found = session.execute(query)
    return [key for key, filename in found if name in (filename, Path(filename).stem)]


def add_recording(
    session: Session,
    source_id: int,
    filename: str,
    path: str,
    seconds: float | None,
    facts: Facts | None = None,
) -> int:
    """Add a recording and what is known about it, and return its ID."""
    row = {
        "source_id": source_id,
        "filename": filename,
        "path": path,
        "seconds": seconds,
        "inserted_date": session.info["inserted_date"],
    }
    recording_id = session.scalars(insert(Recording).values(row).returning(Recording.id)).one()
    known = {key: value for key, value in asdict(facts or Facts()).items() if value not in (None, "")}
    if known:
        session.execute(insert(RecordingInfo).values(recording_id=recording_id, **known))
    return recording_id


def filenames_of_class(session: Session, class_id: int) -> set[tuple[str, str]]:
    """Return (source, file name) of every recording that has a segment of the class."""
    query = (
        select(Source.name, Recording.filename)
        .join(Source, Source.id == Recording.source_id)
        .join(Segment, Segment.recording_id == Recording.id)
        .join(SegmentClass, SegmentClass.segment_id == Segment.id)
        .where(SegmentClass.class_id == class_id)
        .distinct()
    )
    return {(source, filename) for source, filename in session.execute(query)}


def group_ids(session: Session) -> dict[int, int]:
    """Return the group of each recording that shares one: the lowest recording ID of its group.

    A recording that is not in the result is a group by itself, of its own ID; the two cannot collide.
    """
    if not session.info["has_recording_info"]:
        return {}
    query = (
        select(RecordingInfo.recording_id, RecordingInfo.group_name)
        .where(RecordingInfo.group_name.is_not(None), RecordingInfo.group_name != "")
        .order_by(RecordingInfo.recording_id)
    )
    first: dict[str, int] = {}
    return {recording: first.setdefault(name or "", recording) for recording, name in session.execute(query)}


def set_seconds(session: Session, recording_id: int, seconds: float) -> None:
    """Store the length of a recording, which is known only when it has been decoded."""
    session.execute(update(Recording).where(Recording.id == recording_id).values(seconds=round(seconds, 6)))

"""Sources, recordings and what is known about them."""

from __future__ import annotations

import unicodedata
from dataclasses import asdict, dataclass

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from britekit.annotations.names import NamedFiles
from britekit.audio.files import composed
from britekit.database.named import get_or_add_named
from britekit.database.schema import Recording, RecordingInfo, Segment, SegmentClass, Source


@dataclass(frozen=True)
class Facts:
    """Facts about a recording beyond its file; None or empty where nothing is."""

    group_name: str | None = None
    licence: str | None = None
    author: str | None = None
    url: str | None = None
    time: str | None = None
    latitude: float | None = None
    longitude: float | None = None


def get_or_add_source(session: Session, name: str) -> int:
    """Return the ID of a source, adding it if it is new."""
    return get_or_add_named(session, Source, name)


def find_recording(session: Session, source_id: int, filename: str) -> Recording | None:
    """Return the recording of that source and file name, or None; its accents may be composed otherwise."""
    query = select(Recording).where(Recording.filename.in_(forms_of(filename)), Recording.source_id == source_id)
    return session.scalars(query.order_by(Recording.filename != filename, Recording.id).limit(1)).first()


class NamedRecordings:
    """Finds the recordings of a database that people name, with or without extension (`NamedFiles`).

    Parameters
    ----------
    session
        Of an open database. All names of it are read once, at the first question.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._by_source: dict[str, NamedFiles[int]] = {}

    def find(self, name: str, source: str = "") -> list[int]:
        """Return the IDs of the recordings that a name means, of one source or of any."""
        if source not in self._by_source:
            query = select(Recording.filename, Recording.id).order_by(Recording.id)
            if source:
                query = query.join(Source, Source.id == Recording.source_id).where(Source.name == source)
            self._by_source[source] = NamedFiles((name, key) for name, key in self._session.execute(query))
        return self._by_source[source].find(name)


def forms_of(name: str) -> list[str]:
    """Return a name as it is written, and with its accents composed and decomposed; each once."""
    return list(dict.fromkeys([name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD"))]))


def add_recording(
    session: Session, source_id: int, filename: str, path: str, seconds: float | None, facts: Facts | None = None
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
    """Return (source, file name with accents composed) of every recording that has a segment of the class."""
    query = (
        select(Source.name, Recording.filename)
        .join(Source, Source.id == Recording.source_id)
        .join(Segment, Segment.recording_id == Recording.id)
        .join(SegmentClass, SegmentClass.segment_id == Segment.id)
        .where(SegmentClass.class_id == class_id)
        .distinct()
    )
    return {(source, composed(filename)) for source, filename in session.execute(query)}


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

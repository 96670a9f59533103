"""Finding the segments of one class that people name by recording and offset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from britekit.audio.files import composed
from britekit.database.classes import require_class
from britekit.database.recordings import named_recordings
from britekit.database.schema import Recording, Segment, SegmentClass, Source


@dataclass(frozen=True)
class FoundSegment:
    """A segment, and what tells its recording from others."""

    segment_id: int
    recording_id: int
    filename: str
    source: str
    offset: float


class ClassSegments:
    """The segments of a class, by recording.

    Parameters
    ----------
    session
        Of an open database.
    class_name
        A class that exists; raises `DatabaseError` with a suggestion otherwise.
    """

    def __init__(self, session: Session, class_name: str) -> None:
        self._session = session
        self.class_id = require_class(session, class_name).id
        query = (
            select(Segment.id, Recording.id, Recording.filename, Source.name, Segment.offset)
            .join(SegmentClass, SegmentClass.segment_id == Segment.id)
            .join(Recording, Recording.id == Segment.recording_id)
            .outerjoin(Source, Source.id == Recording.source_id)
            .where(SegmentClass.class_id == self.class_id)
            .order_by(Segment.id)
        )
        self._by_name: dict[str, list[FoundSegment]] = {}
        for segment_id, recording_id, filename, source, offset in session.execute(query):
            found = FoundSegment(segment_id, recording_id, filename, source or "", offset)
            filename = composed(filename)
            for name in {filename, Path(filename).stem}:
                self._by_name.setdefault(name, []).append(found)
        self._elsewhere: dict[str, bool] = {}

    def knows(self, name: str) -> bool:
        """Tell whether the database has a recording of that stem or file name, of whatever class."""
        if composed(name) in self._by_name:
            return True
        if name not in self._elsewhere:
            self._elsewhere[name] = bool(named_recordings(self._session, name))
        return self._elsewhere[name]

    def find(self, name: str, offset: float, tolerance: float) -> list[FoundSegment]:
        """Return the segment of each recording of that name that is nearest to ``offset`` seconds.

        None that is further away than ``tolerance``; more than one if the name fits several recordings.
        """
        nearest: dict[int, FoundSegment] = {}
        for segment in self._by_name.get(composed(name), ()):
            other = nearest.get(segment.recording_id)
            if other is None or abs(segment.offset - offset) < abs(other.offset - offset):
                nearest[segment.recording_id] = segment
        # A thousandth of a millisecond more, since 1.06 - 1.0 is not 0.06.
        return [found for found in nearest.values() if abs(found.offset - offset) <= tolerance + 1e-6]

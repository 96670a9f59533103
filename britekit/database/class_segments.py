"""Finding the segments of one class that people name by recording and offset."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from britekit.database.classes import require_class
from britekit.database.recordings import NamedRecordings
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
    class_name
        A class that exists; raises `DatabaseError` with a suggestion otherwise.
    """

    def __init__(self, session: Session, class_name: str) -> None:
        self.class_id = require_class(session, class_name).id
        self._names = NamedRecordings(session)
        query = (
            select(Segment.id, Recording.id, Recording.filename, Source.name, Segment.offset)
            .join(SegmentClass, SegmentClass.segment_id == Segment.id)
            .join(Recording, Recording.id == Segment.recording_id)
            .outerjoin(Source, Source.id == Recording.source_id)
            .where(SegmentClass.class_id == self.class_id)
            .order_by(Segment.id)
        )
        self._by_recording: dict[int, list[FoundSegment]] = {}
        for segment_id, recording_id, filename, source, offset in session.execute(query):
            found = FoundSegment(segment_id, recording_id, filename, source or "", offset)
            self._by_recording.setdefault(recording_id, []).append(found)

    def knows(self, name: str) -> bool:
        """Return whether the database has a recording of that stem or file name, of whatever class."""
        return bool(self._names.find(name))

    def find(self, name: str, offset: float, tolerance: float) -> list[FoundSegment]:
        """Return the segment of each recording of that name that is nearest to ``offset`` seconds.

        None that is further away than ``tolerance``; more than one if the name fits several recordings.
        """
        found = []
        for recording in self._names.find(name):
            segments = self._by_recording.get(recording, ())
            nearest = min(segments, key=lambda segment: abs(segment.offset - offset), default=None)
            # A thousandth of a millisecond more, since 1.06 - 1.0 is not 0.06.
            if nearest is not None and abs(nearest.offset - offset) <= tolerance + 1e-6:
                found.append(nearest)
        return found

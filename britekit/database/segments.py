"""Segments and their links to classes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import cast

from sqlalchemy import Table, bindparam, insert, select
from sqlalchemy.orm import Session

from britekit.database.schema import Segment, SegmentClass

# Made once, and without the mapped classes, which took two thirds of the time of an insertion.
_SEGMENT = cast(Table, Segment.__table__)
_ADD_SEGMENT = insert(_SEGMENT)
_ADD_LINK = insert(cast(Table, SegmentClass.__table__))
_FIND_SEGMENTS = select(_SEGMENT.c.Offset, _SEGMENT.c.ID).where(
    _SEGMENT.c.RecordingID == bindparam("recording"), _SEGMENT.c.Offset.between(bindparam("low"), bindparam("high"))
)


def add_segments(session: Session, recording_id: int, offsets: Sequence[float]) -> list[int]:
    """Add segments of a recording and return their IDs in the order of ``offsets`` (seconds)."""
    if not offsets:
        return []
    date = session.info["inserted_date"]
    rows = [{"RecordingID": recording_id, "Offset": offset, "InsertedDate": date} for offset in offsets]
    connection = session.connection()
    connection.execute(_ADD_SEGMENT, rows)
    # RETURNING makes SQLite take the rows one by one; asking afterwards took 0.7 of the time.
    place = {"recording": recording_id, "low": min(offsets), "high": max(offsets)}
    ids = {offset: segment_id for offset, segment_id in connection.execute(_FIND_SEGMENTS, place)}  # noqa: C416
    return [ids[offset] for offset in offsets]


def add_links(session: Session, links: Iterable[tuple[int, int]]) -> None:
    """Link segments to classes, given as pairs of IDs."""
    rows = [{"SegmentID": segment_id, "ClassID": class_id} for segment_id, class_id in links]
    if rows:
        session.connection().execute(_ADD_LINK, rows)


def segments_of(session: Session, recording_id: int) -> dict[float, int]:
    """Return the segments of a recording: offset in seconds → ID, ascending."""
    query = select(Segment.offset, Segment.id).where(Segment.recording_id == recording_id).order_by(Segment.offset)
    return {offset: segment_id for offset, segment_id in session.execute(query)}  # noqa: C416


def classes_of(session: Session, recording_id: int) -> dict[int, set[int]]:
    """Return the classes of each segment of a recording: segment ID → class IDs."""
    query = (
        select(SegmentClass.segment_id, SegmentClass.class_id)
        .join(Segment, Segment.id == SegmentClass.segment_id)
        .where(Segment.recording_id == recording_id)
    )
    found: dict[int, set[int]] = {}
    for segment_id, class_id in session.execute(query):
        if segment_id is not None and class_id is not None:
            found.setdefault(segment_id, set()).add(class_id)
    return found


def nearest(offset: float, ascending: Sequence[float], tolerance: float) -> float | None:
    """Return the stored offset closest to ``offset``, if it is less than ``tolerance`` seconds away."""
    if not ascending:
        return None
    above = bisect_left(ascending, offset)
    closest = min(ascending[max(0, above - 1) : above + 1], key=lambda stored: abs(stored - offset))
    return closest if abs(closest - offset) < tolerance else None

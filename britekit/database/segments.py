"""Segments and their links to classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from britekit.database.schema import Segment, SegmentClass


def add_segments(session: Session, recording_id: int, offsets: Sequence[float]) -> list[int]:
    """Add segments of a recording and return their IDs in the order of ``offsets`` (seconds)."""
    if not offsets:
        return []
    date = session.info["inserted_date"]
    rows = [{"recording_id": recording_id, "offset": offset, "inserted_date": date} for offset in offsets]
    session.execute(insert(Segment), rows)
    # RETURNING makes SQLite take the rows one by one; asking afterwards took 0.7 of the time.
    query = select(Segment.offset, Segment.id).where(
        Segment.recording_id == recording_id, Segment.offset.between(min(offsets), max(offsets))
    )
    ids = {offset: segment_id for offset, segment_id in session.execute(query)}  # noqa: C416
    return [ids[offset] for offset in offsets]


def add_links(session: Session, links: Iterable[tuple[int, int]]) -> None:
    """Link segments to classes, given as pairs of IDs."""
    rows = [{"segment_id": segment_id, "class_id": class_id} for segment_id, class_id in links]
    if rows:
        session.execute(insert(SegmentClass), rows)


def segments_of(session: Session, recording_id: int) -> dict[float, int]:
    """Return the segments of a recording: offset in seconds → ID, ascending."""
    query = (
        select(Segment.offset, Segment.id)
        .where(Segment.recording_id == recording_id)
        .order_by(Segment.offset)
    )
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


def nearest(offset: float, segments: Mapping[float, int], tolerance: float) -> float | None:
    """Return the stored offset closest to ``offset``, if it is less than ``tolerance`` seconds away."""
    if not segments:
        return None
    closest = min(segments, key=lambda stored: (abs(stored - offset), stored))
    return closest if abs(closest - offset) < tolerance else None

"""Segments of which only some classes were judged: what is known not to be heard in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Select, delete, insert, select
from sqlalchemy.orm import Session

from britekit.database.preparation import create_table
from britekit.database.schema import SegmentAbsence, SegmentClass


def add_absences(session: Session, absent: Mapping[int, Iterable[int]]) -> None:
    """State which classes are not heard in segments, by IDs; of all other classes of these nothing is known."""
    if not absent:
        return
    if not session.info["has_absences"]:
        create_table(session, SegmentAbsence)
        session.info["has_absences"] = True
    rows = [
        {"segment_id": segment, "class_id": class_id}
        for segment, classes in absent.items()
        for class_id in (None, *classes)
    ]
    session.execute(insert(SegmentAbsence), rows)


def absences(session: Session, segments: Select[tuple[int]] | Iterable[int] | None = None) -> dict[int, set[int]]:
    """Return the classes known to be absent, by segment; only of segments of which part is known."""
    found: dict[int, set[int]] = {}
    if not session.info["has_absences"]:
        return found
    query = select(SegmentAbsence.segment_id, SegmentAbsence.class_id)
    if segments is not None:
        query = query.where(SegmentAbsence.segment_id.in_(segments))
    for segment, class_id in session.execute(query):
        known = found.setdefault(segment, set())
        if class_id is not None:
            known.add(class_id)
    return found


def unknown_segments(session: Session) -> list[int]:
    """Return the segments of which, by now, nothing is known: neither a class that is heard nor one that is not."""
    if not session.info["has_absences"]:
        return []
    known = select(SegmentAbsence.segment_id).where(SegmentAbsence.class_id.is_not(None))
    heard = select(SegmentClass.segment_id).where(SegmentClass.segment_id.is_not(None))
    query = select(SegmentAbsence.segment_id).where(
        SegmentAbsence.segment_id.not_in(known), SegmentAbsence.segment_id.not_in(heard)
    )
    return list(session.scalars(query.distinct()))


def withdraw_absences(session: Session, segments: Sequence[int], class_id: int) -> None:
    """Forget that a class is not heard in segments."""
    if session.info["has_absences"]:
        session.execute(
            delete(SegmentAbsence).where(SegmentAbsence.segment_id.in_(segments), SegmentAbsence.class_id == class_id),
            execution_options={"synchronize_session": False},
        )

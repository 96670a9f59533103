"""Applying one decision to a database that exists; done twice, it does nothing more."""

from __future__ import annotations

import logging
from collections.abc import Callable

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from britekit.database import deletion
from britekit.database.absences import withdraw_absences
from britekit.database.classes import add_class, find_class, get_or_add_category
from britekit.database.recordings import NamedRecordings, get_or_add_source
from britekit.database.schema import DEFAULT_NAME, Category, Class, Segment, SegmentClass, SoundType, Source, SpecGroup
from britekit.database.segments import add_links
from britekit.datasets.curation_rows import EVERY_CLASS, Decision

log = logging.getLogger(__name__)

# What removes a thing by name, and the table that says whether it is there.
_REMOVALS: dict[str, tuple[type, Callable[[Session, str], object]]] = {
    "del-cat": (Category, deletion.delete_category),
    "del-class": (Class, deletion.delete_class),
    "del-src": (Source, deletion.delete_source),
    "del-stype": (SoundType, deletion.delete_soundtype),
    "del-sgroup": (SpecGroup, deletion.delete_group),
}


def redo(session: Session, decision: Decision, names: NamedRecordings) -> bool:
    """Apply a decision where it is not applied yet; return whether anything changed. The caller commits."""
    name = decision.name or decision.class_name
    if decision.is_about_segments:
        return _redo_segments(session, decision, names)
    if decision.action in _REMOVALS:
        table, remove = _REMOVALS[decision.action]
        is_there = _has(session, table, name)
        if is_there:
            remove(session, name)
        return is_there
    table = {"add-class": Class, "add-cat": Category, "add-src": Source, "add-stype": SoundType}[decision.action]
    if _has(session, table, name):
        return False
    if table is Class:
        details = decision.details
        category = get_or_add_category(session, details.get("category", DEFAULT_NAME))
        labels = [details.get(key, "") for key in ("alt_name", "alt_code")]
        add_class(session, name, details.get("code", ""), category, *labels)
    elif table is Category:
        get_or_add_category(session, name)
    elif table is Source:
        get_or_add_source(session, name)
    else:
        session.execute(insert(SoundType).values(name=name, inserted_date=session.info["inserted_date"]))
    return True


def _redo_segments(session: Session, decision: Decision, names: NamedRecordings) -> bool:
    recordings = names.find(decision.recording, decision.details.get("source", ""))
    if decision.action == "keep":
        # Whatever it brought back has to be computed, which is the rebuild's work.
        log.warning("%s is not in %s yet; dvc repro adds it", decision, session.info["where"])
        return False
    segments = select(Segment.id).where(Segment.recording_id.in_(recordings))
    if decision.offset is not None:
        # The command that wrote the row knew the segment, so its offset is exact.
        segments = segments.where(Segment.offset.between(decision.offset - 1e-6, decision.offset + 1e-6))
    if decision.class_name == EVERY_CLASS:
        return bool(deletion.delete_segments(session, session.scalars(segments).all()))
    old = find_class(session, decision.class_name)
    if old is None:
        return False
    linked = session.scalars(
        segments.join(SegmentClass, SegmentClass.segment_id == Segment.id).where(SegmentClass.class_id == old.id)
    ).all()
    if decision.action == "move":
        new = find_class(session, decision.new_class)
        if new is None:
            return False
        carrying = set(session.scalars(select(SegmentClass.segment_id).where(SegmentClass.class_id == new.id)))
        add_links(session, [(segment, new.id) for segment in linked if segment not in carrying])
        withdraw_absences(session, linked, new.id)
    deletion.unlink_segments(session, linked, old.id)
    return bool(linked)


def _has(session: Session, table: type, name: str) -> bool:
    return session.scalar(select(table.id).where(table.name == name)) is not None  # type: ignore[attr-defined]

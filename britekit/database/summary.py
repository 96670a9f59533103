"""Count the content of a database by class, recording, source, licence and spectrogram group.

Every table is read once, and what comes back is no larger than what is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from britekit.database.absences import absences
from britekit.database.schema import (
    Category,
    Class,
    Recording,
    RecordingInfo,
    Segment,
    SegmentClass,
    Source,
    SpecGroup,
    SpecValue,
)
from britekit.database.spectrograms import group_settings

_FETCH = 10_000


@dataclass(frozen=True)
class RecordingFacts:
    """One recording; its source and licence may be unknown (empty), its length in seconds too (0)."""

    filename: str
    source: str
    seconds: float
    licence: str = ""
    group: str = ""


@dataclass
class ClassSummary:
    """One class."""

    class_id: int
    name: str
    code: str
    category: str
    segments_of: dict[int, int] = field(default_factory=dict)
    """Segments of the class by recording ID."""

    @property
    def segments(self) -> int:
        """Number of segments."""
        return sum(self.segments_of.values())


@dataclass(frozen=True)
class GroupSummary:
    """One spectrogram group and the audio settings it was made with, empty if they are not known."""

    group_id: int
    name: str
    spectrograms: int
    settings: dict[str, Any]


@dataclass
class Tally:
    """Recordings, segments and seconds of recordings that share a source or a licence."""

    name: str
    recordings: int = 0
    segments: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class DatabaseSummary:
    """A whole database."""

    where: str
    classes: list[ClassSummary]
    """By name."""
    recordings: dict[int, RecordingFacts]
    """By ID."""
    segments: int
    unclassed: int
    """Numbers of segments, and of those without any class."""
    segments_of: dict[int, int]
    """Segments by recording ID; recordings without any are absent."""
    groups: list[GroupSummary]
    """By name."""

    def details(self) -> Iterator[tuple[ClassSummary, str, int]]:
        """Yield class, file name and segments of each recording of each class, by class and file name."""
        for row in self.classes:
            named = [(self.recordings[key].filename, key, count) for key, count in row.segments_of.items()]
            for filename, _key, count in sorted(named):
                yield row, filename, count

    def tallies(self, attribute: str) -> list[Tally]:
        """Return recordings counted by ``source`` or ``licence``, the largest first."""
        found: dict[str, Tally] = {}
        for key, recording in self.recordings.items():
            name = getattr(recording, attribute)
            tally = found.setdefault(name, Tally(name))
            tally.recordings += 1
            tally.segments += self.segments_of.get(key, 0)
            tally.seconds += recording.seconds
        return sorted(found.values(), key=lambda tally: (-tally.recordings, tally.name))


def summarize(session: Session) -> DatabaseSummary:
    """Count what a database holds; ``session`` is only read."""
    classes = {
        class_id: ClassSummary(class_id, name, code or "", category or "")
        for class_id, name, code, category in session.execute(
            select(Class.id, Class.name, Class.code, Category.name).outerjoin(
                Category, Category.id == Class.category_id
            )
        )
    }
    linked = (
        select(SegmentClass.class_id, Segment.recording_id, func.count())
        .join(Segment, Segment.id == SegmentClass.segment_id)
        .group_by(SegmentClass.class_id, Segment.recording_id)
        .execution_options(yield_per=_FETCH)
    )
    recordings = _recordings(session)
    for class_id, recording_id, count in session.execute(linked):
        if class_id in classes and recording_id in recordings:
            classes[class_id].segments_of[recording_id] = count
    counts = select(Segment.recording_id, func.count()).group_by(Segment.recording_id)
    counted = session.execute(counts.execution_options(yield_per=_FETCH))
    segments_of = {recording_id: count for recording_id, count in counted if recording_id is not None}
    segments = sum(segments_of.values())
    classed = session.scalar(select(func.count(SegmentClass.segment_id.distinct()))) or 0
    if partly := absences(session):  # a segment in which classes were only rejected is not forgotten
        heard = set(session.scalars(select(SegmentClass.segment_id).where(SegmentClass.segment_id.in_(list(partly)))))
        classed += len(partly.keys() - heard)
    return DatabaseSummary(
        where=session.info["where"],
        # Sorted here and not by the database: servers have orders of their own.
        classes=sorted(classes.values(), key=lambda row: row.name),
        recordings=recordings,
        segments=segments,
        unclassed=max(0, segments - classed),
        segments_of=segments_of,
        groups=_groups(session),
    )


def _recordings(session: Session) -> dict[int, RecordingFacts]:
    columns: list[Any] = [Recording.id, Recording.filename, Source.name, Recording.seconds]
    query = select(*columns).outerjoin(Source, Source.id == Recording.source_id)
    if session.info["has_recording_info"]:
        query = query.add_columns(RecordingInfo.licence, RecordingInfo.group_name).outerjoin(
            RecordingInfo, RecordingInfo.recording_id == Recording.id
        )
    found = {}
    for key, filename, source, seconds, *more in session.execute(query.execution_options(yield_per=_FETCH)):
        licence, group = more or ("", "")
        found[key] = RecordingFacts(filename, source or "", float(seconds or 0.0), licence or "", group or "")
    return found


def _groups(session: Session) -> list[GroupSummary]:
    counts = dict(
        session.execute(select(SpecValue.specgroup_id, func.count()).group_by(SpecValue.specgroup_id)).tuples().all()
    )
    rows = session.execute(select(SpecGroup.id, SpecGroup.name)).all()
    groups = [GroupSummary(key, name, counts.get(key, 0), group_settings(session, key)) for key, name in rows]
    return sorted(groups, key=lambda group: group.name)

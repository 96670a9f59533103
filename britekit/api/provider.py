"""`TrainingDataProvider`: get-or-insert by name, and summaries of a training database."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from britekit.api.database import TrainingDatabase
from britekit.database.classes import get_or_add_category, get_or_add_class
from britekit.database.recordings import add_recording, find_recording, get_or_add_source
from britekit.database.schema import Category, Class, Recording, Segment, SegmentClass, SpecGroup, SpecValue
from britekit.database.spectrograms import get_or_add_group
from britekit.datasets.recordings_csv import source_from_name
from britekit.errors import DatabaseError

if TYPE_CHECKING:
    import pandas


class TrainingDataProvider:
    """Finds rows by name, adding what is missing, and sums the database up.

    Parameters
    ----------
    db
        The database.
    source_patterns
        Pairs of pattern and source (`misc.source_regexes`); default: those of the process-wide configuration.
    """

    def __init__(self, db: TrainingDatabase, source_patterns: Sequence[Sequence[str]] | None = None) -> None:
        if source_patterns is None:
            from britekit.config import get_config

            source_patterns = get_config().misc.source_regexes
        self._db = db
        self._patterns = source_patterns

    def category_id(self, name: str = "default") -> int:
        """Return the ID of a category."""
        with self._db.transaction() as session:
            return get_or_add_category(session, name)

    def class_id(self, name: str, code: str = "", category_id: int | None = None) -> int:
        """Return the ID of a class; code and category count only for a new one."""
        if found := self._db.get_class({"Name": name}):
            if code and found[0].code and code != found[0].code:
                warnings.warn(f'class "{name}" has the code "{found[0].code}", not "{code}"', stacklevel=2)
            return int(found[0].id)
        with self._db.transaction() as session:
            category: str | None = "default"
            if category_id is not None:
                category = session.scalar(select(Category.name).where(Category.id == category_id))
                if category is None:
                    raise DatabaseError(f"{session.info['where']} has no category with ID {category_id}")
            return get_or_add_class(session, name, code or "", category or "default")

    def source_id(self, filename: str, source_name: str | None = None) -> int:
        """Return the ID of a source: the one named, else the one that a recording's file name tells."""
        with self._db.transaction() as session:
            return get_or_add_source(session, source_name or source_from_name(Path(filename).stem, self._patterns))

    def specgroup_id(self, name: str = "default") -> int:
        """Return the ID of a spectrogram group."""
        with self._db.transaction() as session:
            return get_or_add_group(session, name)

    def recording_id(self, class_name: str, filename: str, path: str, source_id: int, seconds: float) -> int:
        """Return the ID of the recording of that source and file name.

        ``class_name`` is not needed to tell recordings apart and only kept for older scripts: recordings of
        several classes are one.
        """
        with self._db.transaction() as session:
            found = find_recording(session, source_id, filename)
            return found.id if found else add_recording(session, source_id, filename, path, seconds)

    def class_info(self) -> tuple[pandas.DataFrame, pandas.DataFrame]:
        """Return ``name, code, recordings, segments`` of each class, and the same per recording of each.

        Columns of the second are ``name, code, recording, segments``. Both are sorted by name.
        """
        import pandas

        query = (
            select(Class.name, Class.code, Recording.id, Recording.filename, func.count(Segment.id))
            .select_from(Class)
            .outerjoin(SegmentClass, SegmentClass.class_id == Class.id)
            .outerjoin(Segment, Segment.id == SegmentClass.segment_id)
            .outerjoin(Recording, Recording.id == Segment.recording_id)
            .group_by(Class.name, Class.code, Recording.id, Recording.filename)
        )
        with self._db.transaction() as session:
            rows: list[Any] = [tuple(row) for row in session.execute(query)]
        # Sorted here and not by the database: servers have orders of their own.
        rows.sort(key=lambda row: (row[0], row[3] or "", row[2] or 0))
        summary: dict[str, dict[str, Any]] = {}
        details = []
        for name, code, recording, filename, segments in rows:
            about = {"name": name, "code": code or ""}
            total = summary.setdefault(name, {**about, "recordings": 0, "segments": 0})
            if recording is not None:
                total["recordings"] += 1
                total["segments"] += segments
                details.append({**about, "recording": filename, "segments": segments})
        columns = ["name", "code"]
        return (
            pandas.DataFrame(list(summary.values()), columns=[*columns, "recordings", "segments"]),
            pandas.DataFrame(details, columns=[*columns, "recording", "segments"]),
        )

    def spec_group_info(self) -> pandas.DataFrame:
        """Return ``name, spectrograms`` of each spectrogram group, sorted by name."""
        import pandas

        query = (
            select(SpecGroup.name, func.count(SpecValue.id))
            .outerjoin(SpecValue, SpecValue.specgroup_id == SpecGroup.id)
            .group_by(SpecGroup.name)
        )
        with self._db.transaction() as session:
            found = sorted(tuple(row) for row in session.execute(query))
        return pandas.DataFrame(found, columns=["name", "spectrograms"])

    def segment_class_dict(self) -> dict[int, set[str]]:
        """Return the names of each segment's classes, by segment ID; segments without any are left out."""
        query = (
            select(SegmentClass.segment_id, Class.name)
            .join(Class, Class.id == SegmentClass.class_id)
            .order_by(SegmentClass.segment_id, SegmentClass.id)
        )
        found: dict[int, set[str]] = {}
        with self._db.transaction() as session:
            for segment, name in session.execute(query.where(SegmentClass.segment_id.is_not(None))):
                found.setdefault(int(segment or 0), set()).add(name)
        return found

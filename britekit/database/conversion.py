"""Converting a database of the oldest schema, on a copy that takes its place when it is complete.

That schema had a table ``Subcategory`` in place of classes, and ``Spectrogram`` in place of segments, links and values,
with one class per recording. IDs are kept: of a subcategory for its class, of a spectrogram for its segment and value.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from britekit.database.failures import explain
from britekit.database.schema import (
    DEFAULT_NAME,
    Base,
    Category,
    Class,
    Recording,
    Segment,
    SegmentClass,
    SoundType,
    Source,
    SpecValue,
)
from britekit.errors import DatabaseError

log = logging.getLogger(__name__)

_AT_ONCE = 500
_GROUP_ID = 1


def is_old(path: Path) -> bool:
    """Return whether a file of SQLite has the schema that came before version 1."""
    try:
        with closing(_connect(path)) as old:
            tables = {name for (name,) in old.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except (sqlite3.Error, UnicodeDecodeError):
        return False  # opening the database raises with the reason
    return "Subcategory" in tables and "SchemaVersion" not in tables


def convert(path: Path, build: Callable[[], Any]) -> None:
    """Replace a database of the old schema by one of the present schema.

    Raises `DatabaseError` if a table or column that the conversion needs is missing, or two rows cannot both be kept.

    Parameters
    ----------
    path
        The file; it stays as it is until the new one is complete.
    build
        Returns a context manager that yields a session of a new, empty database and publishes it at ``path``.
    """
    log.warning("%s has the schema of an older program and is converted", path)
    try:
        with closing(_connect(path)) as old, build() as session:
            _Conversion(old, session, path).run()
    except sqlite3.Error as error:
        raise explain(str(path), error) from error


class _Conversion:
    """One conversion: ``old`` is read table by table and written to ``session``."""

    def __init__(self, old: sqlite3.Connection, session: Session, path: Path) -> None:
        self._old = old
        self._session = session
        self._path = path
        names = old.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        self._columns = {
            name: {str(row[1]) for row in old.execute(f'PRAGMA table_info("{name}")')} for (name,) in names
        }

    def run(self) -> None:
        """Convert every table, those first that others refer to."""
        for name in ("Category", "Source", "Recording", "Spectrogram"):
            if name not in self._columns:
                raise DatabaseError(
                    f"{self._path} has a schema that is not known: it has Subcategory, but no "
                    f"{name}; it was left as it is"
                )
        self._replace(Category, "Category", {"name": "Name"})
        self._replace(Source, "Source", {"name": "Name"})
        self._replace(SoundType, "SoundType", {"name": "Name", "description": "Description"}, optional=True)
        classes = {"category_id": "CategoryID", "name": "Name", "code": "Code", "alt_name": "Synonym"}
        self._copy(Class, "Subcategory", classes | {"inserted_date": "InsertedDate"}, self._named_once())
        recording = {"source_id": "SourceID", "filename": "FileName", "path": "Path", "seconds": "Seconds"}
        self._copy(Recording, "Recording", recording | {"inserted_date": "InsertedDate"})
        self._spectrograms()
        for table in (Category, Source):
            if self._session.scalar(select(table.id).where(table.name == DEFAULT_NAME)) is None:
                self._session.execute(insert(table).values(name=DEFAULT_NAME))

    def _spectrograms(self) -> None:
        """Make a segment, a value and a link of each spectrogram."""
        wanted = {
            "id": "ID",
            "recording_id": "RecordingID",
            "offset": "Offset",
            "value": "Value",
            "embedding": "Embedding",
            "audio": "Audio",
            "sampling_rate": "SamplingRate",
            "soundtype_id": "SoundTypeID",
            "inserted_date": "InsertedDate",
        }
        class_of = dict(self._old.execute("SELECT ID, SubcategoryID FROM Recording"))
        seen: dict[tuple[Any, float], int] = {}
        doubled = 0
        for rows in self._rows("Spectrogram", wanted):
            segments, values, links = [], [], []
            for row in rows:
                place = (row["recording_id"], float(row["offset"] or 0.0))
                if seen.setdefault(place, row["id"]) != row["id"]:
                    doubled += 1
                    continue
                segments.append(
                    {key: row[key] for key in ("id", "recording_id", "audio", "sampling_rate", "inserted_date")}
                    | {"offset": place[1]}
                )
                values.append(
                    {key: row[key] for key in ("id", "value", "embedding")}
                    | {"segment_id": row["id"], "specgroup_id": _GROUP_ID}
                )
                class_id = class_of.get(row["recording_id"])
                if class_id is not None:
                    links.append({"segment_id": row["id"], "class_id": class_id, "soundtype_id": row["soundtype_id"]})
            for table, found in ((Segment, segments), (SpecValue, values), (SegmentClass, links)):
                if found:
                    self._session.execute(insert(table), found)
        if doubled:
            log.warning(
                "%s: %d spectrograms had the recording and offset of another, and the first of each was kept",
                self._path,
                doubled,
            )

    def _replace(self, table: type[Base], name: str, columns: dict[str, str], optional: bool = False) -> None:
        """Put the rows of a table in place of the default ones, so that IDs are kept."""
        if optional and name not in self._columns:
            return
        if self._old.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchone():
            self._session.execute(table.__table__.delete())  # type: ignore[attr-defined]
        self._copy(table, name, columns | {"inserted_date": "InsertedDate"})

    def _copy(
        self,
        table: type[Base],
        name: str,
        columns: dict[str, str],
        check: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        for rows in self._rows(name, {"id": "ID", **columns}):
            for row in rows:
                if check is not None:
                    check(row)
            self._session.execute(insert(table), rows)

    def _rows(self, name: str, columns: dict[str, str]) -> Iterator[Sequence[dict[str, Any]]]:
        """Yield rows some at a time; a column that the table lacks gives null."""
        present = self._columns.get(name, set())
        for needed in ("ID", "Name", "FileName", "RecordingID", "Offset", "Value"):
            if needed in columns.values() and needed not in present:
                raise DatabaseError(
                    f"{self._path} has a schema that is not known: {name} lacks {needed}; it was left as it is"
                )
        parts = [f'"{old}"' if old in present else "NULL" for old in columns.values()]
        cursor = self._old.execute(f'SELECT {", ".join(parts)} FROM "{name}" ORDER BY ID')
        while found := cursor.fetchmany(_AT_ONCE):
            yield [dict(zip(columns, row)) for row in found]

    def _named_once(self) -> Callable[[dict[str, Any]], None]:
        seen: set[str] = set()

        def check(row: dict[str, Any]) -> None:
            if row["name"] in seen:
                raise DatabaseError(
                    f'{self._path}: two subcategories are called "{row["name"]}", which classes may not be; '
                    "rename one with the program that made the file; it was left as it is"
                )
            seen.add(row["name"])

        return check


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, timeout=60.0)

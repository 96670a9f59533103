"""`TrainingDatabase`: a training database as an object, for notebooks and scripts.

Library code uses sessions and mapped classes instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from sqlalchemy import ColumnElement, LargeBinary, delete, func, insert, null, select, type_coerce, update
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.types import NullType

from britekit.api.tables import Filters, Row, TableMethods
from britekit.database.failures import as_sentences
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
    SpecGroup,
    SpecValue,
)
from britekit.database.session import Mode, open_database, optimize
from britekit.errors import DatabaseError, counted, suggest

# Columns of other tables that a filter may name, each as a condition on the ID of the table asked for.
_JOINED: dict[type[Base], dict[str, Callable[[Any], ColumnElement[bool]]]] = {
    Class: {"CategoryName": lambda value: Class.category_id.in_(_ids(Category, Category.name == value))},
    Recording: {
        "SourceName": lambda value: Recording.source_id.in_(_ids(Source, Source.name == value)),
        "ClassName": lambda value: Recording.id.in_(
            select(Segment.recording_id).where(Segment.id.in_(_segments_of_class(value)))
        ),
    },
    Segment: {
        "FileName": lambda value: Segment.recording_id.in_(_ids(Recording, Recording.filename == value)),
        "ClassName": lambda value: Segment.id.in_(_segments_of_class(value)),
    },
    SegmentClass: {
        "ClassName": lambda value: SegmentClass.class_id.in_(_ids(Class, Class.name == value)),
        "SoundType": lambda value: SegmentClass.soundtype_id.in_(_ids(SoundType, SoundType.name == value)),
        "RecordingID": lambda value: SegmentClass.segment_id.in_(_ids(Segment, Segment.recording_id == value)),
    },
    SpecValue: {
        "ClassName": lambda value: SpecValue.segment_id.in_(_segments_of_class(value)),
        "RecordingID": lambda value: SpecValue.segment_id.in_(_ids(Segment, Segment.recording_id == value)),
    },
}


class TrainingDatabase(TableMethods):
    """A training database with a method per table and verb.

    Filters are maps of column (``Name``, ``RecordingID``) to value, joined by AND; values are always bound,
    and a column that does not exist is an error. Rows come back as objects with lower-case attributes
    (``id``, ``alt_name``, ``specgroup_id``). Each call is one transaction, unless it stands in a
    `transaction` block.

    Parameters
    ----------
    db_path
        Path or URL.
    mode
        ``create`` makes the database if it is missing; ``write`` and ``read`` do not.
    """

    def __init__(self, db_path: str = "data/training.db", mode: Mode = "create") -> None:
        self._stack = ExitStack()
        self._session: Session = self._stack.enter_context(open_database(db_path, mode))
        self._in_transaction = False
        if mode == "create":
            for table in (Category, Source, SpecGroup):  # a table that was emptied gets its default row back
                if not self.count(table, {"Name": DEFAULT_NAME}):
                    self.insert(table, DEFAULT_NAME)

    def __repr__(self) -> str:
        counts = (("class", Class), ("recording", Recording), ("segment", Segment), ("spectrogram", SpecValue))
        held = ", ".join(
            counted(self.count(table), noun, "classes" if table is Class else "") for noun, table in counts
        )
        return f"<TrainingDatabase {self._session.info['where']}: {held}>"

    def __enter__(self) -> TrainingDatabase:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is not None:
            self._session.rollback()
        self.close()

    def close(self) -> None:
        """Close the database; calls are stored already."""
        self._stack.close()

    def optimize(self) -> None:
        """Refresh the statistics by which queries are planned."""
        with self.transaction() as session:
            optimize(session)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Make the calls in the block one transaction: all are stored, or none."""
        if self._in_transaction:
            yield self._session
            return
        self._in_transaction = True
        try:
            with as_sentences(self._session.info["where"]):
                yield self._session
                self._session.commit()
        except BaseException:
            self._session.rollback()
            raise
        finally:
            self._in_transaction = False

    def insert(self, table: type[Base], *values: Any, **named: Any) -> int:
        """Insert a row, given in the order of the columns or by attribute, and return its ID."""
        names = [name for name in _attributes(table) if name != "id"]
        if len(values) > len(names):
            raise DatabaseError(f"{table.__name__} has {len(names)} columns, given are {len(values)} values")
        row = {name: value for name, value in zip(names, values) if value is not None}
        for name, value in named.items():
            if name not in names:
                raise DatabaseError(f'{table.__name__} has no attribute "{name}"{suggest(name, names)}')
            row[name] = value
        if "inserted_date" in names:
            row.setdefault("inserted_date", self._session.info["inserted_date"])
        for name, value in row.items():
            if not isinstance(value, (bytes, memoryview)) and isinstance(_attributes(table)[name].type, LargeBinary):
                row[name] = type_coerce(value, NullType())
        with self.transaction() as session:
            key = _attributes(table)["id"]
            return int(session.scalars(insert(table).values(row).returning(key)).one())

    def get(self, table: type[Base], filters: Filters = None, without: Sequence[str] = ()) -> list[Row]:
        """Return the rows that fit, by ID; the attributes ``without`` are None."""
        columns: dict[str, Any] = self._readable(table)
        query = _as_stored(columns, without).where(*_conditions(table, filters)).order_by(columns["id"])
        return self._rows(query, list(columns))

    def count(self, table: type[Base], filters: Filters = None) -> int:
        """Return the number of rows that fit."""
        with self.transaction() as session:
            query = select(func.count()).select_from(table).where(*_conditions(table, filters))
            return int(session.scalar(query) or 0)

    def update(self, table: type[Base], row_id: int, column: str, value: Any) -> int:
        """Set one column of one row and return the number of rows changed, 0 or 1."""
        attribute = _column(table, column)
        with self.transaction() as session:
            key = _attributes(table)["id"]
            done = session.execute(update(table).where(key == row_id).values({attribute.key: value}))
            return int(done.rowcount)  # type: ignore[attr-defined]

    def delete(self, table: type[Base], filters: Filters = None) -> int:
        """Delete the rows that fit, with what hangs on them, and return their number; all rows without a filter."""
        with self.transaction() as session:
            done = session.execute(delete(table).where(*_conditions(table, filters)))
            return int(done.rowcount)  # type: ignore[attr-defined]

    def get_recording_by_class(self, class_name: str) -> list[Row]:
        """Return the recordings that have a segment of a class."""
        return self.get(Recording, {"ClassName": class_name})

    def get_segment_by_class(self, class_name: str, include_audio: bool = False) -> list[Row]:
        """Return the segments of a class; ``audio`` is None unless wanted."""
        return self.get(Segment, {"ClassName": class_name}, () if include_audio else ("audio",))

    def get_all_segment_counts(self) -> list[Row]:
        """Return ``class_name`` and ``count`` of segments for every class that has any, by name."""
        query = select(Class.name, func.count()).join(SegmentClass, SegmentClass.class_id == Class.id)
        return sorted(self._rows(query.group_by(Class.name), ["class_name", "count"]), key=lambda row: row.class_name)

    def get_spectrogram_by_class(
        self,
        class_name: str,
        include_value: bool = True,
        include_embedding: bool = False,
        spec_group: str = "default",
        limit: int | None = None,
    ) -> list[Row]:
        """Return the spectrograms of a class in one group, with their segment and recording.

        ``value`` and ``embedding`` are None unless wanted.
        """
        columns: dict[str, Any] = {
            "specvalue_id": SpecValue.id,
            "segment_id": SpecValue.segment_id,
            "recording_id": Segment.recording_id,
            "offset": Segment.offset,
            "filename": Recording.filename,
            "value": SpecValue.value,
            "embedding": SpecValue.embedding,
        }
        unwanted = [name for name, wanted in (("value", include_value), ("embedding", include_embedding)) if not wanted]
        query = (
            _as_stored(columns, unwanted)
            .select_from(SpecValue)
            .join(Segment, Segment.id == SpecValue.segment_id)
            .join(Recording, Recording.id == Segment.recording_id)
            .join(SpecGroup, SpecGroup.id == SpecValue.specgroup_id)
            .where(SpecGroup.name == spec_group, SpecValue.segment_id.in_(_segments_of_class(class_name)))
            .order_by(SpecValue.id)
            .limit(limit)
        )
        return self._rows(query, list(columns))

    def _rows(self, query: Any, names: list[str]) -> list[Row]:
        with self.transaction() as session:
            return [Row(**dict(zip(names, row))) for row in session.execute(query)]

    def _readable(self, table: type[Base]) -> dict[str, InstrumentedAttribute[Any]]:
        attributes = _attributes(table)
        if table is SpecGroup and not self._session.info["has_group_config"]:
            del attributes["config"]
        return attributes


def _attributes(table: type[Base]) -> dict[str, InstrumentedAttribute[Any]]:
    return {attribute.key: getattr(table, attribute.key) for attribute in table.__mapper__.column_attrs}


def _as_stored(columns: Mapping[str, Any], without: Sequence[str]) -> Any:
    """Select columns as they lie in the file: a script may have stored any value where bytes are due."""
    return select(
        *(
            null().label(name)
            if name in without
            else type_coerce(column, NullType()).label(name)
            if isinstance(column.type, LargeBinary)
            else column
            for name, column in columns.items()
        )
    )


def _column(table: type[Base], name: str) -> InstrumentedAttribute[Any]:
    """Return the attribute of a column, by the column's name or its own."""
    attributes = _attributes(table)
    by_column = {attribute.property.columns[0].name: attribute for attribute in attributes.values()}
    found = by_column.get(name, attributes.get(name))
    if found is None:
        known = [*by_column, *_JOINED.get(table, {})]
        raise DatabaseError(f'{table.__name__} has no column "{name}"{suggest(name, known)}')
    return found


def _conditions(table: type[Base], filters: Filters) -> list[ColumnElement[bool]]:
    joined = _JOINED.get(table, {})
    return [
        joined[name](value) if name in joined else _column(table, name) == value
        for name, value in (filters or {}).items()
    ]


def _ids(table: Any, condition: ColumnElement[bool]) -> Any:
    return select(table.id).where(condition)


def _segments_of_class(name: str) -> Any:
    return select(SegmentClass.segment_id).where(SegmentClass.class_id.in_(_ids(Class, Class.name == name)))

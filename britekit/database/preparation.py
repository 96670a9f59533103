"""Creating the tables, and checking that a database has them."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import Table, insert, inspect, select, text
from sqlalchemy.orm import Session
from sqlalchemy.schema import CreateIndex, CreateTable

from britekit.database.schema import (
    DEFAULT_NAME,
    SCHEMA_VERSION,
    TABLES,
    Base,
    Category,
    RecordingInfo,
    SchemaVersion,
    SegmentAbsence,
    Source,
    SpecGroup,
)
from britekit.errors import DatabaseError

_OURS = RecordingInfo.__tablename__


def prepare(session: Session, where: str, may_create: bool, may_write: bool) -> None:
    """Check the schema, creating or completing it as far as allowed.

    Afterwards ``session.info`` says in ``has_recording_info``, ``has_group_config`` and ``has_absences`` which of
    our additions the database has; one that may be written has the first two. The caller commits.

    Raises
    ------
    DatabaseError
        No training database, an incomplete one, an older schema or a newer version.
    """
    connection = session.connection()
    present = set(inspect(connection).get_table_names())
    wanted = {table.__tablename__ for table in TABLES}
    if not present & wanted:
        if may_create and not present:
            create_tables(session)
            present = wanted
        else:
            _refuse_older(where, present)
            raise DatabaseError(f"{where} is not a training database: it has none of its tables")
    missing = sorted(wanted - present - {_OURS})
    if missing:
        _refuse_older(where, present)
        raise DatabaseError(f"{where} is not a complete training database: it lacks {', '.join(missing)}")
    _check_version(session, where)
    columns = _check_columns(session, where, wanted & present)
    if may_write and _OURS not in present:
        create_table(session, RecordingInfo)
        present.add(_OURS)
    if may_write and "Config" not in columns:
        session.execute(text('ALTER TABLE "SpecGroup" ADD COLUMN "Config" TEXT'))
        columns.add("Config")
    session.info["has_recording_info"] = _OURS in present
    session.info["has_group_config"] = "Config" in columns
    session.info["has_absences"] = SegmentAbsence.__tablename__ in present


def create_tables(session: Session) -> None:
    """Create every table, the schema version and the default rows."""
    for mapped in TABLES:
        create_table(session, mapped)
    session.execute(insert(SchemaVersion).values(version=SCHEMA_VERSION))
    row: dict[str, Any] = {"name": DEFAULT_NAME, "inserted_date": session.info["inserted_date"]}
    for mapped in (Category, Source, SpecGroup):
        session.execute(insert(mapped).values(row))


def create_table(session: Session, mapped: type[Base]) -> None:
    """Create one table and its indexes in a fixed order, so that the bytes of the file are reproducible."""
    table = cast(Table, mapped.__table__)
    session.execute(CreateTable(table))
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        session.execute(CreateIndex(index))


def _check_columns(session: Session, where: str, present: set[str]) -> set[str]:
    """Raise if a table lacks a column; return those of SpecGroup, of which one may be missing."""
    found = inspect(session.connection()).get_multi_columns(filter_names=sorted(present))
    columns = {name: {str(column["name"]) for column in has} for (_, name), has in found.items()}
    missing = [
        f"{mapped.__tablename__}.{column.name}"
        for mapped in TABLES
        if mapped.__tablename__ in columns
        for column in cast(Table, mapped.__table__).columns
        if column.name not in columns[mapped.__tablename__] | {"Config"}
    ]
    if missing:
        raise DatabaseError(f"{where} is not a complete training database: it lacks {', '.join(missing)}")
    return columns[SpecGroup.__tablename__]


def _check_version(session: Session, where: str) -> None:
    versions = list(session.scalars(select(SchemaVersion.version)))
    if len(versions) != 1:
        raise DatabaseError(f"{where} is damaged: SchemaVersion holds {len(versions)} rows, expected one")
    if not isinstance(versions[0], int):
        raise DatabaseError(f"{where} is damaged: its schema version is {versions[0]!r}, expected a number")
    if versions[0] > SCHEMA_VERSION:
        raise DatabaseError(
            f"{where} has schema version {versions[0]}, this program knows {SCHEMA_VERSION}; upgrade britekit"
        )


def _refuse_older(where: str, present: set[str]) -> None:
    if "Subcategory" in present and SchemaVersion.__tablename__ not in present:
        raise DatabaseError(f"{where} has a schema older than version 1, which this program cannot read")

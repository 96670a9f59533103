"""Adding one category, source or sound type by hand, where a name that is taken is an error."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from britekit.database.schema import Category, SoundType, Source
from britekit.errors import DatabaseError


def add_category(session: Session, name: str) -> int:
    """Add a category and return its ID; raises `DatabaseError` if the name is empty or taken."""
    return _add(session, Category, "category", name)


def add_source(session: Session, name: str) -> int:
    """Add a source and return its ID; raises `DatabaseError` if the name is empty or taken."""
    return _add(session, Source, "source", name)


def add_soundtype(session: Session, name: str) -> int:
    """Add a sound type and return its ID; raises `DatabaseError` if the name is empty or taken."""
    return _add(session, SoundType, "sound type", name)


def _add(session: Session, table: Any, what: str, name: str) -> int:
    if not name.strip():
        raise DatabaseError(f"a {what} needs a name; give it with --name")
    if session.scalar(select(table.id).where(table.name == name)) is not None:
        raise DatabaseError(f'{what} "{name}" is already in {session.info["where"]}')
    row = {"name": name, "inserted_date": session.info["inserted_date"]}
    return int(session.scalars(insert(table).values(row).returning(table.id)).one())

"""Rows that have a name: categories, classes, sources, sound types and spectrogram groups."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from britekit.errors import DatabaseError, suggest


def require_named(session: Session, table: Any, what: str, name: str) -> int:
    """Return the ID of the row of that name; raises `DatabaseError` with a suggestion if there is none."""
    found = find_named(session, table, name)
    if found is None:
        names = session.scalars(select(table.name))
        raise DatabaseError(f'{what} "{name}" is not in {session.info["where"]}{suggest(name, names)}')
    return found


def find_named(session: Session, table: Any, name: str) -> int | None:
    """Return the ID of the row of that name, or None."""
    return session.scalar(select(table.id).where(table.name == name))


def get_or_add_named(session: Session, table: Any, name: str) -> int:
    """Return the ID of the row of that name, adding it if it is new."""
    found = find_named(session, table, name)
    return _add(session, table, name) if found is None else found


def add_named(session: Session, table: Any, what: str, name: str) -> int:
    """Add a row and return its ID; raises `DatabaseError` if the name is empty or taken."""
    if not name.strip():
        raise DatabaseError(f"a {what} needs a name; give it with --name")
    if find_named(session, table, name) is not None:
        raise DatabaseError(f'{what} "{name}" is already in {session.info["where"]}')
    return _add(session, table, name)


def _add(session: Session, table: Any, name: str) -> int:
    row = {"name": name, "inserted_date": session.info["inserted_date"]}
    return int(session.scalars(insert(table).values(row).returning(table.id)).one())

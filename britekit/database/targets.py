"""Parse ``-d``: the path of a SQLite file, or the URL of a server."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from britekit.errors import DatabaseError


def sqlite_path(target: str | os.PathLike[str]) -> Path | None:
    """Return the file that ``target`` names, or None if it is the URL of a server."""
    if not is_url(target):
        return Path(target)
    url = parse_url(str(target))
    if url.get_backend_name() != "sqlite":
        return None
    if not url.database or url.database == ":memory:":
        raise DatabaseError(f"{describe(target)} names no file; give a path")
    return Path(url.database)


def is_url(target: str | os.PathLike[str]) -> bool:
    """Return whether ``target`` has a scheme."""
    return isinstance(target, str) and "://" in target


def describe(target: str | os.PathLike[str]) -> str:
    """Return ``target`` as messages may show it: a URL without its password."""
    if not is_url(target):
        return str(target)
    return parse_url(str(target)).render_as_string(hide_password=True)


def parse_url(target: str) -> URL:
    """Parse a database URL; a failure does not repeat the text, which may hold a password."""
    try:
        return make_url(target)
    except (ArgumentError, ValueError):
        raise DatabaseError(
            f"the database URL beginning with {target.partition('://')[0]}:// cannot be read; "
            "expected scheme://user:password@host/database"
        ) from None


def is_same_database(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> bool:
    """Return whether two targets are the same file, however written, or the same URL."""
    paths = sqlite_path(first), sqlite_path(second)
    if paths[0] is None or paths[1] is None:
        return paths == (None, None) and parse_url(str(first)) == parse_url(str(second))
    return paths[0].resolve() == paths[1].resolve()

"""Convert errors of SQLAlchemy and the database to one sentence."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.exc import IntegrityError as IntegrityProblem

from britekit.errors import DatabaseError

_DAMAGED = "is damaged; restore it from a copy, or rebuild it with extract"
# Beginnings of SQLite's own messages, and what a person can do about each.
_SENTENCES = (
    ("database or disk is full", "could not be written: no space left on the device"),
    ("disk I/O error", "could not be read or written: input/output error; check the disk and the space on it"),
    ("attempt to write a readonly database", "could not be written: the file or its directory is read-only"),
    ("unable to open database file", "could not be opened; check that its directory exists and is writable"),
    ("database is locked", "is being written by another process; try again when that has finished"),
    (
        "canceling statement due to lock timeout",
        "is being written by another process; try again when that has finished",
    ),
    ("cannot execute", "could not be written: it is open for reading only, or the server is read-only"),
    ("file is not a database", "is not a SQLite database; check the path given with -d"),
    ("database disk image is malformed", _DAMAGED),
    ("malformed database schema", _DAMAGED),
)


class OddValue(ValueError):
    """A value that a column cannot mean; the text goes on after the database's name."""


@contextmanager
def as_sentences(where: str) -> Iterator[None]:
    """Turn what SQLAlchemy raises in the block into a `DatabaseError` about ``where``."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise explain(where, error) from error
    except OddValue as error:
        raise DatabaseError(f"{where} {error}; restore it from a copy, or rebuild it with extract") from error
    except UnicodeEncodeError as error:
        raise DatabaseError(
            f"{where} cannot hold the text {error.object!r}, which is not valid UTF-8; give it another name"
        ) from error
    except UnicodeDecodeError as error:
        raise DatabaseError(f"{where} {_DAMAGED}") from error


def explain(where: str, error: Exception) -> DatabaseError:
    """Return the sentence for ``error``, without SQL, values or passwords."""
    if isinstance(error, NoSuchModuleError):
        return DatabaseError(f"{where} names a kind of database that is not installed here")
    reason = _first_line(error)
    if isinstance(error, DBAPIError) and error.orig is not None:
        reason = _first_line(error.orig)
    for beginning, sentence in _SENTENCES:
        if beginning in reason:
            return DatabaseError(f"{where} {sentence}")
    if isinstance(error, IntegrityProblem):
        return DatabaseError(f"{where} refused a row that contradicts what it holds: {reason}")
    return DatabaseError(f"{where} refused the work: {reason}")


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__

"""Opening a training database by path or URL, and publishing one that was built from scratch.

A file of SQLite is opened read-only by commands that only read, and in WAL mode by those that write, so that
readers see the last complete state meanwhile; on close the WAL mode is left, and one file remains.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from britekit.database.conversion import convert, is_old
from britekit.database.failures import as_sentences, explain
from britekit.database.preparation import prepare
from britekit.database.side_files import refuse_foreign, remove_stray_log, roll_back, settle
from britekit.database.targets import describe, parse_url, sqlite_path
from britekit.errors import DatabaseError
from britekit.files import atomic_path, require_file, unwritable

Mode = Literal["read", "write", "create"]

_SQLITE_HEADER = b"SQLite format 3\0"
_BUSY_SECONDS = 60.0
_WRITER_LOCK = 0x62726974  # any number that other programs do not use in the same database


@contextmanager
def open_database(target: str | os.PathLike[str], mode: Mode = "read") -> Iterator[Session]:
    """Open a training database; commit when the block succeeds, roll back when it does not.

    ``session.info`` holds ``where`` (its name for messages), ``inserted_date`` (what new rows get),
    ``has_recording_info`` and ``has_group_config`` (whether it has our additions).

    Parameters
    ----------
    target
        Path of a SQLite file, or a URL with a scheme.
    mode
        ``read``; ``write`` an existing database; ``create`` it if it is missing (of a server only the tables).

    Raises
    ------
    DatabaseError
        Missing, no database, no training database, made by a newer program, locked, full disk.
    """
    path = sqlite_path(target)
    where = describe(target)
    is_new = path is not None and _check_file(path, mode)
    if path is not None and not is_new:
        remove_stray_log(path)
        roll_back(path)
        if is_old(path):
            convert(path, lambda: publish_database(path))
    engine = _server_engine(str(target), where, mode) if path is None else _sqlite_engine(path, mode)
    commits, ours = 0, False
    try:
        with as_sentences(where), Session(engine) as session:
            session.info["where"] = where
            session.info["inserted_date"] = datetime.date.today().isoformat()
            prepare(session, where, may_create=mode == "create", may_write=mode != "read")
            if mode != "read":
                session.commit()  # the next writer takes the lock again
                if path is not None:
                    _set_journal(engine, "WAL")
                    ours = True

            @event.listens_for(session, "after_commit")
            def count(_session: Session) -> None:
                nonlocal commits
                commits += 1

            yield session
            if mode != "read":
                session.commit()
                commits += 1
    finally:
        if ours:  # a file that was refused stays as it was
            with contextlib.suppress(sqlite3.Error, SQLAlchemyError):
                _set_journal(engine, "DELETE", patient=False)
        engine.dispose()
        if path is not None and is_new and not commits:
            _remove_untouched(path)


@contextmanager
def publish_database(target: str | os.PathLike[str]) -> Iterator[Session]:
    """Build a database from nothing; it takes the name ``target`` once the block has succeeded.

    The same inserts give the same bytes: rows carry no date, and the file is written by ``VACUUM INTO``.
    Whatever was at ``target`` stays until then.

    Raises `DatabaseError` if ``target`` is a URL, or a file that is not a training database, or is in use, or the disk
    is full.
    """
    path = sqlite_path(target)
    if path is None:
        raise DatabaseError(f"{describe(target)} is on a server; here a file is built, so give a path with -d")
    if not _check_file(path, "create"):
        refuse_foreign(path)
    with atomic_path(path) as partial:
        build = partial.with_name(partial.name.replace(".partial", ".partial-build"))
        engine = _sqlite_engine(build, "build")
        try:
            with as_sentences(str(path)):
                with Session(engine) as session:
                    session.info["where"] = str(path)
                    session.info["inserted_date"] = None
                    prepare(session, str(path), may_create=True, may_write=True)
                    yield session
                    session.commit()
                _vacuum_into(engine, partial, path)
                settle(path)
        finally:
            engine.dispose()
            with contextlib.suppress(OSError):  # a read-only disk says so even about a file that is not there
                build.unlink(missing_ok=True)


def optimize(session: Session) -> None:
    """Refresh the statistics by which queries are planned."""
    session.execute(text("ANALYZE"))


def _check_file(path: Path, mode: Mode) -> bool:
    """Return whether the file is about to be created; raise if it cannot be a database."""
    try:
        if path.is_dir():
            raise DatabaseError(f"{path} is a directory; a training database is a file")
        with open(require_file(path), "rb") as file:
            header = file.read(len(_SQLITE_HEADER))
    except FileNotFoundError:
        if mode != "create":
            raise DatabaseError(
                f"training database {path} does not exist; give its path with -d, or make it with extract"
            ) from None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DatabaseError(str(unwritable(path, error))) from error
        return True
    except OSError as error:
        raise DatabaseError(f"{path} could not be read: {(error.strerror or str(error)).lower()}") from error
    if header not in (_SQLITE_HEADER, b""):
        raise DatabaseError(f"{path} is not a SQLite database; check the path given with -d")
    return False


def _sqlite_engine(path: Path, mode: str) -> Engine:
    options = {"read": "mode=ro", "write": "mode=rw"}.get(mode, "mode=rwc")
    if mode == "read" and not os.access(path.parent, os.W_OK) and not _has_wal(path):
        # SQLite wants to make side files even for reading; in a read-only directory it cannot, and need not.
        options += "&immutable=1"
    address = f"file:{quote(str(path.absolute()))}?{options}"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS, check_same_thread=False, isolation_level=None)

    engine = create_engine("sqlite://", creator=connect, poolclass=StaticPool)
    # A writer takes its lock at once: two that had both read first could never both go on.
    begin = "BEGIN" if mode == "read" else "BEGIN IMMEDIATE"

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        if mode in ("write", "create"):
            # A killed process loses nothing; a power cut may lose the last commits, never consistency.
            connection.execute("PRAGMA synchronous = NORMAL")
        elif mode == "build":
            # Nobody else sees this file, and an interrupted build is thrown away.
            connection.execute("PRAGMA journal_mode = MEMORY")
            connection.execute("PRAGMA synchronous = OFF")

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _server_engine(target: str, where: str, mode: Mode) -> Engine:
    url = parse_url(target)
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    # What is read belongs together: a report made of several queries must not see two states.
    isolation = {"isolation_level": "REPEATABLE READ"} if mode == "read" else {}
    try:
        engine = create_engine(url, poolclass=StaticPool, **isolation)
    except ModuleNotFoundError as error:
        raise DatabaseError(f"{where} needs the package {error.name}, which is not installed") from error
    except SQLAlchemyError as error:
        raise explain(where, error) from error

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        if engine.dialect.name != "postgresql":
            return
        if mode == "read":
            connection.exec_driver_sql("SET TRANSACTION READ ONLY")
            return
        # As with a file, one writer at a time, who takes the lock at once; readers are not held up.
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_BUSY_SECONDS:g}s'")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER_LOCK})")

    return engine


def _vacuum_into(engine: Engine, partial: Path, target: Path) -> None:
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("VACUUM INTO ?", (str(partial.absolute()),))
    except sqlite3.Error as error:
        raise explain(str(target), error) from error
    finally:
        connection.close()


def _set_journal(engine: Engine, mode: str, patient: bool = True) -> None:
    """Enter WAL mode, or leave it: put all into the one file; while others use it, the last of them does."""
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        if not patient:
            cursor.execute("PRAGMA busy_timeout = 0")
        cursor.execute(f"PRAGMA journal_mode = {mode}")
    finally:
        connection.close()


def _has_wal(path: Path) -> bool:
    try:
        return path.with_name(path.name + "-wal").stat().st_size > 0
    except OSError:
        return False


def _remove_untouched(path: Path) -> None:
    """Remove a file that was created for a command that then failed before it stored anything."""
    with contextlib.suppress(sqlite3.Error, OSError):
        if path.stat().st_size:
            connection = sqlite3.connect(path, timeout=0)
            try:
                tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")]
                if "Class" in tables and connection.execute("SELECT count(*) FROM Class").fetchone()[0]:
                    return  # another command has begun to use it
            finally:
                connection.close()
        for side in ("", "-wal", "-shm", "-journal"):
            path.with_name(path.name + side).unlink(missing_ok=True)

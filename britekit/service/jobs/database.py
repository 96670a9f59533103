"""The SQLite file of a job store: transactions, and what errors of the disk mean."""

from __future__ import annotations

import math
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from britekit.errors import InputError
from britekit.files import writing
from britekit.leftovers import create, is_held

FILE_NAME = "jobs.sqlite"
_FORMAT = 1
_WAIT_S = 30.0  # for another server's transaction
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS job(
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, token TEXT NOT NULL, request TEXT,
    state TEXT NOT NULL, name TEXT NOT NULL, source TEXT NOT NULL, suffix TEXT NOT NULL, options TEXT NOT NULL,
    trace TEXT, created REAL NOT NULL, started REAL, finished REAL, mark REAL, owner TEXT,
    attempts INTEGER NOT NULL DEFAULT 0, done_s REAL NOT NULL DEFAULT 0, total_s REAL, detections INTEGER, error TEXT,
    facts TEXT, UNIQUE(token, request)
);
CREATE INDEX IF NOT EXISTS job_in_state ON job(state, number);
CREATE TABLE IF NOT EXISTS piece(job INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS piece_of ON piece(job);
CREATE TABLE IF NOT EXISTS clock(elapsed REAL NOT NULL, seen REAL NOT NULL);
PRAGMA user_version = {_FORMAT};
"""


class StoreUnavailable(InputError):
    """The store cannot be written now: its disk is full or fails, or another server holds it for too long."""


class CommitUnknown(StoreUnavailable):
    """The connection was lost while a change was committed, which may be stored or not."""


class Database:
    """The file in a folder, for all threads of a process, and the server's lock beside it.

    Raises `InputError` if it cannot be written, has no locks, or is not a job store of this version.
    """

    most_age_step_s = math.inf

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self._lock = threading.RLock()
        with writing(folder):
            self._own = create(folder / "server", folder=True)
        self.scratch, self.owner = self._own.path, self._own.path.name
        try:
            check_locks(self.scratch)
            self._connection = self._open()
            self._identity = _identity(self.path)
        except BaseException:
            self._own.discard()
            raise

    def close(self) -> None:
        """Close the file, and release the lock."""
        with self._lock:
            self._connection.close()
        self._own.discard()

    def is_alive(self, owner: str) -> bool:
        """Return whether a server of that name holds its lock."""
        return is_held(self.path.with_name(owner))

    def now(self) -> float:
        """Return the time by which results age, seconds since the machine's start; no one can set this clock."""
        return time.monotonic()

    def shrink(self) -> None:
        """Return the room of deleted results to the disk."""
        with self.reading() as db:
            db.execute("PRAGMA incremental_vacuum")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection; errors become `StoreUnavailable`, or `InputError` for a damaged file."""
        with self._lock, self._reporting():
            yield self._connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection in a transaction, which an error rolls back.

        Raises `StoreUnavailable` if the file is not there any more, so what is written would be lost when this server
        ends.
        """
        if _identity(self.path) != self._identity:
            raise StoreUnavailable(f"{self.path} was deleted or replaced; stop the server, restore the file, and start")
        with self.reading() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # the first error is the one to report
                    db.execute("ROLLBACK")
                raise

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            name = getattr(error, "sqlite_errorname", "") or ""
            path = self.path
            if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
                raise InputError(
                    f"{path} is damaged ({error}); move it away to start with an empty job store"
                ) from error
            if name.startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_BUSY", "SQLITE_READONLY", "SQLITE_CANTOPEN")):
                reason = "no space left on the device" if name.startswith("SQLITE_FULL") else str(error)
                raise StoreUnavailable(f"{path} could not be written: {reason}") from error
            raise

    def _open(self) -> sqlite3.Connection:
        with self._reporting():
            db = sqlite3.connect(self.path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)
            try:
                # Before the first table; later it has no effect.
                db.execute("PRAGMA auto_vacuum = INCREMENTAL")
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = FULL")
                version = db.execute("PRAGMA user_version").fetchone()[0]
                if version not in (0, _FORMAT):
                    raise InputError(
                        f"{self.path} was written by another version of britekit; let that one finish its "
                        "jobs, or choose another folder"
                    )
                db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
            except BaseException:
                db.close()
                raise
            return db


def _identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of a file; None if it is missing."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def check_locks(held: Path) -> None:
    """Raise `InputError` on a file system without locks, where jobs of a killed server would wait for ever."""
    with suppress(ImportError):
        import fcntl  # missing on Windows

        handle = os.open(held, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # by our own lock
            return
        except OSError:
            pass
        finally:
            os.close(handle)
    raise InputError(f"the file system of {held.parent} has no file locks, which jobs need; choose a local disk")

"""A job store on a PostgreSQL server, which servers on several machines may share.

Every server holds an advisory lock on its connection; PostgreSQL releases it when the process, its machine or the
network between is gone. So a job belongs to the server that took it as long as that server lives, and no clock decides.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
import socket
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from britekit.config import without_password
from britekit.errors import InputError
from britekit.files import unwritable
from britekit.service.jobs.database import CommitUnknown, StoreUnavailable

_FORMAT = 1
_OWN = "server-"
# One writer at a time, as SQLite has it: the number is of this lock alone.
_WRITER = 0x6272697465
_SCHEMA = """
CREATE SCHEMA IF NOT EXISTS britekit_jobs;
CREATE TABLE IF NOT EXISTS job(
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id TEXT NOT NULL UNIQUE, token TEXT NOT NULL, request TEXT,
    state TEXT NOT NULL, name TEXT NOT NULL, source TEXT NOT NULL, suffix TEXT NOT NULL, options TEXT NOT NULL,
    trace TEXT, created DOUBLE PRECISION NOT NULL, started DOUBLE PRECISION, finished DOUBLE PRECISION,
    mark DOUBLE PRECISION, owner TEXT, attempts INTEGER NOT NULL DEFAULT 0, done_s DOUBLE PRECISION NOT NULL DEFAULT 0,
    total_s DOUBLE PRECISION, detections BIGINT, error TEXT, facts TEXT, UNIQUE(token, request)
);
CREATE INDEX IF NOT EXISTS job_in_state ON job(state, number);
CREATE TABLE IF NOT EXISTS piece(
    rowid BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, job BIGINT NOT NULL, data BYTEA NOT NULL
);
CREATE INDEX IF NOT EXISTS piece_of ON piece(job);
CREATE TABLE IF NOT EXISTS clock(elapsed DOUBLE PRECISION NOT NULL, seen DOUBLE PRECISION NOT NULL);
CREATE TABLE IF NOT EXISTS version(format INTEGER NOT NULL);
"""
# A server that vanished loses its lock after half a minute, one that is frozen in a transaction after a minute.
_SESSION = """
SET search_path TO britekit_jobs; SET lock_timeout = '30s'; SET idle_in_transaction_session_timeout = '60s';
SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;
"""
_CONNECTION: dict[str, Any] = {
    "connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}  # fmt: skip


class PostgresDatabase:
    """A schema of its own on a server, for all threads of a process.

    Raises `InputError` if the server cannot be reached, refuses, or has a store of another version.

    Parameters
    ----------
    address
        ``postgresql://USER:PASSWORD@HOST/DATABASE``.
    folder
        Where uploads lie: a folder that all servers of the store see.
    """

    most_age_step_s = 3600.0
    """Results age by the server's clock, in steps no longer than this: people set clocks."""

    def __init__(self, address: str, folder: Path) -> None:
        self._address, self._where, self._lock = address, without_password(address), threading.RLock()
        self.owner = f"{_OWN}{socket.gethostname()[:40]}-{secrets.token_hex(8)}"
        self._folder, self.scratch = folder, folder / self.owner
        self._connection: Any = None
        try:
            import psycopg
        except ImportError as error:
            raise InputError(f"jobs at {self._where} need the package psycopg; install britekit[postgresql]") from error
        self._psycopg = psycopg
        with self.writing():
            pass
        try:
            self.scratch.mkdir()
        except OSError as error:
            self.close()
            raise unwritable(self.scratch, error) from error
        for old in folder.glob(f"{_OWN}*"):
            if old != self.scratch and not self.is_alive(old.name):
                shutil.rmtree(old, ignore_errors=True)

    def close(self) -> None:
        """Close the connection, which releases the lock."""
        with self._lock:
            self._connection.close()
        shutil.rmtree(self.scratch, ignore_errors=True)

    @contextmanager
    def reading(self) -> Iterator[_Statements]:
        """Yield what executes statements; connects again if the connection was lost."""
        with self._lock, self._reporting():
            if self._connection is None or self._connection.closed:
                self._connection = self._open()
            yield _Statements(self._connection)

    @contextmanager
    def writing(self) -> Iterator[_Statements]:
        """Yield the same in a transaction, which an error rolls back; servers write one after the other.

        Raises `CommitUnknown` if the connection was lost while the transaction was committed.
        """
        with self.reading() as db:
            db.execute("BEGIN")
            try:
                db.execute("SELECT pg_advisory_xact_lock(?)", (_WRITER,))
                yield db
            except BaseException:
                with suppress(self._psycopg.Error):  # the first error is the one to report
                    db.execute("ROLLBACK")
                raise
            try:
                db.execute("COMMIT")
            except self._psycopg.OperationalError as error:
                if self._connection.closed:
                    raise CommitUnknown(f"{self._where} was lost during a change ({_first_line(error)})") from error
                raise

    def is_alive(self, owner: str) -> bool:
        """Return whether a server holds the lock of that name."""
        if owner == self.owner:
            return True
        with self.reading() as db:
            if not db.execute("SELECT pg_try_advisory_lock(?)", (_key(owner),)).fetchone()[0]:
                return True
            db.execute("SELECT pg_advisory_unlock(?)", (_key(owner),))
        return False

    def now(self) -> float:
        """Return the time by which results age, seconds: of the database server, whose clock all share."""
        with self.reading() as db:
            return float(db.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()[0])

    def shrink(self) -> None:
        """Do nothing: autovacuum returns the room of deleted results."""

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except (self._psycopg.OperationalError, self._psycopg.errors.ReadOnlySqlTransaction) as error:
            raise StoreUnavailable(f"{self._where} cannot be used now: {_first_line(error)}") from error

    def _open(self) -> Any:
        psycopg = self._psycopg
        try:
            connection = psycopg.connect(self._address, autocommit=True, application_name=self.owner, **_CONNECTION)
        except psycopg.ProgrammingError as error:  # not an address
            raise InputError(f"{self._where} is not a usable PostgreSQL address: {_first_line(error)}") from None
        try:
            db = _Statements(connection)
            connection.execute(_SESSION)
            db.execute("SELECT pg_advisory_lock(?)", (_key(self.owner),))
            if db.execute("SELECT to_regclass('version')").fetchone()[0] is None:
                # Two servers may begin at the same moment.
                db.execute("SELECT pg_advisory_lock(?)", (_WRITER,))
                connection.execute(f"BEGIN; {_SCHEMA} INSERT INTO version SELECT {_FORMAT} "
                                   "WHERE NOT EXISTS (SELECT FROM version); COMMIT")  # fmt: skip
                db.execute("SELECT pg_advisory_unlock(?)", (_WRITER,))
            found = db.execute("SELECT format FROM version").fetchone()
            if found is None or found[0] != _FORMAT:
                raise InputError(
                    f"{self._where} was written by another version of britekit; let that one finish its jobs, or "
                    "choose another database"
                )
        except psycopg.errors.InsufficientPrivilege as error:
            connection.close()
            raise InputError(f"{self._where}: {_first_line(error)}; the role must be able to create a schema") from None
        except BaseException:
            connection.close()
            raise
        return connection


class _Statements:
    """Executes statements with ``?`` for values, as SQLite's connections do."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Any:
        return self._connection.execute(statement.replace("?", "%s"), values)

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(statement.replace("?", "%s"), rows)


def _key(owner: str) -> int:
    """Return the number of a server's lock: 63 bits, as PostgreSQL takes."""
    return int.from_bytes(hashlib.sha256(owner.encode()).digest()[:8], "big") >> 1


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]

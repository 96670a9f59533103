"""What an interrupted run has done, so that the next one goes on from there: one SQLite file.

It lies beside the labels, says with which models and settings the run was started, and holds the labels and
unrounded scores of each finished recording. SQLite keeps what was committed and nothing half-written when a
process is killed or the power fails, and locks the file.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from britekit.errors import BriteKitError, InferenceError, InputError
from britekit.files import unwritable

JOURNAL = ".analyze.journal"
_FORMAT = 4
# What a kill or a power cut can lose; a commit for each recording would take longer than a short clip.
_COMMIT_SECONDS = 1.0
_SCHEMA = """
CREATE TABLE run(format INTEGER, facts TEXT);
CREATE TABLE done(
    name TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, seconds REAL, labels INTEGER, rows INTEGER,
    damaged_at REAL, files TEXT
);
CREATE TABLE piece(recording TEXT, kind TEXT, crc INTEGER, data BLOB);
CREATE INDEX piece_of ON piece(recording, kind);
"""


@dataclass(frozen=True, slots=True)
class Done:
    """A finished recording."""

    name: str
    """What it is called in the output."""
    size: int
    mtime_ns: int
    """Of its file when it was scored."""
    seconds: float
    labels: int
    rows: int
    """Number of labels, and of rows of unrounded scores."""
    damaged_at: float | None
    """Second from which on it is damaged; None if it is whole."""
    files: str
    """Endings of the files that were written under their names at once, separated by line breaks."""


class Journal:
    """The journal of one output folder, held by one process at a time.

    Parameters
    ----------
    folder
        The output folder, which exists.
    facts
        What the results depend on besides the recordings; plain values, nested.
    resume
        True: refuse where there is another journal; False: start over; None: go on if the journal is of a run
        with the same facts, else start over.

    Attributes
    ----------
    resumed
        Names of the recordings that an interrupted run finished.
    set_aside
        Why a journal that was there does not count; empty if it does, or if there was none.

    Raises
    ------
    InputError
        Another process works here, or the folder cannot be written.
    InferenceError
        ``resume`` is True, and the journal is of a run with other facts; or it is of an older version.
    """

    def __init__(self, folder: Path, facts: dict[str, Any], resume: bool | None = None) -> None:
        self.path = folder / JOURNAL
        self.resumed: frozenset[str] = frozenset()
        self.set_aside = ""
        if self.path.is_dir():
            if resume is not False:
                raise InferenceError(
                    f"{self.path} is of a run that an older version began and this one cannot continue; "
                    "finish it with that version, or start over with --no-resume"
                )
            shutil.rmtree(self.path)
        self._db = _open(self.path)
        try:
            with self._reporting():
                self._begin(json.loads(json.dumps(facts)), resume)
        except BaseException:
            self._db.close()
            raise
        self._committed = time.monotonic()

    def _begin(self, facts: dict[str, Any], resume: bool | None) -> None:
        known = self._known_facts()
        if known is not None and resume is not False:
            other = _differences(known, facts)
            if other:
                self.set_aside = f"{', '.join(other[:4])} {'differ' if other[1:] else 'differs'}"
            if other and resume:
                raise InferenceError(
                    f"the run in {self.path.parent} cannot be continued, since {self.set_aside}; start over with "
                    "--no-resume, or name another output directory"
                )
        if known is not None and resume is not False and not self.set_aside:
            self._drop_damaged()
            self.resumed = frozenset(name for (name,) in self._db.execute("SELECT name FROM done"))
        else:
            for kind, name in self._db.execute("SELECT type, name FROM sqlite_master").fetchall():
                if kind == "table":
                    self._db.execute(f'DROP TABLE "{name}"')
            for statement in _SCHEMA.split(";"):
                self._db.execute(statement)
            self._db.execute("INSERT INTO run VALUES (?, ?)", (_FORMAT, json.dumps(facts)))
        self._db.execute("COMMIT")
        self._db.execute("BEGIN")

    def _known_facts(self) -> Any:
        """Return the facts of the journal that is there, None if there is none that can be used."""
        try:
            row = self._db.execute("SELECT format, facts FROM run").fetchone()
            return json.loads(row[1]) if row is not None and row[0] == _FORMAT else None
        except (sqlite3.OperationalError, ValueError):
            return None  # no such table: nothing was begun

    def _drop_damaged(self) -> None:
        """Forget recordings of which a piece is not what was written."""
        damaged = {
            name
            for name, crc, data in self._db.execute("SELECT recording, crc, data FROM piece")
            if zlib.crc32(data) != crc
        }
        for name in damaged:
            self._forget(name)

    def _forget(self, name: str) -> None:
        self._db.execute("DELETE FROM piece WHERE recording = ?", (name,))
        self._db.execute("DELETE FROM done WHERE name = ?", (name,))

    def names(self) -> list[str]:
        """Return the names of finished recordings, sorted."""
        with self._reporting():
            return sorted(name for (name,) in self._db.execute("SELECT name FROM done"))

    def identities(self) -> dict[str, tuple[int, int]]:
        """Return size and time of change of the file of each finished recording, when it was scored."""
        with self._reporting():
            rows = self._db.execute("SELECT name, size, mtime_ns FROM done")
            return {name: (size, mtime_ns) for name, size, mtime_ns in rows}

    def totals(self) -> tuple[int, int, int]:
        """Return the number of finished recordings, of their labels, and of those that are damaged."""
        with self._reporting():
            row = self._db.execute("SELECT count(*), coalesce(sum(labels), 0), count(damaged_at) FROM done").fetchone()
        return int(row[0]), int(row[1]), int(row[2])

    def entry(self, name: str) -> Done | None:
        """Return what is noted about a recording, None if it is not finished."""
        with self._reporting():
            row = self._db.execute("SELECT * FROM done WHERE name = ?", (name,)).fetchone()
        return None if row is None else Done(*row)

    def pieces(self, name: str, kind: str) -> Iterator[bytes]:
        """Yield what was written of one kind about a recording, in the pieces in which it was written."""
        found = "SELECT data FROM piece WHERE recording = ? AND kind = ? ORDER BY rowid"
        with self._reporting():
            for (data,) in self._db.execute(found, (name, kind)):
                yield data

    @contextmanager
    def adding(self, name: str) -> Iterator[Callable[[str, bytes], None]]:
        """Take the pieces of a recording, by kind; with an error all of them are forgotten.

        Inside, `finish` notes the recording as finished.
        """
        with self._reporting():
            self._db.execute("SAVEPOINT one")
            try:
                self._forget(name)
                yield lambda kind, data: self._add(name, kind, data)
            except BaseException:
                with suppress(sqlite3.Error):  # the first error is the one to report
                    self._db.execute("ROLLBACK TO one")
                    self._db.execute("RELEASE one")
                raise
            self._db.execute("RELEASE one")
            if time.monotonic() - self._committed > _COMMIT_SECONDS:
                self.commit()

    def commit(self) -> None:
        """Return when a kill or a power cut would lose nothing of what was added."""
        with self._reporting():
            self._db.execute("COMMIT")
            self._db.execute("BEGIN")
        self._committed = time.monotonic()

    def forget(self, name: str) -> None:
        """Forget a finished recording."""
        with self._reporting():
            self._forget(name)

    def _add(self, name: str, kind: str, data: bytes) -> None:
        self._db.execute("INSERT INTO piece VALUES (?, ?, ?, ?)", (name, kind, zlib.crc32(data), data))

    def finish(self, entry: Done) -> None:
        """Note a recording as finished, once its files are written."""
        self._db.execute("INSERT INTO done VALUES (?, ?, ?, ?, ?, ?, ?, ?)", astuple(entry))

    def close(self, remove: bool) -> None:
        """Let go of the journal; with ``remove``, or if nothing is in it, it goes."""
        try:
            with self._reporting():
                self._db.execute("COMMIT")
                if remove or self._db.execute("SELECT 1 FROM done").fetchone() is None:
                    remove = True
                    # Still locked while it goes, so that it cannot be the journal of a run that begins now.
                    self._db.execute("PRAGMA journal_mode = OFF")
                    if os.name != "nt":
                        self._unlink()
        finally:
            self._db.close()
            if remove and os.name == "nt":  # which removes no file that is open
                self._unlink()

    def _unlink(self) -> None:
        self.path.with_name(f"{JOURNAL}-journal").unlink(missing_ok=True)  # SQLite's own, empty now
        self.path.unlink(missing_ok=True)

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        """Turn errors of SQLite into sentences."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise _reported(self.path, error) from error


def _open(path: Path) -> sqlite3.Connection:
    """Open and lock the file; where another process removed it in between, open the next one."""
    nolock = 0
    while True:
        before = _identity(path)
        address = f"file:{quote(os.fsencode(path.absolute()))}?nolock={nolock}"
        try:
            db = sqlite3.connect(address, timeout=0, isolation_level=None, uri=True)
        except sqlite3.DatabaseError as error:  # a folder that may not be written
            raise _reported(path, error) from error
        try:
            for pragma in ("locking_mode = EXCLUSIVE", "synchronous = FULL"):
                db.execute(f"PRAGMA {pragma}")
            db.execute("BEGIN EXCLUSIVE")
            db.execute("SELECT count(*) FROM sqlite_master")
        except sqlite3.DatabaseError as error:
            db.close()
            if error.sqlite_errorname in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):  # no run can go on from it
                path.unlink(missing_ok=True)
                continue
            if not nolock and error.sqlite_errorname in ("SQLITE_PROTOCOL", "SQLITE_IOERR_LOCK"):
                nolock = 1  # a file system without locks
                continue
            raise _reported(path, error) from error
        if before is None or before == _identity(path):
            return db
        db.close()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def _reported(path: Path, error: sqlite3.DatabaseError) -> BriteKitError:
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return InputError(
            f"another analyze is writing into {path.parent}; wait for it, or name another output directory"
        )
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return InputError(f"{path} is damaged ({error}); start over with --no-resume")
    if name.startswith("SQLITE_CANTOPEN"):
        try:
            open(path, "ab").close()
        except OSError as refused:  # SQLite does not say why
            return unwritable(path, refused)
    reason = {"SQLITE_FULL": "no space left on the device"}.get(name, str(error))
    return unwritable(path, OSError(0, reason))


def _differences(known: Any, facts: Any, where: str = "") -> list[str]:
    """Return the names of what differs between two nested values."""
    if isinstance(known, dict) and isinstance(facts, dict):
        keys = [*facts, *(key for key in known if key not in facts)]
        return [
            name
            for key in keys
            for name in _differences(known.get(key), facts.get(key), f"{where}.{key}" if where else key)
        ]
    return [] if known == facts else [where]

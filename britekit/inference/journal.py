"""Record the progress of a run in one SQLite file, so that an interrupted run can be continued.

The file lies beside the labels. It holds the models and settings of the run, and the labels and unrounded scores of
each finished recording. SQLite makes commits atomic and durable across kills and power failures, and locks the file.
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
_PIECE = 1 << 20
# Commit interval, the most that a kill can lose; a commit per recording would take longer than a short clip.
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
    """Its name in the output."""
    size: int
    mtime_ns: int
    """Size and modification time of its file when it was scored."""
    seconds: float
    labels: int
    rows: int
    """Number of labels, and of rows of unrounded scores."""
    damaged_at: float | None
    """Second at which the damage begins; None if intact."""
    files: str
    """Suffixes of the label files already written, separated by line breaks."""


class Journal:
    """The journal of one output folder, held by one process at a time.

    Parameters
    ----------
    folder
        The output folder, which exists.
    facts
        Everything that results depend on besides the recordings, as nested plain values.
    resume
        True: raise if the journal has other facts; False: start over; None: continue if the facts are equal, else start
        over.

    Attributes
    ----------
    resumed
        Names of the recordings finished by an interrupted run.
    set_aside
        Why an existing journal was discarded; empty if it was continued, or if there was none.

    Raises
    ------
    InputError
        Another process uses the folder, or it cannot be written.
    InferenceError
        ``resume`` is True and the journal has other facts, or it was written by an older version.
    """

    def __init__(self, folder: Path, facts: dict[str, Any], resume: bool | None = None) -> None:
        self.path = folder / JOURNAL
        self.resumed: frozenset[str] = frozenset()
        self.set_aside = ""
        if self.path.is_dir():
            if resume is not False:
                raise InferenceError(
                    f"{self.path} was written by an older version, and this one cannot continue it; "
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
        """Return the facts of an existing journal, or None if there is no usable one."""
        try:
            row = self._db.execute("SELECT format, facts FROM run").fetchone()
            return json.loads(row[1]) if row is not None and row[0] == _FORMAT else None
        except (sqlite3.OperationalError, ValueError):
            return None  # no such table: no run has started

    def _drop_damaged(self) -> None:
        """Delete recordings with a corrupt piece."""
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
        """Return the entry of a recording, or None if it is not finished."""
        with self._reporting():
            row = self._db.execute("SELECT * FROM done WHERE name = ?", (name,)).fetchone()
        return None if row is None else Done(*row)

    def pieces(self, name: str, kind: str) -> Iterator[bytes]:
        """Yield the pieces of one kind of a recording, in the order of writing."""
        found = "SELECT data FROM piece WHERE recording = ? AND kind = ? ORDER BY rowid"
        with self._reporting():
            for (data,) in self._db.execute(found, (name, kind)):
                yield data

    @contextmanager
    def adding(self, name: str) -> Iterator[Callable[[str, bytes], None]]:
        """Yield a function that adds pieces of a recording by kind; an error rolls all of them back.

        Inside the block, `finish` marks the recording as finished.
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
        """Mark a recording as finished, after its files are written."""
        self._db.execute("INSERT INTO done VALUES (?, ?, ?, ?, ?, ?, ?, ?)", astuple(entry))

    def close(self, remove: bool) -> None:
        """Close the journal; delete it if ``remove`` is set or it contains no finished recording."""
        try:
            with self._reporting():
                self._db.execute("COMMIT")
                if remove or self._db.execute("SELECT 1 FROM done").fetchone() is None:
                    remove = True
                    # Delete it while locked, so that no starting run can open it.
                    self._db.execute("PRAGMA journal_mode = OFF")
                    if os.name != "nt":
                        self._unlink()
        finally:
            self._db.close()
            if remove and os.name == "nt":  # Windows does not delete open files
                self._unlink()

    def _unlink(self) -> None:
        self.path.with_name(f"{JOURNAL}-journal").unlink(missing_ok=True)  # SQLite's rollback journal, empty now
        self.path.unlink(missing_ok=True)

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        """Convert SQLite errors to `InputError`."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise _reported(self.path, error) from error


class Pieces:
    """Collects bytes of one kind into pieces; the bytes of one write stay together."""

    def __init__(self, kind: str, add: Callable[[str, bytes], None]) -> None:
        self.kind = kind
        self._add = add
        self._held: list[bytes] = []
        self._size = 0

    def write(self, data: bytes, /) -> None:
        """Add bytes."""
        self._held.append(data)
        self._size += len(data)
        if self._size >= _PIECE:
            self.flush()

    def flush(self) -> None:
        """Write the collected bytes as a piece."""
        if self._held:
            self._add(self.kind, b"".join(self._held))
        self._held, self._size = [], 0


def _open(path: Path) -> sqlite3.Connection:
    """Open and lock the file; retry if another process deleted it in between."""
    nolock = 0
    while True:
        before = _identity(path)
        address = f"file:{quote(os.fsencode(path.absolute()))}?nolock={nolock}"
        try:
            db = sqlite3.connect(address, timeout=0, isolation_level=None, uri=True)
        except sqlite3.DatabaseError as error:  # a read-only folder
            raise _reported(path, error) from error
        try:
            for pragma in ("locking_mode = EXCLUSIVE", "synchronous = FULL"):
                db.execute(f"PRAGMA {pragma}")
            db.execute("BEGIN EXCLUSIVE")
            db.execute("SELECT count(*) FROM sqlite_master")
        except sqlite3.DatabaseError as error:
            db.close()
            if error.sqlite_errorname in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):  # no run can be continued from it
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
        return InputError(f"another analyze is writing to {path.parent}; wait for it, or give another output directory")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return InputError(f"{path} is damaged ({error}); start over with --no-resume")
    if name.startswith("SQLITE_CANTOPEN"):
        try:
            open(path, "ab").close()
        except OSError as refused:  # SQLite does not report the cause
            return unwritable(path, refused)
    reason = {"SQLITE_FULL": "no space left on the device"}.get(name, str(error))
    return unwritable(path, OSError(0, reason))


def _differences(known: Any, facts: Any, where: str = "") -> list[str]:
    """Return the names of the entries in which two nested values differ."""
    if isinstance(known, dict) and isinstance(facts, dict):
        keys = [*facts, *(key for key in known if key not in facts)]
        return [
            name
            for key in keys
            for name in _differences(known.get(key), facts.get(key), f"{where}.{key}" if where else key)
        ]
    return [] if known == facts else [where]

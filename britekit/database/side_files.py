"""Handle SQLite's files beside a database when another file replaces the database.

While a file is written in WAL mode, its latest pages lie in ``NAME-wal``, and a killed process leaves them
there for the next to pick up. Nothing in them says which file they belong to: if DVC or a rebuild has put
another one in its place meanwhile, SQLite would mix the two. So a rebuild first makes the old file whole, and
a log that was left beside a file which does not use one is removed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from britekit.database.failures import explain
from britekit.errors import DatabaseError

log = logging.getLogger(__name__)

_SIDES = ("-wal", "-shm", "-journal")
# Byte 18 of the header: 1 = rollback journal, 2 = WAL.
_VERSION_AT, _ROLLBACK = 18, 1
_PATIENCE_S = 10.0


def remove_stray_log(path: Path) -> None:
    """Remove a log that belongs to a file which was here before this one.

    A file is marked as using a log before that is begun, and unmarked after it is gone; so a log beside an
    unmarked file that is younger is of another file.
    """
    side = path.with_name(path.name + "-wal")
    try:
        log_time = side.stat().st_mtime
        with open(path, "rb") as file:
            header = file.read(_VERSION_AT + 1)
            file_time = os.fstat(file.fileno()).st_ctime
    except OSError:
        return  # no log, or opening the file raises with the reason
    if len(header) <= _VERSION_AT or header[_VERSION_AT] != _ROLLBACK or log_time >= file_time:
        return
    log.warning("%s is left from a database that was replaced, and is removed", side)
    for name in _SIDES[:2]:
        with contextlib.suppress(OSError):
            path.with_name(path.name + name).unlink(missing_ok=True)


def roll_back(path: Path) -> None:
    """Undo what a killed process had begun, as its journal says; a reader may not do that by itself."""
    try:
        if not path.with_name(path.name + "-journal").stat().st_size:
            return
    except OSError:
        return
    # If that is not allowed, opening the file raises.
    with contextlib.suppress(sqlite3.Error):
        connection = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=rw", uri=True, timeout=_PATIENCE_S)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        finally:
            connection.close()


def refuse_foreign(path: Path) -> None:
    """Raise if a file of SQLite is another program's, which a training database may not replace."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)) as found:
            tables = {name for (name,) in found.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except (sqlite3.Error, UnicodeDecodeError):
        return  # a damaged one is rebuilt
    if tables and not tables & {"Recording", "SchemaVersion"}:
        raise DatabaseError(f"{path} is a database of another program and stays as it is; choose another path with -d")


def settle(path: Path) -> None:
    """Bring all of a database into its one file, before another takes its name.

    Raises `DatabaseError` if another process is using it.
    """
    if path.exists() and path.with_name(path.name + "-wal").exists():
        try:
            connection = sqlite3.connect(path, timeout=_PATIENCE_S)
            try:
                connection.execute("PRAGMA journal_mode = DELETE")
            finally:
                connection.close()
        except sqlite3.DatabaseError as error:
            if "file is not a database" not in str(error):
                raise explain(str(path), error) from error
        if path.with_name(path.name + "-wal").exists():
            raise DatabaseError(f"{path} is in use by another process; try again when that has finished")
    for name in _SIDES:
        path.with_name(path.name + name).unlink(missing_ok=True)

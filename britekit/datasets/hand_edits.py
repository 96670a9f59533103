"""Changing a database by hand so that the change survives: in the database, and for its next rebuild.

A database that the pipeline builds is replaced at every rebuild. So a command that changes it also appends
what was decided to ``data/curation.csv``, which the rebuild applies. That table is the log that counts: the
database notes how many of its rows it has applied. A command makes its changes in a transaction, appends its
rows to the table, and commits the transaction with the new number. If it is killed before the commit, the next
command that changes the database applies the rows that are missing.
"""

from __future__ import annotations

import logging
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.orm import Session

from britekit.database.recordings import NamedRecordings
from britekit.database.session import Mode, open_database
from britekit.database.targets import sqlite_path
from britekit.database.tracked import applied_rows, curation_file, note_applied_rows
from britekit.datasets.curation_rows import Decision, appended, read_decisions
from britekit.datasets.redo import redo
from britekit.errors import DatabaseError, InputError
from britekit.files import atomic_path, write_text
from britekit.leftovers import create

log = logging.getLogger(__name__)


class HandEdits:
    """A session that changes a database, and the decisions behind the changes.

    Attributes
    ----------
    session
        Of the database, opened for writing. The block's end commits it.
    is_recorded
        Whether decisions are kept: the database is an output of the pipeline.
    """

    def __init__(self, session: Session, table: Path | None) -> None:
        self.session = session
        self.is_recorded = table is not None
        self._table = table
        self._decisions: list[Decision] = []

    def record(self, *decisions: Decision) -> None:
        """Note what was decided, in the order in which it was done to the database."""
        if self.is_recorded:
            self._decisions += decisions

    def commit(self) -> None:
        """Store the changes and append the decisions; either both or none of them."""
        if self._table is None or not self._decisions:
            self.session.commit()
            return
        self.session.flush()
        _commit_both(self.session, self._table, self._decisions)
        self._decisions = []


@contextmanager
def edit_by_hand(
    target: str | os.PathLike[str], mode: Mode = "write", check: Callable[[Session], object] | None = None
) -> Iterator[HandEdits]:
    """Open a database to change it by hand; commit when the block succeeds, together with its decisions.

    Parameters
    ----------
    mode
        ``write``, or ``create`` to make it if it is missing.
    check
        Called first with the database opened for reading: what it raises leaves every byte of a file as it
        was, while opening for writing changes the header, and with it the hash that DVC knows.

    Raises
    ------
    DatabaseError
        As in `open_database`; or the pipeline builds the database and it is missing.
    InputError
        The table of decisions cannot be read or written.
    """
    table = curation_file(target)
    path = sqlite_path(target)
    if check and path is not None and path.is_file() and not path.with_name(f"{path.name}-wal").exists():
        with open_database(target) as session:
            if table is None or not _missing(session, table):
                check(session)
    if table is not None and path is not None:
        _unprotect(path)
    with open_database(target, mode) as session:
        if table is not None:
            session.info["inserted_date"] = None  # as a rebuild leaves it
            session.connection()  # takes the lock: a command at work has a row that is not committed yet
            _catch_up(session, table)
            session.commit()
        edits = HandEdits(session, table)
        try:
            yield edits
            edits.commit()
        except BaseException:
            session.rollback()
            raise


def _missing(session: Session, table: Path) -> list[Decision]:
    """Return the rows that the database lacks, since a command was killed between the two."""
    applied = applied_rows(session)
    return [] if applied is None or not table.exists() else read_decisions(table)[applied:]


def _catch_up(session: Session, table: Path) -> None:
    missing = _missing(session, table)
    names = NamedRecordings(session)
    changed = [redo(session, decision, names) for decision in missing]
    if any(changed):
        where = session.info["where"]
        log.warning("%s: the last %d decisions were missing in %s; they are in it now", table, len(missing), where)
    note_applied_rows(session, len(read_decisions(table)) if table.exists() else 0)


def _commit_both(session: Session, table: Path, decisions: Sequence[Decision]) -> None:
    _catch_up(session, table)  # where another command was killed since the beginning of this one
    rows, is_new = applied_rows(session) or 0, not table.exists()
    text = appended(_text(table), decisions)
    backup = create(table)
    try:
        # What may fail for lack of space comes before anything is decided.
        if not is_new:
            shutil.copy2(table, backup.path)
        note_applied_rows(session, rows + len(decisions))
        session.flush()
        write_text(table, text)
        try:
            session.commit()
        except Exception:
            # Renaming needs no space, so this works on the full disk that stopped the commit.
            table.unlink() if is_new else backup.take_name(table)
            raise
    finally:
        backup.discard()


def _unprotect(path: Path) -> None:
    """Give a database that DVC linked into its cache a file of its own: the cache must not change."""
    try:
        about = os.lstat(path)
    except FileNotFoundError:
        raise DatabaseError(
            f"{path} is built by the pipeline and is missing; restore it with dvc checkout or dvc repro"
        ) from None
    except OSError as error:
        raise DatabaseError(f"{path} could not be read: {(error.strerror or str(error)).lower()}") from error
    if not stat.S_ISLNK(about.st_mode) and about.st_nlink == 1:
        return
    with atomic_path(path) as partial:
        shutil.copyfile(path, partial)
        os.chmod(partial, stat.S_IMODE(os.stat(path).st_mode) | stat.S_IWUSR)


def _text(path: Path) -> str:
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error

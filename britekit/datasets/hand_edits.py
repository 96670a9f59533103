"""Changing a database by hand so that the change survives: in the database, and for its next rebuild.

A database that the pipeline builds is replaced at every rebuild. So a command that changes it also appends
what was decided to ``data/curation.csv``, which the rebuild applies. The two must not part, even when the
process is killed between them:

1. The changes are made in a transaction that is not committed yet.
2. The new rows are written to ``.curation.csv.pending-…``, and the new table beside the old one.
3. The new table takes the old one's name. From here on the decision stands.
4. The transaction is committed, and the pending rows are removed.

Whoever changes the database next finds rows that are pending. If they stand at the end of the table, step 3
was reached, and they are applied to the database, which changes nothing if it was committed already. If not,
the command was interrupted before it decided anything, and they are removed. A rebuild needs only the
table.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.orm import Session

from britekit.database.session import Mode, open_database
from britekit.database.targets import sqlite_path
from britekit.database.tracked import curation_file
from britekit.datasets.curation_rows import Decision, appended, read_decisions
from britekit.datasets.redo import redo
from britekit.errors import DatabaseError, InputError
from britekit.files import atomic_path, write_text

log = logging.getLogger("britekit.datasets.hand_edits")

_PENDING = ".{}.pending-"


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
    target
        Path or URL.
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
    if check and path is not None and path.is_file() and not _was_killed(path, table):
        with open_database(target) as session:
            check(session)
    if table is not None and path is not None:
        _unprotect(path)
    with open_database(target, mode) as session:
        if table is not None:
            session.info["inserted_date"] = None  # as a rebuild leaves it
            _recover(session, table)
        edits = HandEdits(session, table)
        try:
            yield edits
            edits.commit()
        except BaseException:
            session.rollback()
            raise


def _was_killed(path: Path, table: Path | None) -> bool:
    """Whether a killed command left what may change what there is; opening for writing mends it."""
    log = path.with_name(f"{path.name}-wal")
    return log.exists() or bool(table and _all_pending(table))


def _commit_both(session: Session, table: Path, decisions: Sequence[Decision]) -> None:
    text, tail = appended(_text(table), decisions)
    mark = f"{os.getpid()}-{secrets.token_hex(4)}"
    pending = table.with_name(f"{_PENDING.format(table.name)}{mark}")
    backup = table.with_name(f".{table.name}.before-{mark}")
    stands = False
    try:
        # What may fail for lack of space comes before anything is decided.
        write_text(pending, json.dumps({"rows": len(decisions), "text": tail}))
        if table.exists():
            shutil.copy2(table, backup)
        with atomic_path(table) as partial, open(partial, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        try:
            session.commit()
        except Exception:
            # Renaming needs no space, so this works on the full disk that stopped the commit.
            if backup.exists():
                os.replace(backup, table)
            else:
                table.unlink()
            raise
        except BaseException:
            # Interrupted just then: whether it was committed, the next command need not know.
            stands = True
            raise
    finally:
        with contextlib.suppress(OSError):
            backup.unlink(missing_ok=True)
            if not stands:
                pending.unlink(missing_ok=True)


def _recover(session: Session, table: Path) -> None:
    """Finish or forget what interrupted commands left."""
    if not _all_pending(table):
        return
    session.connection()  # takes the lock: a command that is just at work has pending rows too
    for pending in _all_pending(table):
        try:
            left = json.loads(pending.read_text(encoding="utf-8"))
            count, tail = int(left["rows"]), str(left["text"])
        except FileNotFoundError:
            continue  # that command has finished meanwhile
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{pending} cannot be read ({error}); remove it, and repeat what was typed"
            ) from error
        if _text(table).endswith(tail):
            changed = [redo(session, decision) for decision in read_decisions(table)[-count:]]
            session.commit()
            if any(changed):
                log.warning(
                    "%s: the last %d decisions are of a command that was interrupted; they are now in %s",
                    table,
                    count,
                    session.info["where"],
                )
        pending.unlink(missing_ok=True)
    session.rollback()


def _all_pending(table: Path) -> list[Path]:
    beginning = _PENDING.format(table.name)
    try:
        return sorted(path for path in table.parent.iterdir() if path.name.startswith(beginning))
    except FileNotFoundError:
        return []


def _unprotect(path: Path) -> None:
    """Give a database that DVC linked into its cache a file of its own: the cache must not change."""
    try:
        about = os.lstat(path)
    except FileNotFoundError:
        raise DatabaseError(
            f"{path} is built by the pipeline and is missing; bring it back with dvc checkout or dvc repro"
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

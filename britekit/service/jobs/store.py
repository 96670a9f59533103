"""Jobs and their labels: in one SQLite file, which several servers of one machine may share, or on PostgreSQL.

A job belongs to the server that took it as long as that server lives: each server holds a lock that the system, or
PostgreSQL, releases when it dies, so no clock decides. A result and the state ``done`` are one transaction, and only
the present owner may write it. Results age by the time that servers have counted, not by the clock, which people set.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from britekit.errors import InputError
from britekit.files import make_durable, writing
from britekit.service.jobs.database import CommitUnknown, Database, StoreUnavailable
from britekit.service.jobs.job import CANCELLED, COLUMNS, DONE, EXPIRED, FAILED, QUEUED, RUNNING, Job, job_of
from britekit.service.jobs.postgresql import PostgresDatabase

# A recording at which that many servers ended, one after the other, is not tried again.
MOST_ATTEMPTS = 5


class QueueFull(InputError):
    """As many jobs wait as may."""


class JobStore:
    """The jobs in a folder.

    Raises `InputError` if the folder cannot be written, has no locks, or the database is not a job store of this
    version.

    Parameters
    ----------
    folder
        Uploads, and SQLite's file. Created if missing.
    keep_s
        How long results are kept.
    address
        ``postgresql://...``; None for SQLite.
    """

    def __init__(self, folder: Path, keep_s: float, address: str | None = None) -> None:
        self.folder, self._keep_s = folder, keep_s
        self.recordings = folder / "recordings"
        with writing(folder):
            self.recordings.mkdir(parents=True, exist_ok=True)
        self._database: Any = Database(folder) if address is None else PostgresDatabase(address, folder)
        self.owner: str = self._database.owner
        self._lost: list[float] = []
        """When jobs were perhaps taken whose numbers never arrived here."""
        self._tidy()

    @property
    def scratch(self) -> Path:
        """A folder of this server alone, deleted with it: what arrives, and scores of long recordings."""
        return Path(self._database.scratch)

    def close(self) -> None:
        """Close the database; jobs that this server still owns go to others."""
        self._database.close()

    # --- submitting ---

    def path_of(self, job: Job) -> Path:
        """Return the place of an uploaded recording."""
        return self.recordings / f"{job.id}{job.suffix}"

    def submitted(self, token: str, request: str | None) -> Job | None:
        """Return the job that was submitted with the same ``Idempotency-Key``, or None."""
        if request is None:
            return None
        return self._one("SELECT {} FROM job WHERE token = ? AND request = ?", token, request)

    def add(
        self,
        *,
        token: str,
        name: str,
        source: str = "",
        upload: Path | None = None,
        options: dict[str, str],
        request: str | None = None,
        trace: str | None = None,
        most_waiting: int,
    ) -> Job:
        """Add a job, durably; an uploaded file is moved to the store.

        Raises
        ------
        QueueFull
            ``most_waiting`` jobs wait already.
        StoreUnavailable
            The disk is full.
        """
        identifier, suffix = secrets.token_urlsafe(15), "" if upload is None else upload.suffix
        target = self.recordings / f"{identifier}{suffix}"
        try:
            if upload is not None:
                with open(upload, "rb+") as file:
                    os.fsync(file.fileno())
                os.replace(upload, target)
                make_durable([self.recordings], directories=True)
            with self._database.writing() as db:
                if (known := self.submitted(token, request)) is not None:
                    target.unlink(missing_ok=True)
                    return known
                if db.execute("SELECT count(*) FROM job WHERE state = ?", (QUEUED,)).fetchone()[0] >= most_waiting:
                    raise QueueFull(f"{most_waiting} jobs are waiting, as many as may; try again later")
                row = db.execute(
                    "INSERT INTO job(id, token, request, state, name, source, suffix, options, trace, created) "
                    f"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING {COLUMNS}",
                    (
                        *(identifier, token, request, QUEUED, name, source, suffix, json.dumps(options), trace),
                        time.time(),
                    ),
                ).fetchone()
                return job_of(row)
        except OSError as error:
            target.unlink(missing_ok=True)
            raise StoreUnavailable(f"the recording could not be stored: {error.strerror}") from error
        except CommitUnknown:
            raise  # the job may be there and want its upload; else `_tidy` deletes it
        except BaseException:
            target.unlink(missing_ok=True)
            raise

    # --- reading ---

    def get(self, identifier: str, token: str) -> Job | None:
        """Return a job of a token, or None."""
        return self._one("SELECT {} FROM job WHERE id = ? AND token = ?", identifier, token)

    def listed(self, token: str, before: int | None, limit: int) -> list[Job]:
        """Return jobs of a token, newest first, from below a number on."""
        found = f"SELECT {COLUMNS} FROM job WHERE token = ? AND number < ? ORDER BY number DESC LIMIT ?"
        with self._database.reading() as db:
            return [job_of(row) for row in db.execute(found, (token, before or 1 << 62, limit))]

    def ahead(self, job: Job) -> int:
        """Return how many jobs of all tokens come before a waiting one."""
        found = "SELECT count(*) FROM job WHERE state = ? AND (attempts > 1, number) < (?, ?)"
        with self._database.reading() as db:
            return int(db.execute(found, (QUEUED, job.attempts > 1, job.number)).fetchone()[0])

    def counts(self) -> dict[str, int]:
        """Return the number of waiting and of running jobs."""
        with self._database.reading() as db:
            found = "SELECT count(*) FROM job WHERE state = ?"
            return {state: int(db.execute(found, (state,)).fetchone()[0]) for state in (QUEUED, RUNNING)}

    def pieces(self, job: Job) -> Iterator[bytes]:
        """Yield the stored labels of a job."""
        with self._database.reading() as db:
            rows = db.execute("SELECT rowid FROM piece WHERE job = ? ORDER BY rowid", (job.number,)).fetchall()
        for row in rows:
            with self._database.reading() as db:
                found = db.execute("SELECT data FROM piece WHERE rowid = ? AND job = ?", (*row, job.number)).fetchone()
            if found is None:  # deleted in between
                return
            yield found[0]

    def expires_in(self, job: Job) -> float | None:
        """Return the seconds until a finished job is deleted; None for others."""
        if job.mark is None:
            return None
        return max(0.0, job.mark + self._keep_s - self._age())

    # --- working ---

    def take(self) -> Job | None:
        """Take the next job, or return None. Jobs at which servers ended twice come after all others."""
        started, lost = time.time(), list(self._lost)
        try:
            with self._database.writing() as db:
                db.executemany(
                    "UPDATE job SET state = ?, owner = NULL, attempts = attempts - 1 "
                    "WHERE state = ? AND owner = ? AND started = ?",
                    [(QUEUED, RUNNING, self.owner, then) for then in lost],
                )
                row = db.execute(
                    "UPDATE job SET state = ?, owner = ?, attempts = attempts + 1, started = ?, done_s = 0 "
                    "WHERE number = (SELECT number FROM job WHERE state = ? ORDER BY attempts > 1, number LIMIT 1) "
                    f"RETURNING {COLUMNS}",
                    (RUNNING, self.owner, started, QUEUED),
                ).fetchone()
        except CommitUnknown:
            self._lost.append(started)
            raise
        self._lost = [then for then in self._lost if then not in lost]
        return None if row is None else job_of(row)

    def note_progress(self, job: Job, done_s: float, total_s: float | None) -> bool:
        """Store the progress of a job; return whether it is still this server's."""
        return self._change(job, "done_s = ?, total_s = ?", done_s, total_s)

    def finish(self, job: Job, facts: dict[str, Any], pieces: Sequence[bytes], detections: int) -> bool:
        """Store the result of a job; return whether it was still this server's."""
        return self._end(
            job, DONE, "done_s = ?, total_s = ?, detections = ?, facts = ?",
            (facts["seconds"], facts["seconds"], detections, json.dumps(facts)), pieces,
        )  # fmt: skip

    def fail(self, job: Job, error: str) -> bool:
        """Note why a job failed; return whether it was still this server's."""
        return self._end(job, FAILED, "error = ?", (error,))

    def give_back(self, job: Job) -> bool:
        """Let another server, or this one later, begin with the job again."""
        return self._change(job, f"state = '{QUEUED}', owner = NULL, attempts = attempts - 1, done_s = 0")

    def cancel(self, identifier: str, token: str) -> Job | None:
        """Cancel a job that has not ended, and delete one that has; return what it was, or None."""
        with self._database.writing() as db:
            row = db.execute(f"SELECT {COLUMNS} FROM job WHERE id = ? AND token = ?", (identifier, token)).fetchone()
            if row is None:
                return None
            job = job_of(row)
            if job.state in (QUEUED, RUNNING):
                db.execute(
                    "UPDATE job SET state = ?, owner = NULL, finished = ?, mark = ? WHERE number = ?",
                    (CANCELLED, time.time(), self._age(), job.number),
                )
            else:
                db.execute("DELETE FROM piece WHERE job = ?", (job.number,))
                db.execute("DELETE FROM job WHERE number = ?", (job.number,))
        if not job.source:
            self.path_of(job).unlink(missing_ok=True)
        return job

    # --- keeping ---

    def recover(self) -> int:
        """Put jobs of servers that have died back into the queue; return their number."""
        with self._database.reading() as db:
            found = "SELECT DISTINCT owner FROM job WHERE state = ? AND owner != ?"
            owners = [owner for (owner,) in db.execute(found, (RUNNING, self.owner))]
        count = 0
        for owner in owners:
            if self._database.is_alive(owner):
                continue
            sentence = f"{MOST_ATTEMPTS} servers ended while they were at this recording, so it is not tried again"
            with self._database.writing() as db:
                db.execute(
                    "UPDATE job SET state = ?, owner = NULL, error = ?, finished = ?, mark = ? "
                    "WHERE state = ? AND owner = ? AND attempts >= ?",
                    (FAILED, sentence, time.time(), self._age(), RUNNING, owner, MOST_ATTEMPTS),
                )
                count += db.execute(
                    "UPDATE job SET state = ?, owner = NULL, done_s = 0 WHERE state = ? AND owner = ?",
                    (QUEUED, RUNNING, owner),
                ).rowcount
        return count

    def expire(self) -> int:
        """Delete results that are old enough, and later all traces of their jobs; return how many results."""
        with self._database.writing() as db:
            now, age = self._database.now(), self._age()
            if db.execute("UPDATE clock SET elapsed = ?, seen = ?", (age, now)).rowcount == 0:
                db.execute("INSERT INTO clock VALUES (0, ?)", (now,))
            gone = db.execute(
                "UPDATE job SET state = ?, facts = NULL WHERE state IN (?, ?, ?) AND mark < ? RETURNING number",
                (EXPIRED, DONE, FAILED, CANCELLED, age - self._keep_s),
            ).fetchall()
            db.executemany("DELETE FROM piece WHERE job = ?", gone)
            db.execute("DELETE FROM job WHERE state = ? AND mark < ?", (EXPIRED, age - 2 * self._keep_s))
        if gone:
            self._database.shrink()
        return len(gone)

    # --- inside ---

    def _change(self, job: Job, what: str, *values: object) -> bool:
        with self._database.writing() as db:
            return self._owned(db, job, what, values)

    def _end(self, job: Job, state: str, what: str, values: tuple[object, ...], pieces: Sequence[bytes] = ()) -> bool:
        with self._database.writing() as db:
            ends = f"{what}, state = ?, owner = NULL, finished = ?, mark = ?"
            if not self._owned(db, job, ends, (*values, state, time.time(), self._age())):
                return False
            db.executemany("INSERT INTO piece(job, data) VALUES (?, ?)", ((job.number, data) for data in pieces))
        if not job.source:
            self.path_of(job).unlink(missing_ok=True)
        return True

    def _owned(self, db: Any, job: Job, what: str, values: Sequence[object]) -> bool:
        mine = "state = ? AND owner = ? AND attempts = ?"
        change = f"UPDATE job SET {what} WHERE number = ? AND {mine}"
        return bool(db.execute(change, (*values, job.number, RUNNING, self.owner, job.attempts)).rowcount == 1)

    def _one(self, found: str, *values: object) -> Job | None:
        with self._database.reading() as db:
            row = db.execute(found.format(COLUMNS), values).fetchone()
        return None if row is None else job_of(row)

    def _age(self) -> float:
        with self._database.reading() as db:
            row = db.execute("SELECT elapsed, seen FROM clock").fetchone()
        # A clock may start again with the machine, or be set.
        most = self._database.most_age_step_s
        return 0.0 if row is None else float(row[0]) + min(most, max(0.0, self._database.now() - row[1]))

    def _tidy(self) -> None:
        """Delete uploads that no job wants: a server died between storing one and noting it."""
        with self._database.reading() as db:
            wanted = f"SELECT id || suffix FROM job WHERE source = '' AND state IN ('{QUEUED}', '{RUNNING}')"
            known = {name for (name,) in db.execute(wanted)}
        for path in self.recordings.iterdir():
            # Another server may be about to note a new one.
            if path.name not in known and time.time() - path.stat().st_mtime > 3600:
                path.unlink(missing_ok=True)

"""Downloading many recordings into one directory, several at a time, and keeping a record of each."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType

from britekit.audio.files import is_recording_name
from britekit.collect.csv_log import CsvLog
from britekit.collect.pacing import Interrupted
from britekit.collect.recordings_table import COLUMNS, FILE_NAME, Details
from britekit.collect.web import Gone, Refused, Web
from britekit.errors import BriteKitError, InputError
from britekit.files import unwritable
from britekit.processes import alone
from britekit.progress import Meter

log = logging.getLogger(__name__)

MOST_JOBS = 8
# After so many refusals in a row the site wants to be left alone; the rest is not asked for.
_LOCK_NAME = ".britekit-downloading"
_PATIENCE = 5


class NotWanted(InputError):
    """A recording that turned out, on a closer look, not to be one that was asked for."""


@dataclass(frozen=True)
class Remote:
    """A recording on a site."""

    file_name: str
    """Name to store it under."""
    origin: str
    """Its address, for messages."""
    bring: Callable[[Web, Path], Details]
    """Brings it to a path, and returns all that is known about it then."""
    details: Details = field(default_factory=Details)
    """What the listing tells."""
    seconds: float | None = None
    other_names: tuple[str, ...] = ()
    """Names under which it would be there already as well."""


def check_counts(most: int, jobs: int, skip: int = 0) -> None:
    """Refuse numbers that mean nothing.

    Raises
    ------
    InputError
    """
    if most < 1:
        raise InputError(f"--max is {most}; expected 1 or more")
    if not 1 <= jobs <= MOST_JOBS:
        raise InputError(f"--jobs is {jobs}; expected 1 to {MOST_JOBS}, more would trouble the site")
    if skip < 0:
        raise InputError(f"--skip is {skip}; expected 0 or more")


LISTING = "recording\tseconds\tlicence\tauthor\torigin"


def listing(remotes: Iterable[Remote], directory: Path, most: int, count_present: bool) -> Iterator[str]:
    """Yield a line, columns as in `LISTING`, for each recording that `Store.bring_all` would download."""
    taken = 0
    seen: set[str] = set()
    for remote in remotes:
        if taken >= most:
            return
        if remote.file_name in seen:
            continue
        seen.add(remote.file_name)
        present = any((directory / name).is_file() for name in (remote.file_name, *remote.other_names))
        taken += not present or count_present
        if not present:
            seconds = "" if remote.seconds is None else f"{remote.seconds:.1f}"
            licence = remote.details.licence or "unknown"
            cells = (remote.file_name, seconds, licence, remote.details.author, remote.origin)
            yield "\t".join(" ".join(cell.split()) for cell in cells)


@dataclass
class Outcome:
    """What came of many downloads."""

    fetched: int = 0
    present: int = 0
    unavailable: int = 0
    unwanted: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    """Reason by file name."""
    not_tried: bool = False
    """Whether the rest was left alone because the site refused."""

    def lines(self) -> list[str]:
        """Return the summary as lines ``name = value``; what never happens with a source is left out."""
        counts = {"fetched": self.fetched, "present": self.present, "failed": len(self.failed)}
        rare = {"unavailable": self.unavailable, "not wanted": self.unwanted}
        return [f"{name} = {count}" for name, count in (counts | {k: v for k, v in rare.items() if v}).items()]

    def raise_for_failures(self) -> None:
        """Raise `InputError` if a recording failed."""
        if self.failed:
            name, reason = next(iter(self.failed.items()))
            rest = "; the others were not asked for, since the site refuses" if self.not_tried else ""
            raise InputError(
                f"{len(self.failed)} recordings could not be downloaded, {name} because of: {reason}{rest}; "
                "repeat the command to go on where it stopped"
            )


class Store:
    """A directory of downloads with its ``recordings.csv``; a context manager that holds the directory.

    Parameters
    ----------
    directory
        Made if missing.
    web
        The session.
    extra
        Called with each recording that is recorded, for a further table.
    """

    def __init__(self, directory: Path, web: Web, extra: Callable[[Remote], None] | None = None) -> None:
        self.directory = directory
        self._web = web
        self._extra = extra
        self._stack = ExitStack()
        self._guard = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}

    def __enter__(self) -> "Store":
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._stack.enter_context(
                alone(
                    self.directory / _LOCK_NAME,
                    f"another command is downloading into {self.directory}; wait until it has ended, or choose another",
                )
            )
        except OSError as error:
            raise unwritable(self.directory, error) from error
        try:
            self._records = CsvLog(self.directory / FILE_NAME, COLUMNS, ("recording", "class"))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def find(self, remote: Remote) -> Path | None:
        """Return where a recording lies already, or None."""
        for name in (remote.file_name, *remote.other_names):
            if (self.directory / name).is_file():
                return self.directory / name
        return None

    def bring(self, remote: Remote) -> bool:
        """Make sure that a recording and its record are there; return whether it had to be downloaded.

        Raises
        ------
        BriteKitError
            Why it could not be.
        """
        name = remote.file_name
        if not is_recording_name(name) or name != Path(name).name or "\\" in name or not name.isprintable():
            raise InputError(f"{name!r} cannot be the name of a recording")
        with self._guard:
            turn = self._turns.setdefault(name, threading.Lock())
        with turn:
            return self._bring(remote)

    def _bring(self, remote: Remote) -> bool:
        found = self.find(remote)
        if found is not None:
            # its record too, which a killed command may not have written, unless somebody completed it
            if self._row(found.stem) is None:
                self._record(remote, remote.details, found.stem)
            return False
        target = self.directory / remote.file_name
        fresh = self.directory / f".fresh-{remote.file_name}"
        try:
            details = remote.bring(self._web, fresh)
            # before the file has its name: a file without a record would be used without its licence
            self._record(remote, details, target.stem)
            fresh.replace(target)
        finally:
            fresh.unlink(missing_ok=True)
        return True

    def details_of(self, remote: Remote) -> Details:
        """Return what is recorded about a recording."""
        row = self._row(Path(remote.file_name).stem)
        return remote.details if row is None else Details(**{key: row.get(key, "") for key in asdict(remote.details)})

    def bring_all(
        self, remotes: Iterable[Remote], most: int, jobs: int, count_present: bool, total: int | None = None
    ) -> Outcome:
        """Download recordings until `most` of them have come.

        Parameters
        ----------
        remotes
            Candidates, best first; taken only as they are needed.
        most
            Recordings wanted.
        jobs
            Downloads at a time.
        count_present
            Whether recordings that are there already count as brought.
        total
            Number of candidates, for the progress shown.

        Returns
        -------
        What came of it; nothing is raised for single recordings.
        """
        outcome, refusals = Outcome(), 0
        candidates: Iterator[Remote] = iter(remotes)
        running: dict[Future[bool], Remote] = {}
        seen: set[str] = set()
        meter = Meter(min(most, total) if total is not None else None, "downloading")
        with ThreadPoolExecutor(max(1, min(jobs, MOST_JOBS))) as pool:
            try:
                while True:
                    while len(running) < min(jobs, MOST_JOBS) and refusals < _PATIENCE:
                        done = outcome.fetched + (outcome.present if count_present else 0)
                        remote = next(candidates, None) if done + len(running) < most else None
                        if remote is None:
                            break
                        if remote.file_name in seen:
                            continue
                        seen.add(remote.file_name)
                        running[pool.submit(self.bring, remote)] = remote
                    if not running:
                        break
                    finished, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in finished:
                        counted = self._count(outcome, running.pop(future), future)
                        refusals = refusals + 1 if counted is None else 0
                        meter.advance(int(bool(counted)))
                meter.finish()
            except BaseException:
                self._web.stop.set()
                pool.shutdown(cancel_futures=True)
                raise
            finally:
                meter.close()
        outcome.not_tried = refusals >= _PATIENCE and next(candidates, None) is not None
        return outcome

    def _count(self, outcome: Outcome, remote: Remote, future: "Future[bool]") -> bool | None:
        """Enter one result; return whether something came, None for a refusal."""
        try:
            new = future.result()
        except Interrupted:
            raise
        except Gone as error:
            outcome.unavailable += 1
            log.info("%s is not available: %s", remote.file_name, error)
            return False
        except NotWanted as error:
            outcome.unwanted += 1
            log.debug("%s: %s", remote.file_name, error)
            return False
        except BriteKitError as error:
            outcome.failed[remote.file_name] = str(error)
            log.warning("%s: %s", remote.file_name, error)
            return None if isinstance(error, Refused) else False
        outcome.fetched += new
        outcome.present += not new
        return new

    def _row(self, stem: str) -> dict[str, str] | None:
        return self._records.get(stem, "")

    def _record(self, remote: Remote, details: Details, stem: str) -> None:
        self._records.add({"recording": stem, "class": "", **asdict(details)})
        if self._extra:
            self._extra(remote)

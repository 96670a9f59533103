"""Download many recordings to one directory in parallel, with a record of each."""

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
from britekit.files import writing
from britekit.processes import alone
from britekit.progress import Meter

log = logging.getLogger(__name__)

MOST_JOBS = 8
# After this many consecutive refusals, the rest is not requested.
_LOCK_NAME = ".britekit-downloading"
_PATIENCE = 5


class NotWanted(InputError):
    """A recording that turned out not to match the request."""


@dataclass(frozen=True)
class Remote:
    """A recording on a site."""

    file_name: str
    """File name to store it under."""
    origin: str
    """Address, for messages."""
    bring: Callable[[Web, Path], Details]
    """Downloads it to a path, and returns all details."""
    details: Details = field(default_factory=Details)
    """Details in the listing."""
    seconds: float | None = None
    other_names: tuple[str, ...] = ()
    """Alternative names of an existing file."""


def check_counts(most: int, jobs: int, skip: int = 0) -> None:
    """Raise for invalid numbers.

    Raises
    ------
    InputError
    """
    if most < 1:
        raise InputError(f"--max is {most}; expected 1 or more")
    if not 1 <= jobs <= MOST_JOBS:
        raise InputError(f"--jobs is {jobs}; expected 1 to {MOST_JOBS}, since more would overload the site")
    if skip < 0:
        raise InputError(f"--skip is {skip}; expected 0 or more")


LISTING = "recording\tseconds\tlicence\tauthor\torigin"


def listing(remotes: Iterable[Remote], directory: Path, most: int, count_present: bool) -> Iterator[str]:
    """Yield a line with the columns of `LISTING` for each recording that `Store.bring_all` would download."""
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
    """Result of many downloads."""

    fetched: int = 0
    present: int = 0
    unavailable: int = 0
    unwanted: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    """Reasons of failure by file name."""
    not_tried: bool = False
    """Whether the rest was skipped because the site refused."""

    def lines(self) -> list[str]:
        """Return the summary as lines ``name = value``, without entries that cannot occur for a source."""
        counts = {"fetched": self.fetched, "present": self.present, "failed": len(self.failed)}
        rare = {"unavailable": self.unavailable, "not wanted": self.unwanted}
        return [f"{name} = {count}" for name, count in (counts | {k: v for k, v in rare.items() if v}).items()]

    def raise_for_failures(self) -> None:
        """Raise `InputError` if a recording failed."""
        if self.failed:
            name, reason = next(iter(self.failed.items()))
            rest = "; the others were not requested, since the site refuses" if self.not_tried else ""
            raise InputError(
                f"{len(self.failed)} recordings could not be downloaded, {name} because of: {reason}{rest}; "
                "repeat the command to continue"
            )


class Store:
    """A directory of downloads with its ``recordings.csv``; a context manager that locks the directory.

    Parameters
    ----------
    directory
        Created if missing.
    extra
        Called with each recorded recording, for an additional table.
    """

    def __init__(self, directory: Path, web: Web, extra: Callable[[Remote], None] | None = None) -> None:
        self.directory = directory
        self._web = web
        self._extra = extra
        self._stack = ExitStack()
        self._guard = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}

    def __enter__(self) -> "Store":
        with writing(self.directory):
            self.directory.mkdir(parents=True, exist_ok=True)
            self._stack.enter_context(
                alone(
                    self.directory / _LOCK_NAME,
                    f"another command is downloading to {self.directory}; wait for it, or choose another directory",
                )
            )
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
        """Return the path of an existing recording, or None."""
        for name in (remote.file_name, *remote.other_names):
            if (self.directory / name).is_file():
                return self.directory / name
        return None

    def bring(self, remote: Remote) -> bool:
        """Ensure that a recording and its record exist; return whether it was downloaded.

        Raises `BriteKitError` if the download failed.
        """
        name = remote.file_name
        if not is_recording_name(name) or name != Path(name).name or "\\" in name or not name.isprintable():
            raise InputError(f"{name!r} is not a valid name of a recording")
        with self._guard:
            turn = self._turns.setdefault(name, threading.Lock())
        with turn:
            return self._bring(remote)

    def _bring(self, remote: Remote) -> bool:
        found = self.find(remote)
        if found is not None:
            # also the record, which a killed command may not have written, unless it was completed by hand
            if self._row(found.stem) is None:
                self._record(remote, remote.details, found.stem)
            return False
        target = self.directory / remote.file_name
        fresh = self.directory / f".fresh-{remote.file_name}"
        try:
            details = remote.bring(self._web, fresh)
            # before renaming the file: a file without a record would be used without its licence
            self._record(remote, details, target.stem)
            fresh.replace(target)
        finally:
            fresh.unlink(missing_ok=True)
        return True

    def details_of(self, remote: Remote) -> Details:
        """Return the record of a recording."""
        row = self._row(Path(remote.file_name).stem)
        return remote.details if row is None else Details(**{key: row.get(key, "") for key in asdict(remote.details)})

    def bring_all(
        self, remotes: Iterable[Remote], most: int, jobs: int, count_present: bool, total: int | None = None
    ) -> Outcome:
        """Download recordings until `most` of them are complete.

        Parameters
        ----------
        most
            Number of recordings to get.
        count_present
            Whether existing recordings count.

        Returns
        -------
        The result; failures of single recordings do not raise.
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
        """Record one result; return whether it succeeded, or None for a refusal."""
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

"""What an interrupted run has done, so that the next one goes on from there.

A folder beside the labels: ``run.json`` says with which models and settings, ``done.jsonl`` has a line for
each finished recording, and the parts of tables that need all recordings lie in two files that only grow. A
line is written when everything it speaks of is on disk, and bears checksums, so that whatever a killed
process left half-written is found and done again.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from britekit.errors import InferenceError, InputError
from britekit.files import unwritable, write_json
from britekit.processes import take_lock

JOURNAL = ".analyze.journal"
_FORMAT = 3
_SYNC_SECONDS = 5.0
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Slice:
    """A stretch of a file and its CRC-32."""

    offset: int
    length: int
    crc: int


@dataclass(frozen=True, slots=True)
class Written:
    """A file of one recording.

    Attributes
    ----------
    held
        Name below the journal while the file of an earlier run keeps its place; None: it has its own.
    length, crc
        Of its bytes.
    """

    held: str | None
    length: int
    crc: int


@dataclass(frozen=True, slots=True)
class Done:
    """A finished recording.

    Attributes
    ----------
    name
        What it is called in the output.
    size, mtime_ns
        Of its file when it was scored.
    damaged_at
        Second from which on it is damaged; None if it is whole.
    labels_at, scores
        Its part of ``labels.part`` (labels, from which tables are written) and of ``scores.part``.
    files
        Ending of the name to the file.
    """

    name: str
    size: int
    mtime_ns: int
    seconds: float
    labels: int
    rows: int
    damaged_at: float | None
    labels_at: Slice | None
    scores: Slice | None
    files: dict[str, Written]


class Journal:
    """The journal of one output folder, held by one process at a time.

    Parameters
    ----------
    folder
        The output folder, which exists.
    facts
        What the results depend on besides the recordings; plain values, nested.
    resume
        True: refuse where there is another journal; False: start anew; None: go on if the journal is of a
        run with the same facts, else start anew.

    Attributes
    ----------
    done
        Names of finished recordings, each with its line: a tenth of the memory that a `Done` takes.
    set_aside
        Why a journal that was there does not count; empty if it does, or if there was none.

    Raises
    ------
    InputError
        Another process works here, or the folder cannot be written.
    InferenceError
        ``resume`` is True, and the journal is of a run with other facts.
    """

    def __init__(self, folder: Path, facts: dict[str, Any], resume: bool | None = None) -> None:
        self.path = folder / JOURNAL
        self.done: dict[str, bytes] = {}
        self.set_aside = ""
        self._folder = folder
        try:
            self.path.mkdir(exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise unwritable(folder, error) from error
        try:
            if not take_lock(self._lock):
                raise InputError(
                    f"another analyze is writing into {folder}; wait for it, or name another output directory"
                )
            self._open(json.loads(json.dumps(facts)), resume)
        except BaseException:
            os.close(self._lock)
            raise

    def _open(self, facts: dict[str, Any], resume: bool | None) -> None:
        known = self._known_facts()
        if known is not None and resume is not False:
            other = _differences(known, facts)
            if other:
                self.set_aside = f"{', '.join(other[:4])} {'differ' if other[1:] else 'differs'}"
            if other and resume:
                raise InferenceError(
                    f"the interrupted run in {self._folder} cannot be continued, since {self.set_aside}; "
                    "leave out --resume to start anew"
                )
        go_on = known is not None and resume is not False and not self.set_aside
        try:
            if not go_on:
                self._clear()
                write_json(self.path / "run.json", {"format": _FORMAT, "facts": facts})
            (self.path / "files").mkdir(exist_ok=True)
            self.labels: BinaryIO = open(self.path / "labels.part", "ab")  # noqa: SIM115
            self.scores: BinaryIO = open(self.path / "scores.part", "ab")  # noqa: SIM115
            if go_on:
                self._read_done()
            self._lines: BinaryIO = open(self.path / "done.jsonl", "ab")  # noqa: SIM115
        except OSError as error:
            raise unwritable(self.path, error) from error
        # Above all that are there: one of them may wait for the end, and there are gaps below it.
        self._number = max(
            (int(name) for name in os.listdir(self.path / "files") if name.isdigit()), default=0
        )
        self._synced = time.monotonic()

    def _known_facts(self) -> Any:
        """Return the facts of the journal that is there, None if there is none that can be used."""
        try:
            content = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return (
            content.get("facts") if isinstance(content, dict) and content.get("format") == _FORMAT else None
        )

    def _clear(self) -> None:
        # run.json goes first: what is left without it counts for nothing.
        (self.path / "run.json").unlink(missing_ok=True)
        for name in ("done.jsonl", "labels.part", "scores.part"):
            (self.path / name).unlink(missing_ok=True)
        shutil.rmtree(self.path / "files", ignore_errors=True)

    def _read_done(self) -> None:
        """Read the lines whose files are whole; drop the rest."""
        try:
            content = (self.path / "done.jsonl").read_bytes()
        except FileNotFoundError:
            return
        good = []
        for line in content.splitlines(keepends=True):
            entry = _entry(line)
            if entry is not None and self._is_whole(entry):
                self.done[entry.name] = line
                good.append(line)
        # Rewritten, so that a torn last line does not spoil the next one.
        partial = self.path / "done.new"
        partial.write_bytes(b"".join(good))
        os.replace(partial, self.path / "done.jsonl")

    def _is_whole(self, entry: Done) -> bool:
        for part, name in ((entry.labels_at, "labels.part"), (entry.scores, "scores.part")):
            if part is not None and _crc(pieces(self.path / name, part)) != (part.length, part.crc):
                return False
        for ending, written in entry.files.items():
            places = [self._folder / f"{entry.name}{ending}"]
            if written.held is not None:
                places.insert(0, self.path / "files" / written.held)
            wanted = (written.length, written.crc)
            if not any(place.is_file() and _crc(_whole(place)) == wanted for place in places):
                return False
        return True

    def entry(self, name: str) -> Done | None:
        """Return what is noted about a recording, None if it is not finished."""
        line = self.done.get(name)
        return None if line is None else _entry(line)

    def new_file(self) -> Path:
        """Return a path below the journal that nothing has yet."""
        self._number += 1
        return self.path / "files" / str(self._number)

    def append(self, entry: Done) -> None:
        """Note a finished recording, whose files are written."""
        line = _line(entry)
        try:
            self.labels.flush()
            self.scores.flush()
            self._lines.write(line)
            self._lines.flush()
        except OSError as error:
            raise unwritable(self.path, error) from error
        self.done[entry.name] = line
        now = time.monotonic()
        if now - self._synced > _SYNC_SECONDS:
            # A killed process loses nothing; a power cut loses these seconds.
            self._synced = now
            for file in (self.labels, self.scores, self._lines):
                os.fsync(file.fileno())

    def close(self, remove: bool) -> None:
        """Let go of the journal; with ``remove``, or if nothing is in it, it goes."""
        failed: OSError | None = None
        for file in (self.labels, self.scores, self._lines):
            try:
                file.close()  # writes what is still held
            except OSError as error:
                failed = error
        gone = remove or not self.done
        if gone:
            self._clear()
            shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)
        if gone and os.name == "nt":  # which removes no file that is open; elsewhere it may be the next run's
            shutil.rmtree(self.path, ignore_errors=True)
        if failed is not None:
            raise unwritable(self.path, failed) from failed


def pieces(path: Path, part: Slice) -> Iterator[bytes]:
    """Yield the bytes of a part of a file, as far as they are there."""
    with open(path, "rb") as file:
        file.seek(part.offset)
        left = part.length
        while left and (piece := file.read(min(left, _PIECE))):
            left -= len(piece)
            yield piece


def _whole(path: Path) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            while piece := file.read(_PIECE):
                yield piece
    except OSError:
        return


def _crc(stream: Iterator[bytes]) -> tuple[int, int]:
    length = crc = 0
    for piece in stream:
        length += len(piece)
        crc = zlib.crc32(piece, crc)
    return length, crc


def _line(entry: Done) -> bytes:
    values = dataclasses.astuple(entry)
    return json.dumps(values, separators=(",", ":")).encode() + b"\n"


def _entry(line: bytes) -> Done | None:
    """Return what a line says, None for one that a killed process left unfinished."""
    if not line.endswith(b"\n"):
        return None
    try:
        name, size, mtime_ns, seconds, labels, rows, damaged_at, labels_at, scores, files = json.loads(line)
        return Done(
            name,
            size,
            mtime_ns,
            seconds,
            labels,
            rows,
            damaged_at,
            None if labels_at is None else Slice(*labels_at),
            None if scores is None else Slice(*scores),
            {ending: Written(*file) for ending, file in files.items()},
        )
    except (ValueError, TypeError, AttributeError):
        return None


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

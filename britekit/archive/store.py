"""An archive on disk: the vectors of all windows of many recordings, in files that only grow.

- ``archive.json``: which model made the vectors, with which settings, and of recordings below which folder.
- ``recordings.jsonl``: a line per recording; the last line about a recording is the one that counts.
- ``vectors.f16`` (N, F), ``starts.f64`` (N,) in seconds and ``norms.f32`` (N,), without any header.

Rows are written before the line that names them, so whatever a killed run left behind the last whole line is
cut off, and a run that goes on from there leaves the bytes of one that was never interrupted.
"""

from __future__ import annotations

import bisect
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from britekit.errors import InputError, counted, some

FACTS, RECORDINGS, VECTORS, STARTS, NORMS = (
    "archive.json", "recordings.jsonl", "vectors.f16", "starts.f64", "norms.f32")  # fmt: skip
FORMAT = "britekit-archive-1"


@dataclass(frozen=True, slots=True)
class Entry:
    """A recording in an archive."""

    recording: str
    """Its name: the path below the folder, without extension."""
    file: str
    """The path below the folder."""
    size: int
    mtime_ns: int
    """Of the file when it was read."""
    seconds: float
    """Length."""
    damaged_at: float | None
    """Second from which on it is damaged; None if it is whole."""
    first: int
    windows: int
    """Its rows."""


class Archive:
    """An archive, open for reading.

    Raises `InputError` if there is no archive, or it is damaged.

    Attributes
    ----------
    facts
        What ``archive.json`` says.
    entries
        The recordings that count, by name.
    rows
        N, also those of recordings that have changed since.
    outdated
        Recordings that have changed, with the number of their former windows, which are never searched.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        try:
            self.facts: dict[str, Any] = json.loads((self.folder / FACTS).read_text(encoding="utf-8"))
            if self.facts["format"] != FORMAT:
                raise ValueError(f'its format is "{self.facts["format"]}", and this version reads "{FORMAT}"')
            self.width = int(self.facts["identity"]["features"])
        except FileNotFoundError:
            raise InputError(
                f'{self.folder} is not an archive: it contains no {FACTS}; make one with "britekit embed --archive"'
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{self.folder / FACTS} cannot be used ({error}); restore it from a copy") from None
        self.outdated: dict[str, int] = {}
        self._entries, self.rows, self._length = self._read_index()
        for name, bytes_per_row in self._row_bytes().items():
            path = self.folder / name
            there = path.stat().st_size if path.is_file() else 0
            if there < self.rows * bytes_per_row:
                raise InputError(
                    f"{path} holds {there // bytes_per_row} of the {self.rows} windows that {RECORDINGS} lists; "
                    "restore it from a copy, or make the archive again in an empty folder"
                )

    @property
    def root(self) -> Path:
        """Folder of the recordings."""
        return Path(os.path.normpath(self.folder / self.facts["recordings"]))

    @property
    def model(self) -> Path:
        """Where the model lay that made the vectors."""
        return Path(os.path.normpath(self.folder / self.facts["model"]))

    @property
    def window_s(self) -> float:
        """Seconds of a window."""
        identity = self.facts["identity"]
        return float(identity["embedder"]["seconds"] if "embedder" in identity else identity["audio"]["spec_duration"])

    @property
    def entries(self) -> dict[str, Entry]:
        """The recordings that count, by name."""
        return self._entries

    @cached_property
    def vectors(self) -> NDArray[np.float16]:
        """(N, F), memory-mapped."""
        return self._mapped(VECTORS, np.dtype("<f2"), (self.rows, self.width))

    def take(self, rows: NDArray[np.int64] | slice) -> NDArray[np.float32]:
        """Return the vectors of some rows, float32 (n, F).

        Raises `InputError` if one holds a number that is not finite, which no run stores: the file is damaged.
        """
        found: NDArray[np.float32] = np.asarray(self.vectors[rows], np.float32)
        bad = np.flatnonzero(~np.isfinite(found).all(axis=1))
        if len(bad):
            self.refuse_row(int(np.arange(self.rows)[rows][bad[0]]))
        return found

    def refuse_row(self, row: int) -> NoReturn:
        """Raise `InputError` about a row whose vector cannot be right."""
        raise InputError(
            f"{self.folder / VECTORS} is damaged: the vector of {self.entry_of(row).recording} at "
            f"{self.starts[row]:g} s is not one that was stored; restore the file from a copy"
        )

    @cached_property
    def starts(self) -> NDArray[np.float64]:
        """(N,) where windows begin in their recordings, in seconds."""
        return self._mapped(STARTS, np.dtype("<f8"), (self.rows,))

    @cached_property
    def norms(self) -> NDArray[np.float32]:
        """(N,) lengths of the vectors."""
        return self._mapped(NORMS, np.dtype("<f4"), (self.rows,))

    @cached_property
    def live(self) -> NDArray[np.bool_]:
        """(N,) False for rows of recordings that have changed since."""
        live = np.zeros(self.rows, bool)
        for entry in self._entries.values():
            live[entry.first : entry.first + entry.windows] = True
        return live

    def check(self, identity: dict[str, Any]) -> None:
        """Refuse a model, or settings, with which this archive was not made.

        Raises
        ------
        InputError
            Names what differs.
        """
        known = self.facts["identity"]
        plain = json.loads(json.dumps(identity))
        other = [key for key in {**known, **plain} if known.get(key) != plain.get(key)]
        if other:
            raise InputError(
                f"{self.folder} was made with {some(_differing(known, plain, other), 4)}; use the same, or name "
                "another folder"
            )

    def note_outdated(self, before: Entry | None) -> None:
        """Count the windows of an entry that another has replaced."""
        if before is not None and before.windows:
            self.outdated[before.recording] = self.outdated.get(before.recording, 0) + before.windows

    def describe_outdated(self) -> str:
        """Return how many rows are never searched, and why; an empty text if there are none."""
        if not self.outdated:
            return ""
        windows, recordings = (counted(sum(self.outdated.values()), "window"), counted(len(self.outdated), "recording"))
        return (
            f"{windows} of {recordings} that changed ({some(sorted(self.outdated))}); they are not searched, and an "
            "archive made again takes less space"
        )

    def entry_of(self, row: int) -> Entry:
        """Return the recording of a row."""
        return self._by_row[bisect.bisect_right(self._by_row, row, key=lambda entry: entry.first) - 1]

    @cached_property
    def _by_row(self) -> list[Entry]:
        return sorted((e for e in self._entries.values() if e.windows), key=lambda entry: entry.first)

    def _row_bytes(self) -> dict[str, int]:
        return {VECTORS: 2 * self.width, STARTS: 8, NORMS: 4}

    def _mapped(self, name: str, kind: np.dtype[Any], shape: tuple[int, ...]) -> Any:
        if not self.rows:
            return np.zeros(shape, kind)
        return np.memmap(self.folder / name, kind, "r", shape=shape)

    def _read_index(self) -> tuple[dict[str, Entry], int, int]:
        """Return the recordings, the rows, and the bytes of all whole lines."""
        path = self.folder / RECORDINGS
        content = path.read_bytes() if path.is_file() else b""
        length = content.rfind(b"\n") + 1
        entries: dict[str, Entry] = {}
        rows = 0
        for number, line in enumerate(content[:length].splitlines(), start=1):
            try:
                entry = Entry(**json.loads(line))
                if entry.first != rows or entry.windows < 0:
                    raise ValueError("its rows do not follow those before")
            except (ValueError, TypeError) as error:
                raise InputError(f"{path}, line {number} cannot be used ({error}); restore it from a copy") from None
            before = entries.pop(entry.recording, None)  # the order is that of the last lines
            self.note_outdated(before)
            entries[entry.recording] = entry
            rows += entry.windows
        return entries, rows, length


def _differing(known: dict[str, Any], given: dict[str, Any], keys: Iterable[str]) -> list[str]:
    """Return which values an archive was made with, and which it would get."""
    said = []
    for key in keys:
        old, new = known.get(key), given.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            inner = [name for name in {**old, **new} if old.get(name) != new.get(name)]
            said += _differing(old, new, inner)
        elif key == "model":
            said.append(f"another model (SHA-256 {str(old)[:12]}…, not {str(new)[:12]}…)")
        else:
            said.append(f"{key} {old}, not {new}")
    return said

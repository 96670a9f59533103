"""An archive on disk: the vectors of all windows of many recordings, in files that only grow.

- ``archive.json``: which model made the vectors, with which settings, and of recordings below which folder.
- ``recordings.jsonl``: a line per recording; the last line about a recording is the one that counts.
- ``vectors.f16`` (N, F), ``starts.f64`` (N,) in seconds and ``norms.f32`` (N,), without any header.

Rows are written before the line that names them, so whatever a killed run left behind the last whole line is
cut off, and a run that goes on from there leaves the bytes of one that was never interrupted.
"""

from __future__ import annotations

import bisect
import contextlib
import json
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from britekit.audio.files import shown
from britekit.errors import InferenceError, InputError, ModelError, some
from britekit.files import UNWRITABLE, unwritable, write_json
from britekit.inference.embedding import Embedder, open_embedder
from britekit.processes import alone

FACTS, RECORDINGS, VECTORS, STARTS, NORMS = (
    "archive.json", "recordings.jsonl", "vectors.f16", "starts.f64", "norms.f32")  # fmt: skip
_LOCK = ".lock"
_FORMAT = "britekit-archive-1"
# What a kill or a power cut can lose.
_COMMIT_SECONDS = 1.0
_LARGEST = float(np.finfo(np.float16).max)


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

    Attributes
    ----------
    facts
        What ``archive.json`` says.
    entries
        The recordings that count, by name.
    rows
        N, also those of recordings that have changed since.

    Raises
    ------
    InputError
        There is no archive, or it is damaged.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        try:
            self.facts: dict[str, Any] = json.loads((self.folder / FACTS).read_text(encoding="utf-8"))
            if self.facts["format"] != _FORMAT:
                raise ValueError(f'its format is "{self.facts["format"]}", and this version reads "{_FORMAT}"')
            self.width = int(self.facts["identity"]["features"])
        except FileNotFoundError:
            raise InputError(
                f'{self.folder} is not an archive: it contains no {FACTS}; make one with "britekit embed --archive"'
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{self.folder / FACTS} cannot be used ({error}); restore it from a copy") from None
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
    def entries(self) -> dict[str, Entry]:
        """The recordings that count, by name."""
        return self._entries

    @cached_property
    def vectors(self) -> NDArray[np.float16]:
        """(N, F), memory-mapped."""
        return self._mapped(VECTORS, np.dtype("<f2"), (self.rows, self.width))

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
            entries.pop(entry.recording, None)  # the order is that of the last lines
            entries[entry.recording] = entry
            rows += entry.windows
        return entries, rows, length


class GrowingArchive(Archive):
    """An archive, open for appending by this process alone; a context manager.

    Parameters
    ----------
    folder
        The archive; made if it is missing.
    identity
        What vectors depend on besides the recordings.
    root
        Folder of the recordings.
    model
        File of the model.
    more
        Other facts to keep: licence, version.

    Raises
    ------
    InputError
        The folder cannot be written, holds something else, is of another model or of other recordings, or
        another process writes into it.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        identity: dict[str, Any],
        root: Path,
        model: Path,
        more: dict[str, Any] | None = None,
    ) -> None:
        folder = Path(folder)
        self._files: dict[str, BinaryIO] = {}
        self._lines: list[bytes] = []
        self._stack = contextlib.ExitStack()
        with _reporting(folder), contextlib.ExitStack() as stack:
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / FACTS).exists() and any(entry.name != _LOCK for entry in folder.iterdir()):
                raise InputError(f"{folder} holds something else than an archive; name a new or empty folder")
            stack.enter_context(alone(folder / _LOCK, f"another embed is writing into {folder}; wait for it"))
            if not (folder / FACTS).exists():
                places = {"recordings": _relative(root, folder), "model": _relative(model, folder)}
                write_json(folder / FACTS, {"format": _FORMAT, "identity": identity, **places, **(more or {})})
            super().__init__(folder)
            self.check(identity)
            self._check_root(root)
            with open(self._append(RECORDINGS), "r+b") as file:
                file.truncate(self._length)
            for name, size in self._row_bytes().items():
                self._files[name] = stack.enter_context(open(self._append(name), "r+b"))
                self._files[name].truncate(self.rows * size)
                self._files[name].seek(0, os.SEEK_END)
            self._files[RECORDINGS] = stack.enter_context(open(self.folder / RECORDINGS, "ab"))
            self._stack = stack.pop_all()
        self._committed = time.monotonic()

    def __enter__(self) -> GrowingArchive:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._stack:
            self.commit()

    def add(self, recording: str, file: str, identity: tuple[int, int], result: Any) -> int:
        """Append a recording, and return its number of windows.

        Parameters
        ----------
        recording, file
            Its name, and its path below the folder.
        identity
            Size and modification time before it was read.
        result
            A `RecordingScores` of vectors.

        Raises
        ------
        InferenceError
            A vector does not fit 16 bits; nothing was added.
        InputError
            The archive cannot be written.
        """
        vectors = result.scores.astype(np.float32, copy=False)
        with np.errstate(over="ignore"):
            stored = vectors.astype("<f2")
        if not np.isfinite(stored).all():
            row = int(np.argmin(np.isfinite(stored).all(axis=1)))
            raise InferenceError(
                f"the vector of the window at {result.starts[row]:g} s holds {np.abs(vectors[row]).max():g}, and "
                f"an archive holds numbers up to {_LARGEST:g}; the model or its scaling is not right"
            )
        norms = np.sqrt(np.einsum("nf,nf->n", stored, stored, dtype=np.float64)).astype("<f4")
        entry = Entry(recording, file, *identity, result.seconds, result.damaged_at, self.rows, len(stored))
        with _reporting(self.folder):
            self._files[VECTORS].write(stored.tobytes())
            self._files[STARTS].write(result.starts.astype("<f8").tobytes())
            self._files[NORMS].write(norms.tobytes())
            self._lines.append(json.dumps(asdict(entry)).encode() + b"\n")
            self._entries.pop(recording, None)
            self._entries[recording] = entry
            self.rows += len(stored)
            if time.monotonic() - self._committed > _COMMIT_SECONDS:
                self.commit()
        return len(stored)

    def commit(self) -> None:
        """Make everything that was added last."""
        if not self._lines:
            return
        with _reporting(self.folder):
            for name in self._row_bytes():
                _flush(self._files[name])
            self._files[RECORDINGS].writelines(self._lines)
            _flush(self._files[RECORDINGS])
        self._lines, self._committed = [], time.monotonic()

    def _append(self, name: str) -> Path:
        path = self.folder / name
        path.touch()
        return path

    def _check_root(self, root: Path) -> None:
        # `root` may have moved with the archive; another folder would have recordings of equal names.
        if self.root.is_dir() and not os.path.samefile(self.root, root):
            raise InputError(
                f"{self.folder} is an archive of the recordings below {shown(self.root)}; name that folder or one "
                f"in it with -i, or another archive for {shown(root)}"
            )


def open_model(
    folder: str | os.PathLike[str],
    model: str | os.PathLike[str] | None = None,
    cfg_path: str | os.PathLike[str] | None = None,
    overlap: float | None = None,
    num_threads: int | None = None,
) -> Embedder:
    """Load the model of an archive, with its settings; of one that is not there yet, the model of the settings.

    Raises
    ------
    InputError
        The model is not that of the archive.
    ModelError
        It is missing or cannot be used.
    """
    overrides: dict[str, Any] = {"infer.num_threads": num_threads, "infer.overlap": overlap}
    if not (Path(folder) / FACTS).is_file():
        return open_embedder(model, cfg_path, overrides)
    archive = Archive(folder)
    identity = archive.facts["identity"]
    overrides["infer.overlap"] = identity["overlap"] if overlap is None else overlap
    overrides["infer.audio_power"] = identity.get("audio_power")
    place = archive.model if model is None else Path(model)
    if not place.exists():
        raise ModelError(f"{shown(place)}, with which {folder} was made, is not there any more; name it with --model")
    embedder = open_embedder(place, cfg_path, overrides)
    archive.check(embedder.identity)
    return embedder


def place_in_archive(folder: str | os.PathLike[str], source: Path) -> tuple[Path, PurePosixPath]:
    """Return the folder of an archive's recordings, and where in it ``source`` lies.

    A new archive is of ``source``, or of the folder in which that file lies; so is one whose folder of recordings
    has gone, since it may have moved.
    """
    place = source if source.is_dir() else source.parent
    if (Path(folder) / FACTS).is_file():
        root = Archive(folder).root
        if root.is_dir() and place.resolve().is_relative_to(root.resolve()):
            return root, PurePosixPath(place.resolve().relative_to(root.resolve()).as_posix())
    return place, PurePosixPath()


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


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive of Windows
        return str(path.absolute())


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


@contextlib.contextmanager
def _reporting(folder: Path) -> Any:
    """Turn what the operating system refuses into a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise unwritable(folder, error) from error

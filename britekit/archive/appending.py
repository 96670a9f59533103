"""An archive that grows: recordings are appended by one process at a time, durably."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from britekit.archive.store import FACTS, FORMAT, NORMS, RECORDINGS, STARTS, VECTORS, Archive, Entry
from britekit.audio.files import shown
from britekit.errors import InferenceError, InputError
from britekit.files import write_json, writing
from britekit.processes import alone

_LOCK = ".lock"
# What a kill or a power cut can lose.
_COMMIT_SECONDS = 1.0
_LARGEST = float(np.finfo(np.float16).max)


class GrowingArchive(Archive):
    """An archive, open for appending by this process alone; a context manager.

    Raises `InputError` if the folder cannot be written, holds something else, is of another model or of other
    recordings, or another process writes into it.

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
        with writing(folder, reads=True), contextlib.ExitStack() as stack:
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / FACTS).exists() and any(entry.name != _LOCK for entry in folder.iterdir()):
                raise InputError(f"{folder} holds something else than an archive; name a new or empty folder")
            stack.enter_context(alone(folder / _LOCK, f"another embed is writing into {folder}; wait for it"))
            if not (folder / FACTS).exists():
                places = {"recordings": _relative(root, folder), "model": _relative(model, folder)}
                write_json(folder / FACTS, {"format": FORMAT, "identity": identity, **places, **(more or {})})
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
        with writing(self.folder, reads=True):
            self._files[VECTORS].write(stored.tobytes())
            self._files[STARTS].write(result.starts.astype("<f8").tobytes())
            self._files[NORMS].write(norms.tobytes())
            self._lines.append(json.dumps(asdict(entry)).encode() + b"\n")
            self.note_outdated(self._entries.pop(recording, None))
            self._entries[recording] = entry
            self.rows += len(stored)
            if time.monotonic() - self._committed > _COMMIT_SECONDS:
                self.commit()
        return len(stored)

    def commit(self) -> None:
        """Make everything that was added last."""
        if not self._lines:
            return
        with writing(self.folder, reads=True):
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


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive of Windows
        return str(path.absolute())


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())

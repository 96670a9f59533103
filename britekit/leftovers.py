"""Temporary files and folders that later runs recognize as leftovers after their process has died.

Each is locked from its creation until its process closes it or dies. So an item whose lock can be taken is unused; this
also holds in containers, where every run has the same process ID.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_WINDOWS = os.name == "nt"  # Windows cannot delete an open file, which serves as a lock
if not _WINDOWS:
    import fcntl

# All names with the same prefix are one item, since SQLite creates files beside its own.
_OURS = re.compile(r"\..+\.[0-9a-f]{8}\.partial")
# The final name may already be as long as the file system allows, so the stem is cut.
_STEM_LETTERS = 40
_swept: set[Path] = set()


class Partial:
    """A temporary file or folder of this process, locked."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path, self._handle = path, handle

    def close(self) -> None:
        """Release the lock."""
        if self._handle >= 0:
            os.close(self._handle)
        self._handle = -1

    def take_name(self, target: Path) -> None:
        """Rename to the final name, and release the lock."""
        if _WINDOWS:  # Windows cannot rename open files
            self.close()
        os.replace(self.path, target)
        self.close()

    def discard(self) -> None:
        """Delete the temporary file or folder if it still exists."""
        if _WINDOWS:
            self.close()
        # This also fails on a file system that became read-only; the first error is the one to report.
        with suppress(OSError):
            _remove(self.path)
        self.close()


def create(target: Path, *, folder: bool = False) -> Partial:
    """Create an empty temporary file or folder beside ``target`` and lock it.

    A file keeps the suffix of ``target``, by which writers choose the format; its modification time is 0 until it is
    written to. The first call for a directory deletes the leftovers in it.
    """
    remove_leftovers(target.parent)
    stem, suffix = (target.name, "") if folder else (target.stem, target.suffix)
    while True:
        path = target.with_name(f".{stem[:_STEM_LETTERS]}.{secrets.token_hex(4)}.partial{suffix}")
        if folder:
            path.mkdir()
        else:
            path.touch(exist_ok=False)
            os.utime(path, (0, 0))
        if _WINDOWS:
            return Partial(path, -1 if folder else os.open(path, os.O_RDONLY))
        partial = Partial(path, os.open(path, os.O_RDONLY))
        with suppress(OSError):  # on a file system without locks, leftovers are never deleted
            fcntl.flock(partial._handle, fcntl.LOCK_EX)
        if path.exists():
            return partial
        partial.close()  # another process deleted it as a leftover before it was locked


@contextmanager
def temporary_folder(purpose: str) -> Iterator[Path]:
    """Yield an empty folder in ``TMPDIR``, deleted after the block, or by a later run after a kill."""
    partial = create(Path(tempfile.gettempdir(), f"britekit-{purpose}"), folder=True)
    try:
        yield partial.path
    finally:
        partial.discard()


def is_held(path: Path) -> bool:
    """Return whether a running process, including this one, holds an item of `create`."""
    if _WINDOWS:
        try:
            path.unlink(missing_ok=True)
        except PermissionError:
            return True
        return False
    handle = _claim(path)
    if handle is None:
        return path.exists()
    os.close(handle)
    return False


def remove_leftovers(directory: Path) -> None:
    """Delete leftovers of killed processes in a directory, once per process."""
    directory = directory.absolute()
    if directory in _swept:
        return
    _swept.add(directory)
    items: dict[str, list[Path]] = {}
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if found := _OURS.match(entry.name):
                items.setdefault(found[0], []).append(Path(entry.path))
    for paths in items.values():
        handles = [_claim(path) for path in paths]
        for path in paths if None not in handles else ():
            with suppress(OSError):
                _remove(path)
        for handle in handles:
            if handle is not None and handle >= 0:
                os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _claim(path: Path) -> int | None:
    """Return a locked handle of an unused file or folder (-1 if no handle is needed), or None if it is in use."""
    if _WINDOWS:
        return None if path.is_dir() else -1
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # missing, or owned by another user
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # in use, or a file system without locks
        os.close(handle)
        return None
    return handle

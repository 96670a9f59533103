"""Temporary files and folders that a later run recognises as leftovers once their process has died.

Each is locked from its creation until its process closes it or ends, however it ends. So nobody uses one
whose lock can be taken; that is true in a container too, where every run has the same process number.
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

_WINDOWS = os.name == "nt"  # it refuses to remove a file that is open, which is lock enough
if not _WINDOWS:
    import fcntl

# One name and all that begins with it are one item: SQLite puts files beside the one it writes.
_OURS = re.compile(r"\..+\.[0-9a-f]{8}\.partial")
# A partial name is longer than the final one, which may already be as long as the file system allows.
_STEM_LETTERS = 40
_swept: set[Path] = set()


class Partial:
    """A temporary file or folder of this process, locked.

    Attributes
    ----------
    path
        Where to write.
    """

    def __init__(self, path: Path, handle: int) -> None:
        self.path, self._handle = path, handle

    def close(self) -> None:
        """Give up the lock."""
        if self._handle >= 0:
            os.close(self._handle)
        self._handle = -1

    def take_name(self, target: Path) -> None:
        """Rename to the final name, and give up the lock."""
        if _WINDOWS:  # Windows does not rename what is open
            self.close()
        os.replace(self.path, target)
        self.close()

    def discard(self) -> None:
        """Remove what is still there under the temporary name."""
        if _WINDOWS:
            self.close()
        # On a file system that turned read-only this fails too; the first error is the one to report.
        with suppress(OSError):
            _remove(self.path)
        self.close()


def create(target: Path, *, folder: bool = False) -> Partial:
    """Create an empty temporary file or folder beside ``target`` and lock it.

    A file keeps the suffix of ``target``, by which writers choose the format; its modification time is 0
    until something is written to it. The first call for a directory removes the leftovers in it.
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
        with suppress(OSError):  # a file system without locks: nobody removes anything there
            fcntl.flock(partial._handle, fcntl.LOCK_EX)
        if path.exists():
            return partial
        partial.close()  # somebody took it for a leftover before it was locked


@contextmanager
def temporary_folder(purpose: str) -> Iterator[Path]:
    """Yield an empty folder in ``TMPDIR``, removed after the block, or by a later run after a kill."""
    partial = create(Path(tempfile.gettempdir(), f"britekit-{purpose}"), folder=True)
    try:
        yield partial.path
    finally:
        partial.discard()


def is_held(path: Path) -> bool:
    """Whether a living process, this one included, holds something that `create` made."""
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
    """Remove what killed processes left in a directory; looks once in the life of a process."""
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
    """Return an open handle if nobody holds the file or folder, -1 where none is needed; else None."""
    if _WINDOWS:
        return None if path.is_dir() else -1
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # gone, or another user's
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held, or a file system that has no locks
        os.close(handle)
        return None
    return handle

"""One download at a time into a directory, so that two commands do not write the same partial file."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from britekit.errors import InputError
from britekit.files import unwritable

NAME = ".britekit-downloading"


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold a directory, made if missing; the operating system lets go of it if the process dies.

    Raises
    ------
    InputError
        Another process downloads into it, or it cannot be written.
    """
    path = directory / NAME
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise unwritable(directory, error) from error
    try:
        if not _take(handle):
            raise InputError(
                f"another command is downloading into {directory}; wait until it has ended, or choose another"
            )
        yield
    finally:
        # the file stays: removing it would let two later commands lock two different files of this name
        os.close(handle)


def _take(handle: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            return False
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system that knows no locks
    return True

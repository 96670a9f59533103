"""Locks between processes, and the number of cores."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from britekit.errors import InputError

_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP})


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def alone(path: Path, sentence: str) -> Iterator[None]:
    """Hold a lock file, which is not deleted; the operating system releases the lock if the process dies.

    Raises
    ------
    InputError
        Another process holds the lock; the message is ``sentence``.
    OSError
        The file cannot be written. On a file system without locks the block runs without one.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise InputError(sentence) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    try:
        yield
    finally:
        lock.release()


def take_lock(handle: int) -> bool:
    """Lock an open file until it is closed or this process ends; False if another process holds it.

    Not on Windows, where such a lock would also keep readers out.
    """
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True

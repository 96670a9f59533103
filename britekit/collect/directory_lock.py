"""One download at a time into a directory, so that two commands do not write the same partial file."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from britekit.errors import InputError
from britekit.files import unwritable
from britekit.processes import take_lock

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
        if not take_lock(handle):
            raise InputError(
                f"another command is downloading into {directory}; wait until it has ended, or choose another"
            )
        yield
    finally:
        # the file stays: removing it would let two later commands lock two different files of this name
        os.close(handle)

"""The spectrograms of a training file once per machine, for all its processes.

One process reads the file into a memory-mapped array; the others map the same pages. The name is removed as
soon as all have opened it, so that nothing is left behind however the processes end.
"""

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from britekit.leftovers import Partial, create

# Memory that looks like a file, where there is enough of it; else a file, whose pages the system keeps.
_IN_MEMORY = Path("/dev/shm")
_SPARE = 1.1


def mapped_file(num_bytes: int) -> Partial:
    """Create an empty file of ``size`` bytes: in memory if it fits, else in the temporary folder."""
    folder = Path(tempfile.gettempdir())
    writable = _IN_MEMORY.is_dir() and os.access(_IN_MEMORY, os.W_OK)
    if writable and shutil.disk_usage(_IN_MEMORY).free > _SPARE * num_bytes:
        folder = _IN_MEMORY
    return create(folder / "britekit.u8")


class SharedRows:
    """Makes arrays that other processes can map; the last one made is the one to share."""

    def __init__(self) -> None:
        self._file: Partial | None = None

    @property
    def path(self) -> Path | None:
        """Where the last array can be mapped, until `remove`."""
        return self._file.path if self._file else None

    def __call__(self, rows: int, columns: int) -> NDArray[np.uint8]:
        """Return a new (rows, columns) array of zeros."""
        before, self._file = self._file, mapped_file(rows * columns)
        array = np.memmap(self._file.path, dtype=np.uint8, mode="w+", shape=(rows, columns))
        if before is not None:
            before.discard()  # the caller that grows the array still maps it
        return array

    def remove(self) -> None:
        """Remove the name; the memory lives as long as a process maps it."""
        if self._file is not None:
            self._file.discard()
            self._file = None


def map_rows(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the array of another process, (N, H, W); read-only for this one."""
    # Copy-on-write: torch warns about read-only arrays, and nothing writes to it.
    return np.memmap(path, dtype=np.uint8, mode="c", shape=shape)

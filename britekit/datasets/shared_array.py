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

# Memory that looks like a file, where there is enough of it; else a file, whose pages the system keeps.
_IN_MEMORY = Path("/dev/shm")
_SPARE = 1.1


def mapped_path(num_bytes: int) -> Path:
    """A new, empty file for so many bytes: in memory if they fit, else in the temporary folder."""
    folder = Path(tempfile.gettempdir())
    writable = _IN_MEMORY.is_dir() and os.access(_IN_MEMORY, os.W_OK)
    if writable and shutil.disk_usage(_IN_MEMORY).free > _SPARE * num_bytes:
        folder = _IN_MEMORY
    handle, name = tempfile.mkstemp(prefix="britekit-", suffix=".u8", dir=folder)
    os.close(handle)
    return Path(name)


class SharedRows:
    """Makes arrays that other processes can map; the last one made is the one to share."""

    def __init__(self) -> None:
        self.path: Path | None = None

    def __call__(self, rows: int, columns: int) -> NDArray[np.uint8]:
        """A new (rows, columns) array of zeros."""
        before = self.path
        self.path = mapped_path(rows * columns)
        array = np.memmap(self.path, dtype=np.uint8, mode="w+", shape=(rows, columns))
        if before is not None:
            before.unlink(missing_ok=True)  # whoever grows the array still maps it
        return array

    def remove(self) -> None:
        """Take the name away; the memory lives as long as somebody maps it."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
            self.path = None


def map_rows(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The array of another process, (N, H, W); read-only for this one."""
    # Copy-on-write: torch warns of arrays that cannot be written, and nobody writes.
    return np.memmap(path, dtype=np.uint8, mode="c", shape=shape)

"""Keep rows of scores in memory, or on disk if there are many, so that memory does not grow with a recording."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

# Bytes that a recording keeps in memory: an hour of 50 classes at 4 frames per second, or several hours of windows.
KEPT_BYTES = 4 << 20
# Bytes to read at a time from disk.
_BLOCK_BYTES = 2 << 20


class SpilledArray:
    """A growing table of float32 scores, (N, C); rows are appended, then read by columns or in blocks.

    Parameters
    ----------
    num_columns
        C.
    folder
        Folder for rows beyond `kept_bytes`, in an unnamed file that is deleted with this object or the process; None
        keeps all in memory.
    kept_bytes
        Limit of bytes in memory; None for `KEPT_BYTES`.
    """

    def __init__(
        self, num_columns: int, folder: str | os.PathLike[str] | None = None, kept_bytes: int | None = None
    ) -> None:
        self._columns = num_columns
        self._folder = None if folder is None else Path(folder)
        self._kept_bytes = KEPT_BYTES if kept_bytes is None else kept_bytes
        self._parts: list[np.ndarray] = []
        self._in_memory = 0
        self._in_file = 0
        self._file: BinaryIO | None = None

    def __len__(self) -> int:
        return self._in_file + self._in_memory

    @property
    def shape(self) -> tuple[int, int]:
        """(N, C)."""
        return len(self), self._columns

    @property
    def nbytes(self) -> int:
        """Bytes of all rows, in memory and on disk."""
        return 4 * len(self) * self._columns

    def append(self, rows_nC: np.ndarray) -> None:
        """Append a copy of rows."""
        rows = np.array(rows_nC, np.float32, order="C")
        if rows.ndim != 2 or rows.shape[1] != self._columns:
            raise ValueError(f"rows of shape {rows.shape}; expected {self._columns} columns")
        self._parts.append(rows)
        self._in_memory += len(rows)
        if self._folder is not None and 4 * self._in_memory * self._columns > self._kept_bytes:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115
            self._file.seek(0, os.SEEK_END)
            for part in self._parts:
                self._file.write(part.data)
            self._in_file += self._in_memory
            self._parts, self._in_memory = [], 0

    def append_zeros(self, count: int) -> None:
        """Append ``count`` rows of zeros."""
        most = self._rows_per_block()
        for first in range(0, count, most):
            self.append(np.zeros((min(most, count - first), self._columns), np.float32))

    def truncate(self, length: int) -> None:
        """Drop the rows from ``length`` on."""
        if length >= len(self):
            return
        if length < self._in_file:
            assert self._file is not None
            self._file.truncate(4 * length * self._columns)
            self._in_file, self._parts, self._in_memory = length, [], 0
            return
        rows = np.concatenate([np.empty((0, self._columns), np.float32), *self._parts])
        rows = rows[: length - self._in_file]
        self._parts, self._in_memory = [rows], len(rows)

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield all rows in order, in read-only blocks (n, C)."""
        at, most = 0, self._rows_per_block()
        while at < self._in_file:
            assert self._file is not None
            count = min(most, self._in_file - at)
            # Seek every time, since the caller may read columns between blocks.
            self._file.seek(4 * at * self._columns)
            content = self._file.read(4 * count * self._columns)
            yield np.frombuffer(content, np.float32).reshape(count, self._columns)
            at += count
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        yield from self._parts

    def part(self, first: int, past: int) -> np.ndarray:
        """Return the rows from ``first`` to before ``past``, (n, C)."""
        found = np.empty((past - first, self._columns), np.float32)
        inside = min(past, self._in_file) - first
        if inside > 0:
            assert self._file is not None
            self._file.seek(4 * first * self._columns)
            found[:inside] = np.frombuffer(self._file.read(4 * inside * self._columns), np.float32).reshape(inside, -1)
        at = self._in_file
        for rows in self._parts:
            low, high = max(first, at), min(past, at + len(rows))
            if low < high:
                found[low - first : high - first] = rows[low - at : high - at]
            at += len(rows)
        return found

    def empty_like(self) -> SpilledArray:
        """Return a table without rows, with the same columns, folder and limit."""
        return SpilledArray(self._columns, self._folder, self._kept_bytes)

    def columns(self, places: Sequence[int]) -> np.ndarray:
        """Return some columns, (N, len(places)), contiguous per column."""
        found = np.empty((len(places), len(self)), np.float32)
        at = 0
        for block in self.blocks():
            found[:, at : at + len(block)] = block[:, list(places)].T
            at += len(block)
        return found.T

    def array(self) -> np.ndarray:
        """Return all rows, (N, C)."""
        if self._file is None and len(self._parts) == 1:
            return self._parts[0]
        return np.concatenate([np.empty((0, self._columns), np.float32), *self.blocks()])

    def column_groups(self, places: Sequence[int]) -> Iterator[list[int]]:
        """Yield columns in groups that fit the memory limit of a recording."""
        most = max(1, self._kept_bytes // max(4 * len(self), 1))
        for first in range(0, len(places), most):
            yield list(places[first : first + most])

    def close(self) -> None:
        """Delete the rows and their file."""
        self._parts, self._in_memory, self._in_file = [], 0, 0
        if self._file is not None:
            self._file.close()
            self._file = None

    def _rows_per_block(self) -> int:
        return max(1, _BLOCK_BYTES // (4 * max(self._columns, 1)))

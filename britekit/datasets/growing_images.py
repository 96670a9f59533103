"""Decompress the spectrograms of a training pickle into one array, as they are met."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from britekit.database.spectrograms import inflate, inflated_size
from britekit.datasets.safe_pickle import SafePickle
from britekit.errors import InputError

_LARGEST_IMAGE = 1 << 26


_VALUES_PER_TASK = 32


_FIRST_CAPACITY = 1024


Allocate = Callable[[int, int], NDArray[np.uint8]]


@dataclass(frozen=True)
class Slot:
    """Stands in the file's structure where bytes were: the row of the array that holds them now."""

    row: int


def own_memory(rows: int, columns: int) -> NDArray[np.uint8]:
    """Return an array in memory of this process."""
    return np.empty((rows, columns), dtype=np.uint8)


class GrowingImages:
    """An array of images that grows while threads fill it."""

    def __init__(self, path: Path, workers: int, allocate: Allocate | None) -> None:
        self._path = path
        self._allocate = allocate
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers) if workers > 1 else None
        self._running: deque[Future[None]] = deque()
        self._task: list[bytes] = []
        self._array: NDArray[np.uint8] = np.empty((0, 0), dtype=np.uint8)
        self._count = 0

    def add(self, value: bytes, walker: SafePickle) -> Slot:
        """Decompress a value into the next row; return where it goes."""
        if not self._count:
            indexes = walker.known().get("spec_class_indexes")
            capacity = len(indexes) if isinstance(indexes, list) and indexes else _FIRST_CAPACITY
            make = self._allocate or own_memory
            self._array = make(capacity, self._size_of(value))
        elif self._count == len(self._array):
            self._drain()  # no thread may write while the memory moves
            if self._allocate is None:
                self._array.resize((2 * self._count, self._array.shape[1]), refcheck=False)
            else:
                larger = self._allocate(2 * self._count, self._array.shape[1])
                larger[: self._count] = self._array
                self._array = larger
        self._task.append(value)
        self._count += 1
        if len(self._task) == _VALUES_PER_TASK:
            self._submit()
        return Slot(self._count - 1)

    def finish(self) -> NDArray[np.uint8]:
        """Return the filled array (N, bytes per image)."""
        self._drain()
        if self._count < len(self._array):
            if self._allocate is not None:
                return self._array[: self._count]
            self._array.resize((self._count, self._array.shape[1]), refcheck=False)
        return self._array

    def close(self) -> None:
        """Stop the threads."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _size_of(self, value: bytes) -> int:
        try:
            size = inflated_size(value)
        except ValueError as error:
            raise self._wrong(0, str(error)) from None
        if not 0 < size < _LARGEST_IMAGE:
            raise self._wrong(0, "it is empty or larger than any spectrogram")
        return size

    def _submit(self) -> None:
        if not self._task:
            return
        task, first = self._task, self._count - len(self._task)
        self._task = []
        if self._pool is None:
            self._decode(task, first)
            return
        self._running.append(self._pool.submit(self._decode, task, first))
        while len(self._running) > 2 * self._workers:
            self._running.popleft().result()

    def _drain(self) -> None:
        self._submit()
        while self._running:
            self._running.popleft().result()

    def _decode(self, values: list[bytes], first: int) -> None:
        size = self._array.shape[1]
        for row, value in enumerate(values, first):
            try:
                self._array[row] = np.frombuffer(inflate(value, size), dtype=np.uint8)
            except ValueError as error:
                raise self._wrong(row, str(error)) from None

    def _wrong(self, row: int, reason: str) -> InputError:
        return InputError(f'{self._path}, key "spec_values": spectrogram {row} cannot be used: {reason}')

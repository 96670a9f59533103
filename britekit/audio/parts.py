"""Present a part of a file, with a corrected header, to a decoder as a file."""

from __future__ import annotations

import io
import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

# Bytes of a mapped file to look through before they are released; a multiple of any page size.
SEARCHED_BYTES = 8 << 20


@dataclass(frozen=True)
class Part:
    """One of the recordings that a file holds, or the whole file."""

    start: int
    end: int
    """Range of bytes to read."""
    header: bytes = b""
    """Bytes to read before the range: a header with corrected sizes."""

    def open(self, path: Path) -> BinaryIO:
        """Return the part as a file; the caller closes it."""
        return io.BufferedReader(_Spliced(path.open("rb", buffering=0), self), 1 << 16)


@dataclass(frozen=True)
class Contents:
    """The content of a file, whatever its header says."""

    parts: list[Part] = field(default_factory=list)
    """Recordings in the file, in order; empty for the whole file as it is."""
    problem: str | None = None
    """Why the file is longer or shorter than its parts; None if they are the whole file."""
    seconds: Fraction | None = None
    """Frame at which the last part must end because of the problem; None for its own end."""


def only_zeros(file: BinaryIO, at: int, end: int) -> bool:
    """Return whether there are only zeros, with which recorders fill blocks, between two offsets."""
    file.seek(at)
    while at < end:
        block = file.read(min(1 << 20, end - at))
        if not block or any(block):
            return not block
        at += len(block)
    return True


def offsets_of(data: mmap.mmap, marker: bytes) -> Iterator[int]:
    """Yield the offsets of a marker in a mapped file, however large, in constant memory."""
    for first in range(0, len(data), SEARCHED_BYTES):
        past = min(first + SEARCHED_BYTES + len(marker) - 1, len(data))
        at = data.find(marker, first, past)
        while at >= 0:
            yield at
            at = data.find(marker, at + 1, past)
        release(data, first)


def release(data: mmap.mmap, first: int) -> None:
    """Let go of `SEARCHED_BYTES` from an offset on, which otherwise count as memory of the process until the end."""
    if hasattr(data, "madvise"):  # missing on Windows
        data.madvise(mmap.MADV_DONTNEED, first, min(SEARCHED_BYTES, len(data) - first))


class _Spliced(io.RawIOBase):
    """A header in memory followed by a part of a file."""

    def __init__(self, file: BinaryIO | io.FileIO, part: Part) -> None:
        self._file, self._header, self._start = file, part.header, part.start
        self._end = len(part.header) + part.end - part.start
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, target: int, whence: int = os.SEEK_SET, /) -> int:
        """Seek as in any file."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        self._at = max(0, base + target)
        return self._at

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Fill the buffer from the header or the file."""
        wanted = min(len(buffer), self._end - self._at)
        if wanted <= 0:
            return 0
        if self._at < len(self._header):
            part = self._header[self._at : self._at + wanted]
        else:
            self._file.seek(self._start + self._at - len(self._header))
            part = self._file.read(wanted)
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)

    def close(self) -> None:
        """Close the underlying file."""
        self._file.close()
        super().close()

"""WAV files whose header was never finished, or is too small for them, read as if it were right.

A recorder that loses power leaves the size of the samples at 0, also in RF64 files. The size has four bytes:
beyond 4 GB some programs write all ones, others what is left over. libsndfile would find no samples, or a
part of them, without a word.
"""

from __future__ import annotations

import io
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_OPEN = 0xFFFFFFFF
_WRAP = 1 << 32
_MAX_CHUNKS = 1000
_MAX_FORMAT = 1 << 16


@dataclass(frozen=True)
class _Layout:
    """Where the samples are, what the header says of them, and the body of the chunk ``fmt``."""

    format_body: bytes
    data_at: int
    stated: int
    file_size: int

    @property
    def frame_bytes(self) -> int:
        return max(1, struct.unpack("<H", self.format_body[12:14])[0])


def rightly_sized(path: Path) -> BinaryIO | None:
    """Return a WAV file with a header that states the true size, or None if the file's own will do.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with path.open("rb") as file:
        layout = _layout(file)
        if layout is None:
            return None
        size = _true_size(file, layout)
    if size is None:
        return None
    handle = path.open("rb")
    return io.BufferedReader(_Spliced(handle, _header(layout.format_body, size), layout.data_at, size))


def _layout(file: BinaryIO) -> _Layout | None:
    head = file.read(12)
    if head[:4] not in (b"RIFF", b"RF64", b"BW64") or head[8:] != b"WAVE":
        return None
    file_size = file.seek(0, os.SEEK_END)
    at, format_body, long_size = 12, b"", 0
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        header = file.read(8)
        if len(header) < 8:
            return None
        name, size = struct.unpack("<4sI", header)
        if name == b"data":
            if len(format_body) < 16:
                return None
            stated = long_size if size == _OPEN and head[:4] != b"RIFF" else size
            return _Layout(format_body, at + 8, stated, file_size)
        if name == b"ds64":
            body = file.read(16)
            long_size = struct.unpack("<Q", body[8:])[0] if len(body) == 16 else 0
        elif name == b"fmt " and size <= _MAX_FORMAT:
            format_body = file.read(size)
        at += 8 + size + size % 2
    return None


def _true_size(file: BinaryIO, layout: _Layout) -> int | None:
    """Return the bytes of samples, or None if the header is right, or promises more than there is."""
    there = layout.file_size - layout.data_at
    if layout.stated == 0:
        size = 0 if _only_chunks(file, layout.data_at, layout.file_size) else there
    elif layout.stated == _OPEN:
        size = there
    else:
        # What is left of a larger number: chunks of 4 GB behind the samples do not exist.
        size = layout.stated + max(0, there - layout.stated) // _WRAP * _WRAP
    size -= size % layout.frame_bytes
    if size in (0, layout.stated) or (layout.stated == _OPEN and size < _OPEN):
        return None
    return size


def _only_chunks(file: BinaryIO, at: int, end: int) -> bool:
    """Tell whether chunks, and nothing else, follow up to the end: then there are no samples."""
    for _ in range(_MAX_CHUNKS):
        if at >= end:
            return True
        file.seek(at)
        header = file.read(8)
        if len(header) < 8 or not header[:4].isalnum():
            return False
        size = struct.unpack("<I", header[4:])[0]
        at += 8 + size + size % 2
        if at > end + 1:
            return False
    return False


def _header(format_body: bytes, size: int) -> bytes:
    chunk = b"fmt " + struct.pack("<I", len(format_body)) + format_body + b"\0" * (len(format_body) % 2)
    if size < _OPEN - 1024:
        return (
            b"RIFF" + struct.pack("<I", 4 + len(chunk) + 8 + size) + b"WAVE" + chunk
            + b"data" + struct.pack("<I", size)
        )  # fmt: skip
    frames = size // max(1, struct.unpack("<H", format_body[12:14])[0])
    total = 4 + 36 + len(chunk) + 8 + size
    return (
        b"RF64" + struct.pack("<I", _OPEN) + b"WAVE"
        + b"ds64" + struct.pack("<IQQQI", 28, total, size, frames, 0)
        + chunk + b"data" + struct.pack("<I", _OPEN)
    )  # fmt: skip


class _Spliced(io.RawIOBase):
    """A header in memory followed by a stretch of a file."""

    def __init__(self, file: BinaryIO, header: bytes, start: int, size: int) -> None:
        self._file, self._header = file, header
        self._start, self._end = start, len(header) + size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, target: int, whence: int = os.SEEK_SET, /) -> int:
        """Go there; positions as in any file."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        self._at = max(0, base + target)
        return self._at

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Fill the buffer as far as header or file reach."""
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
        """Close the file too."""
        self._file.close()
        super().close()

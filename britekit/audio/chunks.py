"""Walk files made of chunks: WAV and its relatives RF64, BW64, RIFX and W64, AIFF, CAF.

Each chunk is a name, a size and a body, padded to a multiple (Microsoft & IBM 1991, EBU Tech 3306, Apple's
AIFF 1.3 and CAF 1.0).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

OPEN_SIZE = 0xFFFFFFFF
_MAX_CHUNKS = 10_000
# Common suffix of the 16-byte names of W64.
W64_NAME = bytes.fromhex("f3acd3118cd100c04f8edb8a")


@dataclass(frozen=True)
class Form:
    """Layout of the chunks of one format."""

    kind: str
    """``RIFF``, ``RIFX``, ``W64``, ``AIFF`` or ``CAF``."""
    head: int
    """Bytes before the first chunk."""
    name_bytes: int
    """Length of a chunk's name."""
    size: str
    """`struct` format of its size."""
    align: int
    """Chunks begin at multiples of this."""
    data: bytes
    """Name of the chunk of samples."""

    @property
    def header_bytes(self) -> int:
        """Length of name and size."""
        return self.name_bytes + struct.calcsize(self.size)


@dataclass(frozen=True)
class Chunk:
    """Name, offset of the body in the file, and stated size of the body."""

    name: bytes
    at: int
    size: int


_RIFF = Form("RIFF", 12, 4, "<I", 2, b"data")
_FORMS = {
    b"RIFX": Form("RIFX", 12, 4, ">I", 2, b"data"),
    b"FORM": Form("AIFF", 12, 4, ">I", 2, b"SSND"),
    b"caff": Form("CAF", 8, 4, ">q", 1, b"data"),
    b"riff": Form("W64", 40, 16, "<q", 8, b"data" + W64_NAME),
}


def form_of(head: bytes) -> Form | None:
    """Return the form of a file that begins with these 40 bytes, or None if it is not made of chunks."""
    magic = head[:4]
    if magic in (b"RIFF", b"RF64", b"BW64"):
        return _RIFF if head[8:12] == b"WAVE" else None
    form = _FORMS.get(magic)
    kind = {b"RIFX": head[8:12] == b"WAVE", b"FORM": head[8:12] in (b"AIFF", b"AIFC")}
    kind |= {b"caff": head[4:6] == b"\0\1", b"riff": head[24:28] == b"wave"}
    return form if form is not None and kind[magic] else None


def chunk_at(file: BinaryIO, form: Form, at: int) -> Chunk | None:
    """Return the chunk whose header is at an offset, or None at the end of the file."""
    file.seek(at)
    header = file.read(form.header_bytes)
    if len(header) < form.header_bytes:
        return None
    size = struct.unpack(form.size, header[form.name_bytes :])[0]
    if form.kind == "W64":
        size -= form.header_bytes
    return Chunk(header[: form.name_bytes], at + form.header_bytes, size)


def next_at(form: Form, chunk: Chunk, start: int = 0) -> int:
    """Return the offset of the next chunk, in a file that begins at ``start``."""
    end = chunk.at + max(0, chunk.size)
    return end + (start - end) % form.align


def chunks_from(file: BinaryIO, form: Form, at: int, start: int = 0) -> Iterator[Chunk]:
    """Yield the chunks from an offset to the end of the file.

    In RF64, ``ds64`` holds the size of ``data``.
    """
    long_size = None
    for _ in range(_MAX_CHUNKS):
        chunk = chunk_at(file, form, at)
        if chunk is None:
            return
        if chunk.name == b"ds64" and form is _RIFF:
            body = file.read(16)
            long_size = struct.unpack("<Q", body[8:])[0] if len(body) == 16 else None
        elif chunk.name == form.data and chunk.size == OPEN_SIZE and long_size is not None:
            chunk = Chunk(chunk.name, chunk.at, long_size)
        yield chunk
        at = next_at(form, chunk, start)

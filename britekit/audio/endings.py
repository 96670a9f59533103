"""Whether a file reaches its own end, for formats whose decoders keep quiet about it."""

from __future__ import annotations

import struct
from pathlib import Path

_LARGEST_OGG_PAGE = 65_307
_END_OF_STREAM = 0x04


def ogg_is_complete(path: Path) -> bool:
    """Tell whether an Ogg file ends with the page that is marked as its last (RFC 3533, section 6)."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 2 * _LARGEST_OGG_PAGE))
        tail = file.read()
    # A cut page is followed by nothing, so look at every page start in the tail, from the last.
    at = tail.rfind(b"OggS")
    if at < 0 or at + 27 > len(tail):
        return False
    segments = tail[at + 26]
    table = tail[at + 27 : at + 27 + segments]
    whole = len(table) == segments and at + 27 + segments + sum(table) <= len(tail)
    return whole and bool(tail[at + 5] & _END_OF_STREAM)


def caf_is_complete(path: Path) -> bool:
    """Tell whether the data chunk of a Core Audio file is all there; FFmpeg reads cut ones quietly."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        at = 8  # after the file header
        while at + 12 <= size:
            file.seek(at)
            kind, length = struct.unpack(">4sq", file.read(12))
            if kind == b"data":
                return length < 0 or at + 12 + length <= size  # -1: up to the end, whatever it is
            if length < 0:
                return False
            at += 12 + length
    return False

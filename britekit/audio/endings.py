"""Whether a Core Audio file reaches its own end: decoders keep quiet about cut ones."""

from __future__ import annotations

import struct
from pathlib import Path


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

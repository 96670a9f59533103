"""Check that a film or Windows Media file is complete and has no trailing data, which its decoder ignores.

Each file is a sequence of parts that state their size; a cut-off file ends inside one. If MP4 or Windows Media files
were concatenated, another header follows, which FFmpeg ignores (in Matroska it does not).
"""

from __future__ import annotations

import struct
from typing import BinaryIO

_MAX_PARTS = 100_000
_CUT = "its end is missing"
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")


def wrong_ending(file: BinaryIO, container: str) -> str | None:
    """Return what is wrong with the end of a file, or None.

    Raises `OSError` if the file cannot be read.

    Parameters
    ----------
    container
        FFmpeg's name of the format, such as ``mov,mp4,m4a,3gp,3g2,mj2``; unknown ones are not checked.
    """
    check = next((check for name, check in _CHECKS.items() if name in container.split(",")), None)
    return None if check is None else check(file, file.seek(0, 2))


def _another(at: int, size: int) -> str:
    return f"another recording of {size - at} bytes follows its end; it is not read"


def _mp4(file: BinaryIO, size: int) -> str | None:
    """Check ISO base media (ISO/IEC 14496-12): boxes; size 1 announces a 64-bit size, 0 means up to the end."""
    at = 0
    for _ in range(_MAX_PARTS):
        if at == size:
            return None
        file.seek(at)
        header = file.read(16)
        if len(header) < 8:
            return _CUT
        if at and header[4:8] == b"ftyp":
            return _another(at, size)
        length = struct.unpack(">I", header[:4])[0]
        if length == 1 and len(header) == 16:
            length = struct.unpack(">Q", header[8:])[0]
        if length == 0:
            return None
        at += max(8, length)
        if at > size:
            return _CUT
    return None


def _asf(file: BinaryIO, size: int) -> str | None:
    """Check Windows Media: objects with a 16-byte name and a size of eight bytes."""
    at = 0
    while at + 24 <= size:
        file.seek(at)
        name, length = struct.unpack("<16sQ", file.read(24))
        if at and name == _ASF_HEADER:
            return _another(at, size)
        at += max(24, length)
    return _CUT if at > size else None


def _matroska(file: BinaryIO, size: int) -> str | None:
    """Check Matroska and WebM (RFC 8794): a header, then one segment; live streams state no size."""
    at = 0
    for _ in range(2):
        file.seek(at)
        start = file.read(12)
        if len(start) < 12:
            return _CUT
        width = 9 - start[4].bit_length()  # width of the size, after a 4-byte identifier
        number = int.from_bytes(start[4 : 4 + width], "big") & ((1 << 7 * width) - 1)
        if number == (1 << 7 * width) - 1:
            return None
        at += 4 + width + number
    return _CUT if at > size else None


_CHECKS = {"mp4": _mp4, "asf": _asf, "matroska": _matroska}

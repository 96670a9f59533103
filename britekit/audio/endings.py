"""Whether a file reaches its own end, for containers whose decoders keep quiet about a missing one.

Each is a row of parts that state their size; a file that is cut off ends inside one of them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_MAX_PARTS = 100_000


def reaches_its_end(path: Path, container: str) -> bool:
    """Tell whether all that a file's parts promise is there.

    Parameters
    ----------
    path
        The file.
    container
        FFmpeg's name of the format, such as ``mov,mp4,m4a,3gp,3g2,mj2``. Of those not known here nothing can
        be said: true.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    check = next((check for name, check in _CHECKS.items() if name in container.split(",")), None)
    if check is None:
        return True
    with path.open("rb") as file:
        size = file.seek(0, 2)
        return check(file, size)


def _caf(file: BinaryIO, size: int) -> bool:
    """Apple's Core Audio Format: a type and a size of eight bytes; -1 means up to the end."""
    at = 8  # after the file header
    while at + 12 <= size:
        file.seek(at)
        kind, length = struct.unpack(">4sq", file.read(12))
        if kind == b"data":
            return length < 0 or at + 12 + length <= size
        if length < 0:
            return False
        at += 12 + length
    return False


def _mp4(file: BinaryIO, size: int) -> bool:
    """ISO base media (ISO/IEC 14496-12): boxes; size 1 announces a longer size, 0 means up to the end."""
    at = 0
    for _ in range(_MAX_PARTS):
        if at == size:
            return True
        file.seek(at)
        header = file.read(16)
        if len(header) < 8:
            return False
        length = struct.unpack(">I", header[:4])[0]
        if length == 1 and len(header) == 16:
            length = struct.unpack(">Q", header[8:])[0]
        if length == 0:
            return True
        at += max(8, length)
        if at > size:
            return False
    return True


def _asf(file: BinaryIO, size: int) -> bool:
    """Windows Media: objects of a 16-byte name and a size of eight bytes."""
    at = 0
    while at + 24 <= size:
        file.seek(at + 16)
        at += max(24, struct.unpack("<Q", file.read(8))[0])
    return at <= size


def _matroska(file: BinaryIO, size: int) -> bool:
    """Matroska and WebM (RFC 8794): a header, then one segment; a live one does not state its size."""
    at = 0
    for _ in range(2):
        file.seek(at)
        start = file.read(12)
        if len(start) < 12:
            return False
        width = 9 - start[4].bit_length()  # of the size, behind an identifier of four bytes
        number = int.from_bytes(start[4 : 4 + width], "big") & ((1 << 7 * width) - 1)
        if number == (1 << 7 * width) - 1:
            return True
        at += 4 + width + number
    return at <= size


_CHECKS: dict[str, Callable[[BinaryIO, int], bool]] = {
    "caf": _caf,
    "mp4": _mp4,
    "asf": _asf,
    "matroska": _matroska,
}

"""Find the samples in a FLAC file, whatever its header says (RFC 9639).

A recorder writes the total into the header when it stops, but not if it loses power. libsndfile stops at a total that
is too small. Each frame states its position, so the last frames give the total.
"""

from __future__ import annotations

import mmap
import os
from typing import BinaryIO

from britekit.audio.parts import Contents, Part, offsets_of

_MARKERS = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")
_SEARCHED = 1 << 20
_MAX_JOINED = 10_000
_LEAST_SEARCHED = 1 << 17
_BLOCK_SIZES = (0, 192, 576, 1152, 2304, 4608, 0, 0, *(256 << k for k in range(8)))
_CRC8 = [0] * 256
for _byte in range(256):
    _value = _byte
    for _ in range(8):
        _value = (_value << 1 ^ 0x07 if _value & 0x80 else _value << 1) & 0xFF
    _CRC8[_byte] = _value


def contents_of_flac(file: BinaryIO) -> Contents | None:
    """Return the content of a FLAC file, or None if it has no FLAC header.

    Raises `OSError` if the file cannot be read.
    """
    starts = _starts(file)
    if not starts:
        return None
    end = file.seek(0, os.SEEK_END)
    parts = [_part(file, start, stop) for start, stop in zip(starts, [*starts[1:], end], strict=True)]
    return Contents([] if len(parts) == 1 and not parts[0].header else parts)


def _starts(file: BinaryIO) -> list[int]:
    """Return the offsets of FLAC streams in a file; several if files were concatenated."""
    found: list[int] = []
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for at in offsets_of(data, b"fLaC"):
            if data[at : at + 8] in _MARKERS:
                found.append(at)
            if len(found) == _MAX_JOINED:
                break
    return found


def _part(file: BinaryIO, start: int, end: int) -> Part:
    file.seek(start)
    header = file.read(42)
    if len(header) < 42 or end - start < 100:
        return Part(start, end)
    total = int.from_bytes(header[21:26], "big") & 0xFFFFFFFFF
    least, most = int.from_bytes(header[8:10], "big"), int.from_bytes(header[10:12], "big")
    if total and _furthest(file, start, end, header[20:22], least if least == most else 0) > total:
        # A stream of unknown length is decoded to its last frame.
        unknown = header[:21] + bytes([header[21] & 0xF0]) + bytes(4)
        return Part(start + 26, end, unknown)
    return Part(start, end)


def _furthest(file: BinaryIO, start: int, end: int, format_bits: bytes, block_size: int) -> int:
    """Return the last sample position of the frames at the end of the file.

    Parameters
    ----------
    format_bits
        The two bytes of STREAMINFO with the channels and bits of a sample.
    block_size
        Samples per frame, 0 if that varies.
    """
    channels = (format_bits[0] >> 1 & 7) + 1
    bits = ((format_bits[0] & 1) << 4 | format_bits[1] >> 4) + 1
    furthest = 0
    for searched in (_LEAST_SEARCHED, _SEARCHED):
        low = max(start + 42, end - searched)
        file.seek(low)
        data = file.read(end - low)
        at = data.find(b"\xff")
        while at >= 0:
            furthest = max(furthest, _frame_end(data, at, channels, bits, block_size))
            at = data.find(b"\xff", at + 1)
        if furthest or low == start + 42:
            break
    return furthest


def _frame_end(data: bytes, at: int, channels: int, bits: int, block_size: int) -> int:
    """Return the sample position after the frame at an offset; 0 if there is no frame header."""
    head = data[at : at + 16]
    if len(head) < 16 or head[1] & 0xFE != 0xF8 or head[3] & 1:
        return 0
    assignment = head[3] >> 4
    if (assignment + 1 if assignment < 8 else 2) != channels or assignment > 10:
        return 0
    if (0, 8, 12, -1, 16, 20, 24, 32)[head[3] >> 1 & 7] not in (0, bits):
        return 0
    # The number of the frame or of its first sample, encoded like a UTF-8 character.
    length = 1 if head[4] < 0x80 else 8 - (head[4] ^ 0xFF).bit_length()
    if not 1 <= length <= 7 or (length == 1 and head[4] >= 0x80):
        return 0
    number = head[4] if length == 1 else head[4] & (0x7F >> length)
    for byte in head[5 : 4 + length]:
        if byte & 0xC0 != 0x80:
            return 0
        number = number << 6 | byte & 0x3F
    place = 4 + length
    size_bits, rate_bits = head[2] >> 4, head[2] & 0xF
    samples = _BLOCK_SIZES[size_bits]
    if size_bits in (6, 7):
        width = size_bits - 5
        samples = int.from_bytes(head[place : place + width], "big") + 1
        place += width
    place += {12: 1, 13: 2, 14: 2}.get(rate_bits, 0)
    if not samples or rate_bits == 15 or place >= len(head):
        return 0
    sum_ = 0
    for byte in head[:place]:
        sum_ = _CRC8[sum_ ^ byte]
    if sum_ != head[place]:
        return 0
    first = number if head[1] & 1 else number * (block_size or samples)
    return first + samples

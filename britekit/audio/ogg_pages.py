"""Where an Ogg file breaks, by the numbers and checksums of its pages (RFC 3533).

Decoders skip what is damaged and join what is left: everything behind it would be heard too early.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

_BEGINS, _ENDS = 0x02, 0x04
_HEADER = struct.Struct("<4sBBqIIIB")
_BUFFER = 1 << 20
_OPUS_RATE = 48_000
# Ogg's checksum takes the highest bit first, zlib's the lowest: the same sum of mirrored bytes, mirrored.
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True)
class OggBreak:
    """The audio is whole up to ``seconds``; ``reason`` says what is wrong there."""

    seconds: Fraction
    reason: str


@dataclass
class _Track:
    """The first audio stream: its serial number, clock and how far it has come."""

    serial: int
    rate: int
    skipped: int
    page: int = 0
    position: int = 0

    @property
    def seconds(self) -> Fraction:
        return Fraction(max(0, self.position - self.skipped), self.rate)


def find_break(path: Path) -> OggBreak | None:
    """Return where a file breaks, or None if it is whole or no Ogg file of a codec known here.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with path.open("rb", buffering=_BUFFER) as file:
        track: _Track | None = None
        while True:
            page = _next_page(file)
            if isinstance(page, str):
                return OggBreak(track.seconds, page) if track else None
            flags, position, serial, number, body = page
            if track is None:
                if flags & _BEGINS:
                    track = _begun(serial, number, body)
                    continue
                return None
            if serial != track.serial:
                continue
            track.page += 1
            if number != track.page:
                return OggBreak(track.seconds, f"page {track.page} is missing")
            if position >= 0:  # -1: no packet ends on this page
                track.position = position
            if flags & _ENDS:
                return None


def _next_page(file: BinaryIO) -> tuple[int, int, int, int, bytes] | str:
    """Return flags, position, serial number, number and body of a page, or what is wrong."""
    head = file.read(_HEADER.size)
    if not head:
        return "its last page is missing"
    if len(head) < _HEADER.size:
        return "a page is cut off"
    capture, version, flags, position, serial, number, checksum, segments = _HEADER.unpack(head)
    if capture != b"OggS" or version:
        return "something that is no page of Ogg"
    table = file.read(segments)
    size = sum(table)
    body = file.read(size)
    if len(table) < segments or len(body) < size:
        return "a page is cut off"
    if _checksum(head[:22] + bytes(4) + head[26:] + table + body) != checksum:
        return "the checksum of a page is wrong"
    return flags, position, serial, number, body


def _checksum(page: bytes) -> int:
    mirrored = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_MIRRORED), "big")


def _begun(serial: int, number: int, body: bytes) -> _Track | None:
    rate, skipped = 0, 0
    if body.startswith(b"\x01vorbis") and len(body) >= 16:
        rate = struct.unpack("<I", body[12:16])[0]
    elif body.startswith(b"OpusHead") and len(body) >= 12:
        rate, skipped = _OPUS_RATE, struct.unpack("<H", body[10:12])[0]
    elif body.startswith(b"\x7fFLAC") and len(body) >= 30:
        rate = int.from_bytes(body[27:30], "big") >> 4
    return _Track(serial, rate, skipped, number) if rate else None

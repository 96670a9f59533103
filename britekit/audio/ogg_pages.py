"""Find the recordings in an Ogg file, and where it is damaged, by numbers and checksums of pages (RFC 3533).

Decoders skip damaged pages and join the rest, which shifts everything after the damage; and libsndfile reads only the
first link of "chained" files, which `cat` creates too.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

from britekit.audio.parts import Contents, Part

_BEGINS, _ENDS = 0x02, 0x04
_HEADER = struct.Struct("<4sBBqIIIB")
_BUFFER = 1 << 20
_OPUS_RATE = 48_000
# Ogg's CRC starts with the highest bit, zlib's with the lowest: mirror the bytes and the result.
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass
class _Track:
    """The first audio stream of a link: serial number, clock and current position."""

    serial: int
    rate: int
    skipped: int
    page: int = 0
    position: int = 0
    ended: bool = False

    @property
    def seconds(self) -> Fraction:
        return Fraction(max(0, self.position - self.skipped), self.rate)


def contents_of_ogg(file: BinaryIO) -> Contents | None:
    """Return the content of an Ogg file, or None if it is not one or has an unknown codec.

    Raises `OSError` if the file cannot be read.
    """
    file.seek(0)
    if file.read(4) != b"OggS":
        return None
    file.seek(0)
    track: _Track | None = None
    starts, at, in_headers = [0], 0, True
    while True:
        page = _next_page(file)
        if isinstance(page, str):
            if track is None:
                return None if len(starts) == 1 else Contents(_parts(starts[:-1], starts[-1]), page)
            if page == _NOTHING:
                if track.ended:
                    return Contents(_parts(starts, at) if len(starts) > 1 else [])
                page = "its last page is missing"
            elif track.ended and _is_padding(file, at):
                return Contents(_parts(starts, at) if len(starts) > 1 else [])
            elif track.ended:
                return Contents(_parts(starts, at), f"the data after its last page are {_NO_PAGE}")
            return Contents(_broken(starts, file), page, track.seconds)
        flags, position, serial, number, body, size = page
        if flags & _BEGINS and not in_headers:
            if track is not None and not track.ended:
                return Contents(_parts(starts, at), "its last page is missing, and another recording follows")
            starts.append(at)
            track, in_headers = None, True
        if flags & _BEGINS:
            track = track or _begun(serial, number, body)
        else:
            if track is None:
                return None if len(starts) == 1 else Contents(_parts(starts[:-1], starts[-1]), "no sound follows")
            in_headers = False
            if serial == track.serial:
                track.page += 1
                if number != track.page:
                    reason = f"page {track.page} is missing"
                    return Contents(_broken(starts, file), reason, track.seconds)
                if position >= 0:  # -1: no packet ends on this page
                    track.position = position
                track.ended |= bool(flags & _ENDS)
        at += size


def _parts(starts: list[int], end: int) -> list[Part]:
    return [Part(start, stop) for start, stop in zip(starts, [*starts[1:], end], strict=True)]


def _broken(starts: list[int], file: BinaryIO) -> list[Part]:
    return _parts(starts, file.seek(0, 2)) if len(starts) > 1 else []


_NOTHING = "no more pages"
_NO_PAGE = "not an Ogg page"


def _is_padding(file: BinaryIO, at: int) -> bool:
    """Return whether only zeros or a tag follow from an offset to the end."""
    file.seek(at)
    if file.read(3) in (b"TAG", b"ID3", b"APE"):
        return True
    file.seek(at)
    while block := file.read(_BUFFER):
        if any(block):
            return False
    return True


def _next_page(file: BinaryIO) -> tuple[int, int, int, int, bytes, int] | str:
    """Return flags, position, serial number, number, body and size of a page, or the problem."""
    head = file.read(_HEADER.size)
    if not head:
        return _NOTHING
    if len(head) < _HEADER.size:
        return "a page is cut off"
    capture, version, flags, position, serial, number, checksum, segments = _HEADER.unpack(head)
    if capture != b"OggS" or version:
        return f"it holds data that are {_NO_PAGE}"
    table = file.read(segments)
    size = sum(table)
    body = file.read(size)
    if len(table) < segments or len(body) < size:
        return "a page is cut off"
    if _checksum(head[:22] + bytes(4) + head[26:] + table + body) != checksum:
        return "the checksum of a page is wrong"
    return flags, position, serial, number, body, len(head) + segments + size


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

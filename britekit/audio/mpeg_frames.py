"""Count the frames of MP3 and raw AAC (ADTS), and check whether the last one is complete.

Both formats are sequences of frames without a container; each frame header gives its size.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from itertools import pairwise
from typing import BinaryIO

from britekit.audio.parts import SEARCHED_BYTES, Contents, Part, offsets_of, release

# kbit/s of layer III by the four bits of the header; 0 = not specified.
_MPEG1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
_MPEG2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)
_RATES = (44100, 48000, 32000, 0)
_LOOKED_THROUGH = 1 << 15
_FRAMES_IN_A_ROW = 3
_TAGS = (b"TAG", b"APETAGEX", b"ID3", b"3DI", b"LYRICSBEGIN")


def contents_of_mp3(file: BinaryIO) -> Contents:
    """Return the recordings in an MP3 file; several if files with stated lengths were concatenated.

    If a file states too few frames, that frame is skipped, so that decoders read to the end.

    Raises `OSError` if the file cannot be read.
    """
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        stating = _stating_frames(data)
        starts = [0, *(at for at in stating if at != _first_frame(data))]
        known = set(stating)
        parts = [_part(data, start, stop, known) for start, stop in pairwise([*starts, len(data)])]
    return Contents([] if len(parts) == 1 and not parts[0].start else parts)


def _part(data: mmap.mmap, start: int, stop: int, stating: set[int]) -> Part:
    at = start or _first_frame(data)
    if at not in stating or at is None:
        return Part(start, stop)
    size = _frame_size(data, at)
    frames = _stated_frames(data[at : at + size]) or 0
    return Part(at + size, stop) if _count(data, at + size, stop) > frames + 1 else Part(start, stop)


def _stating_frames(data: mmap.mmap) -> list[int]:
    """Return the offsets of frames that state the number of frames."""
    found = []
    for marker in (b"Xing", b"Info", b"VBRI"):
        for at in offsets_of(data, marker):
            for before in (36,) if marker == b"VBRI" else (36, 21, 13):
                begin = at - before
                size = _frame_size(data, begin) if begin >= 0 else 0
                whole = size and (begin + size >= len(data) or _frame_size(data, begin + size))
                if whole and _stated_frames(data[begin : begin + size]) is not None:
                    found.append(begin)
    return sorted(set(found))


def _first_frame(data: mmap.mmap | bytes) -> int | None:
    """Return the offset of the first frame after tags."""
    at = 0
    while size := id3_bytes(data, at):
        at += size
    for place in range(at, min(len(data), at + _LOOKED_THROUGH) - 4):
        size = _frame_size(data, place) if data[place] == 0xFF else 0
        if size and (place + size >= len(data) or _frame_size(data, place + size)):
            return place
    return None


def id3_bytes(data: mmap.mmap | bytes, at: int = 0) -> int:
    """Return the size of the ID3v2 tag at an offset, 0 if there is none."""
    if data[at : at + 3] != b"ID3" or len(data) < at + 10:
        return 0
    size = 0
    for byte in data[at + 6 : at + 10]:
        size = size << 7 | byte & 0x7F
    return 10 + size + (10 if data[at + 5] & 0x10 else 0)


def _count(data: mmap.mmap, at: int, stop: int) -> int:
    """Return the number of frames between two offsets, skipping tags and up to 32 kB of other data."""
    count = 0
    sizes: dict[bytes, int] = {}  # cached by the relevant header bytes; most frames have one of two sizes
    held = at - at % SEARCHED_BYTES
    while at < stop:
        if at - held > SEARCHED_BYTES:
            release(data, held)
            held += SEARCHED_BYTES
        start = data[at : at + 3]
        size = sizes.get(start)
        if size is None:
            size = sizes[start] = _frame_size(data, at)
        if size:
            at, count = at + size, count + 1
        elif tag := id3_bytes(data, at):
            at += tag
        else:
            last = min(stop, at + _LOOKED_THROUGH)
            at = data.find(b"\xff", at + 1, last)
            while at >= 0 and _end_of_chain(data, at, _frame_size) is None:
                at = data.find(b"\xff", at + 1, last)
            if at < 0:
                break
    return count


def mp3_states_length(file: BinaryIO) -> bool:
    """Return whether the first frame states the number of frames (Xing, Info or VBRI).

    Without it, decoders estimate the length from the first bit rate, and some stop there.

    Raises `OSError` if the file cannot be read.
    """
    file.seek(0)
    at = 0
    while size := id3_bytes(file.read(10)):
        at = file.seek(at + size)
    file.seek(at)
    head = file.read(_LOOKED_THROUGH)
    first = _first_frame(head)
    return first is not None and _stated_frames(head[first : first + _frame_size(head, first)]) is not None


def ends_with_a_whole_frame(file: BinaryIO, kind: str) -> bool:
    """Return whether the last frame is complete; only tags or zeros may follow it.

    Raises `OSError` if the file cannot be read.

    Parameters
    ----------
    kind
        "mp3" or "aac".
    """
    size = file.seek(0, 2)
    file.seek(max(0, size - _LOOKED_THROUGH))
    tail = file.read()
    frame_size = {"mp3": _frame_size, "aac": _adts_size}[kind]
    at = end = 0
    while at < len(tail) - 3:
        chain = _end_of_chain(tail, at, frame_size)
        if chain is None:
            at += 1
        else:
            at = end = chain
    rest = tail[end:]
    return end == len(tail) or (end < len(tail) and (rest.startswith(_TAGS) or not any(rest)))


def _end_of_chain(data: bytes | mmap.mmap, at: int, frame_size: Callable[..., int]) -> int | None:
    """Return the end of the sequence of frames at an offset, possibly beyond the data; None if there is none."""
    frames = 0
    while size := frame_size(data, at):
        at, frames = at + size, frames + 1
    return at if frames >= _FRAMES_IN_A_ROW else None


def _frame_size(data: bytes | mmap.mmap, at: int) -> int:
    """Return the size of the layer III frame at an offset, 0 if there is none."""
    if at + 4 > len(data) or data[at] != 0xFF or data[at + 1] & 0xE6 != 0xE2:
        return 0
    version = data[at + 1] >> 3 & 3  # 3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5
    if version == 1:
        return 0
    kbits = (_MPEG1 if version == 3 else _MPEG2)[data[at + 2] >> 4]
    rate = _RATES[data[at + 2] >> 2 & 3] >> {3: 0, 2: 1, 0: 2}[version]
    if not kbits or not rate:
        return 0
    return (144_000 if version == 3 else 72_000) * kbits // rate + (data[at + 2] >> 1 & 1)


def _adts_size(data: bytes, at: int) -> int:
    """Return the size of the ADTS frame at an offset (ISO/IEC 13818-7), 0 if there is none."""
    if at + 6 > len(data) or data[at] != 0xFF or data[at + 1] & 0xF6 != 0xF0:
        return 0
    size = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
    return size if size > 7 else 0


def _stated_frames(frame: bytes) -> int | None:
    """Return the number of frames that a frame states for the whole recording, or None."""
    if len(frame) < 54:
        return None
    mpeg1, mono = frame[1] >> 3 & 3 == 3, frame[3] >> 6 == 3
    side = (17 if mono else 32) if mpeg1 else (9 if mono else 17)
    if frame[36:40] == b"VBRI":
        return int.from_bytes(frame[50:54], "big")
    if frame[4 + side : 8 + side] not in (b"Xing", b"Info") or not frame[11 + side] & 1:
        return None
    return int.from_bytes(frame[12 + side : 16 + side], "big")

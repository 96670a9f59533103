"""What the frames of MP3 and bare AAC (ADTS) tell: whether a length is stated, whether the last one is whole.

Both are rows of frames, each with a header that gives its size, and nothing around them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

# kbit/s of layer III, by the header's four bits; 0 = given nowhere.
_MPEG1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
_MPEG2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)
_RATES = (44100, 48000, 32000, 0)
_LOOKED_THROUGH = 1 << 15
_FRAMES_IN_A_ROW = 3
_TAGS = (b"TAG", b"APETAGEX", b"ID3", b"3DI", b"LYRICSBEGIN")


def mp3_states_length(path: Path) -> bool:
    """Tell whether the first frame is one that states the number of frames (Xing, Info or VBRI).

    Without it decoders guess the length from the first bit rate, and some stop there.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with path.open("rb") as file:
        at = 0
        while (head := file.read(10))[:3] == b"ID3" and len(head) == 10:
            size = 0
            for byte in head[6:]:
                size = size << 7 | byte & 0x7F
            at += 10 + size + (10 if head[5] & 0x10 else 0)
            file.seek(at)
        file.seek(at)
        start = file.read(_LOOKED_THROUGH)
    for at in range(len(start) - 4):
        if start[at] == 0xFF and (size := _frame_size(start, at)):
            frame = start[at : at + size]
            if _frame_size(start, at + size) or at + size >= len(start):
                return _has_frame_count(frame)
    return False


def ends_with_a_whole_frame(path: Path, kind: str) -> bool:
    """Tell whether the last frame is all there; only tags or zeros may follow it.

    Parameters
    ----------
    path
        The file.
    kind
        "mp3" or "aac".

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with path.open("rb") as file:
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


def _end_of_chain(data: bytes, at: int, frame_size: Callable[[bytes, int], int]) -> int | None:
    """Return where a row of frames that begins here ends, perhaps beyond the data; None if there is none."""
    frames = 0
    while size := frame_size(data, at):
        at, frames = at + size, frames + 1
    return at if frames >= _FRAMES_IN_A_ROW else None


def _frame_size(data: bytes, at: int) -> int:
    """Return the bytes of the layer III frame whose header is here, 0 if there is none."""
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
    """Return the bytes of the ADTS frame whose header is here (ISO/IEC 13818-7), 0 if there is none."""
    if at + 6 > len(data) or data[at] != 0xFF or data[at + 1] & 0xF6 != 0xF0:
        return 0
    size = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
    return size if size > 7 else 0


def _has_frame_count(frame: bytes) -> bool:
    if len(frame) < 50:
        return False
    mpeg1, mono = frame[1] >> 3 & 3 == 3, frame[3] >> 6 == 3
    side = (17 if mono else 32) if mpeg1 else (9 if mono else 17)
    if frame[36:40] == b"VBRI":
        return True
    return frame[4 + side : 8 + side] in (b"Xing", b"Info") and bool(frame[11 + side] & 1)

"""Find the samples in a WAV, AIFF, AU, CAF or W64 file, whatever its header says.

A recorder that loses power leaves the size of the samples at 0, at a placeholder or at a value of minutes before; 32
bits overflow beyond 4 GB; files get concatenated. Decoders trust the header and ignore the rest, so this module
examines what follows the stated end: chunks up to the end of the file, tags and zeros are not sound; another header
begins another recording; anything else is samples, up to the final chunks.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from britekit.audio.chunks import OPEN_SIZE, W64_NAME, Chunk, Form, chunk_at, chunks_from, form_of, next_at
from britekit.audio.parts import Contents, Part, only_zeros

_WRAP = 1 << 32
_MAX_HEADER = 1 << 24
_SEARCHED = 1 << 22
_MAX_JOINED = 10_000
_MAX_TRAILING = 50
_TAGS = (b"TAG", b"APETAGEX", b"ID3", b"3DI", b"LYRICSBEGIN")
# Chunks at the end of many files, recognized even if the file is cut off inside one.
_KNOWN = frozenset(
    {b"LIST", b"bext", b"guan", b"wamd", b"id3 ", b"ID3 ", b"iXML", b"axml", b"cue ", b"fact", b"PEAK", b"JUNK"}
    | {b"junk", b"smpl", b"inst", b"_PMX", b"PAD ", b"FLLR", b"afsp", b"acid", b"DISP", b"cart", b"levl"}
    | {b"umid", b"chna", b"FVER", b"MARK", b"INST", b"COMT", b"NAME", b"AUTH", b"ANNO", b"(c) ", b"APPL"}
    | {b"MIDI", b"AESD", b"SAXL", b"info", b"strg", b"uuid", b"free", b"pakt", b"chan"}
)
# Bytes that precede the samples in their chunk: offset and block size of AIFF, edit count of CAF.
_LEAD = {"AIFF": 8, "CAF": 4}
_AIFC_BYTES = {b"alaw": 1, b"ulaw": 1, b"ALAW": 1, b"ULAW": 1}
_AIFC_PLAIN = frozenset({b"NONE", b"sowt", b"twos", b"raw ", b"fl32", b"FL32", b"fl64", b"FL64", b"in24", b"in32"})


@dataclass(frozen=True)
class Layout:
    """One recording in a file of chunks."""

    others: list[Chunk]
    """All chunks except the samples."""
    part: Part
    """The range of the file to read, with a corrected header."""
    believed: bool
    """Whether the header is right, or states more than the file holds."""
    joined_at: int | None = None
    """Offset of another recording."""
    problem: str | None = None
    """Description of bytes that are neither samples nor chunks."""


def contents_of_chunks(file: BinaryIO) -> Contents | None:
    """Return the content of a file of chunks or an AU file, or None if it is neither.

    Raises `OSError` if the file cannot be read.
    """
    file.seek(0)
    head = file.read(40)
    if head[:4] == b".snd":
        return _contents_of_au(file)
    if form_of(head) is None:
        return None
    found = layouts(file)
    problem = next((layout.problem for layout in found if layout.problem), None)
    parts = [layout.part for layout in found]
    return Contents([] if len(found) <= 1 and all(one.believed for one in found) else parts, problem)


def layouts(file: BinaryIO) -> list[Layout]:
    """Return the recordings in a file of chunks; several if files were concatenated."""
    found: list[Layout] = []
    start: int | None = 0
    while start is not None and len(found) < _MAX_JOINED:
        layout = _layout(file, start)
        if layout is None:
            break
        found.append(layout)
        start = layout.joined_at
    return found


def _layout(file: BinaryIO, start: int) -> Layout | None:
    file_end = file.seek(0, os.SEEK_END)
    file.seek(start)
    form = form_of(file.read(40))
    if form is None:
        return None
    others: list[Chunk] = []
    for chunk in chunks_from(file, form, start + form.head, start):
        if chunk.name == form.data:
            break
        others.append(chunk)
    else:
        return None
    lead = _LEAD.get(form.kind, 0)
    at, stated = chunk.at + lead, chunk.size - lead
    describing = next((one for one in others if one.name[:4] in (b"fmt ", b"COMM", b"desc")), None)
    description = _body(file, describing) if describing else b""
    frame_bytes = _frame_bytes(form, description)
    there = file_end - at
    is_open = stated <= 0 or (form.kind == "RIFF" and chunk.size == OPEN_SIZE)
    if not is_open and form.name_bytes == 4 and form.kind != "CAF":
        # The size is modulo 4 GB: no chunks of 4 GB follow the samples.
        stated += max(0, there - stated) // _WRAP * _WRAP
    tail = None
    if stated != OPEN_SIZE:
        ends = (stated + (start - at - stated) % form.align, stated) if not is_open else (0,)
        tails = (_tail(file, form, at + end, start, file_end) for end in ends)
        tail = next((one for one in tails if one is not None and (not is_open or one.chunks)), None)
    believed = stated > there and not is_open
    if believed or tail is not None:
        size = min(max(0, stated), there)
        end = file_end if tail is None or tail.joined_at is None else tail.joined_at
        chunks = [*others, *(tail.chunks if tail else [])]
        joined_at, problem = (tail.joined_at, tail.problem) if tail else (None, None)
        if problem and form.kind == "RIFF" and (per_s := struct.unpack("<I", description[8:12])[0]):
            lengths = f"its header states {stated / per_s:.3f} s, the file has room for {there / per_s:.3f} s"
            problem = f"{lengths}; {problem}"
        if believed and form.kind == "CAF":  # libsndfile reports it for the others
            problem = f"its header states {stated} bytes, the file has {there}"
        right = size == max(0, chunk.size - lead) or believed
        if right and not _too_few_frames(form, description, size, frame_bytes):
            return Layout(chunks, Part(start, end), True, joined_at, problem)
    else:
        size = _end_of_samples(file, form, at + (0 if is_open else stated), file_end) - at
        joined_at = None
        if at + size < file_end:
            last = _tail(file, form, at + size, start, file_end)
            chunks = [*others, *(last.chunks if last else [])]
            joined_at = last.joined_at if last else None
        else:
            chunks = others
        problem = None
    if not frame_bytes:
        # Packets vary in size, and the table with their number is unfinished.
        more = f"the header states {max(0, stated)} bytes of sound, and {there - max(0, stated)} more follow"
        return Layout(chunks, Part(start, file_end), True, joined_at, more)
    size -= size % frame_bytes
    if size <= 0:
        return Layout(chunks, Part(start, file_end), True, joined_at, problem)
    header = _header(file, form, start, chunk, lead, describing, description, size, frame_bytes)
    return Layout(chunks, Part(at, at + size, header), False, joined_at, problem)


@dataclass(frozen=True)
class _Tail:
    chunks: list[Chunk]
    joined_at: int | None = None
    problem: str | None = None


def _tail(file: BinaryIO, form: Form, at: int, start: int, end: int) -> _Tail | None:
    """Return what follows the samples if they end here, or None if samples continue."""
    chunks: list[Chunk] = []
    while at + 1 < end and len(chunks) < _MAX_JOINED:
        file.seek(at)
        head = file.read(40)
        if form_of(head) is not None:
            return _Tail(chunks, at)
        if head.startswith(_TAGS):
            return _Tail(chunks)
        chunk = chunk_at(file, form, at)
        if chunk is None or chunk.size < 0 or not _is_name(form, chunk.name):
            break
        if chunk.at + chunk.size > end:
            if chunk.name[:4] not in _KNOWN:
                break
            return _Tail([*chunks, chunk])
        chunks.append(chunk)
        # Some programs omit the padding, so the next chunk begins right after this body.
        padded, bare = next_at(form, chunk, start), chunk.at + chunk.size
        at = bare if padded > end or not _follows(file, form, padded, end) else padded
    if at + 1 >= end or only_zeros(file, at, end):
        return _Tail(chunks)
    if chunks and all(chunk.name[:4] in _KNOWN for chunk in chunks):
        return _Tail(chunks, None, f"{end - at} bytes after its last chunk are neither sound nor a chunk")
    return None


def _follows(file: BinaryIO, form: Form, at: int, end: int) -> bool:
    file.seek(at)
    return at >= end or _is_name(form, file.read(form.name_bytes))


def _is_name(form: Form, name: bytes) -> bool:
    printable = all(32 <= byte < 127 for byte in name[:4]) and len(name) == form.name_bytes
    return printable and (form.kind != "W64" or name[4:] == W64_NAME or name[:4] in (b"riff", b"list"))


def _end_of_samples(file: BinaryIO, form: Form, low: int, end: int) -> int:
    """Return the offset of the chunks that end exactly at the end of the file; its end if there are none."""
    low = max(low, end - _SEARCHED)
    file.seek(low)
    data = np.frombuffer(file.read(end - low), np.uint8).astype(np.uint32)
    if len(data) < form.header_bytes:
        return end
    first = form.name_bytes + (4 if form.kind == "CAF" else 0)
    order = (0, 1, 2, 3) if form.size.startswith("<") else (3, 2, 1, 0)
    count = len(data) - form.header_bytes + 1
    low_bits = sum(data[first + k : first + k + count] << np.uint32(8 * order[k]) for k in range(4))
    ends = low + np.arange(count) + np.asarray(low_bits, np.int64) + (0 if form.kind == "W64" else form.header_bytes)
    for _ in range(_MAX_TRAILING):
        places = np.flatnonzero((ends >= end - (form.align - 1)) & (ends <= end) & (ends > 0))
        hits = [int(low + at) for at in places[:_MAX_TRAILING] if low + at < end]
        chain = [
            at for at in hits
            if (chunk := chunk_at(file, form, at)) is not None
            and _is_name(form, chunk.name)
            and end - form.align < chunk.at + chunk.size <= end
        ]  # fmt: skip
        if not chain:
            break
        end = chain[0]  # the outermost one: the concatenated file, not its chunks
    return end


def _body(file: BinaryIO, chunk: Chunk) -> bytes:
    file.seek(chunk.at)
    return file.read(min(max(0, chunk.size), 1 << 16))


def _frame_bytes(form: Form, description: bytes) -> int:
    """Return the bytes per frame of samples, or per block; 0 if that varies."""
    if form.kind == "AIFF":
        if len(description) < 8:
            return 0
        channels, _, bits = struct.unpack(">HIH", description[:8])
        coding = description[18:22] or b"NONE"
        width = (bits + 7) // 8 if coding in _AIFC_PLAIN else _AIFC_BYTES.get(coding, 0)
        return int(channels * width)
    if form.kind == "CAF":
        per_packet, frames = struct.unpack(">II", description[16:24]) if len(description) >= 24 else (0, 0)
        return int(per_packet) if frames == 1 else 0
    order = ">" if form.kind == "RIFX" else "<"
    return int(struct.unpack(order + "H", description[12:14])[0]) if len(description) >= 14 else 0


def _too_few_frames(form: Form, description: bytes, size: int, frame_bytes: int) -> bool:
    """Return whether the number of frames in an AIFF header is too small for its samples."""
    if form.kind != "AIFF" or not frame_bytes:
        return False
    return int(struct.unpack(">I", description[2:6])[0]) < size // frame_bytes


def _header(
    file: BinaryIO, form: Form, start: int, data: Chunk, lead: int, describing: Chunk | None,
    description: bytes, size: int, frame_bytes: int,
) -> bytes:  # fmt: skip
    """Return the bytes before the samples, with corrected sizes."""
    if form.kind == "RIFF":
        return _wav_header(description, size)
    file.seek(start)
    header = bytearray(file.read(min(data.at + lead - start, _MAX_HEADER)))

    def put(at: int, kind: str, value: int) -> None:
        struct.pack_into(kind, header, at - start, value)

    if form.kind == "W64":
        put(start + 16, "<q", len(header) + size)
        put(data.at - 8, "<q", form.header_bytes + size)
    else:
        put(data.at - struct.calcsize(form.size), form.size, size + lead)
        if form.kind != "CAF":
            put(start + 4, form.size, len(header) - 8 + size)
    if form.kind == "AIFF" and describing is not None:
        put(describing.at + 2, ">I", size // frame_bytes)
    return bytes(header)


def _wav_header(format_body: bytes, size: int) -> bytes:
    chunk = b"fmt " + struct.pack("<I", len(format_body)) + format_body + b"\0" * (len(format_body) % 2)
    if size < OPEN_SIZE - 1024:
        return (
            b"RIFF" + struct.pack("<I", 4 + len(chunk) + 8 + size) + b"WAVE" + chunk
            + b"data" + struct.pack("<I", size)
        )  # fmt: skip
    frames = size // max(1, struct.unpack("<H", format_body[12:14])[0])
    total = 4 + 36 + len(chunk) + 8 + size
    return (
        b"RF64" + struct.pack("<I", OPEN_SIZE) + b"WAVE"
        + b"ds64" + struct.pack("<IQQQI", 28, total, size, frames, 0)
        + chunk + b"data" + struct.pack("<I", OPEN_SIZE)
    )  # fmt: skip


def _contents_of_au(file: BinaryIO) -> Contents:
    """Return the content of a Sun/NeXT AU file: a header, then samples up to the end or another header."""
    end = file.seek(0, os.SEEK_END)
    parts: list[Part] = []
    start, believed = 0, True
    while len(parts) < _MAX_JOINED:
        file.seek(start)
        header = file.read(24)
        if len(header) < 24 or header[:4] != b".snd":
            break
        offset, stated = struct.unpack(">II", header[4:12])
        at = start + offset
        part_end = at + stated
        if offset > _MAX_HEADER or stated == OPEN_SIZE or part_end >= end or only_zeros(file, part_end, end):
            parts.append(Part(start, end))
            break
        file.seek(part_end)
        if file.read(4) == b".snd":
            parts.append(Part(start, part_end))
            start, believed = part_end, False
            continue
        believed = False
        file.seek(start)
        whole = file.read(offset)
        parts.append(Part(at, end, whole[:8] + struct.pack(">I", min(end - at, OPEN_SIZE)) + whole[12:]))
        break
    return Contents([] if believed else parts)

"""The small chunks of a WAV file: what recorders write beside the samples.

RIFF (Microsoft & IBM 1991) and RF64 (EBU Tech 3306): a list of chunks, each a name, a size and a body, padded
to an even size.
"""

from __future__ import annotations

import struct
from pathlib import Path

_MAX_CHUNKS = 10_000
# Larger ones hold samples or pictures.
_MAX_BODY = 1 << 20
_UNKNOWN_SIZE = 0xFFFFFFFF


def read_chunks(path: Path, wanted: frozenset[bytes]) -> dict[bytes, bytes]:
    """Return the bodies of chunks by name, up to where the file is damaged.

    ``LIST`` chunks of type INFO are taken apart: their entries stand under names such as ``b"ICMT"``. Of
    equal names the first counts. A file that is no WAV file gives nothing.

    Parameters
    ----------
    path
        The file.
    wanted
        Names of the chunks and INFO entries to return.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    found: dict[bytes, bytes] = {}
    with path.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(0)
        head = file.read(12)
        if head[:4] not in (b"RIFF", b"RF64", b"BW64") or head[8:] != b"WAVE":
            return found
        at, data_size = 12, None
        for _ in range(_MAX_CHUNKS):
            file.seek(at)
            header = file.read(8)
            if len(header) < 8:
                break
            name, size = struct.unpack("<4sI", header)
            if name == b"data" and size == _UNKNOWN_SIZE and data_size is not None:
                size = data_size
            elif name == b"ds64":
                data_size = _size_of_data(file.read(16))
            elif size <= _MAX_BODY and (name in wanted or name == b"LIST"):
                body = file.read(size)
                entries = _info_entries(body) if name == b"LIST" else {name: body}
                for key in wanted & entries.keys():
                    found.setdefault(key, entries[key])
            at += 8 + size + size % 2
            if at >= end:
                break
    return found


def _size_of_data(body: bytes) -> int | None:
    return struct.unpack("<Q", body[8:16])[0] if len(body) == 16 else None


def _info_entries(body: bytes) -> dict[bytes, bytes]:
    entries: dict[bytes, bytes] = {}
    at = 4
    while body[:4] == b"INFO" and at + 8 <= len(body):
        name, size = struct.unpack("<4sI", body[at : at + 8])
        entries.setdefault(name, body[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return entries

"""Read the small chunks of a WAV file, which recorders write beside the samples."""

from __future__ import annotations

import struct
from pathlib import Path

from britekit.audio.chunk_sizes import layouts
from britekit.audio.chunks import chunks_from, form_of

# Larger chunks hold samples or pictures.
_MAX_BODY = 1 << 20


def read_chunks(path: Path, wanted: frozenset[bytes]) -> dict[bytes, bytes]:
    """Return the bodies of a WAV file's chunks by name, up to where the file is damaged.

    Entries of ``LIST`` chunks of type INFO have names such as ``b"ICMT"``. The first of equal names counts. Chunks
    after samples with a wrong size are found too. A file that is not a WAV file gives nothing.

    Raises `OSError` if the file cannot be read.

    Parameters
    ----------
    wanted
        Names of the chunks and INFO entries to return.
    """
    found: dict[bytes, bytes] = {}
    with path.open("rb") as file:
        form = form_of(file.read(40))
        if form is None or form.kind not in ("RIFF", "RIFX"):
            return found
        first = next(iter(layouts(file)), None)
        for chunk in chunks_from(file, form, form.head) if first is None else first.others:
            if chunk.size > _MAX_BODY or (chunk.name not in wanted and chunk.name != b"LIST"):
                continue
            file.seek(chunk.at)
            body = file.read(chunk.size)
            entries = _info_entries(body) if chunk.name == b"LIST" else {chunk.name: body}
            for key in wanted & entries.keys():
                found.setdefault(key, entries[key])
    return found


def _info_entries(body: bytes) -> dict[bytes, bytes]:
    entries: dict[bytes, bytes] = {}
    at = 4
    while body[:4] == b"INFO" and at + 8 <= len(body):
        name, size = struct.unpack("<4sI", body[at : at + 8])
        entries.setdefault(name, body[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return entries

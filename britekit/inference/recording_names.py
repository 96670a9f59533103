"""Name recordings in the output, and recognize versions of their files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from britekit.annotations.tracks import track_name
from britekit.audio.decoding import AudioReader
from britekit.config import AudioConfig
from britekit.errors import BriteKitError, InputError


def recording_name(path: Path, root: Path) -> str:
    r"""Return the name of a recording in the output: its path below ``root`` without extension.

    Bytes that are not UTF-8 are written as ``\\x..``.
    """
    below = path.relative_to(root) if path.is_relative_to(root) and path != root else Path(path.name)
    name = below.with_suffix("").as_posix() if below.suffix else below.as_posix()
    return as_text(name)


def as_text(path: str | os.PathLike[str]) -> str:
    r"""Return a path as text, with bytes that are not UTF-8 as ``\\x..``."""
    return os.fspath(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def identity_of(path: Path) -> tuple[int, int]:
    """Return size and modification time, which identify a version of a file; (-1, -1) if it is missing."""
    try:
        facts = path.stat()
    except OSError:
        return -1, -1
    return facts.st_size, facts.st_mtime_ns


def tracks_of(named: Mapping[str, Path]) -> dict[str, Path]:
    """Return the channels of recordings by their names; a file that cannot be read has one, and fails when scored."""
    found: dict[str, Path] = {}
    for name, path in named.items():
        try:
            with AudioReader(path, warn=False) as reader:
                channels = reader.channels
        except (BriteKitError, OSError):
            channels = 1
        found |= {track_name(name, channel): path for channel in range(1, channels + 1)}
    return found


def refuse_each(audio: AudioConfig, what: str) -> None:
    """Raise `InputError` where channels cannot be treated one by one."""
    if audio.channels == "each":
        raise InputError(f"audio.channels is each, which {what} cannot use; set it to best, mean or a channel's number")

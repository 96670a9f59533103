"""Name recordings in the output, and recognize versions of their files."""

from __future__ import annotations

import os
from pathlib import Path


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

"""Recordings that arrive in a folder: what lies there now, and what is not complete yet."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from britekit.audio.files import AUDIO_EXTENSIONS, find_recordings, shown, walk_folders
from britekit.errors import InputError
from britekit.inference.recording_names import as_text, identity_of, recording_name


@dataclass
class Arriving:
    """A recording that is not in the tables yet."""

    path: Path
    identity: tuple[int, int]
    since: float
    """When it was first seen with this size and time."""
    reason: str = ""
    """Description of a missing end, after a try."""
    failed: bool = False
    """Whether it was given up until it changes."""


def listing(root: Path, recursive: bool) -> Iterator[tuple[str, Path | str, tuple[int, int]]]:
    """Yield name, path and identity of the recordings that `find_recordings` finds in a folder.

    A path object for each of 100,000 files takes ten times as long as this; where there are links, which may
    lead to one recording twice, they are made all the same.
    """
    found: list[tuple[str, Path | str, tuple[int, int]]] = []
    for folder, entries in walk_folders(root):
        below = "" if folder == root else f"{folder.relative_to(root).as_posix()}/"
        for entry in entries:
            stem, ending = os.path.splitext(entry.name)
            if entry.name[0] == "." or ending.lower() not in AUDIO_EXTENSIONS:
                continue
            if entry.is_symlink():
                paths = find_recordings(root, recursive, none_is_fine=True)
                yield from ((recording_name(path, root), path, identity_of(path)) for path in paths)
                return
            try:
                facts = entry.stat()
            except FileNotFoundError:  # renamed since
                continue
            if stat.S_ISREG(facts.st_mode):
                name = f"{below}{stem}"
                identity = facts.st_size, facts.st_mtime_ns
                found.append((name if name.isascii() else as_text(name), entry.path, identity))
        if not recursive:
            break
    yield from found


def unlisted(root: Path, error: OSError) -> InputError:
    """Return the error for a folder that is gone or cannot be listed."""
    if not root.is_dir():
        return InputError(f"{shown(root)} does not exist")
    return InputError(f"{shown(error.filename or root)} cannot be listed ({error.strerror or error})")


class Once(logging.Filter):
    """Lets each message pass once: the folder is listed again and again."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a message is new."""
        text = record.getMessage()
        new = text not in self._seen
        self._seen.add(text)
        return new

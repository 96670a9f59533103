"""Spectrograms of windows of unlabeled recordings, on disk.

``windows.u8`` holds (N, H, W) bytes, which training maps, so that memory does not grow with the archive. Recordings are
stored in order; a line of ``journal.jsonl`` follows the windows of each, and what has no line is computed again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from britekit.audio.files import shown
from britekit.audio.window_grid import WindowGrid
from britekit.config import AudioConfig
from britekit.database.spectrograms import decode
from britekit.datasets.window_streams import WindowStream, spread, stream_windows
from britekit.errors import some
from britekit.files import writing
from britekit.inference.recording_names import identity_of
from britekit.inference.scoring import reason_of
from britekit.progress import track

log = logging.getLogger(__name__)


@dataclass
class WindowFile:
    """The windows of all recordings, and what gave none."""

    path: Path
    shape: tuple[int, int]
    counts: list[int] = field(default_factory=list)
    """Windows of each recording that has any, in the order of the file."""
    failed: dict[Path, str] = field(default_factory=dict)
    short: list[str] = field(default_factory=list)
    """Recordings in which no window has a second of sound."""
    mute: list[str] = field(default_factory=list)
    """Recordings without any sound."""
    silent: int = 0
    """Windows without any sound, which are left out."""
    unused: list[str] = field(default_factory=list)
    """Recordings that were not drawn."""
    continued: int = 0
    """Recordings that a killed run had stored."""
    digest: str = ""
    """Of the journal, so of the recordings and their order."""

    def __len__(self) -> int:
        return sum(self.counts)

    def images(self) -> NDArray[np.uint8]:
        """Return the windows, (N, H, W), mapped."""
        # Copy-on-write: torch warns about read-only arrays, and nothing writes to it.
        return np.memmap(self.path, np.uint8, mode="c", shape=(len(self), *self.shape))


def store_windows(named: Mapping[str, Path], audio: AudioConfig, most: int, folder: Path) -> WindowFile:
    """Store windows of recordings, or continue a killed run that did so.

    Raises `InputError` if the folder cannot be written.

    Parameters
    ----------
    most
        Most windows in all; shared evenly among the recordings, drawn at random from each.
    """
    names = sorted(named)
    unused: list[str] = []
    if len(names) > most:
        drawn = sorted(random.Random(len(names)).sample(names, most))
        unused = sorted(set(names).difference(drawn))
        log.warning(
            "%d of %d recordings are not drawn, since pretrain.max_windows is %d: %s",
            *(len(unused), len(names), most, some(unused)),
        )
        names = drawn
    found = WindowFile(folder / "windows.u8", (audio.spec_height, audio.spec_width), unused=unused)
    journal = folder / "journal.jsonl"
    grid = WindowGrid.for_extraction(audio.spec_duration, 0.0)
    starts = spread(grid, max(1, most // max(1, len(names))), at_random=True)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        kept = _kept_lines(journal, names, named, found)
        with open(found.path, "ab") as values, open(journal, "ab") as lines:
            values.truncate(len(found) * audio.spec_height * audio.spec_width)
            lines.truncate(sum(map(len, kept)))
            todo = names[len(kept) :]
            streams = stream_windows([named[name] for name in todo], audio, starts)
            for name, stream in zip(track(todo, what="recordings"), streams, strict=True):
                entry = _store(name, stream, values, found)
                values.flush()
                lines.write(json.dumps(entry).encode() + b"\n")
                lines.flush()
        found.digest = hashlib.sha256(journal.read_bytes()).hexdigest()
    if found.short:
        log.warning("%d recordings are too short for a window: %s", len(found.short), some(found.short, 3))
    if found.silent:
        log.warning(
            "%d silent windows are left out; without any sound: %s", found.silent, some(found.mute, 3) or "none"
        )
    return found


def _store(name: str, stream: WindowStream, values: BinaryIO, found: WindowFile) -> dict[str, Any]:
    """Append the windows of a recording; return its line of the journal."""
    entry: dict[str, Any] = {"name": name, "identity": identity_of(stream.path), "windows": 0, "silent": 0, "short": 0}
    begin = values.tell()
    try:
        for batch in stream:
            for value in batch.values:
                image = decode(value, *found.shape)
                if image.any():
                    values.write(image.tobytes())
                    entry["windows"] += 1
                else:
                    entry["silent"] += 1
    except Exception as error:
        if isinstance(error, OSError) and error.filename is None:
            raise  # the disk is full
        values.truncate(begin)
        entry |= {"windows": 0, "silent": 0, "failed": reason_of(error, stream.path)}
        log.warning("%s is left out: %s", shown(stream.path), entry["failed"])
    entry["short"] = int("failed" not in entry and not entry["windows"] and not entry["silent"])
    _count(entry, stream.path, found)
    return entry


def _count(entry: Mapping[str, Any], path: Path, found: WindowFile) -> None:
    if "failed" in entry:
        found.failed[path] = entry["failed"]
    elif entry["short"]:
        found.short.append(shown(path))
    elif entry["windows"]:
        found.counts.append(entry["windows"])
    else:
        found.mute.append(shown(path))
    found.silent += entry["silent"]


def _kept_lines(journal: Path, names: list[str], named: Mapping[str, Path], found: WindowFile) -> list[bytes]:
    """Return the lines of a killed run up to the first recording that differs, and count what they say."""
    kept: list[bytes] = []
    if not journal.is_file() or not found.path.is_file():
        return kept
    size = found.path.stat().st_size // (found.shape[0] * found.shape[1])
    for name, line in zip(names, journal.read_bytes().splitlines(keepends=True), strict=False):
        try:
            entry = json.loads(line)
            same = entry["name"] == name and tuple(entry["identity"]) == identity_of(named[name])
            if not same or not line.endswith(b"\n") or len(found) + entry["windows"] > size:
                break
            _count(entry, named[name], found)
        except (ValueError, KeyError, TypeError):  # killed within a line
            break
        kept.append(line)
    found.continued = len(kept)
    return kept

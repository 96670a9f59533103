"""Which unlabeled recordings may be learned from: all but those that are tested, or of the group of one."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from britekit.annotations.names import recording_key
from britekit.audio.files import composed, find_recordings, same_named, shown
from britekit.collect.recordings_table import FILE_NAME, read_recordings_table
from britekit.collect.test_recordings import TestRecordings
from britekit.errors import InputError, some

log = logging.getLogger(__name__)

_HOW_TO_FILL = (
    "list unlabeled recordings in data/sources.csv with the split unlabelled (such as "
    "*,folder,../archive,,unlabelled) and run collect"
)


@dataclass
class Admission:
    """The recordings that may be used, and those that may not."""

    allowed: list[Path] = field(default_factory=list)
    refused: dict[str, list[str]] = field(default_factory=dict)
    """Reason to recordings that may not be used."""
    failed: dict[Path, str] = field(default_factory=dict)
    """Recordings that cannot be read; callers add those that fail later."""

    def why_none(self, count: int) -> str:
        """Return why none of ``count`` recordings is left."""
        parts = [f"{len(names)} {'is' if len(names) == 1 else 'are'} refused ({some(names, 1)} {why})"
                 for why, names in self.refused.items()]  # fmt: skip
        if self.failed:
            path, reason = next(iter(self.failed.items()))
            parts.append(f"{len(self.failed)} cannot be used ({shown(path)}: {reason})")
        if parts:
            return f"of {count}, " + "; ".join(parts)
        return "all are too short for a window" if count else "it is empty"


def find_unlabelled(folder: str | Path) -> list[Path]:
    """Return the recordings of a folder and its subfolders.

    Raises `InputError` if the folder does not exist or holds no file.
    """
    if not Path(folder).is_dir():
        raise InputError(f"{folder} is not a folder of unlabeled recordings; {_HOW_TO_FILL}")
    if not any(path.is_file() and path.name != FILE_NAME for path in Path(folder).rglob("*")):
        raise InputError(f"{folder} holds no recording; {_HOW_TO_FILL}")
    return find_recordings(folder, recursive=True)


def admit(paths: Sequence[Path], test: TestRecordings) -> Admission:
    """Return recordings, sorted, without those that are tested, or of the group of one, by name or content."""
    unclear = same_named(paths)
    details: dict[Path, dict[str, str]] = {}
    found = Admission()
    refused: dict[str, list[str]] = defaultdict(list)
    for path in sorted(paths):
        if path in unclear:
            found.failed[path] = unclear[path]
            log.warning("%s is left out: %s", shown(path), unclear[path])
            continue
        if path.parent not in details:
            rows = read_recordings_table(path.parent / FILE_NAME)
            details[path.parent] = {composed(row.recording): row.details.group for row in rows}
        group = test.group_of(path, details[path.parent].get(recording_key(path), ""))
        try:
            why = test.why(path, group)
        except OSError as error:
            found.failed[path] = f"cannot be read ({error.strerror or error})"
            log.warning("%s is left out: %s", shown(path), found.failed[path])
            continue
        if why:
            refused[why].append(shown(path))
        else:
            found.allowed.append(path)
    for why, names in refused.items():
        log.warning("%d recordings are refused, each %s: %s", len(names), why, some(names, 3))
    found.refused = dict(refused)
    return found

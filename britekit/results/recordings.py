"""The recordings of a folder by the names that tables give them, with site and time."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

from britekit.annotations.deployments import DEFAULT_PATH, read_deployments
from britekit.annotations.names import RecordingNames
from britekit.annotations.recording_info import Placed, RecordingInfo, RecordingInfos
from britekit.audio.files import find_recordings, name_key
from britekit.config import resolve
from britekit.errors import InputError
from britekit.results.candidates import Place


class Recordings:
    """The recordings below a folder.

    Parameters
    ----------
    root
        A folder, searched with all folders below it, or one recording.
    deployments
        Table of deployments; one that is missing has no rows.
    """

    def __init__(self, root: str | os.PathLike[str], deployments: str | Path = DEFAULT_PATH) -> None:
        self.root = Path(root)
        self._paths: dict[str, list[Path]] = defaultdict(list)
        for path in find_recordings(self.root, recursive=True):
            below = path.relative_to(self.root) if self.root.is_dir() else Path(path.name)
            self._paths[name_key(below.with_suffix("").as_posix())].append(path)
        self._names = RecordingNames(self._paths)
        base = self.root if self.root.is_dir() else self.root.parent
        self._infos = RecordingInfos(base, read_deployments(deployments), resolve(None).misc.time_regex)
        self._known: dict[Path, RecordingInfo] = {}

    def find(self, recording: str) -> Path | None:
        """Return the recording of a name, below the folder and without extension; None if it is not there.

        Raises `InputError` if two recordings have this name.
        """
        name = self._names.find(recording)
        found = self._paths[name] if name is not None else []
        if len(found) > 1:
            raise InputError(
                f"{found[0]} and {found[1].name} have the same name without extension, so it is not clear "
                f'which of them "{recording}" means; rename or move one'
            )
        return found[0] if found else None

    def info(self, path: Path) -> RecordingInfo:
        """Return when and where a recording was made."""
        if path not in self._known:
            self._known[path] = self._infos.of(path)
        return self._known[path]

    def placed(self, path: Path) -> Placed:
        """Return when and where a recording was made."""
        info = self.info(path)
        known = info.latitude is not None and info.longitude is not None
        place = (info.latitude or 0.0, info.longitude or 0.0) if known else None
        return Placed(info.site, info.start, info.zone, place)

    def unused(self) -> list[str]:
        """Return what tables say and no recording asked for has, a sentence each."""
        return self._infos.unused()

    def place(self, recording: str) -> Place:
        """Return site and start of a recording: what deployments and its file say, else its folder."""
        path = self.find(recording)
        if path is None:
            return unknown_place(recording)
        info = self.info(path)
        return Place(info.site or unknown_place(recording).site, info.start)


def unknown_place(recording: str) -> Place:
    """Return the site of a recording whose file is not available: its folder, without a time."""
    return Place(recording.rpartition("/")[0])

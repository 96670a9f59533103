"""The recordings that are tested, and whether another one is one of them or of their groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from britekit.annotations.names import recording_key
from britekit.audio.files import composed, find_recordings, is_recording
from britekit.collect.offers import Offer
from britekit.collect.recordings_table import FILE_NAME, group_from_name, read_recordings_table
from britekit.files import sha256_of


class TestRecordings:
    """The tested recordings: names, groups and contents.

    Parameters
    ----------
    offers
        Test recordings that are to be collected.
    folder
        Holds those that were collected before; may be missing.
    group_regex
        `misc.group_regex`.
    """

    __test__ = False

    def __init__(self, offers: Iterable[Offer], folder: Path, group_regex: str | None) -> None:
        self._regex = group_regex
        self._names: set[str] = set()
        self._groups: set[str] = set()
        self._by_size: dict[int, list[Path]] = defaultdict(list)
        for offer in offers:
            self._add(Path(offer.file_name), offer.details.group, Path(offer.origin))
        if folder.is_dir() and any(is_recording(path) for path in folder.iterdir()):
            groups = {composed(row.recording): row.details.group for row in read_recordings_table(folder / FILE_NAME)}
            for path in find_recordings(folder):
                self._add(path, groups.get(recording_key(path), ""), path)

    def _add(self, name: Path, group: str, file: Path) -> None:
        self._names.add(recording_key(name).casefold())
        self._groups.add(self.group_of(name, group).casefold())
        if file.is_file():
            self._by_size[file.stat().st_size].append(file)

    def group_of(self, path: Path, stated: str = "") -> str:
        """Return the group of a recording: as its table states, else by its name, else itself."""
        return composed(stated or group_from_name(path.stem, self._regex) or recording_key(path))

    def why(self, path: Path, group: str, file: Path | None = None) -> str:
        """Return why a recording may not be trained with; empty if it may.

        Parameters
        ----------
        path, group
            Its name and group.
        file
            Its file, which may be missing if it is not on this machine yet; default: `path`, which must exist.
        """
        if recording_key(path).casefold() in self._names:
            return "is a test recording"
        if group.casefold() in self._groups:
            return f"is of the group {group} of a test recording"
        if file is not None and not file.is_file():
            return ""
        file = file or path
        for other in self._by_size.get(file.stat().st_size, ()):
            if sha256_of(other) == sha256_of(file):
                return f"is the test recording {other.name}"
        return ""

"""The tree ``<class>/<recording>`` that the stage `extract` reads, checked against the class list."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from britekit.annotations.classes import ClassInfo
from britekit.audio.files import check_stems, is_recording_name
from britekit.config.misc import MiscConfig
from britekit.database.recordings import Facts
from britekit.datasets.recordings_csv import FILE_NAME, RecordingTable, describe_recording, with_metadata
from britekit.errors import InputError, suggest
from britekit.files import sha256_of

log = logging.getLogger("britekit.datasets.tree")


@dataclass
class PlannedRecording:
    """One recording to extract, and the classes whose folders hold it."""

    path: Path
    source: str
    facts: Facts
    class_names: list[str]

    @property
    def filename(self) -> str:
        """File name with extension."""
        return self.path.name


def read_tree(root: Path, classes: Sequence[ClassInfo], misc: MiscConfig) -> list[PlannedRecording]:
    """List the recordings of a tree, in the order of the classes and then of their names.

    A file that lies in the folders of two classes is one recording of both.

    Raises
    ------
    InputError
        No such folder; a folder that is no class; two different files of one name and source.
    """
    if not root.is_dir():
        raise InputError(f"{root} is not a directory; expected one folder of recordings per class in it")
    _check_folders(root, [info.name for info in classes])
    table = RecordingTable(root / FILE_NAME)
    planned: dict[tuple[str, str], PlannedRecording] = {}
    for info in classes:
        paths = _recordings_in(root / info.name)
        check_stems(paths)
        for path in paths:
            row = describe_recording(path.name, table.find(info.name, path.name), misc)
            key = (row.source, path.name)
            other = planned.get(key)
            if other is None:
                planned[key] = PlannedRecording(path, row.source, row.facts, [info.name])
                continue
            _check_same(other.path, path)
            other.class_names.append(info.name)
            if other.facts == Facts(group_name=other.facts.group_name):
                other.facts = row.facts
    table.report_unused()
    # After the folders are merged, so that a row of recordings.csv in any of them comes first.
    for recording in planned.values():
        recording.facts = with_metadata(recording.facts, recording.path)
    return list(planned.values())


def _check_folders(root: Path, names: list[str]) -> None:
    loose = []
    problems = []
    for entry in sorted(root.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if entry.name not in names:
                problems.append(f"folder {entry} is no class of the class list{suggest(entry.name, names)}")
        elif is_recording_name(entry):
            loose.append(entry.name)
    if problems:
        raise InputError(
            "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" if problems[5:] else "")
        )
    if loose:
        log.warning(
            "%s: %d recordings lie outside any class's folder and are left out (%s)",
            root,
            len(loose),
            loose[0],
        )


def _recordings_in(folder: Path) -> list[Path]:
    """Return the recordings directly in a class's folder; none if there is no such folder."""
    if not folder.is_dir():
        return []
    files = (path for path in folder.iterdir() if is_recording_name(path) and path.is_file())
    return sorted(files, key=lambda path: path.name)


def _check_same(first: Path, second: Path) -> None:
    if first.stat().st_size != second.stat().st_size or sha256_of(first) != sha256_of(second):
        raise InputError(
            f"{first} and {second} have the same name but are different recordings; a recording is known by "
            "its source and file name, so rename one or give them different sources in recordings.csv"
        )

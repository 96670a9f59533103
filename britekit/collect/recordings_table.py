"""Read and write ``recordings.csv``: author, place, time, licence and link of each recording."""

import re
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path

from britekit.annotations.names import RecordingNames, name_forms
from britekit.annotations.tables import iter_rows
from britekit.errors import InputError
from britekit.files import write_csv

FILE_NAME = "recordings.csv"


@dataclass(frozen=True)
class Details:
    """Details of a recording: the text columns of ``recordings.csv``, empty where unknown."""

    group: str = ""
    source: str = ""
    licence: str = ""
    author: str = ""
    url: str = ""
    time: str = ""
    latitude: str = ""
    longitude: str = ""
    time_expansion: str = ""


_DETAILS = tuple(item.name for item in fields(Details))
COLUMNS = ("recording", "class", *_DETAILS[:-1])
"""Of each table; the last of the details, `time_expansion`, is written where a recording has it."""


@dataclass(frozen=True)
class RecordingRow:
    """One recording in one class."""

    recording: str
    """Stem of the file."""
    class_name: str
    details: Details = field(default_factory=Details)
    row: int = field(default=0, compare=False)
    """Row number in the file; the header is row 1."""


def read_recordings_table(path: Path) -> list[RecordingRow]:
    """Read the table; columns other than `recording` may be missing, and a missing file has no rows.

    Raises `InputError` if the file cannot be read, or a row has no recording.
    """
    if not path.exists():
        return []
    rows, names = [], RecordingNames.below(path.parent)
    for number, cells in iter_rows(path, ["recording"], ("class", *_DETAILS)):
        if not cells["recording"]:
            raise InputError(f"{path}, row {number}: recording is empty")
        details = Details(*(cells[name] for name in _DETAILS))
        recording = names.find(cells["recording"]) or name_forms(cells["recording"])[-1]
        rows.append(RecordingRow(recording, cells["class"], details, number))
    return rows


def write_recordings_table(path: Path, rows: Iterable[RecordingRow]) -> None:
    """Write the table, sorted by class and recording."""
    ordered = sorted(rows, key=lambda row: (row.class_name, row.recording))
    columns = (*COLUMNS, _DETAILS[-1]) if any(row.details.time_expansion for row in ordered) else COLUMNS
    table = ((row.recording, row.class_name, *astuple(row.details))[: len(columns)] for row in ordered)
    write_csv(path, [columns, *table])


def group_from_name(stem: str, pattern: str | None) -> str | None:
    """Return what a recording was cut from: group 1 of the pattern, or the whole match if it has none."""
    found = re.search(pattern, stem) if pattern else None
    if found is None:
        return None
    return (found[1] if found.re.groups else found[0]) or None

"""Seconds of recordings that a person lists in a table, one per row."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from britekit.annotations.segments import raise_for_rows
from britekit.annotations.tables import iter_rows, parse_number


@dataclass(frozen=True)
class OffsetRow:
    """A row: its number, the recording as it is named there (stem or file name), and seconds."""

    number: int
    recording: str
    offset: float


def read_offset_rows(table: str | os.PathLike[str]) -> list[OffsetRow]:
    """Read a CSV with the columns recording and offset.

    Raises `InputError` for missing columns, and rows without recording or whose offset is not a number of seconds;
    names them.
    """
    rows, problems = [], []
    for number, cells in iter_rows(Path(table), ["recording", "offset"]):
        try:
            offset = parse_number(cells["offset"])
        except ValueError:
            offset = -1.0
        if not cells["recording"]:
            problems.append(f"row {number}: the recording is not named")
        elif not 0.0 <= offset < 1e9:
            problems.append(f'row {number}: offset "{cells["offset"]}" is not a number of seconds, 0 or more')
        else:
            rows.append(OffsetRow(number, cells["recording"], offset))
    raise_for_rows(table, problems)
    return rows

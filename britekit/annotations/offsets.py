"""Seconds of recordings that a person lists in a table, one per row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from britekit.annotations.names import RecordingNames
from britekit.annotations.tables import iter_rows, parse_number
from britekit.errors import InputError


def read_offsets(table: str | Path, recordings: Sequence[Path]) -> tuple[dict[Path, list[float]], list[str]]:
    """Read a CSV with the columns recording (stem or file name) and offset (seconds).

    Parameters
    ----------
    table
        The file.
    recordings
        Those that rows may name.

    Returns
    -------
    offsets
        Of each recording that is named, without repetitions, ascending.
    missing
        Names in the table that no recording has, each once.

    Raises
    ------
    InputError
        Columns are missing, or an offset is not a number of seconds; names the row.
    """
    by_stem = {path.stem: path for path in recordings}
    names = RecordingNames(by_stem)
    found: dict[Path, set[float]] = {}
    missing: dict[str, None] = {}
    for number, cells in iter_rows(table, ["recording", "offset"]):
        name = cells["recording"]
        try:
            offset = parse_number(cells["offset"])
        except ValueError:
            offset = -1.0
        if not 0.0 <= offset < 1e9:
            raise InputError(
                f'{table}, row {number}: offset "{cells["offset"]}" is not a number of seconds from 0 on'
            )
        stem = names.find(name)
        if stem is None:
            missing[name] = None
        else:
            found.setdefault(by_stem[stem], set()).add(offset)
    return {path: sorted(offsets) for path, offsets in found.items()}, list(missing)

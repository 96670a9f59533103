"""The rows of `recordings.csv`: what a person wrote about recordings, by the name of the recording each means."""

from __future__ import annotations

import os
import re
from collections import Counter
from datetime import datetime
from pathlib import Path

from britekit.annotations.names import RecordingNames, name_forms
from britekit.annotations.tables import iter_rows, parse_number
from britekit.audio.files import is_recording_name, name_key, walk_folders
from britekit.audio.recording_names import checked_place
from britekit.errors import InputError, some

WRITTEN = "recordings.csv"
_WRITTEN_COLUMNS = ("time", "site", "recorder", "latitude", "longitude")
_DATE = re.compile(r"\d{4}-?\d\d-?\d\d", re.ASCII)


class WrittenRows:
    """The rows of a ``recordings.csv``, by the name of the recording each means; none where there is no such file.

    A row means the recording of its name beside the table, else those in the folders below.
    """

    def __init__(self, path: Path) -> None:
        self.rows: dict[str, dict[str, str]] = {}
        self._path = path
        self._problems: dict[str, list[str]] = {}
        self._beside: set[str] = set()
        if not path.exists():
            return
        there: Counter[str] = Counter()
        for folder, entries in walk_folders(path.parent):
            stems = [os.path.splitext(entry.name)[0] for entry in entries if is_recording_name(entry.name)]
            there.update(map(name_key, stems))
            self._beside = set(there) if folder == path.parent else self._beside
        names = RecordingNames(there)
        for number, cells in iter_rows(path, ["recording"], _WRITTEN_COLUMNS):
            try:
                written_place(cells)
            except ValueError:
                raise InputError(f"{path}, row {number}: latitude and longitude are not both numbers") from None
            found, text = names.find(cells["recording"]), cells["time"]
            if found is None and there:
                self._note("have no recording in its folder or below", number, cells["recording"])
            if text and not written_time(cells):
                is_date = _DATE.fullmatch(text) is not None
                kind = "have a date without a clock time" if is_date else "have a time that cannot be read"
                self._note(f"{kind} (expected 2024-05-01T06:30:00), so its recording's own time counts", number, text)
            key = found if found is not None else name_forms(cells["recording"])[-1]
            if there[key] > 1 and key not in self._beside and any(cells[name] for name in _WRITTEN_COLUMNS):
                self._note("are about several recordings of that name in folders below", number, cells["recording"])
            if self.rows.setdefault(key, cells) is not cells:
                self._note("are about a recording that a row before is about", number, cells["recording"])

    def of(self, folder: Path, key: str) -> dict[str, str] | None:
        """Return the row of a recording in a folder, by `recording_key`."""
        return None if key in self._beside and folder != self._path.parent else self.rows.get(key)

    def _note(self, kind: str, number: int, text: str) -> None:
        self._problems.setdefault(kind, []).append(f'row {number}, "{text}"')

    def problems(self) -> list[str]:
        """Return what is wrong with rows, a sentence per kind."""
        return [f"{self._path}: {len(rows)} rows {kind}: {some(rows, 3)}" for kind, rows in self._problems.items()]


def written_time(written: dict[str, str]) -> list[tuple[str, datetime]]:
    """Return the time in a row; a date alone is none."""
    text = written.get("time", "")
    try:
        when = datetime.fromisoformat(text) if len(text) > 10 else None
    except ValueError:
        when = None
    return [] if when is None else [(WRITTEN, when)]


def written_place(cells: dict[str, str]) -> tuple[float, float] | None:
    """Return latitude and longitude of a row; None where it has not both."""
    if not (cells.get("latitude") and cells.get("longitude")):
        return None
    return checked_place(parse_number(cells["latitude"]), parse_number(cells["longitude"]))

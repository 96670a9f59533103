"""Occurrence data in memory, from any file that holds them."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from britekit.errors import InputError, suggest
from britekit.files import require_file, sha256_of
from britekit.occurrence.csv_table import read_csv
from britekit.occurrence.failures import MissingFile
from britekit.occurrence.pickled import read_pickle, version_of
from britekit.occurrence.pickler import v1_content, v2_content, version_of_database
from britekit.occurrence.provider import first_containing
from britekit.occurrence.weeks import WEEKS, smoothed

_SQLITE = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class Area:
    """A code and a bounding box in degrees, None where the file states none; x is the longitude."""

    code: str
    min_x: float | None = None
    max_x: float | None = None
    min_y: float | None = None
    max_y: float | None = None


@dataclass(frozen=True, eq=False)
class OccurrenceTable:
    """Values of K classes in A areas; R rows, one for each class that an area has."""

    source: Path
    sha256: str
    by_hand: bool
    """Whether the file is a plain CSV."""
    areas: list[Area]
    """A areas, in the order of the file."""
    class_names: list[str]
    """K names."""
    offsets: np.ndarray
    """(A + 1,) first row of each area."""
    columns: np.ndarray
    """(R,) class of each row."""
    values: np.ndarray
    """(R, 48) shares of observations, 0 to 1; NaN where nothing is known."""

    def area_at(self, latitude: float, longitude: float) -> list[int]:
        """Return the first area whose bounding box contains a place, as a list; empty if none does."""
        found = first_containing(self.areas, latitude, longitude)
        return [] if found is None else [self.areas.index(found)]

    def areas_of(self, code: str) -> list[int]:
        """Return the area with a code and those below it: ``CA-ON`` has ``CA-ON-OT``.

        Raises `InputError` if there is none.
        """
        below = f"{code}-"
        found = [place for place, area in enumerate(self.areas) if area.code == code or area.code.startswith(below)]
        if not found:
            hint = suggest(code, [area.code for area in self.areas])
            raise InputError(f'{self.source.name} has no area "{code}"{hint}')
        return found

    def values_in(self, areas: list[int], week: int | None) -> np.ndarray:
        """Return the value of each class, float64 (K,), as `OccurrencePickleProvider` gives it.

        Parameters
        ----------
        areas
            Their values are averaged over those that have the class; 0 where none has.
        week
            0 to 47: the highest value of it and its neighbors; None: of the year.
        """
        total, count = np.zeros(len(self.class_names)), np.zeros(len(self.class_names))
        for area in areas:
            rows = slice(*self.offsets[area : area + 2])
            values = self.values[rows].astype(np.float64)
            found = values.max(axis=1, initial=0.0) if week is None else smoothed(values)[:, week]
            total[self.columns[rows]] += found
            count[self.columns[rows]] += 1
        return total / np.maximum(count, 1)

    def mean_where_present(self, column: int) -> float:
        """Return the mean of a class's smoothed values above 0 over all areas and weeks; NaN if there are none."""
        values = smoothed(self.values[self.columns == column].astype(np.float64))
        present = values[values > 0]
        return float(present.mean()) if len(present) else float("nan")


def read_occurrence(path: str | os.PathLike[str]) -> OccurrenceTable:
    """Read a pickle or a database of either version, or a CSV; a file read before is not read again.

    Raises
    ------
    InputError, DatabaseError
        The file does not exist, is damaged, or is of another kind.
    """
    try:
        facts = require_file(path).stat()
    except FileNotFoundError:
        raise MissingFile(f"occurrence file {path} (infer.occurrence) does not exist") from None
    except OSError as error:
        raise InputError(f"occurrence file {path} cannot be read: {error.strerror or error}") from None
    return _read(Path(path).absolute(), facts.st_size, facts.st_mtime_ns)


@functools.lru_cache(maxsize=2)
def _read(path: Path, size: int, mtime_ns: int) -> OccurrenceTable:
    try:
        with open(path, "rb") as file:
            head = file.read(len(_SQLITE))
    except OSError as error:
        raise InputError(f"occurrence file {path} cannot be read: {error.strerror or error}") from None
    if head == _SQLITE:
        version = version_of_database(path)
        return _table(path, v1_content(path) if version == 1 else v2_content(path), version)
    if path.suffix.lower() in (".pkl", ".pickle") or head[:1] == b"\x80":
        data = read_pickle(path)
        return _table(path, data, version_of(data, path))
    areas, names, rows = read_csv(path)
    return _from_rows(path, True, [Area(*area) for area in areas], names, rows)


def _table(path: Path, data: dict[str, Any], version: int) -> OccurrenceTable:
    """Return what a pickle of either version holds."""
    if version == 1:
        bounds = ("code", "min_x", "max_x", "min_y", "max_y")
        areas = [Area(*(getattr(county, name) for name in bounds)) for county in data["counties"].values()]
        found = data["occurrences"]
        names = list(dict.fromkeys([*data["classes"], *(name for rows in found.values() for name in rows)]))
        return _from_rows(path, False, areas, names, found)
    return OccurrenceTable(
        path,
        sha256_of(path),
        False,
        [Area(code, *bounds) for code, _, *bounds in data["areas"]],
        list(data["class_names"]),
        data["area_offsets"],
        data["class_indices"],
        data["values"],
    )


def _from_rows(
    path: Path, by_hand: bool, areas: list[Area], names: list[str], rows: dict[str, dict[str, np.ndarray]]
) -> OccurrenceTable:
    """Return a table of rows by the area's code and the class's name."""
    column = {name: place for place, name in enumerate(names)}
    offsets, columns, values = [0], [], []
    for area in areas:
        for name, row in rows.get(area.code, {}).items():
            columns.append(column[name])
            values.append(row)
        offsets.append(len(values))
    array = np.array(values, np.float32).reshape(-1, WEEKS)
    places = np.array(offsets, np.int64), np.array(columns, np.int32)
    return OccurrenceTable(path, sha256_of(path), by_hand, areas, names, *places, array)

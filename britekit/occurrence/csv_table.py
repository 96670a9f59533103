"""The plain CSV of occurrence data: area, class, week, value, and bounds of areas where they are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from britekit.annotations.tables import iter_rows, parse_number
from britekit.errors import InputError
from britekit.occurrence.weeks import WEEKS, checked_week

_REQUIRED = ("area", "class", "week", "value")
_BOUNDS = ("min_longitude", "max_longitude", "min_latitude", "max_latitude")
Bounds = tuple[float | None, ...]


def read_csv(path: Path) -> tuple[list[tuple[str, *Bounds]], list[str], dict[str, dict[str, np.ndarray]]]:
    """Read a CSV of occurrence data.

    ``week`` is 1 to 48, four per month, or empty for the whole year; ``value`` is 0 to 1. A week that an area
    does not state for a class is 0 there. Bounds may stand in any row of their area.

    Raises `InputError` if a cell is not what its column needs, or a value is stated twice; names file, row and column.

    Returns
    -------
    areas
        Code and bounds, in the order of the file.
    class_names
        In the order of the file.
    rows
        Area's code and class's name to float32 (48,).
    """
    bounds: dict[str, Bounds] = {}
    rows: dict[str, dict[str, np.ndarray]] = {}
    stated: dict[tuple[str, str, int], int] = {}
    for row, cells in iter_rows(path, _REQUIRED, _BOUNDS, closed=True):
        where, area, name = f"{path}, row {row}", cells["area"], cells["class"]
        if not area or not name:
            raise InputError(f"{where}: the {'class' if area else 'area'} is not named")
        value = _number(where, "value", cells["value"], 0.0, 1.0)
        weeks = range(WEEKS) if not cells["week"] else [_week(where, cells["week"])]
        values = rows.setdefault(area, {}).setdefault(name, np.zeros(WEEKS, np.float32))
        for week in weeks:
            if (area, name, week) in stated:
                before = stated[area, name, week]
                raise InputError(f'{where}: week {week + 1} of "{name}" in "{area}" is in row {before} too; keep one')
            stated[area, name, week] = row
            values[week] = value
        found = _bounds(where, cells)
        if found != (None,) * 4:
            if bounds.get(area, found) != found:
                raise InputError(f'{where}: area "{area}" has other bounds in a row above')
            bounds[area] = found
    if not rows:
        raise InputError(f"{path} has no rows; expected {', '.join(_REQUIRED)}")
    names = list(dict.fromkeys(name for area in rows.values() for name in area))
    return [(area, *bounds.get(area, (None,) * 4)) for area in rows], names, rows


def _week(where: str, text: str) -> int:
    try:
        return checked_week(int(text))
    except ValueError:
        raise InputError(f'{where}: week is "{text}"; expected 1 to {WEEKS}, or nothing for the whole year') from None
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _bounds(where: str, cells: dict[str, str]) -> Bounds:
    if not any(cells[name] for name in _BOUNDS):
        return (None,) * 4
    found = [_number(where, x, cells[x], *((-180, 180) if "longitude" in x else (-90, 90))) for x in _BOUNDS]
    if found[0] > found[1] or found[2] > found[3]:
        raise InputError(f"{where}: a lower bound of the area is above the upper one; divide an area at longitude 180")
    return tuple(found)


def _number(where: str, column: str, text: str, low: float, high: float) -> float:
    try:
        number = parse_number(text)
        if low <= number <= high:
            return number
    except ValueError:
        pass
    raise InputError(f'{where}: {column} is "{text}"; expected a number from {low:g} to {high:g}')

"""Detection histories for occupancy models: sites by occasions, 1, 0 or NA.

The layout is the one that R's ``unmarked`` (``unmarkedFrameOccu``) and ``spOccupancy`` (``PGOcc``) describe
for ``y``: a row per site, a column per occasion. NA is what was not recorded; it is never 0, which is what
was recorded without the class being detected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from britekit.errors import InputError
from britekit.files import write_csv
from britekit.results.effort import DetectionTimes, Effort

_EPOCH = date(1970, 1, 1)
# 1970-01-01 was a Thursday; weeks begin on Mondays.
_MONDAY = -3


@dataclass(frozen=True)
class Occasions:
    """O occasions of equal length, without gaps, from the first day recorded to the last."""

    first_day: int
    """Days since 1970-01-01."""
    days: int
    """Length of an occasion."""
    count: int

    def index(self, day: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the occasion of each day."""
        return (day - self.first_day) // self.days

    def names(self) -> list[str]:
        """Return the first date of each occasion, as 2026-05-01."""
        return [
            (_EPOCH + timedelta(days=self.first_day + number * self.days)).isoformat() for number in range(self.count)
        ]


def occasions_of(effort: Effort, length: str) -> Occasions:
    """Return the occasions that cover all days with effort.

    Raises `InputError` if the length is something else, or nothing was recorded.

    Parameters
    ----------
    length
        ``day``, ``week`` (Monday to Sunday), or a number of days, counted from the first day recorded.
    """
    if length == "week":
        days = 7
    elif length == "day":
        days = 1
    elif length.isdecimal() and 1 <= int(length) <= 3660:
        days = int(length)
    else:
        raise InputError(f'--occasion "{length}": expected day, week, or a number of days such as 10')
    if not len(effort.day_K):
        raise InputError("no recording has a known time, so there are no occasions; see `britekit audio-info`")
    first, last = int(effort.day_K.min()), int(effort.day_K.max())
    if length == "week":
        first = (first - _MONDAY) // 7 * 7 + _MONDAY
    return Occasions(first, days, (last - first) // days + 1)


def effort_table(effort: Effort, occasions: Occasions) -> NDArray[np.float64]:
    """Return hours (S, O) of sound per site and occasion; 0 where nothing was recorded."""
    hours = np.zeros((len(effort.sites), occasions.count))
    np.add.at(hours, (effort.site_K, occasions.index(effort.day_K)), effort.hours_K)
    return hours


def history(hours_SO: NDArray[np.float64], detections: DetectionTimes, occasions: Occasions) -> NDArray[np.float64]:
    """Return the detection history (S, O) of one class: 1, 0, or nan where nothing was recorded.

    Parameters
    ----------
    detections
        Those of the class that count: above its threshold, or confirmed.
    """
    found = np.where(hours_SO > 0, 0.0, np.nan)
    found[detections.site_D, occasions.index(detections.day_D)] = 1.0
    return found


def write_history(path: Path, sites: Sequence[str], occasions: Occasions, values_SO: NDArray[np.float64]) -> None:
    """Write a history: first column ``site``, then one per occasion; 1, 0 or NA."""
    _write(path, sites, occasions, [["NA" if np.isnan(x) else f"{x:.0f}" for x in row] for row in values_SO])


def write_effort(path: Path, sites: Sequence[str], occasions: Occasions, hours_SO: NDArray[np.float64]) -> None:
    """Write effort in the same shape: hours, 0 where nothing was recorded."""
    _write(path, sites, occasions, [[f"{x:.6f}".rstrip("0").rstrip(".") for x in row] for row in hours_SO])


def _write(path: Path, sites: Sequence[str], occasions: Occasions, cells: list[list[str]]) -> None:
    rows = ([site, *row] for site, row in zip(sites, cells, strict=True))
    write_csv(path, [["site", *occasions.names()], *rows])

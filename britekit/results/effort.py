"""When recorders listened: hours of sound per site, local date and local hour.

Recordings are cut at the quarter hours of UTC. Time zones change, and local hours begin, only there, so
each piece lies in one local hour of one date, and nights on which clocks change need no rule of their own.
Time in which two recorders of a site ran counts once.

Shapes: R recordings, P pieces, K cells (site, date, hour), D detections.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

import numpy as np
from numpy.typing import NDArray

QUARTER = 900
_DAY = 86400


@dataclass(frozen=True)
class RecordingTimes:
    """When R recordings were made."""

    sites: list[str]
    site_R: NDArray[np.int64]
    """(R,) index into ``sites``."""
    start_R: NDArray[np.float64]
    """(R,) seconds since 1970 in UTC."""
    seconds_R: NDArray[np.float64]
    """(R,) length."""
    zones: list[tzinfo]
    zone_R: NDArray[np.int64]
    """(R,) index into ``zones``: of dates and hours."""

    def __len__(self) -> int:
        return len(self.start_R)


@dataclass(frozen=True)
class Effort:
    """Hours of sound per site, local date and local hour; cells without any are absent."""

    sites: list[str]
    site_K: NDArray[np.int64]
    day_K: NDArray[np.int64]
    """(K,) days since 1970-01-01 on the local calendar."""
    hour_K: NDArray[np.int64]
    """(K,) 0 to 23 by the local clock."""
    hours_K: NDArray[np.float64]
    """(K,) above 0; up to 2 in the hour that a clock goes through twice."""


def compute_effort(recordings: RecordingTimes) -> Effort:
    """Return how long was listened in each hour of each site."""
    end_R = recordings.start_R + recordings.seconds_R
    first_R = np.floor(recordings.start_R / QUARTER).astype(np.int64)
    last_R = np.ceil(end_R / QUARTER).astype(np.int64)
    counts_R = np.maximum(last_R - first_R, 0)
    row_P = np.repeat(np.arange(len(recordings)), counts_R)
    offset_P = np.arange(len(row_P)) - np.repeat(np.cumsum(counts_R) - counts_R, counts_R)
    quarter_P = first_R[row_P] + offset_P
    begin_P = np.maximum(recordings.start_R[row_P], quarter_P * float(QUARTER))
    until_P = np.minimum(end_R[row_P], (quarter_P + 1) * float(QUARTER))
    site_P = recordings.site_R[row_P]
    day_P, hour_P = local_hours(quarter_P, recordings.zone_R[row_P], recordings.zones)
    order = np.lexsort((begin_P, quarter_P, site_P))
    begin, until = begin_P[order], until_P[order]
    group = _group(site_P[order], quarter_P[order])
    # Of each piece only what earlier pieces of the same site did not cover counts. Groups are put
    # apart on one axis, so that one running maximum serves all.
    shift = group * (2.0 * QUARTER) - quarter_P[order] * float(QUARTER)
    latest = np.maximum.accumulate(until + shift)
    covered = np.concatenate([[-np.inf], latest[:-1]]) if len(latest) else latest
    new = np.maximum(0.0, until + shift - np.maximum(begin + shift, covered))
    # One number per site, date and hour: sorting rows takes several times as long.
    low = int(day_P.min()) if len(day_P) else 0
    days = int(day_P.max()) - low + 1 if len(day_P) else 1
    cells, place = np.unique(((site_P * days + day_P - low) * 24 + hour_P)[order], return_inverse=True)
    hours = np.bincount(place.reshape(-1), weights=new, minlength=len(cells)) / 3600
    kept = hours > 0
    cells, hours = cells[kept], hours[kept]
    site, day = np.divmod(cells // 24, days)
    return Effort(recordings.sites, site, day + low, cells % 24, hours)


def local_hours(
    quarter_P: NDArray[np.int64], zone_P: NDArray[np.int64], zones: Sequence[tzinfo]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the local date (days since 1970) and hour of quarter hours of UTC, counted since 1970."""
    if not len(quarter_P):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    first = int(quarter_P.min())
    span = int(quarter_P.max()) - first + 1
    key_P = zone_P * span + (quarter_P - first)
    used = np.zeros(span * len(zones), bool)
    used[key_P] = True
    local_by_key = np.zeros(len(used), np.int64)
    for key in np.flatnonzero(used).tolist():
        zone, quarter = divmod(key, span)
        when = datetime.fromtimestamp((quarter + first) * QUARTER, UTC).astimezone(zones[zone])
        offset = when.utcoffset()
        assert offset is not None
        local_by_key[key] = (quarter + first) * QUARTER + round(offset.total_seconds())
    local = local_by_key[key_P]
    return local // _DAY, local % _DAY // 3600


@dataclass(frozen=True)
class DetectionTimes:
    """D detections of one or more classes, each at its site and local hour."""

    site_D: NDArray[np.int64]
    name_D: NDArray[np.int64]
    time_D: NDArray[np.float64]
    """(D,) seconds since 1970 in UTC, at the start."""
    day_D: NDArray[np.int64]
    hour_D: NDArray[np.int64]
    row_D: NDArray[np.int64]
    """(D,) the row each came from."""


def detection_times(
    recordings: RecordingTimes,
    recording_D: NDArray[np.int64],
    name_D: NDArray[np.int64],
    start_D: NDArray[np.float64],
    end_D: NDArray[np.float64],
) -> DetectionTimes:
    """Place detections on the calendar.

    Where recordings of one site overlap, both hold the same call: of detections of a class that overlap
    in time at one site, the first is kept.

    Parameters
    ----------
    recording_D
        (D,) index into the recordings.
    start_D, end_D
        (D,) seconds within the recording.
    """
    site = recordings.site_R[recording_D]
    begin = recordings.start_R[recording_D] + start_D
    until = recordings.start_R[recording_D] + end_D
    order = np.lexsort((begin, name_D, site))
    begin, until = begin[order], until[order]
    group = _group(site[order], name_D[order])
    kept = np.ones(len(order), bool)
    if len(order):
        low, span = begin.min(), until.max() - begin.min() + 1.0
        latest = np.maximum.accumulate(until - low + group * span)
        kept[1:] = begin[1:] - low + group[1:] * span >= latest[:-1] - 1e-3
    rows = order[kept]
    begin = begin[kept]
    day, hour = local_hours(
        np.floor(begin / QUARTER).astype(np.int64), recordings.zone_R[recording_D[rows]], recordings.zones
    )
    return DetectionTimes(site[rows], name_D[rows], begin, day, hour, rows)


def _group(*keys: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the number of each row's run of equal keys, from 0; rows are sorted."""
    if not len(keys[0]):
        return np.empty(0)
    changed = np.zeros(len(keys[0]), bool)
    for key in keys:
        changed[1:] |= key[1:] != key[:-1]
    return np.cumsum(changed).astype(np.float64)

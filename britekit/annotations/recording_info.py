"""When, where and with what each recording was made, and from where that is known.

The time comes from what a person wrote (``recordings.csv`` beside the recording or above it, up to the folder
that is looked at), else from the file's metadata, else from its name: by the patterns of ``misc.time_regex``,
then by known forms. A clock without a time zone has its deployment's. The place comes from
``recordings.csv``, the deployment, the metadata or the name, in this order. What contradicts is listed, never
settled in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timezone, tzinfo
from math import asin, cos, radians, sin, sqrt
from pathlib import Path

from britekit.annotations.deployments import Deployment, doubtful_deployments
from britekit.annotations.names import name_forms, recording_key
from britekit.annotations.tables import iter_rows, parse_number
from britekit.audio.files import composed
from britekit.audio.metadata import RecordingMetadata, read_metadata
from britekit.audio.recording_names import checked_place, plausible, time_from_name, zone_of
from britekit.errors import InputError

FILE_NAME = "deployments.csv"
_WRITTEN = "recordings.csv"
_WRITTEN_COLUMNS = ("time", "site", "recorder", "latitude", "longitude")
# Recorders name a file and write its metadata up to two seconds apart.
_SAME_TIME_S = 2.0
_SAME_PLACE_KM = 1.0
_TIME_GROUPS = ("year", "month", "day", "hour", "minute")


@dataclass(frozen=True)
class RecordingInfo:
    """What is known about a recording; None where nothing is.

    Attributes
    ----------
    path
        The file.
    site, recorder
        Names.
    start
        Time of the first sample; with its offset from UTC if the clock states one or a deployment does.
    zone
        Time zone of the deployment, by which dates and hours of the site are told.
    latitude, longitude
        Degrees, WGS84.
    site_source, recorder_source, start_source, place_source
        What told it: ``recordings.csv``, ``deployments.csv row N``, ``GUANO``, ``comment``, ``wamd``,
        ``bext``, ``time_regex``, ``name``, ``metadata``.
    contradictions
        One sentence each.
    deployment
        The row of the table of deployments that it belongs to.
    """

    path: Path
    site: str | None = None
    site_source: str | None = None
    recorder: str | None = None
    recorder_source: str | None = None
    start: datetime | None = None
    start_source: str | None = None
    zone: tzinfo | None = None
    latitude: float | None = None
    longitude: float | None = None
    place_source: str | None = None
    contradictions: tuple[str, ...] = ()
    deployment: Deployment | None = None


class RecordingInfos:
    """The information about the recordings below a folder.

    Parameters
    ----------
    root
        Folder that is looked at.
    deployments
        From `read_deployments`.
    time_regex
        Own patterns of file names, with groups named year, month, day, hour, minute and, where there are any,
        second and zone.
    """

    def __init__(
        self,
        root: str | Path,
        deployments: Sequence[Deployment] = (),
        time_regex: Iterable[str] | None = None,
    ) -> None:
        self._root = Path(root)
        self._deployments = deployments
        self._patterns = [re.compile(pattern) for pattern in time_regex or ()]
        self._tables: dict[Path, dict[str, dict[str, str]]] = {}
        self._devices: dict[tuple[str, str], set[str]] = {}

    def of(self, path: str | Path, metadata: RecordingMetadata | None = None) -> RecordingInfo:
        """Return what is known about a recording.

        Raises
        ------
        InputError
            A ``recordings.csv`` cannot be read.
        """
        path = Path(path)
        known = read_metadata(path) if metadata is None else metadata
        written = self._written(path)
        clocks = self._clocks(path, known, written)
        candidates = [one for one in self._deployments if one.knows(path.absolute(), known.device or "")]
        row, doubts = _deployment_at(candidates, clocks)
        times: list[tuple[str, datetime]] = []
        for source, clock in clocks:
            when, doubt = row.localised(clock) if row else (clock, None)
            doubts += [doubt] if doubt and not times else []
            times.append((source, _pinned(row.corrected(when) if row and source != _WRITTEN else when)))
        doubts += _different_times(times, clocks)
        if row and times and (row.seconds_outside(times[0][1])):
            doubts.append(f"recorded at {times[0][1].isoformat(' ')}, outside its deployment, {row.spell()}")
        named_row = f"{FILE_NAME} row {row.row}" if row else None
        places = [
            (_WRITTEN, _pair(written)),
            (named_row, (row.latitude, row.longitude) if row and row.latitude is not None else None),
            ("metadata", (known.latitude, known.longitude) if known.latitude is not None else None),
        ]
        told = [(source, place) for source, place in places if place is not None]
        doubts += _different_places(told)
        recorder, recorder_source = known.device, "metadata" if known.device else None
        if row and row.recorder:
            recorder, recorder_source = row.recorder, named_row
        if written.get("recorder"):
            recorder, recorder_source = written["recorder"], _WRITTEN
        if row and known.device:
            self._devices.setdefault((row.site, row.recorder), set()).add(known.device)
        site = written.get("site") or (row.site if row else None)
        return RecordingInfo(
            path,
            site,
            _WRITTEN if written.get("site") else named_row if row else None,
            recorder,
            recorder_source,
            times[0][1] if times else None,
            times[0][0] if times else None,
            row.zone if row else None,
            told[0][1][0] if told else None,
            told[0][1][1] if told else None,
            told[0][0] if told else None,
            tuple(doubts),
            row,
        )

    def contradictions(self) -> list[str]:
        """Return what is wrong with the deployments, also by the recordings asked for."""
        found = doubtful_deployments(self._deployments)
        for (site, recorder), devices in self._devices.items():
            if len(devices) > 1:
                name = f'recorder "{recorder}" at "{site}"' if recorder else f'the recorder at "{site}"'
                found.append(f"{name} is {len(devices)} devices: {', '.join(sorted(devices))}")
        return found

    def _clocks(self, path: Path, known: RecordingMetadata, written: dict[str, str]) -> list[tuple[str, datetime]]:
        """Return every time that is stated, with its source, the most trusted first."""
        named: list[tuple[str, datetime]] = []
        own = next(filter(None, (_by_pattern(pattern, path.name) for pattern in self._patterns)), None)
        by_form = time_from_name(path.name)
        if own is not None:
            named.append(("time_regex", own))
        elif by_form is not None:
            named.append(("name", by_form))
        inside: list[tuple[str, datetime]] = []
        if known.time is not None and known.time_source != "name":
            inside = [(known.time_source or "metadata", known.time)]
        return [*_written_time(written), *inside, *named]

    def _written(self, path: Path) -> dict[str, str]:
        """Return the row of the nearest table that names a recording, or nothing."""
        folder = path.parent
        while True:
            rows = self._tables.get(folder)
            if rows is None:
                rows = self._tables[folder] = _read_written(folder / _WRITTEN)
            for name in (composed(path.name), recording_key(path)):
                if name in rows:
                    return rows[name]
            if folder == self._root or self._root not in folder.parents:
                return {}
            folder = folder.parent


def _read_written(path: Path) -> dict[str, dict[str, str]]:
    if not path.exists():
        return {}
    rows: dict[str, dict[str, str]] = {}
    for number, cells in iter_rows(path, ["recording"], _WRITTEN_COLUMNS):
        try:
            _pair(cells)
        except ValueError:
            raise InputError(f"{path}, row {number}: latitude and longitude are not both numbers") from None
        for form in name_forms(cells["recording"]):
            rows.setdefault(form, cells)
    return rows


def _written_time(written: dict[str, str]) -> list[tuple[str, datetime]]:
    """Return the time in a row; a date alone is none."""
    text = written.get("time", "")
    try:
        when = datetime.fromisoformat(text) if len(text) > 10 else None
    except ValueError:
        when = None
    return [] if when is None else [(_WRITTEN, when)]


def _pair(cells: dict[str, str]) -> tuple[float, float] | None:
    if not (cells.get("latitude") and cells.get("longitude")):
        return None
    return checked_place(parse_number(cells["latitude"]), parse_number(cells["longitude"]))


def _pinned(when: datetime) -> datetime:
    """Return a time with a fixed offset: Python subtracts times of one zone by what clocks show."""
    offset = when.utcoffset()
    return when if offset is None else when.replace(tzinfo=timezone(offset), fold=0)


def _by_pattern(pattern: re.Pattern[str], name: str) -> datetime | None:
    found = pattern.search(name)
    if found is None:
        return None
    parts = found.groupdict()
    try:
        year, month, day, hour, minute = (int(parts[key] or 0) for key in _TIME_GROUPS)
        when = datetime(year, month, day, hour, minute, int(parts.get("second") or 0))
    except (KeyError, ValueError):
        return None
    return plausible(when.replace(tzinfo=zone_of(parts.get("zone"))))


def _deployment_at(
    candidates: Sequence[Deployment], clocks: Sequence[tuple[str, datetime]]
) -> tuple[Deployment | None, list[str]]:
    """Return the deployment in whose time a recording lies, else the nearest; and what is doubtful."""
    if len(candidates) < 2:
        return (candidates[0] if candidates else None), []
    rows = " and ".join(one.spell() for one in candidates[:3])
    if not clocks:
        return candidates[0], [f"it has no time, so it may belong to {rows}; the first was taken"]
    outside = [one.seconds_outside(one.corrected(one.localised(clocks[0][1])[0])) for one in candidates]
    inside = [one for one, seconds in zip(candidates, outside, strict=True) if not seconds]
    if not inside:
        return candidates[outside.index(min(outside))], []
    if len({one.site for one in inside}) > 1:
        rows = " and ".join(one.spell() for one in inside[:3])
        return inside[0], [f"it fits {rows}; the first was taken"]
    return inside[0], []


def _different_times(times: Sequence[tuple[str, datetime]], clocks: Sequence[tuple[str, datetime]]) -> list[str]:
    """Return a sentence for each time that is neither the first one nor shows the same on a clock."""
    found = []
    for (source, when), (_, clock) in zip(times[1:], clocks[1:], strict=True):
        first_source, first = times[0]
        shown = [first.replace(tzinfo=None), clocks[0][1].replace(tzinfo=None)]
        if clocks[0][1].tzinfo is not None:
            shown.append(clocks[0][1].astimezone(UTC).replace(tzinfo=None))
        if clock.tzinfo is None:
            gaps = [abs((at - clock).total_seconds()) for at in shown]
        else:
            gaps = []
        if when.tzinfo is not None and first.tzinfo is not None:
            gaps.append(abs((when - first).total_seconds()))
        if min(gaps, default=0.0) > _SAME_TIME_S:
            found.append(f"two times: {first.isoformat(' ')} by {first_source}, {when.isoformat(' ')} by {source}")
    return found


def _different_places(told: Sequence[tuple[str | None, tuple[float | None, float | None]]]) -> list[str]:
    found = []
    for source, place in told[1:]:
        distance = _kilometres(told[0][1], place)
        if distance > _SAME_PLACE_KM:
            found.append(f"two places, {distance:.1f} km apart: by {told[0][0]} and by {source}")
    return found


def _kilometres(one: tuple[float | None, float | None], other: tuple[float | None, float | None]) -> float:
    """Return the great-circle distance (haversine formula, mean radius of the Earth)."""
    (a, b), (c, d) = ((radians(x or 0.0), radians(y or 0.0)) for x, y in (one, other))
    return 2 * 6371.0 * asin(min(1.0, sqrt(sin((c - a) / 2) ** 2 + cos(a) * cos(c) * sin((d - b) / 2) ** 2)))

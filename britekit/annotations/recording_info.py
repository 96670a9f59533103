"""When, where and with what each recording was made, and from where that is known.

The time comes from what a person wrote (``recordings.csv`` beside the recording or above it, up to the folder that is
looked at), else from the file's metadata, else from its name: by the patterns of ``misc.time_regex``, then by known
forms. A clock without a time zone has its deployment's. The place comes from ``recordings.csv``, the deployment, the
metadata or the name, in this order. What contradicts is listed, never settled in silence.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timezone, tzinfo
from math import asin, cos, radians, sin, sqrt
from pathlib import Path
from typing import NamedTuple

from britekit.annotations.deployments import Deployment, doubtful_deployments
from britekit.annotations.names import RecordingNames, name_forms, recording_key
from britekit.annotations.tables import iter_rows, parse_number
from britekit.audio.files import is_recording_name, name_key, walk_folders
from britekit.audio.metadata import RecordingMetadata, read_metadata
from britekit.audio.recording_names import checked_place, plausible, time_from_name, zone_of
from britekit.errors import InputError, some

FILE_NAME = "deployments.csv"
_WRITTEN = "recordings.csv"
_WRITTEN_COLUMNS = ("time", "site", "recorder", "latitude", "longitude")
# Recorders name a file and write its metadata up to two seconds apart.
_SAME_TIME_S = 2.0
_SAME_PLACE_KM = 1.0
_DATE = re.compile(r"\d{4}-?\d\d-?\d\d", re.ASCII)
_NOTHING = re.compile(r"(?!)")
_TIME_GROUPS = ("year", "month", "day", "hour", "minute")


@dataclass(frozen=True)
class RecordingInfo:
    """Facts about a recording; None where unknown.

    Attributes
    ----------
    path
        The file.
    site, recorder
        Names.
    start
        Time of the first sample; with its offset from UTC if the clock states one or a deployment does.
    zone
        Time zone of the deployment, for dates and hours of the site.
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


class Placed(NamedTuple):
    """When and where a recording was made; None where that is not known."""

    site: str | None
    start: datetime | None
    zone: tzinfo | None
    place: tuple[float, float] | None
    """Latitude and longitude in degrees."""


class RecordingInfos:
    """The information about the recordings below a folder.

    Parameters
    ----------
    root
        Folder that is looked at; with None no ``recordings.csv`` is looked for.
    deployments
        From `read_deployments`.
    time_regex
        Own patterns of file names, with groups named year, month, day, hour, minute and, where there are any,
        second and zone.
    """

    def __init__(
        self, root: str | Path | None, deployments: Sequence[Deployment] = (), time_regex: Iterable[str] | None = None
    ) -> None:
        self._root = None if root is None else Path(root)
        self._deployments = deployments
        self._patterns = [re.compile(pattern) for pattern in time_regex or ()]
        self._tables: dict[Path, _Written] = {}
        self._idle = {one.row for one in deployments}
        self._devices: dict[tuple[str, str], set[str]] = {}
        self._folders: dict[tuple[str, str], tuple[Callable[[str], dict[str, str]], _Near]] = {}

    def placed(self, file: str, known: RecordingMetadata) -> Placed:
        """Return what `of` says of site, start and place, without looking for contradictions: in a third of the time.

        Parameters
        ----------
        file
            Path of the recording, which need not exist.
        known
            What the file itself says.
        """
        folder, name = os.path.split(file)
        rows, near = self._folder(folder, known.device or "")
        written = rows(name)
        candidates = near.of(name)
        source, clock = next(self._clocks(name, known, written), ("", None))
        row, start = None, None
        if candidates:
            row = (
                candidates[0]
                if len(candidates) == 1
                else _deployment_at(candidates, [(source, clock)] if clock else [])[0]
            )
        if clock is not None:
            start = _true_time(row, source, clock)
        if row is not None:
            self._idle.discard(row.row)
        place = _pair(written)
        if place is None and row is not None and row.latitude is not None and row.longitude is not None:
            place = row.latitude, row.longitude
        if place is None and known.latitude is not None and known.longitude is not None:
            place = known.latitude, known.longitude
        return Placed(written.get("site") or (row.site if row else None), start, row.zone if row else None, place)

    def of(self, path: str | Path, metadata: RecordingMetadata | None = None) -> RecordingInfo:
        """Return what is known about a recording.

        Raises
        ------
        InputError
            A ``recordings.csv`` cannot be read.
        """
        path = Path(path)
        known = read_metadata(path) if metadata is None else metadata
        rows, near = self._folder(str(path.parent), known.device or "")
        written, candidates = rows(path.name), near.of(path.name)
        clocks = list(self._clocks(path.name, known, written))
        row, doubts = _deployment_at(candidates, clocks)
        if row is not None:
            self._idle.discard(row.row)
        times: list[tuple[str, datetime]] = []
        for source, clock in clocks:
            doubt = row.localised(clock)[1] if row else None
            doubts += [doubt] if doubt and not times else []
            times.append((source, _true_time(row, source, clock)))
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

    def unused(self) -> list[str]:
        """Return what the tables say and no recording asked for has, a sentence per table and kind."""
        found = [sentence for table in self._tables.values() for sentence in table.problems()]
        if self._idle:
            rows = [one.spell() for one in self._deployments if one.row in self._idle]
            s = "s are" if len(rows) > 1 else " is"
            found.append(f"{FILE_NAME}: {len(rows)} row{s} about none of these recordings: {some(rows, 3)}")
        return found

    def contradictions(self) -> list[str]:
        """Return what is wrong with the deployments, also by the recordings asked for."""
        found = doubtful_deployments(self._deployments)
        for (site, recorder), devices in self._devices.items():
            if len(devices) > 1:
                name = f'recorder "{recorder}" at "{site}"' if recorder else f'the recorder at "{site}"'
                found.append(f"{name} is {len(devices)} devices: {', '.join(sorted(devices))}")
        return found

    def _clocks(self, name: str, known: RecordingMetadata, written: dict[str, str]) -> Iterator[tuple[str, datetime]]:
        """Yield every time that is stated, with its source, the most trusted first."""
        yield from _written_time(written)
        if known.time is not None and known.time_source != "name":
            yield known.time_source or "metadata", known.time
        own = next(filter(None, (_by_pattern(pattern, name) for pattern in self._patterns)), None)
        if own is not None:
            yield "time_regex", own
        elif (by_form := time_from_name(name)) is not None:
            yield "name", by_form

    def _folder(self, folder: str, device: str) -> tuple[Callable[[str], dict[str, str]], _Near]:
        """Return what a folder says of all of its recordings of a device: their rows by file name, and deployments."""
        found = self._folders.get((folder, device))
        if found is None:
            tables = self._tables_above(Path(folder))

            def row_of(name: str) -> dict[str, str]:
                key, place = recording_key(Path(name)), Path(folder)
                return next((row for table in tables if (row := table.of(place, key)) is not None), {})

            near = _Near(Path(folder).absolute(), device, self._deployments)
            found = self._folders[folder, device] = (row_of if tables else lambda _: {}, near)
        return found

    def _tables_above(self, folder: Path) -> list[_Written]:
        """Return the tables that may name the recordings of a folder, the nearest first."""
        tables: list[_Written] = []
        while self._root is not None:
            if folder not in self._tables:
                self._tables[folder] = _Written(folder / _WRITTEN)
            tables += [self._tables[folder]] if self._tables[folder].rows else []
            if folder == self._root or self._root not in folder.parents:
                break
            folder = folder.parent
        return tables


class _Near:
    """The deployments that may have made the recordings of a device in a folder: names decide about some."""

    def __init__(self, folder: Path, device: str, deployments: Sequence[Deployment]) -> None:
        judged = [(one, one.knows_folder(folder, device)) for one in deployments]
        self._all = [(one, known is None) for one, known in judged if known is not False]
        self._known = [one for one, by_name in self._all if not by_name]
        self._folder, self._device = folder, device
        serials = [one.serial_in_names for one, by_name in self._all if by_name]
        # One search tells that a name contains no serial number: a year has a million names.
        words = "|".join(re.escape(serial) for serial in serials if serial)
        self._may_hold = None if None in serials else re.compile(words, re.IGNORECASE) if words else _NOTHING

    def of(self, name: str) -> list[Deployment]:
        """Return those of a recording, in the order of the table."""
        if self._may_hold is not None and self._may_hold.search(name) is None:
            return self._known
        return [one for one, by_name in self._all if not by_name or one.knows_name(self._folder, name, self._device)]


class _Written:
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
                _pair(cells)
            except ValueError:
                raise InputError(f"{path}, row {number}: latitude and longitude are not both numbers") from None
            found, text = names.find(cells["recording"]), cells["time"]
            if found is None and there:
                self._note("have no recording in its folder or below", number, cells["recording"])
            if text and not _written_time(cells):
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


def _written_time(written: dict[str, str]) -> list[tuple[str, datetime]]:
    """Return the time in a row; a date alone is none."""
    text = written.get("time", "")
    try:
        when = datetime.fromisoformat(text) if len(text) > 10 else None
    except ValueError:
        when = None
    return [] if when is None else [(_WRITTEN, when)]


def _true_time(row: Deployment | None, source: str, clock: datetime) -> datetime:
    """Return the time that a clock means: in its deployment's zone and corrected, unless a person wrote it."""
    if row is None:
        return _pinned(clock)
    when = row.localised(clock)[0]
    return _pinned(when if source == _WRITTEN else row.corrected(when))


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

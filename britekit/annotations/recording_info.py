"""When, where and with what each recording was made, and from where that is known.

The time comes from what a person wrote (``recordings.csv`` beside the recording or above it, up to the folder that is
looked at), else from the file's metadata, else from its name: by the patterns of ``misc.time_regex``, then by known
forms. A clock without a time zone has its deployment's. The place comes from ``recordings.csv``, the deployment, the
metadata or the name, in this order. What contradicts is listed, never settled in silence.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone, tzinfo
from pathlib import Path
from typing import NamedTuple

from britekit.annotations.contradicting_facts import different_places, different_times
from britekit.annotations.deployment_choice import NearDeployments, deployment_at
from britekit.annotations.deployments import Deployment, doubtful_deployments
from britekit.annotations.names import recording_key
from britekit.annotations.written_rows import WRITTEN, WrittenRows, written_place, written_time
from britekit.audio.metadata import RecordingMetadata, read_metadata
from britekit.audio.recording_names import plausible, time_from_name, zone_of
from britekit.errors import some

FILE_NAME = "deployments.csv"
_TIME_GROUPS = ("year", "month", "day", "hour", "minute")


@dataclass(frozen=True)
class RecordingInfo:
    """Facts about a recording; None where unknown.

    Attributes
    ----------
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
        self._tables: dict[Path, WrittenRows] = {}
        self._idle = {one.row for one in deployments}
        self._devices: dict[tuple[str, str], set[str]] = {}
        self._folders: dict[tuple[str, str], tuple[Callable[[str], dict[str, str]], NearDeployments]] = {}

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
                else deployment_at(candidates, [(source, clock)] if clock else [])[0]
            )
        if clock is not None:
            start = _true_time(row, source, clock)
        if row is not None:
            self._idle.discard(row.row)
        place = written_place(written)
        if place is None and row is not None and row.latitude is not None and row.longitude is not None:
            place = row.latitude, row.longitude
        if place is None and known.latitude is not None and known.longitude is not None:
            place = known.latitude, known.longitude
        return Placed(written.get("site") or (row.site if row else None), start, row.zone if row else None, place)

    def of(self, path: str | Path, metadata: RecordingMetadata | None = None) -> RecordingInfo:
        """Return what is known about a recording; raises `InputError` if a ``recordings.csv`` cannot be read."""
        path = Path(path)
        known = read_metadata(path) if metadata is None else metadata
        rows, near = self._folder(str(path.parent), known.device or "")
        written, candidates = rows(path.name), near.of(path.name)
        clocks = list(self._clocks(path.name, known, written))
        row, doubts = deployment_at(candidates, clocks)
        if row is not None:
            self._idle.discard(row.row)
        times: list[tuple[str, datetime]] = []
        for source, clock in clocks:
            doubt = row.localized(clock)[1] if row else None
            doubts += [doubt] if doubt and not times else []
            times.append((source, _true_time(row, source, clock)))
        doubts += different_times(times, clocks)
        if row and times and (row.seconds_outside(times[0][1])):
            doubts.append(f"recorded at {times[0][1].isoformat(' ')}, outside its deployment, {row.spell()}")
        named_row = f"{FILE_NAME} row {row.row}" if row else None
        places = [
            (WRITTEN, written_place(written)),
            (named_row, (row.latitude, row.longitude) if row and row.latitude is not None else None),
            ("metadata", (known.latitude, known.longitude) if known.latitude is not None else None),
        ]
        told = [(source, place) for source, place in places if place is not None]
        doubts += different_places(told)
        recorder, recorder_source = known.device, "metadata" if known.device else None
        if row and row.recorder:
            recorder, recorder_source = row.recorder, named_row
        if written.get("recorder"):
            recorder, recorder_source = written["recorder"], WRITTEN
        if row and known.device:
            self._devices.setdefault((row.site, row.recorder), set()).add(known.device)
        site = written.get("site") or (row.site if row else None)
        return RecordingInfo(
            path,
            site,
            WRITTEN if written.get("site") else named_row if row else None,
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
        yield from written_time(written)
        if known.time is not None and known.time_source != "name":
            yield known.time_source or "metadata", known.time
        own = next(filter(None, (_by_pattern(pattern, name) for pattern in self._patterns)), None)
        if own is not None:
            yield "time_regex", own
        elif (by_form := time_from_name(name)) is not None:
            yield "name", by_form

    def _folder(self, folder: str, device: str) -> tuple[Callable[[str], dict[str, str]], NearDeployments]:
        """Return what a folder says of all of its recordings of a device: their rows by file name, and deployments."""
        found = self._folders.get((folder, device))
        if found is None:
            tables = self._tables_above(Path(folder))

            def row_of(name: str) -> dict[str, str]:
                key, place = recording_key(Path(name)), Path(folder)
                return next((row for table in tables if (row := table.of(place, key)) is not None), {})

            near = NearDeployments(Path(folder).absolute(), device, self._deployments)
            found = self._folders[folder, device] = (row_of if tables else lambda _: {}, near)
        return found

    def _tables_above(self, folder: Path) -> list[WrittenRows]:
        """Return the tables that may name the recordings of a folder, the nearest first."""
        tables: list[WrittenRows] = []
        while self._root is not None:
            if folder not in self._tables:
                self._tables[folder] = WrittenRows(folder / WRITTEN)
            tables += [self._tables[folder]] if self._tables[folder].rows else []
            if folder == self._root or self._root not in folder.parents:
                break
            folder = folder.parent
        return tables


def _true_time(row: Deployment | None, source: str, clock: datetime) -> datetime:
    """Return the time that a clock means: in its deployment's zone and corrected, unless a person wrote it."""
    if row is None:
        return _pinned(clock)
    when = row.localized(clock)[0]
    return _pinned(when if source == WRITTEN else row.corrected(when))


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

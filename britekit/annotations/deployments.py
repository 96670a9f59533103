"""``data/deployments.csv``: which recorder stood where, and when; and what its clock meant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from britekit.annotations.tables import iter_rows, parse_number
from britekit.audio.recording_names import zone_of
from britekit.errors import InputError, suggest

DEFAULT_PATH = "data/deployments.csv"
COLUMNS = (
    "recorder", "folder", "pattern", "serial", "latitude", "longitude", "time_zone", "from", "until",
    "clock_offset_s", "clock_offset_end_s", "note",
)  # fmt: skip
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@dataclass(frozen=True)
class Deployment:
    """One recorder at one site; empty or None where the row says nothing.

    Attributes
    ----------
    row
        In the file, as a spreadsheet counts.
    site, recorder, note
        What a person calls them.
    folder, pattern, serial
        By what its recordings are known; all that are given must fit. With none of them, the recorder's name
        is looked for as a serial number, or the site's as a folder.
    latitude, longitude
        Degrees, WGS84.
    zone
        Of clocks that state none.
    begin, end
        First moment, and the first one no more. With a time zone if ``zone`` is known or the cell states one.
    offset_s, offset_end_s
        Seconds to add to the recorder's clock at ``begin`` and at ``end``; in between in proportion.
    """

    row: int
    site: str
    recorder: str = ""
    folder: str = ""
    pattern: str = ""
    serial: str = ""
    latitude: float | None = None
    longitude: float | None = None
    zone: tzinfo | None = None
    begin: datetime | None = None
    end: datetime | None = None
    offset_s: float = 0.0
    offset_end_s: float = 0.0
    note: str = ""

    def knows(self, path: Path, device: str = "") -> bool:
        """Return whether a recording is one of its own, by name, folder and the device of its metadata."""
        known = self.knows_folder(path.parent, device)
        return self.knows_name(path.parent, path.name, device) if known is None else known

    def knows_folder(self, folder: Path, device: str = "") -> bool | None:
        """Return whether the recordings of a device in a folder are its own, or None where their names decide."""
        serial, own = self._known_by
        if own and not _lies_in(folder, own):
            return False
        is_found = not serial or any(map(self._holds_serial, (device, *folder.parts)))
        return is_found if is_found and not self.pattern else None

    def knows_name(self, folder: Path, name: str, device: str = "") -> bool:
        """Return whether a recording of a folder that `knows_folder` left open is its own."""
        if self.pattern:
            target = f"{folder.as_posix()}/{name}" if "/" in self.pattern else name
            if not fnmatchcase(target, f"*{self.pattern}" if "/" in self.pattern else self.pattern):
                return False
        return not self._known_by[0] or any(map(self._holds_serial, (name, device, *folder.parts)))

    @property
    def serial_in_names(self) -> str | None:
        """The serial number that alone makes a recording of any folder its own; None where a pattern counts too."""
        return None if self.pattern else self._known_by[0]

    @cached_property
    def _known_by(self) -> tuple[str, str]:
        """Serial number and folder."""
        if self.serial or self.folder or self.pattern:
            return self.serial, self.folder
        return self.recorder, "" if self.recorder else self.site

    def _holds_serial(self, text: str) -> bool:
        serial = self._known_by[0]
        if serial.casefold() not in text.casefold():  # fifty times as fast as what follows
            return False
        return re.search(rf"(?<![0-9A-Za-z]){re.escape(serial)}(?![0-9A-Za-z])", text, re.IGNORECASE) is not None

    def localized(self, clock: datetime) -> tuple[datetime, str | None]:
        """Return a clock's time with the time zone of the deployment, and what is doubtful about it, or None.

        A time with a zone keeps its instant. One that a night has twice is the first of the two; one that a
        night leaves out is what a clock shows that was not set forward.
        """
        if self.zone is None:
            return clock, None
        if clock.tzinfo is not None:
            return clock.astimezone(self.zone), None
        when = clock.replace(tzinfo=self.zone, fold=0)
        real = when.astimezone(UTC).astimezone(self.zone)
        if real.replace(tzinfo=None) != clock:
            missing = f"{clock.time()} does not exist on {clock.date()} in {self.zone}"
            return real, f"{missing}; taken as {real.time()}"
        if when.utcoffset() != when.replace(fold=1).utcoffset():
            return when, f"{clock.time()} occurs twice on {clock.date()} in {self.zone}; taken as the first"
        return when, None

    def corrected(self, when: datetime) -> datetime:
        """Return the true time of what the recorder's clock showed, by its offset."""
        offset = self.offset_s
        if self.begin is not None and self.end is not None and self.offset_end_s != offset:
            passed = _seconds(self.begin, when) / max(1.0, _seconds(self.begin, self.end))
            offset += (self.offset_end_s - offset) * min(1.0, max(0.0, passed))
        if not offset:
            return when
        if when.tzinfo is None:
            return when + timedelta(seconds=offset)
        return (when.astimezone(UTC) + timedelta(seconds=offset)).astimezone(when.tzinfo)

    def seconds_outside(self, when: datetime) -> float:
        """Return by how many seconds a time lies before or behind the deployment; 0 inside it."""
        early = _seconds(when, self.begin) if self.begin else 0.0
        late = _seconds(self.end, when) if self.end else -1.0
        return early if early > 0 else late + 1e-6 if late >= 0 else 0.0

    def spell(self) -> str:
        """Return the row and its span in words."""
        ends = [f"{word} {at.isoformat(' ')}" for word, at in (("from", self.begin), ("until", self.end)) if at]
        return f'row {self.row} ("{self.site}"' + "".join(f", {text}" for text in ends) + ")"


def read_deployments(path: str | Path) -> list[Deployment]:
    """Read a table of deployments; a missing file has none.

    Raises `InputError` if a value is not what its column needs; names file, row and column.
    """
    path = Path(path)
    if not path.exists():
        return []
    return [_deployment(path, *row) for row in iter_rows(path, ["site"], COLUMNS, closed=True)]


def doubtful_deployments(deployments: Sequence[Deployment]) -> list[str]:
    """Return what cannot be right: a recorder, or a serial number, at two sites at once."""
    found = []
    for place, one in enumerate(deployments):
        for other in deployments[place + 1 :]:
            for kind in ("recorder", "serial"):
                name = getattr(one, kind)
                different = one.site != other.site or (one.serial and other.serial and one.serial != other.serial)
                if name and name == getattr(other, kind) and different and _overlap(one, other):
                    found.append(f'{kind} "{name}" is in {one.spell()} and {other.spell()} at the same time')
                    break
    return found


def zone_named(text: str) -> tzinfo:
    """Return the time zone of ``Europe/Berlin``, ``+05:30``, ``UTC-3`` or ``Z``.

    Raises `ValueError` if there is no such zone; the text suggests one.
    """
    zone = zone_of(text)
    if zone is not None:
        return zone
    try:
        return ZoneInfo(text)
    except (ValueError, OSError, LookupError):  # a name that leads out of the database, or is not in it
        hint = suggest(text, sorted(available_timezones()))
        raise ValueError(f'"{text}" is not a time zone such as Europe/Berlin or +02:00{hint}') from None


def _deployment(path: Path, row: int, cells: dict[str, str]) -> Deployment:
    def fail(column: str, wanted: str) -> InputError:
        return InputError(f'{path}, row {row}: {column} is "{cells[column]}"; expected {wanted}')

    def number(column: str, limit: float) -> float | None:
        try:
            value = parse_number(cells[column]) if cells[column] else None
        except ValueError:
            raise fail(column, "a number") from None
        if value is not None and abs(value) > limit:
            raise fail(column, f"a number between {-limit:g} and {limit:g}")
        return value

    if not cells["site"]:
        raise InputError(f"{path}, row {row}: the site is not named")
    try:
        zone = zone_named(cells["time_zone"]) if cells["time_zone"] else None
    except ValueError as error:
        raise InputError(f"{path}, row {row}: time_zone {error}") from None

    def moment(column: str) -> datetime | None:
        text = cells[column]
        if not text:
            return None
        try:
            when = datetime.fromisoformat(text)
            if _DATE.fullmatch(text) and column == "until":
                when += timedelta(days=1)
        except (ValueError, OverflowError):
            raise fail(column, "a date or a time such as 2024-05-01 or 2024-05-01T06:30") from None
        return when.replace(tzinfo=zone) if when.tzinfo is None else when

    latitude, longitude = number("latitude", 90.0), number("longitude", 180.0)
    if (latitude is None) != (longitude is None):
        raise InputError(f"{path}, row {row}: latitude and longitude belong together; one is missing")
    begin, end = moment("from"), moment("until")
    if begin and end and _seconds(begin, end) <= 0:
        raise fail("until", "a time after from")
    offset = number("clock_offset_s", 1e9) or 0.0
    offset_end = number("clock_offset_end_s", 1e9)
    if offset_end is not None and not (begin and end):
        raise InputError(f"{path}, row {row}: clock_offset_end_s needs from and until")
    return Deployment(
        row, cells["site"], cells["recorder"], cells["folder"].strip("/"), cells["pattern"], cells["serial"],
        latitude, longitude, zone, begin, end, offset, offset if offset_end is None else offset_end,
        cells["note"],
    )  # fmt: skip


def _lies_in(place: Path, folder: str) -> bool:
    wanted, parts = Path(folder).parts, place.parts
    return any(parts[at : at + len(wanted)] == wanted for at in range(len(parts) - len(wanted) + 1))


def _seconds(one: datetime, other: datetime) -> float:
    """Return the seconds from one time to another; clocks without a zone are compared as they show."""
    if one.tzinfo is None or other.tzinfo is None:
        return (other.replace(tzinfo=None) - one.replace(tzinfo=None)).total_seconds()
    return (other.astimezone(UTC) - one.astimezone(UTC)).total_seconds()


def _overlap(one: Deployment, other: Deployment) -> bool:
    starts_before = one.begin is None or other.end is None or _seconds(one.begin, other.end) > 0
    return starts_before and (other.begin is None or one.end is None or _seconds(other.begin, one.end) > 0)

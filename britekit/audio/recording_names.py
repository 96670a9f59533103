"""Parse time and place of a recording from its file name.

Recorders and users name files by the time of the first sample: ``20240501_063000.WAV`` (AudioMoth),
``SITE_20240501_063000.wav`` (Song Meter), ``20240501T063000+1000_....flac`` (BAR), ``5E90A4D4.WAV`` (early
AudioMoth: hexadecimal seconds since 1970).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import PurePath

# Outside of this range, the clock was not set, or the digits are not a date.
FIRST_YEAR, LAST_YEAR = 1990, 2099

_OFFSET = r"(?P<zone>Z(?![A-Za-z])|[+-]\d{2}:?\d{2}(?!\d))?"
_FRACTION = r"(?:\.\d{1,6}(?=Z|[+-]\d{4}))?"
_COMPACT = re.compile(
    r"(?<!\d)(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)[_T\- ]?"
    rf"(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)(?!\d){_FRACTION}{_OFFSET}",
    re.ASCII,
)
_SPACED = re.compile(
    r"(?<!\d)(?P<year>\d{4})[-_.](?P<month>\d\d)[-_.](?P<day>\d\d)(?:[_T\- ]|-birdnet-)"
    rf"(?P<hour>\d\d)[-_.:h]?(?P<minute>\d\d)(?:[-_.:m]?(?P<second>\d\d))?(?!\d){_FRACTION}{_OFFSET}",
    re.ASCII,
)
_NO_SECONDS = re.compile(
    r"(?<!\d)(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)[_T](?P<hour>\d\d)(?P<minute>\d\d)(?!\d)"
    r"(?P<second>)(?P<zone>Z(?![A-Za-z]))?",
    re.ASCII,
)
_HEXADECIMAL = re.compile(r"[0-9A-F]{8}")
# BAR recorders write the coordinates in brackets or between underscores.
_PLACE = re.compile(
    r"(?<![\d.])(?P<latitude>[+-]?\d{1,2}\.\d{2,})[ _]?(?P<longitude>[+-]\d{1,3}\.\d{2,})(?![\d.]\d)", re.ASCII
)


def time_from_name(name: str) -> datetime | None:
    """Return the time in a file name, or None.

    It has a time zone if the name states one (``Z``, ``+1000``) or implies it (hexadecimal names are UTC); otherwise it
    is the time of the recorder's clock.
    """
    stem = PurePath(name).stem if "." in name else name
    if _HEXADECIMAL.fullmatch(stem):
        return _from_seconds(int(stem, 16)) if _may_be_hexadecimal(name, stem) else None
    for pattern in (_COMPACT, _SPACED, _NO_SECONDS):
        for found in pattern.finditer(stem):
            when = _from_parts(found)
            if when is not None:
                return when
    return None


def place_from_name(name: str) -> tuple[float, float] | None:
    """Return latitude and longitude in degrees from a file name, or None."""
    for found in _PLACE.finditer(name):
        place = checked_place(float(found["latitude"]), float(found["longitude"]))
        if place is not None:
            return place
    return None


def checked_place(latitude: float, longitude: float) -> tuple[float, float] | None:
    """Return the coordinates, or None if they are invalid or the 0, 0 of a receiver without a fix."""
    inside = abs(latitude) <= 90.0 and abs(longitude) <= 180.0
    return (latitude, longitude) if inside and (latitude or longitude) else None


def zone_of(text: str | None) -> timezone | None:
    """Parse a time zone such as ``Z``, ``+1000``, ``-03:30``, ``+2`` or ``UTC+5:30``; None if invalid."""
    found = re.fullmatch(r"(?:UTC|GMT)?\s*(?:Z|([+-])(\d{1,2})(?::?(\d\d))?)?", (text or "").strip(), re.ASCII)
    if found is None or not (text or "").strip():
        return None
    if found[1] is None:
        return UTC
    offset = timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
    if offset > timedelta(hours=14) or int(found[3] or 0) > 59:
        return None
    return timezone(-offset if found[1] == "-" else offset)


def plausible(when: datetime) -> datetime | None:
    """Return the time, or None if the recorder's clock cannot have been set."""
    return when if FIRST_YEAR <= when.year <= LAST_YEAR else None


def _from_parts(found: re.Match[str]) -> datetime | None:
    parts = [int(found[name] or 0) for name in ("year", "month", "day", "hour", "minute", "second")]
    try:
        when = datetime(*parts)  # type: ignore[arg-type]
    except ValueError:
        return None
    return plausible(when.replace(tzinfo=zone_of(found["zone"])))


def _from_seconds(seconds: int) -> datetime | None:
    return plausible(datetime.fromtimestamp(seconds, UTC))


def _may_be_hexadecimal(name: str, stem: str) -> bool:
    """Return whether a stem may be a hexadecimal time; eight decimal digits count only in a WAV file."""
    return not stem.isdecimal() or PurePath(name).suffix.lower() == ".wav"

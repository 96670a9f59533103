"""Read when, where and with what a recording was made.

Sources in order of precedence: the GUANO chunk (guano-md.org), the comment of an AudioMoth, the ``wamd`` chunk of
Wildlife Acoustics, the file name, the ``bext`` chunk of broadcast WAV (EBU Tech 3285). A recording can be used without
metadata, so missing, truncated and invalid values are ignored.
"""

from __future__ import annotations

import logging
import math
import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path

from britekit.audio.files import shown
from britekit.audio.recording_names import checked_place, place_from_name, plausible, time_from_name, zone_of
from britekit.audio.riff import read_chunks

log = logging.getLogger(__name__)

_CHUNKS = frozenset({b"guan", b"wamd", b"bext", b"ICMT", b"IART"})
# In compressed files the comment is where the container stores tags: at the beginning or at the end.
_TAG_BYTES = 1 << 16
_MAX_COMMENT = 4096

# Firmware 1.0 to 1.11 and GPS Sync: "Recorded at 10:00:00[.000] 28/05/2024 (UTC[+5[:30]]) by AudioMoth 24..."
# or "during deployment 24...", "... while battery [state] was 3.8V and temperature was -1.5C.".
_RECORDED = re.compile(
    r"Recorded at (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))? (\d\d)/(\d\d)/(\d{4})(?: \((UTC[^)]{0,8})\))?", re.ASCII
)
_DEVICE = re.compile(r"\b(AudioMoth [0-9A-F]{16})\b")
_DEPLOYMENT = re.compile(r"during deployment ([0-9A-F]{16})")
_BATTERY = re.compile(r"battery (?:state )?was (\d\.\d)V", re.ASCII)
_TEMPERATURE = re.compile(r"temperature was (-?\d{1,3}\.\d)C", re.ASCII)


@dataclass(frozen=True)
class RecordingMetadata:
    """Metadata of a recording; None where unknown."""

    time: datetime | None = None
    """Time of the first sample, with a time zone if known, else as shown by the recorder's clock."""
    time_source: str | None = None
    """Source of the time: ``GUANO``, ``comment``, ``wamd``, ``name``, ``bext``."""
    latitude: float | None = None
    longitude: float | None = None
    """Degrees, WGS84."""
    device: str | None = None
    """Maker, model and serial number, as far as stated."""
    battery_v: float | None = None
    """Volts at the start; also None for "less than" or "greater than"."""
    temperature_c: float | None = None
    """Degrees Celsius at the recorder."""
    comment: str | None = None
    """Comment of the recorder."""
    time_expansion: float | None = None
    """Factor by which the stored sound is slowed down (GUANO ``TE``)."""


def read_metadata(path: str | os.PathLike[str]) -> RecordingMetadata:
    """Return the metadata in a file and its name.

    Never fails: for a damaged or missing file, the name is still used.
    """
    path = Path(path)
    try:
        sources = list(_file_sources(path))
    except OSError as error:
        log.debug("%s: no metadata (%s)", shown(path), error.strerror or error)
        sources = []
    named = _with_place(
        RecordingMetadata(time=time_from_name(path.name), time_source="name"), place_from_name(path.name)
    )
    last = [source for source in sources if source.time_source == "bext"]
    return _combined([*(source for source in sources if source not in last), named, *last])


def guano_text(path: Path) -> str:
    """Return the GUANO metadata of a file; empty if there is none, or the file cannot be read."""
    try:
        chunks = read_chunks(path, frozenset({b"guan"}))
        return chunks.get(b"guan", b"").decode("utf-8", "replace") or _guano_in(_tag_text(path))
    except OSError:
        return ""


def parse_guano(text: str) -> RecordingMetadata:
    """Parse GUANO text (specification 1.0: a line ``Key: value`` per field, UTF-8)."""
    entries: dict[str, str] = {}
    for line in text.replace("\0", "\n").splitlines():
        key, colon, value = line.lstrip("\ufeff").partition(":")
        if colon and value.strip():
            entries.setdefault(" ".join(key.split()).casefold(), value.strip())
    made_by = [entries.get(key, "") for key in ("make", "model", "serial")]
    place = re.fullmatch(r"\(?\s*(\S+?)\s*[,\s]\s*(\S+?)\s*\)?", entries.get("loc position", ""))
    temperature = entries.get("temperature int", entries.get("temperature ext"))
    return _with_place(
        RecordingMetadata(
            time=_iso_time(entries.get("timestamp")),
            time_source="GUANO",
            device=" ".join(part for part in made_by if part) or None,
            battery_v=_number(entries.get("oad|battery voltage"), 0.0, 100.0),
            temperature_c=_number(temperature, -90.0, 90.0),
            comment=entries.get("note"),
            time_expansion=_number(entries.get("te"), 0.001, 1000.0),
        ),
        _place_of(place[1], place[2]) if place else None,
    )


def parse_audiomoth_comment(text: str) -> RecordingMetadata | None:
    """Parse the comment of an AudioMoth of any firmware; None if it is not one."""
    found = _RECORDED.search(text)
    if found is None:
        return None
    comment = text[found.start() : found.start() + _MAX_COMMENT]
    device, deployment = _DEVICE.search(comment), _DEPLOYMENT.search(comment)
    battery, temperature = _BATTERY.search(comment), _TEMPERATURE.search(comment)
    return RecordingMetadata(
        time=_comment_time(found),
        time_source="comment",
        device=device[1] if device else f"AudioMoth deployment {deployment[1]}" if deployment else None,
        battery_v=float(battery[1]) if battery else None,
        temperature_c=float(temperature[1]) if temperature else None,
        comment=_printable(comment),
    )


def parse_wamd(body: bytes) -> RecordingMetadata:
    """Parse a ``wamd`` chunk of Wildlife Acoustics: a list of number, size and text."""
    entries: dict[int, str] = {}
    at = 0
    while at + 6 <= len(body):
        number, size = struct.unpack("<HI", body[at : at + 6])
        entries.setdefault(number, body[at + 6 : at + 6 + size].decode("latin-1").strip("\0 "))
        at += 6 + size
    # "WGS84,42.12345,N,71.12345,W[,altitude]"
    position = re.match(r"WGS84,\s*([\d.]+),\s*([NS]),\s*([\d.]+),\s*([EW])", entries.get(6, ""), re.ASCII)
    place = None
    if position:
        south, west = position[2] == "S", position[4] == "W"
        place = _place_of(("-" if south else "") + position[1], ("-" if west else "") + position[3])
    device = " ".join(filter(None, (entries.get(1), entries.get(2))))
    return _with_place(
        RecordingMetadata(
            time=_iso_time(entries.get(5)),
            time_source="wamd",
            device=f"Wildlife Acoustics {device}" if device else None,
            temperature_c=_number(entries.get(21, "").rstrip("C "), -90.0, 90.0),
            comment=entries.get(10) or None,
        ),
        place,
    )


def _file_sources(path: Path) -> Iterator[RecordingMetadata]:
    chunks = read_chunks(path, _CHUNKS)
    tags = "" if chunks else _tag_text(path)
    guano = chunks.get(b"guan", b"").decode("utf-8", "replace") or _guano_in(tags)
    if guano:
        yield parse_guano(guano)
    words = chunks.get(b"ICMT", b"").decode("latin-1").split("\0")[0] or tags
    # ID3 may use UTF-16, in which every other byte is zero.
    comment = parse_audiomoth_comment(words) or parse_audiomoth_comment(tags.replace("\0", ""))
    if comment is not None:
        artist = chunks.get(b"IART", b"").decode("latin-1").strip("\0 ")
        # If the comment has a deployment number, the device is in the artist field.
        yield replace(comment, device=artist) if artist.startswith("AudioMoth ") else comment
    if b"wamd" in chunks:
        yield parse_wamd(chunks[b"wamd"])
    if b"bext" in chunks:
        date_time = chunks[b"bext"][320:338].decode("latin-1").strip("\0 ")
        date, clock = date_time[:10].replace(":", "-").replace("_", "-"), date_time[10:].replace("-", ":")
        yield RecordingMetadata(time=_iso_time(f"{date} {clock}"), time_source="bext")


def _tag_text(path: Path) -> str:
    """Return the beginning and end of a file as text, in which the comment is searched."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        head = file.read(_TAG_BYTES)
        if head[:4] in (b"RIFF", b"RF64", b"BW64"):
            return ""  # tags of WAV files are chunks, and there were none
        file.seek(max(len(head), size - _TAG_BYTES))
        return (head + file.read(_TAG_BYTES)).decode("latin-1")


def _guano_in(tags: str) -> str:
    at = tags.find("GUANO|Version:")
    return "" if at < 0 else tags[at : at + _MAX_COMMENT].encode("latin-1").decode("utf-8", "replace")


def _combined(sources: list[RecordingMetadata]) -> RecordingMetadata:
    """Take each value from the first source that has it; latitude and longitude together."""
    found: dict[str, object] = {}
    for source in sources:
        for item in fields(source):
            value = getattr(source, item.name)
            if value is None or item.name in found or item.name in ("time_source", "longitude"):
                continue
            found[item.name] = value
            if item.name == "time":
                found["time_source"] = source.time_source
            elif item.name == "latitude":
                found["longitude"] = source.longitude
    return RecordingMetadata(**found)  # type: ignore[arg-type]


def _with_place(metadata: RecordingMetadata, place: tuple[float, float] | None) -> RecordingMetadata:
    return replace(metadata, latitude=place[0], longitude=place[1]) if place else metadata


def _place_of(latitude: str, longitude: str) -> tuple[float, float] | None:
    north, east = _number(latitude, -90.0, 90.0), _number(longitude, -180.0, 180.0)
    return None if north is None or east is None else checked_place(north, east)


def _number(text: str | None, low: float, high: float) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and low <= value <= high else None


def _iso_time(text: str | None) -> datetime | None:
    """Parse ISO 8601 with a space or a T, a fraction of any length, and with or without a time zone."""
    found = re.fullmatch(
        r"(\d{4}-\d\d-\d\d)[ T]+(\d\d:\d\d(?::\d\d)?)(\.\d+)?\s*(Z|[+-]\d\d?:?\d\d|[+-]\d\d?)?",
        (text or "").strip(),
        re.ASCII,
    )
    if found is None:
        return None
    # Truncate fractions beyond microseconds; the standard library accepts three or six digits.
    fraction = f"{found[3][:7]:0<7}" if found[3] else ""
    try:
        when = datetime.fromisoformat(f"{found[1]}T{found[2]}{fraction}")
    except ValueError:
        return None
    return plausible(when.replace(tzinfo=zone_of(found[4])))


def _comment_time(found: re.Match[str]) -> datetime | None:
    hour, minute, second, fraction, day, month, year, zone = found.groups()
    try:
        when = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second))
    except ValueError:
        return None
    microsecond = int((fraction or "").ljust(6, "0"))
    # The first firmware used UTC without naming it.
    return plausible(when.replace(microsecond=microsecond, tzinfo=zone_of(zone or "UTC")))


def _printable(text: str) -> str:
    """Return the text up to binary data of the container, or to other quoted tags."""
    end = next((at for at, one in enumerate(text) if not " " <= one <= "~" or one == '"'), len(text))
    return text[:end].strip()

"""Detections with all that is known of them: site, clock time, class, score, model, threshold and place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from britekit.files import csv_text
from britekit.formats._base import Format, Recording, Rows, Writer, format_time

COLUMNS = {
    "recording": "text, path below the input folder, without extension",
    "site": "text, from data/deployments.csv or recordings.csv, or empty",
    "start": "64-bit float, seconds within the recording",
    "end": "64-bit float, seconds within the recording",
    "time_start": "text, clock time of the start, ISO 8601 with its offset from UTC if known, or empty",
    "time_end": "text, clock time of the end, likewise",
    "class": "text, name of the class",
    "code": "text, its code, or empty",
    "score": "64-bit float, 0 to 1, as in scores.csv",
    "probability": "64-bit float, the score where it is calibrated, or empty",
    "model": "text, identifiers of the models",
    "threshold": "64-bit float, lowest score of this class that is a detection",
    "latitude": "64-bit float, degrees (WGS84), or empty",
    "longitude": "64-bit float, degrees (WGS84), or empty",
    "channel": "32-bit integer, 1 for the first, or empty where channels were mixed or one was chosen",
}
VERSION = 2
"""Version 1 had no ``channel``."""


def values_of(recording: Recording, rows: Rows, more: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the values of each row in the order of `COLUMNS`; None where nothing is known."""
    info = recording.info
    site = None if info is None else info.site
    begin = None if info is None else info.start
    zone = None if info is None else info.zone
    place = (None, None) if info is None else (info.latitude, info.longitude)
    threshold = (more.get("thresholds") or {}).get(rows.class_name, more.get("threshold"))
    for start, end, score in zip(rows.starts, rows.ends, rows.scores, strict=True):
        yield (
            recording.name, site, start, end, _clock(begin, zone, start), _clock(begin, zone, end),
            rows.class_name, rows.class_code or None, score, score if more.get("calibrated") else None,
            more.get("model"), threshold, *place, recording.channel,
        )  # fmt: skip


def _clock(begin: datetime | None, zone: Any, seconds: float) -> str | None:
    """Return the clock time some seconds after a recording's start, by the clock of its site."""
    if begin is None:
        return None
    passed = timedelta(seconds=seconds)
    if begin.tzinfo is None:
        return (begin + passed).isoformat(timespec="milliseconds")
    # Through UTC: adding to a local time moves the hands of the clock, also on nights on which it changes.
    when = (begin.astimezone(UTC) + passed).astimezone(zone or begin.tzinfo)
    return when.isoformat(timespec="milliseconds")


class DetectionsWriter(Writer):
    """Writes a row per detection, quoted where needed."""

    def begin(self) -> None:
        """Write the header."""
        self.out.write(csv_text([list(COLUMNS)]).encode())

    def lines(self, recording: Recording, rows: Rows) -> Iterable[str]:
        """Return the rows of one class as one text."""
        table = [
            [_cell(name, value) for name, value in zip(COLUMNS, row, strict=True)]
            for row in values_of(recording, rows, self.facts.more)
        ]
        return [csv_text(table)]


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name in ("start", "end"):
        return format_time(value)
    return f"{value:.6f}" if isinstance(value, float) else str(value)


FORMAT = Format(
    name="detections",
    title="Detections (CSV)",
    media_type="text/csv; charset=utf-8",
    ending="_detections.csv",
    table="detections.csv",
    columns=COLUMNS,
    version=VERSION,
    writer=DetectionsWriter,
)

"""``analyzed.csv``: every recording that was analyzed, with its length and what its file says about time and place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from britekit.annotations.tables import iter_rows, parse_number
from britekit.audio.files import name_key
from britekit.audio.metadata import RecordingMetadata
from britekit.errors import InputError

FILE_NAME = "analyzed.csv"
COLUMNS = ("recording", "seconds", "file", "time", "time_source", "latitude", "longitude", "device")


@dataclass(frozen=True, slots=True)
class Analyzed:
    """A recording that was analyzed."""

    recording: str
    """Name in results."""
    seconds: float
    """Its length."""
    file: str = ""
    """Its path when it was analyzed; empty where the table does not say."""
    metadata: RecordingMetadata | None = None
    """Metadata in the file: time, place and device; None where the table does not say."""


def analyzed_row(recording: str, seconds: str, file: str, known: RecordingMetadata) -> tuple[object, ...]:
    """Return the row of a recording, in the order of `COLUMNS`; what its name says is not written."""
    time = known.time.isoformat() if known.time and known.time_source != "name" else None
    source = known.time_source if time else None
    return (recording, seconds, file, time, source, known.latitude, known.longitude, known.device)


def read_analyzed(folder: Path) -> Iterator[Analyzed]:
    """Yield what was analyzed, by the table in an output folder.

    Raises `InputError` if there is no table, or a value in it cannot be read; names the row.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise InputError(
            f"{path} does not exist, so it is not known what was listened to; run analyze again (it writes this file), "
            "or make one with the columns recording and seconds"
        )
    for row, cells in iter_rows(path, COLUMNS[:2], COLUMNS[2:]):
        try:
            seconds = parse_number(cells["seconds"])
        except ValueError:
            raise InputError(f'{path}, row {row}: "{cells["seconds"]}" is not a number of seconds') from None
        known = None
        if cells["file"]:
            try:
                latitude, longitude = (parse_number(cells[name]) if cells[name] else None for name in COLUMNS[5:7])
                known = _metadata(cells["time"], cells["time_source"], latitude, longitude, cells["device"])
            except ValueError as error:
                raise InputError(f"{path}, row {row}: {error}; expected what analyze wrote there") from None
        yield Analyzed(name_key(cells["recording"]), seconds, cells["file"], known)


def analyzed_seconds(folder: Path) -> dict[str, float]:
    """Return the length of each recording that was analyzed; nothing where no table says it."""
    if not (folder / FILE_NAME).is_file():
        return {}
    return {item.recording: item.seconds for item in read_analyzed(folder)}


def _metadata(
    time: str | None, source: str | None, latitude: float | None, longitude: float | None, device: str | None
) -> RecordingMetadata:
    if not (time or device or latitude is not None):
        return _UNKNOWN
    when = datetime.fromisoformat(time) if time else None
    return RecordingMetadata(when, source or None, latitude, longitude, device or None)


_UNKNOWN = RecordingMetadata()

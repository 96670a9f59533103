"""Annotations of segment granularity: who is heard from when until when in which recording."""

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from britekit.annotations.classes import map_name
from britekit.annotations.names import RecordingNames
from britekit.annotations.tables import iter_rows, parse_number
from britekit.annotations.text_files import with_points
from britekit.errors import InputError, some
from britekit.files import write_csv

COLUMNS = ("recording", "class", "start_time", "end_time")

# Labels a sound of a training recording that is none of the classes or cannot be named: what is not annotated
# beside it is not known to be absent.
UNNAMED = "?"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Annotation:
    """A person's claim that a class is heard in a stretch of a recording."""

    recording: str
    """Stem of the file, always text."""
    label: str
    """Usually the class code; ``""`` keeps a recording in the test although nothing is heard."""
    start: float
    """Seconds from the beginning of the recording."""
    end: float
    """Seconds; equals `start` only where `label` is empty and the row has no times."""
    row: int = 0
    """Row in the file it came from, for messages."""
    file: str = field(default="", compare=False)
    """That file, for messages."""
    ends_in: str = field(default="", compare=False)
    """Recording in which a box ends that runs over the end of its own; times go on counting from `start`."""

    @property
    def where(self) -> str:
        """``file, row n``, for messages."""
        return f"{self.file}, row {self.row}"


def read_annotations(
    path: str | Path, map_codes: Mapping[str, str] | None = None, names: RecordingNames | None = None
) -> list[Annotation]:
    """Read annotations from a table with the columns recording, class, start_time, end_time.

    Raises `InputError` if columns are missing, or a time is not a number, negative, or not after the start; names the
    rows.

    Parameters
    ----------
    map_codes
        Old label to new (`misc.map_codes`).
    names
        Recordings that rows may name; default: those beside the table.
    """
    names = RecordingNames.beside(Path(path)) if names is None else names
    rows = list(iter_rows(path, COLUMNS))
    times, commas = with_points(cells[key] for _, cells in rows for key in COLUMNS[2:])
    if commas:
        log.info("%s: numbers have decimal commas", path)
    annotations: list[Annotation] = []
    problems: list[str] = []
    for place, (row, cells) in enumerate(rows):
        label = map_name(cells["class"], map_codes)
        start_text, end_text = times[2 * place : 2 * place + 2]
        try:
            if not cells["recording"]:
                raise ValueError("the recording is empty")
            if not label and not start_text and not end_text:
                start = end = 0.0
            else:
                start, end = parse_stretch(start_text, end_text)
        except ValueError as error:
            problems.append(f"row {row}: {error}")
            continue
        annotations.append(Annotation(names.named(cells["recording"]), label, start, end, row, str(path)))
    raise_for_rows(path, problems)
    return without_repeats(path, annotations)


def write_annotations(path: str | Path, annotations: Iterable[Annotation]) -> None:
    """Write annotations as `read_annotations` reads them, in the order given; times to a millisecond."""
    rows: list[Sequence[str]] = [COLUMNS]
    for item in annotations:
        times = ["", ""] if item.end <= item.start else [f"{item.start:.3f}", f"{item.end:.3f}"]
        rows.append([item.recording, item.label, *times])
    write_csv(path, rows)


def raise_for_rows(path: str | os.PathLike[str], problems: Sequence[str]) -> None:
    """Raise `InputError` for the problems of a file, ``row n: …`` each, if there is any; names five."""
    if problems:
        raise InputError(f"{path}, {some(problems, 5, '; ')}")


def without_repeats(path: str | Path, annotations: Iterable[Annotation]) -> list[Annotation]:
    """Return annotations without those that say the same as one before; a warning names their rows."""
    first: dict[tuple[str, str, float, float], Annotation] = {}
    repeated = []
    for item in annotations:
        kept = first.setdefault((item.recording, item.label, item.start, item.end), item)
        if kept is not item:
            repeated.append(f"row {item.row} says what row {kept.row} says")
    if repeated:
        log.warning("%s, %s; each is counted once", path, some(repeated, 5, "; "))
    return list(first.values())


def parse_stretch(
    start_text: str, end_text: str, columns: tuple[str, str] = ("start_time", "end_time")
) -> tuple[float, float]:
    """Read start and end in seconds; raises `ValueError` with the reason unless 0 <= start < end."""
    times = []
    for column, text in zip(columns, (start_text, end_text), strict=True):
        try:
            times.append(parse_number(text))
        except ValueError:
            raise ValueError(f'{column} is "{text}"; expected a number of seconds') from None
    start, end = times
    if start < 0:
        raise ValueError(f"{columns[0]} is {start_text}; expected 0 or more")
    if end <= start:
        raise ValueError(f"{columns[1]} {end_text} is not after {columns[0]} {start_text}")
    return start, end

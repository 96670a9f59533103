"""``verdicts.csv``: what people said about single stretches of sound.

A verdict is about one class in one stretch, so it outlives the model whose detection was heard. Rows are only
appended: an undo or a correction is a row that replaces an earlier one. Of each reviewer the last row about a
stretch and class counts.
"""

from __future__ import annotations

import csv
import io
import os
import secrets
from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from britekit.annotations.tables import iter_rows, parse_number
from britekit.annotations.text_files import with_points
from britekit.errors import InputError
from britekit.files import unwritable, write_csv, writing

VERDICTS = ("yes", "no", "unsure")
_SEPARATOR = "|"
_HEADER_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A reviewer's verdict about one class in one part of a recording."""

    id: str
    """Unique in the file."""
    replaces: str = ""
    """The id of the row that this one takes back or corrects."""
    recording: str
    """Path below the folder of recordings, with ``/``."""
    channel: str = ""
    """Empty: channels were mixed, or one was chosen."""
    start: float
    """Seconds; corrected by the reviewer if need be."""
    end: float
    detection_start: float
    """Seconds, as the model had it."""
    detection_end: float
    name: str
    """The class that was judged."""
    verdict: str
    """``yes``, ``no``, ``unsure``; empty in a row that only takes another back."""
    others: tuple[str, ...] = ()
    """Other classes that were heard."""
    score: float | None = None
    model: str = ""
    queue: str = ""
    stratum: str = ""
    share: float | None = None
    """Part of its stratum that was drawn, above 0 and at most 1; None: chosen, not drawn."""
    reviewer: str = ""
    time: str = ""
    """When it was said: ISO 8601 with a time zone."""
    note: str = ""

    @property
    def item(self) -> tuple[str, str, float, float, str]:
        """The judged detection: recording, channel, detection and class."""
        return self.recording, self.channel, self.detection_start, self.detection_end, self.name


COLUMNS = tuple(field.name for field in fields(Verdict))
_NUMBERS = ("start", "end", "detection_start", "detection_end", "score", "share")
_OPTIONAL = ("replaces", "channel", "others", "score", "model", "queue", "stratum", "share", "reviewer", "time", "note")


def new_id() -> str:
    """Return an id that no other row has: 64 random bits as 16 hexadecimal digits behind a letter.

    Without the letter a spreadsheet takes some for numbers, such as 1234567890123e45, and writes them differently.
    """
    return f"v{secrets.token_hex(8)}"


def now() -> str:
    """Return the present time as a verdict stores it."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def read_verdicts(path: str | os.PathLike[str]) -> list[Verdict]:
    """Read all rows, in the order of the file.

    Raises `InputError` if the file cannot be read, or a row cannot be understood; names the row.
    """
    path = Path(path)
    required = [name for name in COLUMNS if name not in _OPTIONAL]
    found: list[Verdict] = []
    rows_of: dict[str, int] = {}
    rows = list(iter_rows(path, required, _OPTIONAL))
    numbers, _ = with_points(cells[name] for _, cells in rows for name in _NUMBERS)
    for place, (row, cells) in enumerate(rows):
        first = place * len(_NUMBERS)
        verdict = _parse(path, row, cells | dict(zip(_NUMBERS, numbers[first : first + len(_NUMBERS)], strict=True)))
        if verdict.id in rows_of:
            raise InputError(
                f'{path}, row {row}: the id "{verdict.id}" is also that of row {rows_of[verdict.id]}; remove '
                "the row that was copied"
            )
        if verdict.replaces and verdict.replaces not in rows_of:
            raise InputError(
                f'{path}, row {row}: it replaces "{verdict.replaces}", which no earlier row has as its id; '
                "keep rows in the order in which they were written"
            )
        rows_of[verdict.id] = row
        found.append(verdict)
    return found


def current_verdicts(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Return the verdicts that count: of each reviewer the last about each item, unless it was taken back."""
    last: dict[tuple[object, ...], Verdict] = {}
    replaced: set[str] = set()
    for verdict in verdicts:
        replaced.add(verdict.replaces)
        last[(verdict.reviewer, *verdict.item)] = verdict
    return [verdict for verdict in last.values() if verdict.verdict and verdict.id not in replaced]


@dataclass(frozen=True)
class Judged:
    """One item with what all its reviewers said."""

    verdict: Verdict
    """The last row about it that gives the answer."""
    answer: str
    """``yes`` or ``no`` by majority; ``unsure`` in a tie, or if all were unsure."""
    reviewers: int


def combine(verdicts: Iterable[Verdict]) -> list[Judged]:
    """Return one answer per item, by the majority of its reviewers; takes what `current_verdicts` returns."""
    by_item: dict[tuple[object, ...], list[Verdict]] = {}
    for verdict in verdicts:
        by_item.setdefault(verdict.item, []).append(verdict)
    judged = []
    for rows in by_item.values():
        votes = Counter(row.verdict for row in rows)
        answer = "unsure" if votes["yes"] == votes["no"] else "yes" if votes["yes"] > votes["no"] else "no"
        agreeing = [row for row in rows if row.verdict == answer] or rows
        judged.append(Judged(agreeing[-1], answer, len(rows)))
    return judged


def write_verdicts(path: str | os.PathLike[str], verdicts: Iterable[Verdict]) -> None:
    """Write a whole file; verdicts of reviewers are appended instead, by `append_verdict`."""
    write_csv(Path(path), [COLUMNS, *map(_cells, verdicts)])


def append_verdict(path: str | os.PathLike[str], verdict: Verdict) -> int:
    """Append one row, durably; creates the file with its header if it is missing or empty.

    A row is one write at the end of the file. A last line without its line end, which a kill in the middle of
    that write or an editor may leave, is ended first if it is a whole row, and removed otherwise.

    Raises `InputError` if the file cannot be written, or its header is another one.

    Returns
    -------
    int
        The number of bytes of the row: a file that grew by just as much holds nothing else that is new.
    """
    path = Path(path)
    with FileLock(f"{path}.lock"), writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab+", buffering=0) as file:
            _close_last_line(path, file)
            end = file.seek(0, os.SEEK_END)
            row = _line(_cells(verdict))
            _write_or_restore(file, end, row if end else _line(COLUMNS) + row)
            os.fsync(file.fileno())
            return len(row)


def _cells(verdict: Verdict) -> list[str]:
    cells = []
    for value in astuple(verdict):
        if isinstance(value, tuple):
            cells.append(_SEPARATOR.join(value))
        elif isinstance(value, float):
            cells.append(f"{value:.6f}".rstrip("0").rstrip("."))
        else:
            cells.append("" if value is None else str(value))
    return cells


def _line(cells: Iterable[str]) -> bytes:
    text = io.StringIO(newline="")
    # A line break in a note would end the row for a reader that looks at lines.
    csv.writer(text, lineterminator="\n").writerow([" ".join(cell.split()) for cell in cells])
    return text.getvalue().encode()


def _write_or_restore(file: io.FileIO, end: int, data: bytes) -> None:
    """Write all of the data at the end, or leave the file as it was: a disk may fill up in the middle."""
    try:
        if file.write(data) != len(data):
            raise OSError(28, "no space left on the device")
    except OSError:
        file.truncate(end)
        raise


def check_appendable(path: str | os.PathLike[str]) -> None:
    """Raise `InputError` if verdicts cannot be appended to a file: before the first verdict, not after."""
    path = Path(path)
    try:
        with open(path, "rb", buffering=0) as file:
            _check_header(path, file)
    except FileNotFoundError:
        return
    except OSError as error:
        raise unwritable(path, error) from error


def _close_last_line(path: Path, file: io.FileIO) -> None:
    """Check the header, and end the last line: a kill or an editor may have left it open."""
    size = file.seek(0, os.SEEK_END)
    if not size:
        return
    _check_header(path, file)
    file.seek(size - 1)
    if file.read(1) == b"\n":
        return
    file.seek(0)
    whole, _, last = file.read().rpartition(b"\n")
    if len(next(csv.reader([last.decode("utf-8", "replace")]), [])) == len(COLUMNS):
        file.write(b"\n")
    else:
        file.truncate(len(whole) + 1)


def _check_header(path: Path, file: io.FileIO) -> None:
    file.seek(0)
    start = file.read(_HEADER_BYTES)
    if not start:
        return
    first = start.split(b"\n", 1)[0].decode("utf-8-sig", "replace").rstrip("\r")
    if next(csv.reader([first]), []) != list(COLUMNS):
        raise InputError(
            f"{path} cannot be appended to, since its header is not {','.join(COLUMNS)}; a spreadsheet may "
            "have saved it in another form: restore it from Git, or save it as CSV with commas in UTF-8"
        )


def _parse(path: Path, row: int, cells: dict[str, str]) -> Verdict:
    where = f"{path}, row {row}"
    for name in ("id", "recording", "name"):
        if not cells[name]:
            raise InputError(f'{where}: the column "{name}" is empty; restore the row from Git')
    verdict = cells["verdict"].casefold()
    if verdict and verdict not in VERDICTS:
        raise InputError(f'{where}: "{cells["verdict"]}" is not a verdict; use yes, no or unsure')
    if not verdict and not cells["replaces"]:
        raise InputError(
            f"{where}: a row without a verdict takes another back, so it needs that row's id under replaces"
        )
    numbers: dict[str, Any] = {}
    for name in _NUMBERS:
        text = cells[name]
        if not text and name in ("score", "share"):
            numbers[name] = None
            continue
        try:
            numbers[name] = parse_number(text)
        except ValueError:
            raise InputError(f'{where}: {name} is "{text}"; expected a number such as 12.5') from None
    if numbers["end"] < numbers["start"] or numbers["detection_end"] < numbers["detection_start"]:
        raise InputError(f"{where}: it ends before it starts")
    share = numbers["share"]
    if share is not None and not 0 < share <= 1:
        raise InputError(f"{where}: share is {share:g}; expected a number above 0 and at most 1, or nothing")
    others = tuple(name.strip() for name in cells["others"].split(_SEPARATOR) if name.strip())
    texts = {name: cells[name] for name in COLUMNS if name not in numbers and name not in ("verdict", "others")}
    return Verdict(**texts, **numbers, verdict=verdict, others=others)  # type: ignore[arg-type]

"""The rows of ``data/curation.csv``: what a person decided, one decision per row.

``recording,offset,class,decision,new_class`` are about segments: ``keep``, ``drop``, ``move``. An empty
offset means every segment of the recording, and the class ``*`` every class. The optional columns ``name``
and ``details`` serve decisions about the database itself, named like the commands: ``del-class`` and
``add-class`` with the class in ``class``, ``add-cat``, ``del-cat``, ``add-src``, ``del-src``, ``add-stype``,
``del-stype``, ``del-sgroup`` with the name in ``name``. ``details`` is a JSON object of texts: ``category``,
``code``, ``alt_name``, ``alt_code`` of a class that is added; ``source`` of a recording whose file name is
not unique.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from britekit.annotations.tables import iter_rows, parse_number
from britekit.errors import InputError, some, suggest
from britekit.files import csv_text

COLUMNS = ("recording", "offset", "class", "decision", "new_class")
MORE_COLUMNS = ("name", "details")
ABOUT_SEGMENTS = ("keep", "drop", "move")
ABOUT_CLASSES = ("add-class", "del-class")
ABOUT_NAMES = ("add-cat", "del-cat", "add-src", "del-src", "add-stype", "del-stype", "del-sgroup")
DECISIONS = (*ABOUT_SEGMENTS, *ABOUT_CLASSES, *ABOUT_NAMES)
EVERY_CLASS = "*"

_SEGMENT_DETAILS = frozenset({"source"})
_CLASS_DETAILS = frozenset({"category", "code", "alt_name", "alt_code"})

# Offsets come back from the names of images, which have two decimals.
TOLERANCE_S = 0.06


@dataclass(frozen=True)
class Decision:
    """One row."""

    row: int
    """Its number in the file; the header is row 1. 0 for one that is not in a file yet."""
    recording: str
    """Stem or file name; empty if the row is not about segments."""
    offset: float | None
    """Seconds; None means every segment of the recording."""
    class_name: str
    """The class decided about; ``*`` means every class."""
    action: str
    """One of `DECISIONS`."""
    new_class: str = ""
    """Where ``move`` puts the segment, else empty."""
    name: str = ""
    """The category, source, sound type or spectrogram group decided about."""
    details: dict[str, str] = field(default_factory=dict)
    """See above."""

    @property
    def is_about_segments(self) -> bool:
        """Return whether the row names a recording."""
        return self.action in ABOUT_SEGMENTS

    def concerns(self, offset: float, step_s: float = math.inf) -> bool:
        """Return whether the row is about the segment at ``offset`` seconds.

        Segments begin every ``step_s`` seconds: a row that names one of these starts exactly is about no
        other, and a rounded offset is about the nearest segment alone.
        """
        if self.offset is None or abs(self.offset - offset) <= 1e-6:
            return True
        names_a_start = step_s < math.inf and abs(math.remainder(self.offset, step_s)) <= 1e-6
        return not names_a_start and abs(self.offset - offset) <= min(TOLERANCE_S, 0.49 * step_s)

    def __str__(self) -> str:
        if not self.is_about_segments:
            return f'row {self.row} ({self.action} "{_short(self.name or self.class_name)}")'
        where = "" if self.offset is None else f" at {self.offset:g} s"
        return f'row {self.row} ({self.action} "{self.recording}"{where}, class "{_short(self.class_name)}")'


def drop(filename: str, offset: float | None = None, class_name: str = EVERY_CLASS, source: str = "") -> Decision:
    """Return the decision that a recording, or one segment of it, is not of a class, or of none at all."""
    return Decision(0, filename, offset, class_name, "drop", details={"source": source} if source else {})


def keep(filename: str, offset: float, class_name: str, source: str = "") -> Decision:
    """Return the decision that a segment is of a class; what is not kept of that recording and class goes."""
    details = {"source": source} if source else {}
    return Decision(0, filename, offset, class_name, "keep", details=details)


def about_name(action: str, name: str) -> Decision:
    """Return a decision about a class, category, source, sound type or group that needs no details."""
    if action in ABOUT_CLASSES:
        return Decision(0, "", None, name, action)
    return Decision(0, "", None, "", action, name=name)


def read_decisions(path: Path) -> list[Decision]:
    """Read the rows of a file.

    Raises `InputError` if the file cannot be read, or rows cannot be understood; names all of them.
    """
    decisions = []
    problems = []
    for number, cells in iter_rows(path, COLUMNS[:4], (*COLUMNS[4:], *MORE_COLUMNS)):
        try:
            decisions.append(_parse(number, cells))
        except ValueError as error:
            problems.append(f"row {number}: {error}")
    refuse(path, problems)
    return decisions


def refuse(path: Path, problems: list[str]) -> None:
    """Raise `InputError` with the first ten problems of a file, if it has any."""
    if problems:
        raise InputError(f"{path}, {some(problems, 10, '; ')}")


def appended(text: str, decisions: Iterable[Decision]) -> str:
    """Return the text of a file with rows at its end; the header gets the columns they need.

    Raises `InputError` for a name that a reader would not give back as it is: one that begins or ends with a space.
    """
    rows = [_cells(decision) for decision in decisions]
    for cell in (cell for row in rows for cell in row.values()):
        if cell != cell.strip():
            raise InputError(f'"{_short(cell)}" begins or ends with a space, which a table of decisions cannot hold')
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    text = text.removeprefix("\ufeff")
    reading = io.StringIO(text, newline="")
    header = [cell.strip() for cell in next(csv.reader(reading, skipinitialspace=True), [])]
    head, body = text[: reading.tell()], text[reading.tell() :]
    wanted = [name for name in MORE_COLUMNS if any(row[name] for row in rows)]
    missing = [name for name in (*COLUMNS, *wanted) if name not in header]
    if missing:
        header = [*header, *missing]
        head = _line(header)
    tail = "".join(_line([row.get(name, "") for name in header]) for row in rows)
    return mark + _ended(head) + _ended(body) + tail


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"


def _cells(decision: Decision) -> dict[str, str]:
    offset = "" if decision.offset is None else repr(float(decision.offset)).removesuffix(".0")
    details = json.dumps(decision.details, ensure_ascii=False, sort_keys=True) if decision.details else ""
    return {
        "recording": decision.recording,
        "offset": offset,
        "class": decision.class_name,
        "decision": decision.action,
        "new_class": decision.new_class,
        "name": decision.name,
        "details": details,
    }


def _line(cells: list[str]) -> str:
    return csv_text([cells])


def _parse(number: int, cells: dict[str, str]) -> Decision:
    action = cells["decision"]
    if action not in DECISIONS:
        raise ValueError(f'decision "{action}" is not one of {", ".join(DECISIONS)}{suggest(action, DECISIONS)}')
    details = _details(cells["details"], action)
    if action in ABOUT_SEGMENTS:
        return _parse_segment_row(number, cells, details)
    column = "class" if action in ABOUT_CLASSES else "name"
    if not cells[column]:
        raise ValueError(f"{action} needs a name in the column {column}")
    foreign = [name for name in (*COLUMNS, "name") if name not in (column, "decision") and cells[name]]
    if foreign:
        raise ValueError(f"{action} takes its name from the column {column}, and nothing from {', '.join(foreign)}")
    return Decision(number, "", None, cells["class"], action, name=cells["name"], details=details)


def _parse_segment_row(number: int, cells: dict[str, str], details: dict[str, str]) -> Decision:
    action = cells["decision"]
    if not cells["recording"]:
        raise ValueError("the recording is not named")
    if not cells["class"]:
        raise ValueError(f'the class is not named; "{EVERY_CLASS}" means every class')
    if cells["class"] == EVERY_CLASS and action != "drop":
        raise ValueError(f'the class "{EVERY_CLASS}" belongs to drop, not to {action}')
    if cells["name"]:
        raise ValueError(f"{action} takes nothing from the column name")
    offset = None
    if cells["offset"]:
        try:
            offset = parse_number(cells["offset"])
        except ValueError:
            raise ValueError(f'offset "{cells["offset"]}" is not a number of seconds') from None
    new_class = cells["new_class"]
    if action == "move" and not new_class:
        raise ValueError("a move needs a new_class")
    if action != "move" and new_class:
        raise ValueError(f'new_class "{new_class}" belongs to a move, not to {action}')
    return Decision(number, cells["recording"], offset, cells["class"], action, new_class, details=details)


def _details(text: str, action: str) -> dict[str, str]:
    if not text:
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ValueError(f'details "{_short(text)}" is not a JSON object of texts')
    known = _SEGMENT_DETAILS if action in ABOUT_SEGMENTS else _CLASS_DETAILS if action == "add-class" else frozenset()
    for name in found:
        if name not in known:
            raise ValueError(f'details has "{_short(name)}", which {action} does not use{suggest(name, known)}')
    return found


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."

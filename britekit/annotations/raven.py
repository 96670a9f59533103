"""Raven selection tables: one row per box that a person drew, separated by tabs.

A table is about one recording, told by its name, or about several, told by the column ``Begin File``. With
several, ``Begin Time (s)`` counts from the start of the first file, and ``File Offset (s)`` within each.
"""

import logging
import re
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

from britekit.annotations.segments import (
    Annotation,
    parse_stretch,
    raise_for_rows,
    strip_extension,
    without_repeats,
)
from britekit.annotations.tables import parse_number
from britekit.annotations.text_files import read_text
from britekit.errors import InputError, suggest

BEGIN, END = "Begin Time (s)", "End Time (s)"
OFFSET = "File Offset (s)"
# What people and programs call the column of classes, the likeliest first; compared without case and spaces.
CLASS_COLUMNS = (
    "Annotation", "Annotations", "Species", "Species Name", "Common Name", "Label", "Labels", "Class",
    "Class Name", "Tag", "Tags", "Sound Type", "Call Type", "Species Code", "Code", "ID",
    "Scientific Name", "Type", "Name",
)  # fmt: skip
_FILE_COLUMNS = ("Begin File", "Begin Path", "File", "Filename")
_NAME_TAIL = re.compile(r"(?:\.(?:Table\.\d+|selections?|BirdNET|selection\.table|results))+$", re.IGNORECASE)

log = logging.getLogger("britekit.annotations")


def is_raven_header(line: str) -> bool:
    """Tell whether the first line of a file is the header of a selection table."""
    return {_plain(BEGIN), _plain(END)} <= {_plain(cell) for cell in line.split("\t")}


def recording_of_table(path: str | Path) -> str:
    """Return the recording that a table's name tells: ``X.Table.1.selections.txt`` is about ``X``."""
    stem = Path(path).name
    stem = stem[: -len(".txt")] if stem.lower().endswith(".txt") else stem
    return strip_extension(_NAME_TAIL.sub("", stem) or stem)


def read_raven_table(
    path: str | Path, class_column: str | None = None, default_label: str = ""
) -> list[Annotation]:
    """Read a Raven selection table.

    Rows that repeat a selection in another view or channel count once. A row without a class keeps its times,
    with an empty label: something is heard, nobody said what. An empty table gives one row without times,
    which says that the recording was listened to.

    Parameters
    ----------
    path
        The table.
    class_column
        Column that holds the class; default: the first of `CLASS_COLUMNS` that the table has and fills.
    default_label
        What a row without a class means; with it the column of classes may be missing.

    Raises
    ------
    InputError
        No times, no class column, several files without ``File Offset (s)``, or rows with impossible times;
        names the rows, of which the header is row 1.
    """
    lines = read_text(path).split("\n")
    if not is_raven_header(lines[0]):
        raise InputError(
            f"{path} is not a Raven selection table; expected a first line with the columns {BEGIN} and "
            f"{END}, separated by tabs"
        )
    header = [cell.strip() for cell in lines[0].split("\t")]
    rows = _rows(path, lines[1:], len(header))
    columns = _Columns(path, header, rows, class_column, not default_label)
    own = recording_of_table(path)
    if not rows:
        return [Annotation(own, "", 0.0, 0.0, 1, str(path))]
    found: dict[tuple[str, str, str, float, float], Annotation] = {}
    problems, unnamed = [], []
    for number, cells in rows:
        name = columns.file_of(cells)
        recording = strip_extension(PureWindowsPath(name).name) if name else own
        label = columns.label_of(cells) or default_label
        try:
            start, end = columns.times_of(cells)
        except ValueError as error:
            problems.append(f"row {number}: {error}")
            continue
        if not label:
            unnamed.append(number)
        selection = columns.selection_of(cells) or f"row {number}"
        key = (recording, label, selection, start, end)
        found.setdefault(key, Annotation(recording, label, start, end, number, str(path)))
    raise_for_rows(path, problems)
    if unnamed:
        listed = ", ".join(map(str, unnamed[:5])) + (", …" if unnamed[5:] else "")
        log.warning(
            "%s: %d of %d rows name no class in %s (row %s)",
            path, len(unnamed), len(rows), columns.label, listed,
        )  # fmt: skip
    return without_repeats(path, found.values())


class _Columns:
    """Where in a row the values stand."""

    def __init__(
        self,
        path: str | Path,
        header: list[str],
        rows: Sequence[tuple[int, list[str]]],
        wanted: str | None,
        required: bool,
    ) -> None:
        self._required = required
        self._header = header
        self._place = {_plain(name): place for place, name in reversed(list(enumerate(header)))}
        self.label = self._class_column(path, rows, wanted)
        self._files = [name for name in _FILE_COLUMNS if _plain(name) in self._place]
        names = {self.file_of(cells) for _, cells in rows}
        self._in_file = _plain(OFFSET) in self._place
        if len(names) > 1 and not self._in_file:
            raise InputError(
                f"{path} is about {len(names)} recordings, but its times count from the start of the first; "
                f'add the column "{OFFSET}" in Raven and save the table again'
            )

    def _class_column(
        self, path: str | Path, rows: Sequence[tuple[int, list[str]]], wanted: str | None
    ) -> str:
        if wanted is not None:
            if _plain(wanted) not in self._place:
                raise InputError(f'{path} has no column "{wanted}"{suggest(wanted, self._header)}')
            return wanted
        present = [name for name in CLASS_COLUMNS if _plain(name) in self._place]
        filled = [name for name in present if any(self._cell(cells, name) for _, cells in rows)]
        if not present and rows and self._required:
            found = ", ".join(name for name in self._header if name)
            raise InputError(
                f"{path} has no column of classes (it has {found}); expected one called {CLASS_COLUMNS[0]}, "
                f"{', '.join(CLASS_COLUMNS[2:9:2])} or the like"
            )
        return (filled or present or [CLASS_COLUMNS[0]])[0]

    def _cell(self, cells: list[str], name: str) -> str:
        place = self._place.get(_plain(name))
        return "" if place is None or place >= len(cells) else cells[place]

    def label_of(self, cells: list[str]) -> str:
        return self._cell(cells, self.label)

    def file_of(self, cells: list[str]) -> str:
        return next(filter(None, (self._cell(cells, name) for name in self._files)), "")

    def selection_of(self, cells: list[str]) -> str:
        return self._cell(cells, "Selection")

    def times_of(self, cells: list[str]) -> tuple[float, float]:
        start, end = parse_stretch(self._cell(cells, BEGIN), self._cell(cells, END), (BEGIN, END))
        if not self._in_file:
            return start, end
        text = self._cell(cells, OFFSET)
        try:
            offset = parse_number(text)
        except ValueError:
            offset = -1.0
        if offset < 0:
            raise ValueError(f'{OFFSET} is "{text}"; expected a number of seconds, 0 or more')
        return offset, offset + (end - start)


def _rows(path: str | Path, lines: list[str], width: int) -> list[tuple[int, list[str]]]:
    rows = []
    for number, line in enumerate(lines, start=2):
        cells = [cell.strip() for cell in line.split("\t")]
        if not any(cells):
            continue
        if any(cells[width:]):
            raise InputError(
                f"{path}, row {number}: {len(cells)} cells, but the header names {width} columns; "
                "a value may hold no tab"
            )
        rows.append((number, cells))
    return rows


def _plain(name: str) -> str:
    return "".join(name.split()).casefold().replace("_", "")

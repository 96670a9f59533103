"""A table of text that fits the terminal, whatever script the names are in."""

import shutil
import sys
import unicodedata
from collections.abc import Sequence

_GAP = "  "
_NARROWEST = 8


def terminal_width() -> int | None:
    """Return the columns of the terminal, or None if output goes elsewhere and need not fit."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def table_lines(
    heading: Sequence[str], rows: Sequence[Sequence[str]], width: int | None, right: Sequence[int] = ()
) -> list[str]:
    """Return the lines of a table.

    Parameters
    ----------
    heading
        Name of each column.
    rows
        Cells, as many as names.
    width
        Most columns of a line; the first column of the table is shortened, with an ellipsis, until lines
        fit. None: as wide as needed.
    right
        Numbers of the columns that are set flush right.
    """
    sizes = [max(columns_of(row[k]) for row in (heading, *rows)) for k in range(len(heading))]
    if width is not None:
        excess = sum(sizes) + len(_GAP) * (len(sizes) - 1) - width
        sizes[0] -= max(0, min(excess, sizes[0] - _NARROWEST))
    lines = []
    for row in (heading, *rows):
        cells = [
            _set(shortened(cell, size), size, k in right) for k, (cell, size) in enumerate(zip(row, sizes, strict=True))
        ]
        lines.append(_GAP.join(cells).rstrip())
    return lines


def columns_of(text: str) -> int:
    """Return how many columns of a terminal a text takes: two for East Asian characters, none for accents."""
    return sum(_width(character) for character in text)


def shortened(text: str, size: int) -> str:
    """Return a text of at most ``size`` columns; what is cut from its middle is shown as an ellipsis."""
    if columns_of(text) <= size:
        return text
    if size < 2:
        return "…"[:size]
    # More is left of the end: that is where names of one recorder differ.
    head, tail = (size - 1) // 3, size - 1 - (size - 1) // 3
    return _start(text, head) + "…" + _start(text[::-1], tail)[::-1]


def _start(text: str, size: int) -> str:
    used = 0
    for at, character in enumerate(text):
        used += _width(character)
        if used > size:
            return text[:at]
    return text


def _set(text: str, size: int, right: bool) -> str:
    room = " " * (size - columns_of(text))
    return room + text if right else text + room


def _width(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1

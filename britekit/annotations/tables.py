"""A strict reader for the tables that people write by hand and save from spreadsheets."""

import csv
import itertools
import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from britekit.annotations.text_files import encoding_of
from britekit.errors import InputError, suggest

HEADING_LINES = 20
"""Number of first lines that are searched for the row of columns."""
_SPOKEN = {",": "commas", ";": "semicolons", "\t": "tabs"}

log = logging.getLogger(__name__)


def iter_rows(
    path: str | Path, required: Sequence[str], optional: Sequence[str] = (), *, closed: bool = False
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a comma-separated table, each with its row number as a spreadsheet shows it.

    The header is row 1, or the first of 20 rows that names all required columns. Columns in any order, any
    line ends, semicolons or tabs in place of commas, UTF-16 and Windows-1252 are accepted, and logged; blank
    rows are skipped; cells are text, stripped of surrounding spaces, and ``""`` where a row is short.

    Raises `InputError` if the file cannot be read or is not text, a column is missing or doubled, or a row has more
    cells than the header.

    Parameters
    ----------
    required, optional
        Column names. Optional columns that the file lacks are given as ``""``.
    closed
        True makes any column that is neither required nor optional an error; otherwise it is ignored.
    """
    path = Path(path)
    encoding, note = encoding_of(path, f"a CSV file with the columns {', '.join(required)}")
    notes = [note] if note else []
    try:
        with open(path, encoding=encoding, newline="") as stream:
            lines = _text_lines(path, stream)
            head = list(itertools.islice(lines, HEADING_LINES))
            above, separator = find_header(head, required) or (0, ",")
            notes += [f"row {number} is a heading: {shown_line(head[number - 1])}" for number in range(1, above + 1)]
            if separator != ",":
                notes.append(f"columns are separated by {_SPOKEN[separator]}")
            if notes:
                log.info("%s: %s", path, "; ".join(notes))
            # strict: otherwise a quote that is never closed would silently swallow the rest of the file
            reader = csv.reader(
                itertools.chain(head[above:], lines), strict=True, skipinitialspace=True, delimiter=separator
            )
            header = [cell.strip() for cell in next(reader, [])]
            _check_header(path, header, required, optional, closed)
            known = {*required, *optional}
            places = [(name, index) for index, name in enumerate(header) if name in known]
            blank = dict.fromkeys(optional, "")
            row = above + reader.line_num + 1
            for cells in reader:
                cells = [cell.strip() for cell in cells]
                if any(cells):
                    if any(cells[len(header) :]):
                        raise InputError(
                            f"{path}, row {row}: {len(cells)} cells, but the header names {len(header)} "
                            f"columns; put quotes around a value that contains a {_SPOKEN[separator][:-1]}"
                        )
                    found = {name: cells[index] if index < len(cells) else "" for name, index in places}
                    yield row, {**blank, **found}
                row = above + reader.line_num + 1
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not valid {encoding.upper()} text (byte {error.start})") from None
    except csv.Error as error:
        raise InputError(
            f"{path}, row {above + reader.line_num}: not valid CSV ({error}); check the quotes there"
        ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None


def _text_lines(path: Path, stream: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a text file; zero bytes, left by a damaged disk or another encoding, are refused."""
    for number, line in enumerate(stream, start=1):
        if "\0" in line:
            raise InputError(
                f"{path}, line {number}: not text, since it holds zero bytes; restore the file, or save it as UTF-8"
            )
        yield line


def find_header(lines: Sequence[str], required: Sequence[str]) -> tuple[int, str] | None:
    """Return how many lines stand above the row that names all columns, and what separates them, or None."""
    for above, line in enumerate(lines[:HEADING_LINES]):
        for separator in _SPOKEN:
            try:
                cells = next(csv.reader([line], skipinitialspace=True, delimiter=separator), [])
            except csv.Error:
                continue
            if {cell.strip() for cell in cells}.issuperset(required):
                return above, separator
    return None


def shown_line(line: str) -> str:
    """Return a line of a file for a message, in quotes, cut to 60 characters."""
    text = " ".join(line.split())
    return f'"{text[:57]}..."' if len(text) > 60 else f'"{text}"'


def has_columns(path: str | Path, required: Sequence[str]) -> bool:
    """Return whether a file is a table with a header that names all of `required`; unreadable files are not."""
    try:
        with open(path, encoding=encoding_of(path)[0], newline="") as stream:
            lines = list(itertools.islice(stream, HEADING_LINES))
    except (OSError, UnicodeDecodeError, InputError):
        return False
    return find_header(lines, required) is not None


def parse_number(text: str) -> float:
    """Read a finite decimal number; raise `ValueError` with the text for anything else, such as ``nan`` or ``1_0``."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if "_" in text or not math.isfinite(value):
        raise ValueError(text)
    return value


def _check_header(
    path: Path, header: list[str], required: Sequence[str], optional: Sequence[str], closed: bool
) -> None:
    wanted = ", ".join(required)
    if not any(header):
        raise InputError(f"{path} is empty or begins with a blank line; expected a header row with {wanted}")
    missing = [name for name in required if name not in header]
    if missing:
        hints = "".join(suggest(name, header) for name in missing)
        listed = ", ".join(f'"{name}"' for name in missing)
        found = ", ".join(name for name in header if name)
        raise InputError(f"{path} has no column {listed} (it has {found}); expected the columns {wanted}{hints}")
    doubled = sorted({name for name in (*required, *optional) if header.count(name) > 1})
    if doubled:
        raise InputError(f"{path} has the column {', '.join(doubled)} more than once; keep one of each")
    if closed:
        known = [*required, *optional]
        unknown = [name for name in header if name and name not in known]
        if unknown:
            hint = suggest(unknown[0], known)
            listed = ", ".join(f'"{name}"' for name in unknown)
            raise InputError(f"{path} has the unknown column {listed}; expected only {', '.join(known)}{hint}")

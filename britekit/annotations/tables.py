"""A strict CSV reader for the tables that people write by hand and save from spreadsheets."""

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from britekit.errors import InputError, suggest
from britekit.files import require_file


def iter_rows(
    path: str | Path, required: Sequence[str], optional: Sequence[str] = (), *, closed: bool = False
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a comma-separated table, each with its row number as a spreadsheet shows it.

    The header is row 1. A byte-order mark, any line ends and columns in any order are accepted; blank rows
    are skipped; cells are text, stripped of surrounding spaces, and ``""`` where a row is short.

    Parameters
    ----------
    path
        UTF-8 file.
    required, optional
        Column names. Optional columns that the file lacks are given as ``""``.
    closed
        True makes any column that is neither required nor optional an error; otherwise it is ignored.

    Raises
    ------
    InputError
        If the file cannot be read or is not text, a column is missing or doubled, or a row has more cells
        than the header.
    """
    path = Path(path)
    try:
        with open(require_file(path), encoding="utf-8-sig", newline="") as stream:
            # strict: otherwise a quote that is never closed would silently swallow the rest of the file
            reader = csv.reader(_text_lines(path, stream), strict=True, skipinitialspace=True)
            header = [cell.strip() for cell in next(reader, [])]
            _check_header(path, header, required, optional, closed)
            known = {*required, *optional}
            places = [(name, index) for index, name in enumerate(header) if name in known]
            blank = dict.fromkeys(optional, "")
            row = reader.line_num + 1
            for cells in reader:
                cells = [cell.strip() for cell in cells]
                if any(cells):
                    if any(cells[len(header) :]):
                        raise InputError(
                            f"{path}, row {row}: {len(cells)} cells, but the header names {len(header)} "
                            "columns; put quotes around a value that contains a comma"
                        )
                    found = {name: cells[index] if index < len(cells) else "" for name, index in places}
                    yield row, {**blank, **found}
                row = reader.line_num + 1
    except FileNotFoundError:
        raise InputError(
            f"{path} does not exist; expected a CSV file with the columns {', '.join(required)}"
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8, in a spreadsheet as "
            '"CSV UTF-8 (comma delimited)"'
        ) from None
    except csv.Error as error:
        raise InputError(
            f"{path}, row {reader.line_num}: not valid CSV ({error}); check the quotes there"
        ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None


def _text_lines(path: Path, stream: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a text file; zero bytes, left by a damaged disk or another encoding, are refused."""
    for number, line in enumerate(stream, start=1):
        if "\0" in line:
            raise InputError(
                f"{path}, line {number}: not text, since it holds zero bytes; restore the file, "
                "or save it as UTF-8"
            )
        yield line


def has_columns(path: str | Path, required: Sequence[str]) -> bool:
    """Tell whether a file is a CSV table whose header names all of `required`; unreadable files are not."""
    try:
        with open(require_file(path), encoding="utf-8-sig", newline="") as stream:
            header = {cell.strip() for cell in next(csv.reader(stream, skipinitialspace=True), [])}
    except (OSError, UnicodeDecodeError, csv.Error):
        return False
    return header.issuperset(required)


def parse_number(text: str) -> float:
    """Read a finite decimal number; raises `ValueError` for anything else, such as ``nan`` or ``1_0``."""
    value = float(text)
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
        for separator, spoken in ((";", "semicolons"), ("\t", "tabs")):
            if len(header) == 1 and separator in header[0]:
                raise InputError(
                    f"{path} is separated by {spoken}; expected commas between the columns {wanted}; "
                    "save it again as comma-separated CSV"
                )
        hints = "".join(suggest(name, header) for name in missing)
        listed = ", ".join(f'"{name}"' for name in missing)
        found = ", ".join(name for name in header if name)
        raise InputError(
            f"{path} has no column {listed} (it has {found}); expected the columns {wanted}{hints}"
        )
    doubled = sorted({name for name in (*required, *optional) if header.count(name) > 1})
    if doubled:
        raise InputError(f"{path} has the column {', '.join(doubled)} more than once; keep one of each")
    if closed:
        known = [*required, *optional]
        unknown = [name for name in header if name and name not in known]
        if unknown:
            hint = suggest(unknown[0], known)
            listed = ", ".join(f'"{name}"' for name in unknown)
            raise InputError(
                f"{path} has the unknown column {listed}; expected only {', '.join(known)}{hint}"
            )

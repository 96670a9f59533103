"""Time-expanded recordings: ultrasound stored slowed down, so that its header states a tenth or an eighth of the rate.

`AudioReader` multiplies the rate by the factor when it opens a file, so that all seconds and hertz are true ones. The
factor is, in order of precedence, that of ``--time-expansion``, of the column ``time_expansion`` in the
``recordings.csv`` of the recording's folder or of one above it, and of the field ``TE`` in its GUANO metadata.
"""

from __future__ import annotations

import csv
import logging
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from britekit.audio.files import name_key, shown
from britekit.audio.metadata import guano_text, parse_guano
from britekit.errors import InputError

log = logging.getLogger(__name__)

TABLE, COLUMN = "recordings.csv", "time_expansion"
LEAST, MOST = 0.001, 1000.0
# A table may lie at the root of a tree of sites and days.
_FOLDERS_ABOVE = 4

_TE = re.compile(r"^TE: *(.*\S)", re.MULTILINE)

_assumed: float | None = None
_tables: dict[Path, tuple[tuple[int, int], dict[str, float]]] = {}


@contextmanager
def assumed(factor: float) -> Iterator[None]:
    """Open all recordings of this process with a factor, whatever they and tables say.

    Raises
    ------
    InputError
        It is not a possible factor.
    """
    global _assumed
    before, _assumed = _assumed, _checked(factor, f"--time-expansion {factor:g}")
    try:
        yield
    finally:
        _assumed = before


def factor_of(path: Path) -> float:
    """Return by how much a recording was slowed down when it was stored; 1 for most.

    Raises
    ------
    InputError
        A table is damaged or states an impossible factor.
    """
    if _assumed is not None:
        return _assumed
    written = _written(path)
    if written is not None:
        return written
    try:
        about = os.stat(path)
    except OSError:
        return 1.0  # the caller that opens it reports that
    return _stated(path, about.st_ino, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=4096)
def _stated(path: Path, *_: int) -> float:
    """Return the factor in a file's metadata, read once as long as the file stays as it is."""
    text = guano_text(path)
    found = parse_guano(text).time_expansion if text else None
    if found is None and (stated := _TE.search(text)):
        log.warning('%s: TE "%s" in its GUANO metadata is not a factor; 1 is used', shown(path), stated[1])
    return found or 1.0


def _written(path: Path) -> float | None:
    """Return the factor in the nearest table that has one for a recording."""
    place = path.absolute()
    for folder in place.parents[: _FOLDERS_ABOVE + 1]:
        table = folder / TABLE
        try:
            about = os.stat(table)
        except OSError:
            continue
        key = about.st_mtime_ns, about.st_size
        if table not in _tables or _tables[table][0] != key:
            _tables[table] = key, _read(table)
        factors = _tables[table][1]
        below = place.relative_to(folder)
        for name in (below.as_posix(), below.with_suffix("").as_posix(), below.name, below.stem) if factors else ():
            if (found := factors.get(name_key(name))) is not None:
                return found
    return None


def _read(table: Path) -> dict[str, float]:
    """Return the factors in a table by recording; none if it has no such column."""
    found: dict[str, float] = {}
    try:
        with open(table, encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if not {"recording", COLUMN} <= set(rows.fieldnames or ()):
                return found
            for row in rows:
                text = (row[COLUMN] or "").strip()
                if not text:
                    continue
                where = f'{table}, row {rows.line_num}: {COLUMN} "{text}"'
                try:
                    factor = _checked(float(text), where)
                except ValueError:
                    raise InputError(f"{where} is not a number such as 10") from None
                name = name_key(row["recording"] or "")
                if found.setdefault(name, factor) != factor:
                    raise InputError(f'{where}: another row of "{name}" states {found[name]:g}')
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{shown(table)} cannot be read ({error})") from error
    return found


def _checked(factor: float, where: str) -> float:
    if not (math.isfinite(factor) and LEAST <= factor <= MOST):
        raise InputError(f"{where} is not a factor from {LEAST:g} to {MOST:g}; 10 means ten times slower than it was")
    return factor

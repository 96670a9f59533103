"""Read ``sources.csv``, the list of sources, and check it as a whole."""

from collections.abc import Sequence
from pathlib import Path

from britekit.annotations.classes import ClassInfo, find_class
from britekit.annotations.tables import iter_rows
from britekit.collect.offers import ANY_CLASS, SourceRow
from britekit.collect.sources import available_sources
from britekit.errors import InputError, suggest

_REQUIRED = ("class", "source", "split")
_OPTIONAL = ("query", "limit")
SPLITS = ("train", "test", "unlabelled")


def read_sources(path: Path, classes: Sequence[ClassInfo]) -> list[SourceRow]:
    """Read the list of sources; classes may be given by name, code or alternate.

    Raises `InputError` if there are unknown columns, classes, sources or splits, or invalid limits; lists all with
    their rows.
    """
    problems: list[str] = []
    rows: list[SourceRow] = []
    try:
        for _ in iter_rows(path, _REQUIRED, _OPTIONAL, closed=True):
            break
    except InputError as error:
        if "unknown column" not in str(error):
            raise
        problems.append(str(error).removeprefix(f"{path} "))
    for number, cells in iter_rows(path, _REQUIRED, _OPTIONAL):
        where = f"row {number}: "
        found = [
            _class_problem(cells["class"], classes),
            _source_problem(cells["source"]),
            _split_problem(cells["split"]),
            _limit_problem(cells["limit"]),
        ]
        bad = [problem for problem in found if problem]
        problems += [where + problem for problem in bad]
        if not bad:
            name = cells["class"]
            name = name if name == ANY_CLASS else find_class(name, classes).name
            limit = int(cells["limit"]) if cells["limit"] else None
            rows.append(SourceRow(number, name, cells["source"], cells["query"], limit, cells["split"]))
    if problems:
        raise InputError(f"{path}: {'; '.join(problems)}")
    if not rows:
        raise InputError(f"{path} lists no source; expected rows of class, source, query, limit and split")
    return rows


def project_of(path: Path) -> Path:
    """Return the base of relative queries: the parent of the list's ``data`` folder, else the list's folder."""
    folder = path.absolute().parent
    return folder.parent if folder.name == "data" else folder


def _class_problem(name: str, classes: Sequence[ClassInfo]) -> str:
    if name == ANY_CLASS:
        return ""
    try:
        find_class(name, classes)
    except InputError as error:
        return str(error)
    return ""


def _source_problem(name: str) -> str:
    known = available_sources()
    if name in known:
        return ""
    listed = ", ".join(known)
    return f'source "{name}" is unknown; available are {listed}{suggest(name, known)}'


def _split_problem(name: str) -> str:
    return "" if name in SPLITS else f'split "{name}" is unknown; expected {", ".join(SPLITS[:-1])} or {SPLITS[-1]}'


def _limit_problem(text: str) -> str:
    if not text or (text.isascii() and text.isdigit() and int(text) > 0):
        return ""
    return f'limit "{text}" is not a positive whole number; leave it empty for no limit'

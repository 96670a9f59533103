"""Annotations of block and recording granularity: which classes are heard in a block, or in a recording."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from britekit.annotations.classes import map_name
from britekit.annotations.names import RecordingNames
from britekit.annotations.segments import COLUMNS as SEGMENT_COLUMNS
from britekit.annotations.tables import has_columns, iter_rows
from britekit.errors import InputError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ListedClasses:
    """A person's list of the classes heard in one unit."""

    recording: str
    """Stem of the file."""
    block: int
    """Number of the block, the first is 1; 0 where the unit is the whole recording."""
    labels: tuple[str, ...]
    """Classes heard, each once; none says that nothing is heard."""
    row: int
    """Row in the file, for messages."""
    file: str
    """That file, for messages."""

    @property
    def where(self) -> str:
        """``file, row n``, for messages."""
        return f"{self.file}, row {self.row}"


def read_block_annotations(
    path: str | Path, map_codes: Mapping[str, str] | None = None, known: Iterable[str] = ()
) -> list[ListedClasses]:
    """Read annotations per block from a CSV with the columns recording, block (or minute), classes.

    Raises `InputError` if columns are missing, a block is not a whole number from 1 on, or two rows contradict each
    other about a block.

    Parameters
    ----------
    path
        The table; ``classes`` is a list separated by commas, in quotes, and may be empty.
    map_codes
        Old label to new (`misc.map_codes`).
    known
        Names of recordings, without extension, that may be meant besides those beside the table.
    """
    column = "minute" if has_columns(path, ("recording", "minute", "classes")) else "block"
    if column == "minute" and has_columns(path, ("block",)):
        raise InputError(f"{path} has both a column block and a column minute; keep one of them")
    return _without_repetition(path, _listed(path, column, map_codes, known), "block")


def read_recording_annotations(
    path: str | Path, map_codes: Mapping[str, str] | None = None, known: Iterable[str] = ()
) -> list[ListedClasses]:
    """Read annotations per recording from a CSV with the columns recording, classes.

    Raises `InputError` if columns are missing, or two rows contradict each other about a recording.
    """
    return _without_repetition(path, _listed(path, None, map_codes, known), "recording")


def _listed(
    path: str | Path, column: str | None, map_codes: Mapping[str, str] | None, known: Iterable[str]
) -> Iterator[ListedClasses]:
    wanted = ["recording", *([column] if column else []), "classes"]
    if has_columns(path, SEGMENT_COLUMNS) and not has_columns(path, wanted):
        raise InputError(
            f"{path} has annotations per segment ({', '.join(SEGMENT_COLUMNS)}); expected the columns "
            f"{', '.join(wanted)}; test per segment, or list the classes of each {column or 'recording'}"
        )
    names = RecordingNames.beside(Path(path))
    for name in known:
        names.add(name)
    for row, cells in iter_rows(path, wanted):
        recording = names.named(cells["recording"])
        if not recording:
            raise InputError(f"{path}, row {row}: the recording is empty")
        block = 0
        if column:
            text = cells[column]
            # 3.0 is what spreadsheets make of a 3
            whole = text.removesuffix(".0")
            if not whole.isdecimal() or int(whole) < 1:
                raise InputError(f'{path}, row {row}: {column} is "{text}"; expected a whole number, 1 for the first')
            block = int(whole)
        labels = [map_name(label.strip(), map_codes) for label in cells["classes"].split(",")]
        yield ListedClasses(recording, block, tuple(dict.fromkeys(filter(None, labels))), row, str(path))


def _without_repetition(path: str | Path, rows: Iterator[ListedClasses], what: str) -> list[ListedClasses]:
    kept: dict[tuple[str, int], ListedClasses] = {}
    repeated = []
    for item in rows:
        first = kept.setdefault((item.recording, item.block), item)
        if first is item:
            continue
        if set(first.labels) != set(item.labels):
            unit = f'recording "{item.recording}"' + (f", {what} {item.block}" if item.block else "")
            raise InputError(f"{path}: rows {first.row} and {item.row} list different classes for {unit}")
        repeated.append(item.row)
    if repeated:
        shown = ", ".join(map(str, repeated[:5])) + (", …" if repeated[5:] else "")
        log.warning("%s: %d rows repeat a %s and count once (rows %s)", path, len(repeated), what, shown)
    return list(kept.values())

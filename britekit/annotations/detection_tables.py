"""Tables of ``analyze --rtype detections`` and ``detections-parquet``, read by columns: ten million rows in seconds."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from britekit.errors import InputError

if TYPE_CHECKING:
    import pyarrow

NAMES = ("detections.parquet", "detections.csv")
_NUMBERS = ("start", "end", "score")
_ROWS = 1 << 18


def find_detections(directory: Path) -> Path | None:
    """Return the table of detections in an output folder, None if there is none."""
    return next((directory / name for name in NAMES if (directory / name).is_file()), None)


def read_batches(path: Path, name_column: str, channels: bool = False) -> Iterator[tuple[Any, ...]]:
    """Yield recordings, names, starts, ends and scores of rows, many at a time.

    Raises `InputError` if the table cannot be read, or a value in it is impossible.

    Parameters
    ----------
    path
        One of `NAMES`.
    name_column
        ``class`` or ``code``: what a label calls a class. A class without code has its name.
    channels
        Also yield the channel of each row, (rows,) int32, 0 where the table names none.

    Yields
    ------
    tuple
        Texts and (rows,) indexes into them, twice; start and end (rows,) float64 in seconds; score (rows,) float32.
    """
    import pyarrow

    columns = list(dict.fromkeys(("recording", "class", name_column)))
    read = _of_parquet if path.suffix == ".parquet" else _of_csv
    row = 1
    try:
        channels = channels and _has_channel(path)
        for batch in read(path, columns, channels):
            values = {name: batch.column(name).to_numpy(zero_copy_only=False) for name in _NUMBERS}
            _check(path, row, values)
            named = _indexed(batch.column(name_column))
            if name_column != "class":
                named = _filled(named, _indexed(batch.column("class")))
            start, end, score = values.values()
            found: tuple[Any, ...] = (
                *_indexed(batch.column("recording")),
                *named,
                start,
                end,
                score.astype(np.float32),
            )
            if channels:
                found = (*found, batch.column("channel").fill_null(0).to_numpy(zero_copy_only=False))
            yield found
            row += len(start)
    except (pyarrow.ArrowInvalid, KeyError, OSError) as error:
        raise InputError(f"{path} cannot be read as a table of detections: {error}") from error


def _has_channel(path: Path) -> bool:
    """Return whether a table has a column ``channel``; those of version 1 do not."""
    from pyarrow import parquet

    if path.suffix == ".parquet":
        return "channel" in parquet.read_schema(path).names
    with open(path, encoding="utf-8-sig", newline="") as file:
        return "channel" in next(csv.reader(file), [])


def _of_parquet(path: Path, texts: list[str], channels: bool) -> Iterator[pyarrow.RecordBatch]:
    from pyarrow import parquet

    with parquet.ParquetFile(path, read_dictionary=texts) as file:
        yield from file.iter_batches(_ROWS, columns=[*texts, *_NUMBERS, *(["channel"] if channels else [])])


def _of_csv(path: Path, texts: list[str], channels: bool) -> Iterator[pyarrow.RecordBatch]:
    import pyarrow
    from pyarrow import csv as tables

    text = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    types = {**dict.fromkeys(texts, text), **dict.fromkeys(_NUMBERS, pyarrow.float64())}
    types |= {"channel": pyarrow.int32()} if channels else {}
    convert = tables.ConvertOptions(column_types=types, include_columns=list(types), strings_can_be_null=False)
    # Names of recordings may hold line breaks.
    parse = tables.ParseOptions(newlines_in_values=True)
    with tables.open_csv(path, tables.ReadOptions(block_size=1 << 23), parse, convert) as file:
        yield from file


def _check(path: Path, row: int, values: dict[str, NDArray[np.float64]]) -> None:
    start, end, score = values.values()
    # Not a number is none of them.
    good = (start >= 0) & (end >= start) & (score >= 0) & (score <= 1)
    if not good.all():
        at = int(np.argmin(good))
        raise InputError(
            f"{path}, row {row + at + 1}: start {start[at]:g}, end {end[at]:g}, score {score[at]:g}; "
            "expected 0 <= start <= end and a score from 0 to 1"
        )


def _indexed(column: Any) -> tuple[list[str], NDArray[np.int32]]:
    """Return the texts of a column and the index of each row's; nothing is an empty text."""
    indices = column.indices
    texts = column.dictionary.to_pylist()
    if indices.null_count:
        indices = indices.fill_null(len(texts))
        texts.append("")
    return [text or "" for text in texts], indices.to_numpy(zero_copy_only=False)


def _filled(
    first: tuple[list[str], NDArray[np.int32]], other: tuple[list[str], NDArray[np.int32]]
) -> tuple[list[str], NDArray[np.int32]]:
    """Return one column with the other's texts where its own are empty."""
    texts, index = first
    empty = np.array([not text for text in texts], bool)[index] if len(index) else np.zeros(0, bool)
    if not empty.any():
        return first
    return [*texts, *other[0]], np.where(empty, other[1] + len(texts), index).astype(np.int32)

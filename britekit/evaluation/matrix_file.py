"""Write tables as CSV, and truth and score matrices at millions of cells per second.

Formatting numbers one by one takes a minute for five million cells. Scores have three decimals, so there are only 1001
strings of equal width, and a line is a lookup.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from britekit.files import atomic_path, csv_text, write_csv, write_text

_SCORE_TEXTS = np.array([list(f",{k / 1000:.3f}".encode()) for k in range(1001)], dtype=np.uint8)
_TRUTH_TEXTS = np.array([list(b",0"), list(b",1")], dtype=np.uint8)
_BLOCK = 4096


def write_score_matrix(
    path: str | Path, row_names: Sequence[str], columns: Sequence[str], values_NC: NDArray[np.floating]
) -> None:
    """Write scores from 0 to 1 with three decimals, one line per row, with its name in the first, unnamed column."""
    _write(path, row_names, columns, values_NC, lambda block: np.rint(block * 1000).astype(np.int64), _SCORE_TEXTS)


def write_truth_matrix(
    path: str | Path, row_names: Sequence[str], columns: Sequence[str], truth_NC: NDArray[np.bool_]
) -> None:
    """Write truth as 0 and 1, in the layout of the scores."""
    _write(path, row_names, columns, truth_NC, lambda block: block.astype(np.int64), _TRUTH_TEXTS)


def csv_line(cells: Sequence[object]) -> str:
    """Return cells as one line of CSV, quoted where needed, with a line end."""
    return csv_text([cells])


def write_table(path: Path, rows: Iterable[Sequence[object]]) -> Path:
    """Write rows of cells, the header first."""
    write_csv(path, rows)
    return path


def write_columns(path: Path, columns: Mapping[str, NDArray[np.floating]], decimals: int = 3) -> Path:
    """Write columns of numbers; lines that are equal after rounding are written once."""
    template = ",".join(f"%.{decimals}f" for _ in columns)
    # + 0.0 turns negative zero into positive zero
    lines = [template % values for values in zip(*(np.round(c, decimals) + 0.0 for c in columns.values()), strict=True)]
    write_text(path, "\n".join([csv_line(list(columns)).rstrip("\n"), *dict.fromkeys(lines)]) + "\n")
    return path


def _write(path, row_names, columns, matrix, index, texts) -> None:  # type: ignore[no-untyped-def]
    # Quoting is slow, and names that need it are rare.
    plain = not any(letter in name for name in row_names for letter in ',"\n\r')
    names = row_names if plain else [csv_line([name]).removesuffix("\n") for name in row_names]
    with atomic_path(path) as partial, open(partial, "wb") as file:
        file.write(csv_line(["", *columns]).encode())
        for first in range(0, len(names), _BLOCK):
            block = texts[index(matrix[first : first + _BLOCK])]
            lines = zip(names[first : first + _BLOCK], block, strict=True)
            file.write(b"".join(name.encode() + line.tobytes() + b"\n" for name, line in lines))

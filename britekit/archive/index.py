"""An index of an archive of more than a million windows, by usearch (HNSW).

It is made from the vectors, so it can be removed at any time; it grows with the archive.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from britekit.archive.store import Archive
from britekit.files import atomic_path
from britekit.processes import available_cores
from britekit.progress import Meter

logger = logging.getLogger(__name__)

INDEX = "index.usearch"
# Up to so many windows are compared one by one, which takes less than a second.
EXACT_ROWS = 1_000_000
_EXTRA = 'pip install "britekit[index]"'
# Neighbours that are asked for at least, of which the best are chosen exactly.
_ASKED = 1000
_AT_ONCE = 100_000


def has_usearch() -> bool:
    """Tell whether usearch is installed."""
    return importlib.util.find_spec("usearch") is not None


def grow_index(archive: Archive) -> bool:
    """Add the rows that the index of a large archive lacks; return whether there is a whole index now."""
    if archive.rows <= EXACT_ROWS:
        return False
    if not has_usearch():
        logger.warning(
            "%s holds %d windows; with usearch (%s) an index would make searches faster",
            archive.folder,
            archive.rows,
            _EXTRA,
        )
        return False
    path = archive.folder / INDEX
    index = _load(archive, view=False) or _new(archive)
    if len(index) < archive.rows:
        meter = Meter(archive.rows - len(index), "index")
        try:
            for first in range(len(index), archive.rows, _AT_ONCE):
                last = min(first + _AT_ONCE, archive.rows)
                index.add(
                    np.arange(first, last, dtype=np.uint64),
                    np.asarray(archive.vectors[first:last]),
                    threads=available_cores(),
                )
                meter.advance(last - first)
            meter.finish()
        finally:
            meter.close()
        with atomic_path(path) as partial:
            index.save(os.fspath(partial))
    return True


def candidates(archive: Archive, wanted_KF: NDArray[np.float64], most: int) -> NDArray[np.int64] | None:
    """Return rows among which the nearest to examples probably are; None: compare every row.

    Rows that the index lacks are among them.
    """
    if archive.rows <= EXACT_ROWS:
        return None
    index = _load(archive, view=True) if has_usearch() else None
    if index is None:
        logger.info('%d windows are compared one by one; "britekit embed --archive" makes an index', archive.rows)
        return None
    count = min(max(_ASKED, 4 * most), len(index))
    found = [index.search(example.astype(np.float16), count).keys.astype(np.int64) for example in wanted_KF]
    return np.unique(np.concatenate([*found, np.arange(len(index), archive.rows)]))


def _new(archive: Archive) -> Any:
    from usearch.index import Index  # type: ignore[import-not-found,unused-ignore]

    return Index(ndim=archive.width, metric="cos", dtype="f16")


def _load(archive: Archive, view: bool) -> Any:
    """Return the index that is there, None if there is none that can be used."""
    path = archive.folder / INDEX
    if not path.is_file():
        return None
    index = _new(archive)
    try:
        (index.view if view else index.load)(os.fspath(path))
    except (RuntimeError, ValueError) as error:
        logger.warning('%s cannot be used (%s); it is made again by "britekit embed --archive"', path, error)
        return None
    return index if len(index) <= archive.rows and index.ndim == archive.width else None

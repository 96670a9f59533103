"""Searches of more than a million windows, by usearch where it is installed.

Its kernels compare 16-bit vectors two to four times as fast as numpy can, so every window is still compared. A graph
(HNSW) was measured and not taken: on two busy cores it took 584 s to build for 100,000 windows of 512 numbers,
and an archive of a million is searched in less than a second without one.
"""

from __future__ import annotations

import importlib.util
import logging

import numpy as np
from numpy.typing import NDArray

from britekit.archive.store import Archive
from britekit.processes import available_cores

log = logging.getLogger(__name__)

# Up to so many windows are compared by numpy, which takes less than a second.
EXACT_ROWS = 1_000_000
_EXTRA = 'pip install "britekit[index]"'
# More than are wanted, since 16-bit products round; the best of them are then chosen in double precision.
_MORE = 200


def candidates(archive: Archive, wanted_KF: NDArray[np.float64], most: int) -> NDArray[np.int64] | None:
    """Return rows among which the nearest to examples are; None: compare every row in float32."""
    if archive.rows <= EXACT_ROWS:
        return None
    if importlib.util.find_spec("usearch") is None:
        log.info("%d windows take some seconds; usearch (%s) is faster", archive.rows, _EXTRA)
        return None
    from usearch.index import MetricKind, search

    outdated = int(np.count_nonzero(~archive.live))
    count = min(2 * most + _MORE + outdated, archive.rows)
    cores = available_cores()
    found = search(archive.vectors, wanted_KF.astype(np.float16), count, MetricKind.Cos, exact=True, threads=cores).keys
    return np.unique(np.asarray(found).astype(np.int64))

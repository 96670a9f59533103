"""The windows of an archive that are most like examples, each compared with every one.

A first pass in float32 reads all vectors once; whatever may be among the best is then decided in float64. So
the answer is that of comparing every pair in double precision.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from britekit.archive.index import candidates
from britekit.archive.store import Archive
from britekit.errors import InputError
from britekit.processes import available_cores

logger = logging.getLogger(__name__)

# 2 MB of 512 numbers in float32: the fastest of 128 to 2,048 rows.
_BLOCK = 1024
# Between float32 and float64 cosines of some thousand numbers lie 1e-6 at most.
_SLACK = 2e-5
_REFINED_AT_ONCE = 1 << 12


@dataclass(frozen=True)
class Found:
    """Windows like the examples, the most similar first."""

    rows: NDArray[np.int64]
    similarity: NDArray[np.float64]
    """float64 (M,), the largest cosine with any example."""
    nearer_to_not: int
    """How many windows were left out because they are nearer to an example of what is not wanted."""


def find_similar(
    archive: Archive,
    wanted_KF: NDArray[np.float32],
    not_wanted_KF: NDArray[np.float32] | None = None,
    most: int = 100,
    exact: bool | None = None,
) -> Found:
    """Return the windows most like any of the wanted examples.

    Parameters
    ----------
    wanted_KF, not_wanted_KF
        Vectors of examples. A window that is at least as near to one of those not wanted is left out.
    most
        Most windows.
    exact
        Compare in float32 and double precision alone; None lets usearch choose candidates beyond a million windows.

    Raises
    ------
    InputError
        Examples of another width, an example without direction, or an archive without windows.
    """
    if most < 1:
        raise InputError(f"--num {most}: expected 1 or more")
    if not archive.live.any():
        raise InputError(f'{archive.folder} contains no window; add recordings with "britekit embed --archive"')
    wanted = _units(wanted_KF, archive.width)
    others = _units(not_wanted_KF, archive.width) if not_wanted_KF is not None and len(not_wanted_KF) else None
    # Examples of what is not wanted may exclude any number of the nearest.
    rows = None if exact or others is not None else candidates(archive, wanted, most)
    if rows is None:
        return _among_all(archive, wanted, others, most)
    return _best(archive, rows[archive.live[rows]], wanted, None, most, 0)


def _among_all(archive: Archive, wanted: NDArray[np.float64], others: NDArray[np.float64] | None, most: int) -> Found:
    near = _largest_cosines(archive, wanted)
    # Bits that are not a number come out as a large one.
    if (wrong := np.flatnonzero(~(np.abs(near) < 1.01) & archive.live)).size:
        archive.refuse_row(int(wrong[0]))
    near[~archive.live] = -np.inf
    margin = np.full(len(near), np.inf, np.float32) if others is None else near - _largest_cosines(archive, others)
    sure = near[margin > _SLACK]
    limit = float(np.partition(sure, len(sure) - most)[len(sure) - most]) if len(sure) > most else -2.0
    rows = np.flatnonzero((near >= limit - _SLACK) & (margin > -_SLACK) & archive.live)
    left_out = int(np.count_nonzero((margin <= 0) & archive.live)) if others is not None else 0
    return _best(archive, rows, wanted, others, most, left_out)


def _best(
    archive: Archive,
    rows: NDArray[np.int64],
    wanted: NDArray[np.float64],
    others: NDArray[np.float64] | None,
    most: int,
    left_out: int,
) -> Found:
    """Return the best of some rows, compared in float64; equal ones in the order of the archive."""
    similarity, kept = np.empty(len(rows)), np.ones(len(rows), bool)
    for first in range(0, len(rows), _REFINED_AT_ONCE):
        part = slice(first, first + _REFINED_AT_ONCE)
        units = _normalized(archive.take(rows[part]).astype(np.float64))
        similarity[part] = (units @ wanted.T).max(axis=1)
        if others is not None:
            kept[part] = similarity[part] > (units @ others.T).max(axis=1)
    rows, similarity = rows[kept], similarity[kept]
    order = np.lexsort((rows, -similarity))[:most]
    return Found(rows[order], similarity[order], left_out)


def _largest_cosines(archive: Archive, examples_KF: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the largest cosine of each row with any example, float32 (N,).

    Halves become singles by moving bits: numpy's own conversion takes six times as long (1.9 s against 0.3 for
    a million rows of 512). The exponent's bias differs by 112, which the examples make up for.
    """
    halves = archive.vectors.view("<i2")
    columns = np.ascontiguousarray((examples_KF * 2.0**112).T, np.float32)
    norms, result = archive.norms, np.empty(archive.rows, np.float32)

    def work(bounds: tuple[int, int]) -> None:
        bits = np.empty((_BLOCK, archive.width), np.int32)
        for first in range(*bounds, _BLOCK):
            last = min(first + _BLOCK, bounds[1])
            block = bits[: last - first]
            np.copyto(block, halves[first:last])
            np.left_shift(block, 13, out=block)
            np.bitwise_and(block, np.int32(-0x70000001), out=block)
            np.max(block.view(np.float32) @ columns, axis=1, out=result[first:last])
        part = slice(*bounds)
        np.divide(result[part], norms[part], out=result[part], where=norms[part] > 0)

    cores = available_cores()
    cuts = np.linspace(0, archive.rows, cores + 1).astype(int).tolist()
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(work, zip(cuts[:-1], cuts[1:], strict=True)))
    return result


def _units(vectors_KF: NDArray[np.float32], width: int) -> NDArray[np.float64]:
    vectors = np.atleast_2d(np.asarray(vectors_KF, np.float64))
    if vectors.shape[1] != width:
        raise InputError(f"examples have {vectors.shape[1]} numbers, the archive {width}: another model made them")
    if not np.linalg.norm(vectors, axis=1).all():
        raise InputError("an example is all zeros for the model (silence, perhaps), so nothing is like it")
    return _normalized(vectors)


def _normalized(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)

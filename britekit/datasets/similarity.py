"""Exact cosine over one matrix of embeddings: what is near a target, and which rows are near each other.

Products are taken in float32, a block at a time; whatever comes near a limit is then decided in float64. So
the answers are those of comparing every pair in double precision.

Legend: N rows, F numbers of an embedding, K targets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Between float32 and float64 cosines of some thousand numbers lie 1e-6 at most.
_SLACK = 2e-5
_BLOCK = 4096
# 65 MB of 1,000 numbers; eight times as many take as long, and 300 MB more.
_REFINED_AT_ONCE = 1 << 12


@dataclass(frozen=True)
class Neighbors:
    """Rows near a target, the nearest first; equal ones in the order of the rows."""

    rows: NDArray[np.int64]
    """Int64 (M,)."""
    distances: NDArray[np.float64]
    """Float64 (M,), 1 - cosine."""


class EmbeddingMatrix:
    """Embeddings, normalized once.

    Parameters
    ----------
    vectors_NF
        float32. A vector of zeros has no direction; its distance from every other is 1.
    """

    def __init__(self, vectors_NF: NDArray[np.float32]) -> None:
        self._vectors = np.ascontiguousarray(vectors_NF, np.float32)
        self._norms = _norms(self._vectors)
        # Computed in float64 and rounded once, so that the slack above holds.
        scale = np.divide(1.0, self._norms, out=np.zeros_like(self._norms), where=self._norms > 0)
        self._units = np.empty_like(self._vectors)
        for first in range(0, len(self._vectors), _BLOCK):
            part = slice(first, first + _BLOCK)
            self._units[part] = self._vectors[part] * scale[part, None]

    def __len__(self) -> int:
        return len(self._vectors)

    def search(self, targets_KF: NDArray[np.floating], max_dist: float, most: int | None = None) -> list[Neighbors]:
        """Return, for each target, the rows at most ``max_dist`` away, at most ``most`` of them."""
        targets = np.asarray(targets_KF, np.float64)
        norms = _norms(targets)
        units = np.divide(targets, norms[:, None], out=np.zeros_like(targets), where=norms[:, None] > 0)
        near = np.empty((len(targets), len(self)), np.float32)
        columns = units.T.astype(np.float32)
        for first in range(0, len(self), _BLOCK):
            near[:, first : first + _BLOCK] = (self._units[first : first + _BLOCK] @ columns).T
        return [self._refined(unit, cosines, max_dist, most) for unit, cosines in zip(units, near, strict=True)]

    def _refined(
        self, unit: NDArray[np.float64], cosines: NDArray[np.float32], max_dist: float, most: int | None
    ) -> Neighbors:
        limit = 1.0 - max_dist - _SLACK
        if most is not None and most < len(cosines):
            place = len(cosines) - max(most, 1)
            limit = max(limit, float(np.partition(cosines, place)[place]) - 2 * _SLACK)
        rows = np.flatnonzero(cosines >= limit)
        distances = 1.0 - np.concatenate(
            [self._exact(part) @ unit for part in np.array_split(rows, max(1, -(-len(rows) // _REFINED_AT_ONCE)))]
        )
        inside = distances <= max_dist
        rows, distances = rows[inside], distances[inside]
        order = np.lexsort((rows, distances))[:most]
        return Neighbors(rows[order], distances[order])

    def _exact(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return unit vectors of rows in float64."""
        norms = self._norms[rows][:, None]
        vectors = self._vectors[rows].astype(np.float64)
        return np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)

    def cosines(self, first_M: NDArray[np.int64], second_M: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the cosine of each pair of rows, float64 (M,)."""
        result = np.empty(len(first_M))
        for start in range(0, len(first_M), _REFINED_AT_ONCE):
            part = slice(start, start + _REFINED_AT_ONCE)
            result[part] = np.einsum("mf,mf->m", self._exact(first_M[part]), self._exact(second_M[part]))
        return result

    def pairs(
        self, least: float, reach: NDArray[np.int64] | None = None
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]]:
        """Yield pairs of rows i < j whose cosine is at least ``least``, with it, some blocks at a time.

        Parameters
        ----------
        least
            Smallest cosine.
        reach
            (N,) ascending; row i is compared with rows below ``reach[i]`` only. Default: with all.
        """
        count = len(self)
        for top in range(0, count, _BLOCK):
            bottom = min(top + _BLOCK, count)
            end = count if reach is None else int(reach[top:bottom].max(initial=top))
            for left in range(top, end, _BLOCK):
                right = min(left + _BLOCK, end)
                near = self._units[top:bottom] @ self._units[left:right].T
                rows, columns = np.nonzero(near >= least - _SLACK)
                first, second = rows + top, columns + left
                wanted = first < second
                if reach is not None:
                    wanted &= second < reach[first]
                first, second = first[wanted], second[wanted]
                cosines = self.cosines(first, second)
                kept = cosines >= least
                if kept.any():
                    yield first[kept], second[kept], cosines[kept]


def _norms(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.sqrt(np.einsum("nf,nf->n", vectors, vectors, dtype=np.float64))

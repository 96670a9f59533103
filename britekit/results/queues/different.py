"""Most different from what was heard, by the embeddings of an archive: every kind of sound once."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from britekit.archive.nearest import WindowFinder
from britekit.archive.store import Archive
from britekit.errors import InputError
from britekit.results.candidates import Candidates
from britekit.results.queues import Drawn

log = logging.getLogger(__name__)

SUMMARY = "most different from what was heard, by the embeddings of an archive (--archive)"
MERGE = False
NEEDS_ARCHIVE = True
_MOST = 20_000  # detections of a class that are compared; more are thinned at random


def draw(candidates: Candidates, num: int | None, rng: np.random.Generator) -> list[Drawn]:
    """Return ``num`` of each class: each the one least like those heard before and those already drawn.

    The distance is one minus the cosine (Gonzalez, Theoretical Computer Science 38, 1985: farthest-first). Where
    nothing of a class was heard, its highest score comes first.
    """
    if candidates.archive is None:
        raise InputError(
            "the queue different compares embeddings, and there are none: make them with `britekit embed -i RECORDINGS "
            "--archive DIR`, and name the folder with --archive"
        )
    vectors = _Vectors(candidates, Archive(candidates.archive))
    drawn: list[tuple[int, int]] = []
    for _, part in candidates.by_class():
        known = np.zeros(len(part), bool) if candidates.heard_M is None else candidates.heard_M[part]
        open_, heard = part[~known], part[known]
        if len(open_) > _MOST:
            name = candidates.names[candidates.name_M[open_[0]]]
            log.warning("%s: %d of %d detections are compared, drawn at random (--seed)", name, _MOST, len(open_))
            open_ = np.sort(rng.choice(open_, _MOST, replace=False))
        chosen = _farthest_first(vectors.of(open_), vectors.of(heard), candidates.score_M[open_], num)
        drawn += [(rank, int(open_[place])) for rank, place in enumerate(chosen)]
    return [Drawn(index, "different") for _, index in sorted(drawn)]


def _farthest_first(
    open_NF: NDArray[np.float32], heard_KF: NDArray[np.float32], score_N: NDArray[np.float64], num: int | None
) -> list[int]:
    """Return rows in the order in which they are least like what came before."""
    near = np.full(len(open_NF), -np.inf)
    for first in range(0, len(heard_KF), 1000):
        near = np.maximum(near, (open_NF @ heard_KF[first : first + 1000].T).max(axis=1))
    chosen: list[int] = []
    for _ in range(len(open_NF) if num is None else min(num, len(open_NF))):
        place = int(np.argmin(near)) if np.isfinite(near).any() else int(np.argmax(score_N))
        chosen.append(place)
        near = np.maximum(near, open_NF @ open_NF[place])
        near[chosen] = np.inf
    return chosen


class _Vectors:
    """The embedding of each detection: that of the window whose middle lies nearest to its own."""

    def __init__(self, candidates: Candidates, archive: Archive) -> None:
        self._candidates, self._archive = candidates, archive
        self._finder = WindowFinder(candidates.recordings, archive, candidates.recording_M)

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return (n, F) vectors of length 1."""
        chosen = self._candidates.take(rows)
        found = self._archive.take(self._finder.rows(chosen.recording_M, chosen.start_M, chosen.end_M))
        length = np.linalg.norm(found, axis=1, keepdims=True)
        return np.asarray(found / np.maximum(length, 1e-12), np.float32)

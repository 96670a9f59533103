"""Scores nearest to 0.5 first, one of each recording before a second one: what a recognizer learns most from."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from britekit.results.candidates import Candidates
from britekit.results.queues import Drawn

SUMMARY = "scores nearest to 0.5 first, from as many recordings as possible"
MERGE = False


def draw(candidates: Candidates, num: int | None, rng: np.random.Generator) -> list[Drawn]:
    """Return ``num`` of each class: the least certain of each recording, then each one's second, and so on."""
    chosen: list[tuple[int, float, int]] = []
    distance = np.abs(candidates.score_M - 0.5)
    for _, part in candidates.by_class():
        order = part[np.argsort(distance[part], kind="stable")]
        turn = _turns(candidates.recording_M[order])
        first = np.argsort(turn, kind="stable")[: len(order) if num is None else num]
        chosen += [(int(turn[place]), float(distance[order[place]]), int(order[place])) for place in first]
    return [Drawn(index, "uncertain") for _, _, index in sorted(chosen)]


def _turns(recording_M: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return how many of the same recording come before each."""
    seen: Counter[int] = Counter()
    turns = np.empty(len(recording_M), np.int64)
    for place, recording in enumerate(recording_M.tolist()):
        turns[place] = seen[recording]
        seen[recording] += 1
    return turns

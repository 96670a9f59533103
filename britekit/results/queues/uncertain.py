"""Scores nearest to 0.5 first: what a recognizer learns most from."""

import numpy as np

from britekit.results.candidates import Candidates
from britekit.results.queues import Drawn

SUMMARY = "scores nearest to 0.5 first"


def draw(candidates: Candidates, num: int | None, rng: np.random.Generator) -> list[Drawn]:
    """Return ``num`` of each class, least certain first over all classes."""
    chosen: list[int] = []
    distance = np.abs(candidates.score_M - 0.5)
    for _, part in candidates.by_class():
        order = part[np.argsort(distance[part], kind="stable")]
        chosen += order[: len(order) if num is None else num].tolist()
    return [Drawn(index, "uncertain") for index in sorted(chosen, key=lambda index: (distance[index], index))]

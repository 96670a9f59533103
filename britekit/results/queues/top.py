"""The highest scores first."""

import numpy as np

from britekit.results.candidates import Candidates
from britekit.results.queues import Drawn

SUMMARY = "the highest scores of each class first"


def draw(candidates: Candidates, num: int | None, rng: np.random.Generator) -> list[Drawn]:
    """Return the ``num`` highest of each class, class by class."""
    drawn = []
    for _, part in candidates.by_class():
        order = part[np.argsort(-candidates.score_M[part], kind="stable")]
        drawn += [Drawn(int(index), "top") for index in order[: len(order) if num is None else num]]
    return drawn

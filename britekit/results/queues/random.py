"""A simple random sample of each class."""

import numpy as np

from britekit.results.candidates import Candidates
from britekit.results.queues import Drawn

SUMMARY = "a random sample of each class"


def draw(candidates: Candidates, num: int | None, rng: np.random.Generator) -> list[Drawn]:
    """Return ``num`` of each class, shuffled."""
    drawn = []
    for _, part in candidates.by_class():
        size = len(part) if num is None else min(num, len(part))
        drawn += [Drawn(int(index), "all", size / len(part)) for index in rng.choice(part, size, replace=False)]
    return [drawn[place] for place in rng.permutation(len(drawn))]

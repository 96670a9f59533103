"""Every detection."""

import numpy as np

from britekit.results.candidates import Candidates
from britekit.results.queues import Drawn

SUMMARY = "every detection, by recording and time"


def draw(candidates: Candidates, num: int | None, rng: np.random.Generator) -> list[Drawn]:
    """Return all of them, or the first ``num`` of each class."""
    limit = len(candidates) if num is None else num
    chosen = sorted(int(index) for _, part in candidates.by_class() for index in part[:limit])
    share = 1.0 if num is None else None
    return [Drawn(index, "all", share) for index in chosen]

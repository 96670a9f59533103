"""Is a class present at a site on a day? The highest scores first, until one is confirmed."""

from collections import defaultdict

import numpy as np

from britekit.results.candidates import Candidates
from britekit.results.queues import Drawn
from britekit.results.queues.site_day import site_and_day

SUMMARY = "per class, site and day the highest scores first, until one is confirmed"
# A review skips the other detections of a stratum once one of them was confirmed.
UNTIL_CONFIRMED = True


def draw(candidates: Candidates, num: int | None, rng: np.random.Generator) -> list[Drawn]:
    """Return at most ``num`` of each class, site and day: all first choices, then all second ones."""
    ranked: list[tuple[int, str, int]] = []
    for name, part in candidates.by_class():
        groups: dict[str, list[int]] = defaultdict(list)
        for index in part[np.argsort(-candidates.score_M[part], kind="stable")]:
            groups[site_and_day(candidates, int(index))].append(int(index))
        for stratum, members in groups.items():
            limit = len(members) if num is None else num
            ranked += [(rank, f"{name} {stratum}", index) for rank, index in enumerate(members[:limit])]
    return [Drawn(index, stratum) for _, stratum, index in sorted(ranked)]

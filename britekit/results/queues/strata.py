"""Bands of score, the same number from each: what precision at every threshold is estimated from."""

import numpy as np

from britekit.results.candidates import Candidates
from britekit.results.queues import Drawn

SUMMARY = "the same number from each band of score"
BANDS = 5


def draw(candidates: Candidates, num: int | None, rng: np.random.Generator) -> list[Drawn]:
    """Return ``num`` of each class from five bands of equal width between its extreme scores, shuffled.

    What a band cannot give, since it holds fewer, the others give; each gives at least one.
    """
    drawn: list[Drawn] = []
    for _, part in candidates.by_class():
        score = candidates.score_M[part]
        edges = np.linspace(score.min(), score.max(), BANDS + 1)
        band = np.clip(np.searchsorted(edges[1:-1], score, side="right"), 0, BANDS - 1)
        sizes = np.bincount(band, minlength=BANDS)
        for number, size in enumerate(spread(sizes, len(part) if num is None else num)):
            members = part[band == number]
            stratum = f"{edges[number]:.3f}-{edges[number + 1]:.3f}"
            chosen = rng.choice(members, size, replace=False)
            drawn += [Drawn(int(index), stratum, int(size) / len(members)) for index in chosen]
    return [drawn[place] for place in rng.permutation(len(drawn))]


def spread(available: np.ndarray, num: int) -> np.ndarray:
    """Divide a number over bands as evenly as what they hold allows.

    Every band that holds anything gives at least one, so that no part of a class is left unheard.
    """
    given = np.zeros(len(available), np.int64)
    left = min(max(num, int((available > 0).sum())), int(available.sum()))
    while left:
        open_ = np.flatnonzero(given < available)
        each = max(1, left // len(open_))
        for place in open_[: left if left < len(open_) else None]:
            more = min(each, int(available[place] - given[place]), left)
            given[place] += more
            left -= more
    return given

"""Choose members: rate every combination, random ones, or select greedily with replacement."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from britekit.errors import InputError
from britekit.progress import Meter
from britekit.tuning.mean_scores import MeanScores

Combination = tuple[int, ...]

# Below this many combinations, computing bounds first saves nothing.
_SCREENED_FROM = 50


@dataclass(frozen=True)
class Rated:
    """A combination and its score on the half that chooses."""

    combination: Combination
    score: float
    """Exact, or the middle of the bounds if these rule the combination out."""
    is_exact: bool
    """Whether the score is exact."""


@dataclass(frozen=True)
class Choice:
    """The best combination, and all rated ones in order."""

    best: Rated
    rated: list[Rated]
    how: str
    """``all``, ``random`` or ``greedy``."""


def choose(scores: MeanScores, size: int, tries: int, greedy: bool = False, seed: int = 0, threads: int = 2) -> Choice:
    """Find the best combination of members.

    Raises `InputError` if there are fewer members than `size`, or a number is below 1.

    Parameters
    ----------
    scores
        Scores on the half that chooses.
    tries
        Rate all combinations if there are at most this many, else this many distinct ones at random.
    greedy
        Begin with the best member and add, `size` - 1 times, the one that helps most, with replacement (Caruana et al.,
        ICML 2004).
    threads
        Number of combinations to rate in parallel.
    """
    if size < 1:
        raise InputError(f"--ensemble-size is {size}; expected at least 1")
    if tries < 1:
        raise InputError(f"--num-tries is {tries}; expected at least 1")
    if size > scores.members and not greedy:
        raise InputError(
            f"{scores.members} checkpoints are fewer than the {size} of an ensemble; lower --ensemble-size"
        )
    with ThreadPoolExecutor(max(1, threads)) as pool:
        if greedy:
            return _greedy(scores, size, pool)
        number = math.comb(scores.members, size)
        combinations = list(_combinations(scores.members, size, number, tries, seed))
        rated = _rate(scores, combinations, pool)
    return Choice(_best(rated), rated, "all" if number <= tries else "random")


def _combinations(members: int, size: int, number: int, tries: int, seed: int) -> Iterator[Combination]:
    if number <= tries:
        yield from itertools.combinations(range(members), size)
        return
    rng = np.random.default_rng(seed)
    if number <= 4 * tries:
        # Rejecting repeats would take long if nearly all combinations are drawn.
        chosen = set(rng.choice(number, tries, replace=False).tolist())
        every = itertools.combinations(range(members), size)
        yield from (each for place, each in enumerate(every) if place in chosen)
        return
    seen: set[Combination] = set()
    while len(seen) < tries:
        drawn = tuple(sorted(rng.choice(members, size, replace=False).tolist()))
        if drawn not in seen:
            seen.add(drawn)
            yield drawn


def _greedy(scores: MeanScores, size: int, pool: ThreadPoolExecutor) -> Choice:
    rated: list[Rated] = []
    combination: Combination = ()
    for _ in range(size):
        longer = [tuple(sorted((*combination, member))) for member in range(scores.members)]
        step = _rate(scores, longer, pool)
        rated += step
        combination = _best(step).combination
    return Choice(_best(step), rated, "greedy")


def _rate(scores: MeanScores, combinations: Sequence[Combination], pool: ThreadPoolExecutor) -> list[Rated]:
    """Rate every combination; those that cannot be best only within bounds."""
    if len(combinations) < _SCREENED_FROM:
        values = _mapped(pool, scores.exact, combinations, "combinations")
        return [Rated(each, value, True) for each, value in zip(combinations, values, strict=True)]
    bounds = _mapped(pool, scores.bounds, combinations, "combinations")
    rated = [Rated(c, (low + high) / 2, False) for c, (low, high) in zip(combinations, bounds, strict=True)]
    # Most promising first, until no upper bound exceeds the best exact score.
    reached = max(low for low, _ in bounds)
    waiting = sorted(range(len(rated)), key=lambda place: -bounds[place][1])
    at_once = 2 * pool._max_workers
    for first in range(0, len(waiting), at_once):
        # Tolerance for the rounding of sums.
        group = [place for place in waiting[first : first + at_once] if bounds[place][1] >= reached - 1e-12]
        if not group:
            break
        for place, value in zip(group, pool.map(scores.exact, [combinations[p] for p in group]), strict=True):
            rated[place] = Rated(combinations[place], value, True)
            reached = max(reached, value)
    return rated


def _mapped(
    pool: ThreadPoolExecutor, rate: Callable[[Combination], object], combinations: Sequence[Combination], what: str
) -> list:  # type: ignore[type-arg]
    meter = Meter(len(combinations), what)
    values = []
    try:
        for value in pool.map(rate, combinations):
            values.append(value)
            meter.advance()
        meter.finish()
    finally:
        meter.close()
    return values


def _best(rated: Sequence[Rated]) -> Rated:
    """Return the highest exact score; the first if several are equal."""
    return max((each for each in rated if each.is_exact), key=lambda each: each.score)

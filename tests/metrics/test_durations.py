"""Joined stretches and their overlaps against a clock that ticks in milliseconds."""

import numpy as np
import pytest

from britekit.metrics.durations import join_stretches
from britekit.metrics.overlap import component_overlaps


def random_stretches(rng, groups, most=8, span=40):
    number = int(rng.integers(0, most))
    start = rng.integers(0, span, number)
    return rng.integers(0, groups, number), start, start + rng.integers(1, 12, number)


def ticks(group, start, end, groups, span=60):
    """Return (groups, span) whether anything covers each tick."""
    covered = np.zeros((groups, span), dtype=bool)
    for g, a, b in zip(group, start, end, strict=True):
        covered[g, a:b] = True
    return covered


def test_joined_time_is_that_of_the_clock():
    rng = np.random.default_rng(1)
    for _ in range(500):
        group, start, end = random_stretches(rng, 3)
        joined = join_stretches(group, start, end)
        np.testing.assert_array_equal(joined.seconds(3), ticks(group, start, end, 3).sum(axis=1))
        # joined stretches of a group lie apart, in order
        same = joined.group_M[1:] == joined.group_M[:-1]
        assert (joined.start_M[1:][same] > joined.end_M[:-1][same]).all()


def test_gaps_up_to_a_length_are_closed():
    joined = join_stretches([0, 0, 0], [0, 3.01, 7], [3, 6, 9], gap_s=0.0102)
    assert joined.start_M.tolist() == [0, 7] and joined.end_M.tolist() == [6, 9]


def components(claims, labels):
    """Return, per group, the overlaps of components found by merging sets until nothing changes."""
    sets = [({k}, a, b, "claim") for k, (a, b) in enumerate(claims)]
    sets += [({k + len(claims)}, a, b, "label") for k, (a, b) in enumerate(labels)]
    parent = list(range(len(sets)))

    def root(k):
        while parent[k] != k:
            k = parent[k]
        return k

    for i, (_, a, b, kind) in enumerate(sets):
        for j, (_, c, d, other) in enumerate(sets):
            if kind != other and min(b, d) > max(a, c):
                parent[root(i)] = root(j)
    found = []
    for chosen in {root(k) for k in range(len(sets))}:
        covered = {kind: np.zeros(60, dtype=bool) for kind in ("claim", "label")}
        for k, (_, a, b, kind) in enumerate(sets):
            if root(k) == chosen:
                covered[kind][a:b] = True
        both = covered["claim"] & covered["label"]
        found.append(both.sum() / (covered["claim"] | covered["label"]).sum())
    return sorted(found)


def test_overlaps_equal_sets_merged_one_by_one():
    rng = np.random.default_rng(2)
    for _ in range(500):
        claimed, labeled = (join_stretches(*random_stretches(rng, 2)) for _ in range(2))
        group, overlap = component_overlaps(claimed, labeled)
        for g in range(2):
            stretches = [
                list(zip(x.start_M[x.group_M == g].astype(int), x.end_M[x.group_M == g].astype(int), strict=True))
                for x in (claimed, labeled)
            ]
            assert sorted(overlap[group == g]) == pytest.approx(components(*stretches))


def test_touching_is_not_overlapping():
    _, overlap = component_overlaps(join_stretches([0], [0], [3]), join_stretches([0], [3], [6]))
    assert overlap.tolist() == [0, 0]


def test_nothing():
    empty = join_stretches([], [], [])
    assert component_overlaps(empty, empty)[1].tolist() == [] and empty.seconds(2).tolist() == [0, 0]

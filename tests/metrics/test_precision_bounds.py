"""Bounds of precision against sums taken threshold by threshold, and against simulated classes."""

import numpy as np
import pytest
from scipy.stats import binomtest

from britekit.metrics.precision_bounds import bound_precision


def walk(truth, values, groups, threshold):
    """Return precision, lower bound, recall, detections and recordings at one threshold, step by step."""
    found = values >= threshold
    names = sorted(set(groups[found]))
    tp = [int(np.sum(truth[found & (groups == name)])) for name in names]
    n = [int(np.sum(found & (groups == name))) for name in names]
    p = sum(tp) / sum(n)
    worth = len(names)
    if 0 < p < 1 and len(names) > 1:
        between = len(names) / (len(names) - 1) * sum((t - p * k) ** 2 for t, k in zip(tp, n, strict=True))
        worth = sum(n) / max(between / (sum(n) * p * (1 - p)), 1)
    z = 1.644854
    center = (p + z * z / (2 * worth)) / (1 + z * z / worth)
    half = z / (1 + z * z / worth) * np.sqrt(p * (1 - p) / worth + z * z / (4 * worth**2))
    return p, max(center - half, 0), sum(tp) / truth.sum() if truth.any() else np.nan, sum(n), len(names)


def test_equals_sums_taken_at_each_threshold():
    rng = np.random.default_rng(1)
    for _ in range(300):
        cells = int(rng.integers(1, 60))
        truth = rng.random(cells) < rng.choice([0.0, 0.3, 0.8, 1.0])
        values = np.round(rng.random(cells), int(rng.integers(1, 4)))
        groups = rng.integers(0, 6, cells)
        found = bound_precision(truth, values, groups)
        assert found.thresholds.tolist() == sorted(set(values), reverse=True)
        for k, threshold in enumerate(found.thresholds):
            got = (found.precision[k], found.lower[k], found.recall[k], found.detections[k], found.recordings[k])
            assert got == pytest.approx(walk(truth, values, groups, threshold), abs=1e-9, nan_ok=True)


def test_single_cells_per_recording_give_wilsons_bound():
    truth = np.array([True] * 8 + [False] * 2)
    found = bound_precision(truth, np.full(10, 0.5), np.arange(10))
    # the variance between them has one degree of freedom less, so 10 are worth 9: between the bounds of 8 in
    # 10 and of 4 in 5
    wider, closer = (binomtest(k, n).proportion_ci(0.9, "wilson").low for k, n in ((4, 5), (8, 10)))
    assert wider < found.lower[0] < closer and found.lower[0] > closer - 0.02


def test_lowest_threshold_that_meets_the_precision():
    rng = np.random.default_rng(2)
    values = rng.random(4000)
    truth = rng.random(4000) < values
    found = bound_precision(truth, values, np.arange(4000) // 10)
    place = found.lowest(0.8)
    assert found.lower[place] >= 0.8 and (found.lower[place + 1 :] < 0.8).all()
    # of all above t, a share of (1 + t) / 2 is true
    assert 0.6 < found.thresholds[place] < 0.68
    assert found.lowest(0.9999) is None


def test_the_chosen_threshold_keeps_its_promise():
    """Of 200 classes, the precision that new recordings show falls short for some 5 %, and for no more."""
    rng = np.random.default_rng(3)
    short = chosen = 0
    for _ in range(200):
        z = rng.normal(-1, 2, (40, 25)) + rng.normal(0, 1, (40, 1))
        p = 1 / (1 + np.exp(-z))
        truth = rng.random(z.shape) < 1 / (1 + np.exp(-(z + rng.normal(0, 1, (40, 1)))))
        found = bound_precision(truth, p, np.repeat(np.arange(40), 25))
        place = found.lowest(0.8)
        if place is None:
            continue
        chosen += 1
        many = rng.normal(-1, 2, (400, 25)) + rng.normal(0, 1, (400, 1))
        new = rng.random(many.shape) < 1 / (1 + np.exp(-(many + rng.normal(0, 1, (400, 1)))))
        said = 1 / (1 + np.exp(-many)) >= found.thresholds[place]
        short += new[said].mean() < 0.8
    assert chosen > 150 and short <= 0.15 * chosen


def test_nothing_to_bound():
    assert bound_precision([], [], []).lowest(0.5) is None

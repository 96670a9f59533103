"""Averages of members rated as scikit-learn rates them, and the best combination found by brute force."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from britekit.errors import InputError
from britekit.tuning.mean_scores import METRICS, MeanScores
from britekit.tuning.member_scores import halves
from britekit.tuning.selection import choose


def make_scores(seed, members=7, rows=300, classes=4, ties=False):
    rng = np.random.default_rng(seed)
    truth = rng.random((rows, classes)) < 0.1
    truth[:, 0] = False  # a class that is never there
    truth[:, 1] = True  # and one that always is
    truth[0, 2] = True
    logits = rng.normal(0, 2, (members, rows, classes)) + 1.5 * truth * rng.random((members, 1, 1))
    scores = (1 / (1 + np.exp(-logits))).astype(np.float32)
    return truth, np.round(scores, 1).astype(np.float32) if ties else scores


def by_sklearn(truth, scores, combination, metric):
    mean = scores[list(combination)].astype(np.float32).sum(axis=0, dtype=np.float32)
    mean = mean / np.float32(len(combination))
    measure = average_precision_score if metric.endswith("pr") else roc_auc_score
    if metric.startswith("micro"):
        return measure(truth.ravel(), mean.ravel())
    columns = [
        c for c in range(truth.shape[1]) if truth[:, c].any() and (metric.endswith("pr") or not truth[:, c].all())
    ]
    return np.mean([measure(truth[:, c], mean[:, c]) for c in columns])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("ties", [False, True])
def test_mean_is_rated_as_by_sklearn(metric, ties):
    for seed in range(10):
        truth, scores = make_scores(seed, ties=ties)
        rated = MeanScores(truth, scores, metric)
        for combination in [(0,), (1, 4), (0, 2, 6), (3, 3, 5), (0, 1, 2, 3, 4, 5, 6)]:
            expected = by_sklearn(truth, scores, combination, metric)
            assert rated.exact(combination) == pytest.approx(expected, abs=1e-9)
            low, high = rated.bounds(combination)
            assert low - 1e-12 <= expected <= high + 1e-12
            assert ties or high - low < 0.05  # bounds of a few equal scores are wide


@pytest.mark.parametrize("metric", METRICS)
def test_bounds_never_lose_the_best(metric):
    for seed in range(5):
        truth, scores = make_scores(seed, members=9)
        everyone = list(itertools.combinations(range(9), 3))
        values = [by_sklearn(truth, scores, each, metric) for each in everyone]
        found = choose(MeanScores(truth, scores, metric), 3, len(everyone))
        assert found.how == "all" and len(found.rated) == 84
        assert found.best.combination == everyone[int(np.argmax(values))]
        assert found.best.score == pytest.approx(max(values), abs=1e-9)
        assert not all(each.is_exact for each in found.rated)
        for each, value in zip(found.rated, values, strict=True):
            assert each.score == pytest.approx(value, abs=0.05)


def test_random_combinations_are_distinct_and_repeatable():
    truth, scores = make_scores(0, members=12)
    rated = MeanScores(truth, scores, "micro_roc")
    for tries in (40, 100, 219):  # of 220
        first = [each.combination for each in choose(rated, 3, tries, seed=3).rated]
        assert len(set(first)) == tries and all(len(set(c)) == 3 for c in first)
        assert first == [each.combination for each in choose(rated, 3, tries, seed=3).rated]
        assert first != [each.combination for each in choose(rated, 3, tries, seed=4).rated]


def test_greedy_takes_a_member_again_where_that_helps():
    truth, scores = make_scores(1, members=6)
    rated = MeanScores(truth, scores, "micro_pr")
    combination = ()
    for _ in range(5):
        longer = [tuple(sorted((*combination, m))) for m in range(6)]
        combination = max(longer, key=lambda c: by_sklearn(truth, scores, c, "micro_pr"))
    found = choose(rated, 5, 1, greedy=True)
    assert found.best.combination == combination and found.how == "greedy"
    # Two members and one of them perfect: it is taken again.
    perfect = np.stack([np.random.default_rng(0).random(truth.shape).astype(np.float32), truth * 0.9 + 0.05])
    best = choose(MeanScores(truth, perfect.astype(np.float32), "micro_pr"), 3, 1, greedy=True).best
    assert best.combination.count(1) >= 2 and best.score == 1


def test_halves_keep_groups_whole_and_classes_on_both_sides():
    rng = np.random.default_rng(5)
    groups = np.repeat(np.arange(40), 10)
    truth = rng.random((400, 6)) < 0.05
    truth[:, 5] = False
    truth[[3, 203], 5] = True  # a rare class in two recordings
    chooses = halves(truth, groups, seed=1)
    for group in range(40):
        assert len(set(chooses[groups == group])) == 1
    assert 0.35 < chooses.mean() < 0.65
    assert chooses[3] != chooses[203]
    for c in range(5):
        assert 0.3 < truth[chooses, c].sum() / truth[:, c].sum() < 0.7
    assert np.array_equal(chooses, halves(truth, groups, seed=1))
    with pytest.raises(InputError, match="one recording"):
        halves(truth, np.zeros(400, np.int64))
    lonely = np.zeros_like(truth)
    lonely[0, 0] = True
    with pytest.raises(InputError, match="only one recording"):
        halves(lonely, groups)


def test_bad_input():
    truth, scores = make_scores(0)
    with pytest.raises(InputError, match="fewer than the 8"):
        choose(MeanScores(truth, scores, "micro_roc"), 8, 10)
    with pytest.raises(InputError, match="num-tries is 0"):
        choose(MeanScores(truth, scores, "micro_roc"), 2, 0)
    with pytest.raises(InputError, match="unknown"):
        MeanScores(truth, scores, "f1")
    with pytest.raises(InputError, match="not defined"):
        MeanScores(np.zeros_like(truth), scores, "micro_pr")
    scores[2, 5, 1] = np.nan
    with pytest.raises(InputError, match="not a number"):
        MeanScores(truth, scores, "micro_roc")

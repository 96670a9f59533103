"""Precision from verdicts: formulas by hand, scipy, scikit-learn, and simulations whose truth is known."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from britekit.results.precision import SampledDetections, cohens_kappa, jeffreys, pooled, verdicts_needed


def test_the_estimate_is_the_sum_of_bands_by_hand() -> None:
    # 60 detections below 0.5, of which 4 heard: 1 true. 40 at or above, 5 heard: 4 true.
    scores = np.array([0.3] * 60 + [0.7] * 40)
    places = [0, 1, 2, 3, 60, 61, 62, 63, 64]
    answers = [True, False, False, False, True, True, True, True, False]
    sample = SampledDetections(scores, places, answers, [4 / 60] * 4 + [5 / 40] * 5, edges=[0.5])
    found = sample.precision()
    assert found is not None
    assert found.value == pytest.approx(0.6 * 1 / 4 + 0.4 * 4 / 5)
    assert found.verdicts == 9
    upper = sample.precision(0.5)
    assert upper is not None and upper.value == pytest.approx(0.8)
    # Jeffreys' interval of 4 in 5, shortened by the part that was heard
    low, high = stats.beta.ppf([0.025, 0.975], 4.5, 1.5)
    rest = np.sqrt(1 - 5 / 40)
    assert upper.low == pytest.approx(0.8 - rest * (0.8 - low), abs=1e-9)
    assert upper.high == pytest.approx(0.8 + rest * (high - 0.8), abs=1e-9)
    assert sample.precision(0.9) is None


def test_unequal_shares_are_corrected_for() -> None:
    # One band; 10 of 100 weak ones drawn, all wrong; 10 of 10 strong ones, all right: 10 of 110 are right.
    scores = np.array([0.5] * 100 + [0.6] * 10)
    places = [*range(10), *range(100, 110)]
    sample = SampledDetections(scores, places, [False] * 10 + [True] * 10, [0.1] * 10 + [1.0] * 10, edges=[])
    found = sample.precision()
    assert found is not None and found.value == pytest.approx(10 / 110)


def test_what_was_heard_completely_has_no_interval() -> None:
    found = SampledDetections([0.2, 0.4, 0.9], [0, 1, 2], [True, False, True]).precision()
    assert found is not None
    assert (found.low, found.value, found.high) == pytest.approx((2 / 3, 2 / 3, 2 / 3))


def test_a_band_that_nobody_heard_may_hold_anything() -> None:
    found = SampledDetections([0.2] * 50 + [0.8] * 50, [60, 70], [True, True], edges=[0.5]).precision(0.0)
    assert found is not None and found.high > 0.99 and found.low < 0.5


@pytest.mark.parametrize(("yes", "total"), [(0, 5), (5, 5), (3, 11), (7.5, 10.2)])
def test_jeffreys_is_a_beta_quantile(yes: float, total: float) -> None:
    low, high = stats.beta.ppf([0.025, 0.975], yes + 0.5, total - yes + 0.5)
    assert jeffreys(yes, total) == pytest.approx((low if yes else 0.0, high if yes < total else 1.0))


def simulate(rng: np.random.Generator, verdicts: int, way: str) -> tuple[SampledDetections, np.ndarray, np.ndarray]:
    """A class with some thousand detections whose truth is known, a sample of them judged."""
    count = int(rng.integers(800, 4000))
    scores = np.round(0.1 + 0.9 * rng.beta(rng.uniform(0.5, 2), rng.uniform(0.5, 2), count), 3)
    true = rng.random(count) < 1 / (1 + np.exp(-rng.uniform(2, 12) * (scores - rng.uniform(0.3, 0.7))))
    if way == "random":
        drawn = rng.choice(count, verdicts, replace=False)
        return (SampledDetections(scores, drawn, true[drawn], np.full(verdicts, verdicts / count)), scores, true)
    edges = np.linspace(0.1, 1, 6)[1:-1]
    strata = np.searchsorted(edges, scores, side="right")
    places, shares = [], []
    for stratum in range(5):
        members = np.flatnonzero(strata == stratum)
        size = min(len(members), verdicts // 5)
        places.append(rng.choice(members, size, replace=False))
        shares.append(np.full(size, size / max(1, len(members))))
    drawn = np.concatenate(places)
    return SampledDetections(scores, drawn, true[drawn], np.concatenate(shares), edges), scores, true


@pytest.mark.parametrize("way", ["random", "strata"])
def test_simulated_precision_is_unbiased_and_intervals_keep_their_word(way: str) -> None:
    rng = np.random.default_rng(5)
    errors, covered = [], []
    for _ in range(2000):
        sample, _, true = simulate(rng, 50, way)
        found = sample.precision()
        assert found is not None
        errors.append(found.value - true.mean())
        covered.append(found.low <= true.mean() <= found.high)
    assert abs(np.mean(errors)) <= 0.01
    assert 0.93 <= np.mean(covered) <= 0.97


@pytest.mark.parametrize("way", ["random", "strata"])
def test_simulated_precision_at_a_threshold_with_enough_verdicts(way: str) -> None:
    rng = np.random.default_rng(6)
    errors, covered = [], []
    while len(errors) < 2000:
        sample, scores, true = simulate(rng, 120, way)
        found = sample.precision(0.5)
        if found is None or found.verdicts < 50:
            continue
        truth = true[scores >= 0.5].mean()
        errors.append(found.value - truth)
        covered.append(found.low - 1e-9 <= truth <= found.high + 1e-9)
    assert abs(np.mean(errors)) <= 0.01
    assert 0.93 <= np.mean(covered) <= 0.97


def test_simulated_densities_are_unbiased_and_covered() -> None:
    rng = np.random.default_rng(7)
    errors, covered = [], []
    for _ in range(500):
        sample, _, true = simulate(rng, 100, "strata")
        group = rng.choice(6, len(true), p=[0.4, 0.2, 0.2, 0.1, 0.06, 0.04])
        for number, found in enumerate(sample.density(group, 6)):
            inside = group == number
            errors.append((found.value - true[inside].sum()) / max(1, inside.sum()))
            covered.append(found.low <= true[inside].sum() <= found.high)
    assert abs(np.mean(errors)) <= 0.01
    assert 0.93 <= np.mean(covered) <= 0.97


def test_densities_add_up_to_the_whole() -> None:
    rng = np.random.default_rng(8)
    sample, scores, _ = simulate(rng, 100, "strata")
    group = rng.integers(0, 4, len(scores))
    whole, precision = sample.density(np.zeros(len(scores), int), 1)[0], sample.precision()
    assert precision is not None
    assert sum(found.value for found in sample.density(group, 4)) == pytest.approx(whole.value)
    assert whole.value == pytest.approx(precision.value * len(scores))
    assert whole.low == pytest.approx(precision.low * len(scores))


def test_classes_are_pooled_by_their_detections() -> None:
    many = SampledDetections([0.5] * 90, range(30), [True] * 30)
    few = SampledDetections([0.5] * 10, range(10), [False] * 10)
    found = pooled([many, few])
    assert found is not None and found.value == pytest.approx(0.9) and found.verdicts == 40
    assert pooled([many, few], 0.9) is None


def test_how_many_more_verdicts() -> None:
    sample = SampledDetections([0.5] * 10_000, range(100), [True, False] * 50)
    found = sample.precision()
    assert found is not None
    more = verdicts_needed(found, 0.02, 10_000)
    # The normal approximation by hand: 1.96² · 0.25 / 0.02² = 2401 in all
    assert more == pytest.approx(2401 - 100, rel=0.05)
    assert verdicts_needed(found, 0.5, 10_000) == 0
    assert verdicts_needed(found, 0.0001, 10_000) == 9_900


def test_kappa_is_scikit_learns() -> None:
    rng = np.random.default_rng(9)
    first = rng.choice(["yes", "no", "unsure"], 200)
    second = np.where(rng.random(200) < 0.7, first, rng.choice(["yes", "no", "unsure"], 200))
    assert cohens_kappa(first, second) == pytest.approx(cohen_kappa_score(first, second))
    assert cohens_kappa([], []) is None and cohens_kappa(["yes"], ["yes"]) is None


@pytest.mark.parametrize("share", [0.0, 1.5, -1.0])
def test_impossible_shares_are_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        SampledDetections([0.5, 0.6], [0], [True], [share])


def test_no_verdict_is_refused() -> None:
    with pytest.raises(ValueError, match="no verdict"):
        SampledDetections([0.5], [], [])


def test_where_every_detection_was_heard_nothing_is_estimated() -> None:
    """Also of a part of a band in which there are few: its own share is known, not only that of the band."""
    rng = np.random.default_rng(4)
    score, true = rng.uniform(0.1, 1.0, 60), rng.random(60) < 0.6
    sample = SampledDetections(score, np.arange(60), true)
    for threshold in np.sort(score):
        found = sample.precision(threshold)
        exact = true[score >= threshold].mean()
        assert found is not None and (found.value, found.low, found.high) == pytest.approx((exact, exact, exact))

"""Weighted areas against scikit-learn on concatenated recordings; intervals against known cases."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn import config_context
from sklearn import metrics as reference

from britekit.metrics.bootstrap import _reach, bin_ranks, resample
from britekit.metrics.counts import count_by_threshold
from britekit.metrics.ranking import padded_area_under_pr


def random_set(rng):
    recordings = int(rng.integers(2, 8))
    group = np.repeat(np.arange(recordings), rng.integers(1, 9, recordings))
    classes = int(rng.integers(1, 4))
    truth = rng.random((len(group), classes)) < rng.choice([0.1, 0.4, 0.9])
    scores = np.round(rng.random(truth.shape), int(rng.integers(1, 5))).astype(np.float32)
    return recordings, group, truth, scores


def repeated(group, weights):
    """Return the rows of a resampled set, one recording after the other."""
    return np.concatenate([np.tile(np.flatnonzero(group == r), int(w)) for r, w in enumerate(weights)]).astype(int)


def test_weighted_areas_equal_scikit_learn_on_repeated_recordings():
    rng = np.random.default_rng(1)
    with config_context(assume_finite=True, skip_parameter_validation=True):
        for seed in range(30):
            recordings, group, truth, scores = random_set(rng)
            sampling = resample(recordings, 10, seed)
            pr, roc, padded = bin_ranks(truth, scores, group, recordings, 10_000).areas_with_padding(sampling, 5)
            for w, weights in enumerate(sampling.weights_WR):
                rows = repeated(group, weights)
                y, p = truth[rows].ravel(), scores[rows].ravel()
                if not y.any():
                    assert np.isnan(pr[w]) and np.isnan(roc[w]) and np.isnan(padded[w])
                    continue
                assert pr[w] == pytest.approx(reference.average_precision_score(y, p), abs=1e-6)
                more = np.append(y, [True] * 5), np.append(p, [2.0] * 5)
                assert padded[w] == pytest.approx(reference.average_precision_score(*more), abs=1e-6)
                if y.all():
                    assert np.isnan(roc[w])
                else:
                    assert roc[w] == pytest.approx(reference.roc_auc_score(y, p), abs=1e-6)


def test_padded_precision_equals_scikit_learn_with_rows_added():
    rng = np.random.default_rng(2)
    for _ in range(300):
        _, _, truth, scores = random_set(rng)
        y, p = truth[:, 0], scores[:, 0]
        found = padded_area_under_pr(count_by_threshold(y, p))
        if not y.any():
            assert np.isnan(found)
            continue
        expected = reference.average_precision_score(np.append(y, [True] * 5), np.append(p, [2.0] * 5))
        assert found == pytest.approx(expected, abs=1e-12)


def test_chosen_columns_are_those_columns():
    rng = np.random.default_rng(3)
    truth, scores = rng.random((60, 4)) < 0.3, rng.random((60, 4)).astype(np.float32)
    group = np.repeat(np.arange(6), 10)
    sampling = resample(6, 10)
    some = bin_ranks(truth, scores, group, 6, 1000, [1, 3]).areas(sampling)
    alone = bin_ranks(truth[:, [1, 3]], scores[:, [1, 3]], group, 6, 1000).areas(sampling)
    np.testing.assert_array_equal(some, alone)


def test_few_bins_change_an_area_little():
    rng = np.random.default_rng(4)
    group = np.repeat(np.arange(50), 100)
    truth = rng.random((5000, 3)) < 0.2
    scores = (1 / (1 + np.exp(-(rng.normal(-1, 1.5, truth.shape) + 2 * truth)))).astype(np.float32)
    sampling = resample(50, 200)
    exact = bin_ranks(truth, scores, group, 50, 10**6).areas(sampling)
    coarse = bin_ranks(truth, scores, group, 50, 300).areas(sampling)
    for fine, rough in zip(exact, coarse, strict=True):
        # what counts is how far replicates lie from the figure itself
        np.testing.assert_allclose(rough - rough[0], fine - fine[0], atol=6e-4)


def test_ratio_is_that_of_weighted_sums():
    sampling = resample(5, 50)
    hits, all_of = np.array([1.0, 0, 2, 5, 0]), np.array([2.0, 0, 2, 9, 1])
    for value, weights in zip(sampling.ratio(hits, all_of), sampling.weights_WR, strict=True):
        if weights @ all_of:
            assert value == pytest.approx((weights @ hits) / (weights @ all_of))
        else:
            assert np.isnan(value)


def test_replicates_draw_recordings_as_often_as_there_are():
    sampling = resample(40, 500, seed=3)
    drawn = sampling.weights_WR[1:501]
    assert (drawn.sum(axis=1) == 40).all() and (sampling.weights_WR[0] == 1).all()
    assert drawn.mean() == pytest.approx(1) and drawn.var(axis=0).mean() == pytest.approx(39 / 40, rel=0.05)


def test_interval_of_a_mean_is_that_of_student():
    """For a plain mean of many values the bootstrap gives what theory gives."""
    rng = np.random.default_rng(5)
    values = rng.normal(3, 1, 400)
    found = resample(400, 4000).interval(resample(400, 4000).ratio(values, np.ones(400)))
    half = stats.t.ppf(0.975, 399) * values.std(ddof=1) / 20
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.012)


@pytest.mark.parametrize("recordings", [8, 20, 200])
def test_reach_is_the_quantile_of_student(recordings):
    expected = stats.t.ppf(0.975, recordings - 1) * np.sqrt(recordings / (recordings - 1))
    assert _reach(recordings) == pytest.approx(expected, rel=3e-3)


def test_interval_moves_with_the_exact_figure():
    sampling = resample(30)
    values = sampling.ratio(np.arange(30.0), np.ones(30))
    plain, moved = sampling.interval(values), sampling.interval(values, exact=15.0)
    assert plain.value == 14.5 and moved.value == 15
    assert (moved.low, moved.high) == pytest.approx((plain.low + 0.5, plain.high + 0.5))


def test_undefined_figures_have_no_interval():
    sampling = resample(10)
    found = sampling.interval(np.full(len(sampling.weights_WR), np.nan))
    assert np.isnan([found.value, found.low, found.high]).all()


def test_a_figure_that_never_changes_has_an_interval_of_no_width():
    sampling = resample(10)
    found = sampling.interval(np.ones(len(sampling.weights_WR)))
    assert (found.value, found.low, found.high) == (1, 1, 1)


@pytest.mark.parametrize("heard", [1, 6])
@pytest.mark.parametrize("own", [0.0, 1.0])
def test_a_perfect_area_has_the_exact_interval_of_as_many_trials_as_recordings(heard, own):
    sampling = resample(10)
    expected = stats.binomtest(int(own) * heard, heard).proportion_ci(0.95, "exact")
    found = sampling.area_interval(np.full(len(sampling.weights_WR), own), own, heard)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_an_area_stays_within_0_and_1():
    sampling = resample(30)
    values = sampling.ratio(np.repeat([0.9, 1.0], 15), np.ones(30))
    assert sampling.interval(values, 0.999).high > 1
    found = sampling.area_interval(values, 0.999, 30)
    assert found.high == 1 and found.low == sampling.interval(values, 0.999).low
    assert sampling.area_interval(values, 1.0, 30).low < 1  # near it by binned scores alone


def load_benchmark():
    path = Path(__file__).parents[2] / "benchmarks" / "coverage.py"
    spec = importlib.util.spec_from_file_location("coverage_of_intervals", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_intervals_mostly_hold_the_truth():
    """A tenth of the soak test: too few to tell 95 % from 93 %, enough to see an interval that is wrong."""
    module = load_benchmark()
    found = module.coverage(40, 200, module.true_figures(recordings=20_000))
    assert min(found.values()) >= 0.82


@pytest.mark.soak
def test_intervals_hold_the_truth_as_often_as_they_claim():
    module = load_benchmark()
    found = module.coverage(1000, 200, module.true_figures())
    assert all(0.93 <= found[name] <= 0.97 for name in ("micro_pr", "micro_roc")), found


@pytest.mark.parametrize("trials", [2, 5, 40])
def test_a_share_of_all_or_nothing_has_the_exact_interval_of_as_many_trials(trials):
    whole = np.concatenate([np.arange(1.0, trials + 1), np.zeros(7)])  # seven recordings hold nothing
    sampling = resample(len(whole))
    for part, successes in ((whole, trials), (np.zeros_like(whole), 0)):
        expected = stats.binomtest(successes, trials).proportion_ci(0.95, "exact")
        found = sampling.share_interval(part, whole, successes / trials)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    mixed = whole.copy()
    mixed[0] = 0.5
    assert sampling.share_interval(mixed, whole, 0.9) == sampling.interval(sampling.ratio(mixed, whole), 0.9)

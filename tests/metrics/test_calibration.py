"""Calibration figures against formulas by hand, scikit-learn and simulation."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from britekit.metrics.bootstrap import resample
from britekit.metrics.calibration import (
    brier,
    calibration_intervals,
    equal_mass_bins,
    expected_calibration_error,
    reliability_bins,
    wilson_interval,
)


def test_error_by_hand():
    # two bins of two cells: (0.1, 0.3) with one true, (0.6, 0.8) with both true
    found = expected_calibration_error([0, 1, 1, 1], [0.1, 0.3, 0.6, 0.8], bins=2)
    assert found.error == pytest.approx((2 * abs(0.2 - 0.5) + 2 * abs(0.7 - 1.0)) / 4)
    assert found.cells == 4


def test_bins_equal_those_of_scikit_learn_quantiles():
    rng = np.random.default_rng(1)
    p = rng.random(3000)
    y = rng.random(3000) < p**2
    observed, mean = calibration_curve(y, p, n_bins=15, strategy="quantile")
    assert expected_calibration_error(y, p).error == pytest.approx(np.mean(np.abs(observed - mean)), abs=1e-6)


def test_equal_probabilities_share_a_bin():
    assert expected_calibration_error([1, 0] * 50, [0.5] * 100).error == 0
    rng = np.random.default_rng(2)
    p = rng.integers(0, 4, 100) / 4
    y = rng.random(100) < p
    order = rng.permutation(100)
    assert expected_calibration_error(y, p).error == expected_calibration_error(y[order], p[order]).error


def test_perfect_calibration_shows_the_floor():
    rng = np.random.default_rng(3)
    p = rng.random(2000) * 0.8 + 0.1
    simulated = [expected_calibration_error(rng.random(2000) < p, p) for _ in range(300)]
    assert np.mean([each.error for each in simulated]) == pytest.approx(simulated[0].by_chance, rel=0.05)


def test_nothing_has_no_error():
    found = expected_calibration_error([], [])
    assert np.isnan(found.error) and found.cells == 0 and np.isnan(brier([], []))


def test_brier_equals_scikit_learn():
    rng = np.random.default_rng(4)
    y, p = rng.random(500) < 0.3, rng.random(500)
    assert brier(y, p) == pytest.approx(brier_score_loss(y, p))


def test_reliability_bins_equal_scikit_learn():
    rng = np.random.default_rng(5)
    p = rng.random(4000)
    y = rng.random(4000) < p
    found = reliability_bins(y, p)
    observed, mean = calibration_curve(y, p, n_bins=15)
    np.testing.assert_allclose(found.observed, observed)
    np.testing.assert_allclose(found.mean_prediction, mean)
    assert found.count.sum() == 4000
    assert np.all((found.low <= found.observed) & (found.observed <= found.high))


def test_empty_bins_are_nan_and_one_belongs_to_the_last():
    found = reliability_bins([1, 0], [1.0, 0.0])
    assert found.count.tolist() == [1] + [0] * 13 + [1]
    assert np.isnan(found.observed[1:-1]).all() and np.isnan(found.low[1:-1]).all()


def test_cells_that_repeat_within_recordings_widen_the_interval():
    rng = np.random.default_rng(6)
    groups = np.repeat(np.arange(40), 50)
    y = np.repeat(rng.random(40) < 0.5, 50)  # every recording is all true or all false
    alone = reliability_bins(y, np.full(2000, 0.5))
    grouped = reliability_bins(y, np.full(2000, 0.5), groups)
    assert (grouped.high - grouped.low)[7] > 5 * (alone.high - alone.low)[7]
    # as wide as the interval of 40 independent cells
    low, high = wilson_interval(y.mean() * 40, 40)
    assert (grouped.high - grouped.low)[7] == pytest.approx(float(high - low), rel=0.05)


def test_wilson_interval_by_hand():
    low, high = wilson_interval(8, 10)
    assert (float(low), float(high)) == pytest.approx((0.4902, 0.9433), abs=1e-4)


def clustered(rng, recordings=60, cells=40, shift=0.0):
    z = rng.normal(-0.5, 1.5, (recordings, cells))
    p = 1 / (1 + np.exp(-z))
    truth = rng.random(z.shape) < 1 / (1 + np.exp(-(z + shift + rng.normal(0, 0.3, (recordings, 1)))))
    return truth.ravel(), p.ravel(), np.repeat(np.arange(recordings), cells)


def test_equal_mass_bins_are_those_of_the_error():
    rng = np.random.default_rng(11)
    for _ in range(100):
        p = np.round(rng.random(int(rng.integers(1, 200))), int(rng.integers(1, 4)))
        y = rng.random(len(p)) < p
        index = equal_mass_bins(p, 15)
        error = sum(abs((p - y)[index == k].sum()) for k in range(index.max() + 1)) / len(p)
        assert expected_calibration_error(y, p).error == pytest.approx(error, abs=1e-12)
        # equal probabilities together, bins in order, at most 15
        assert index.max() < 15 and all(len(set(index[p == value])) == 1 for value in set(p))
        assert (np.diff(index[np.argsort(p)]) >= 0).all()


def test_intervals_equal_recordings_drawn_and_joined():
    rng = np.random.default_rng(12)
    truth, p, group = clustered(rng, recordings=12)
    sampling = resample(12, 60, seed=5)
    error, score = calibration_intervals(truth, p, group, sampling)
    assert error.value == pytest.approx(expected_calibration_error(truth, p).error)
    assert score.value == pytest.approx(np.mean((p - truth) ** 2))
    index = equal_mass_bins(p)
    errors, scores = [], []
    for weights in sampling.weights_WR:
        drawn = [np.tile(np.flatnonzero(group == r), int(w)) for r, w in enumerate(weights)]
        rows = np.concatenate(drawn).astype(int)
        gaps = [abs((p[rows] - truth[rows])[index[rows] == k].sum()) for k in range(15)]
        errors.append(sum(gaps) / len(rows))
        scores.append(np.mean((p[rows] - truth[rows]) ** 2))
    errors, scores = np.array(errors), np.array(scores)
    errors[1:] = np.maximum(errors[1:] - errors[1:].mean() + errors[0], 0)
    for found, values in ((error, errors), (score, scores)):
        expected = sampling.interval(values)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_interval_of_the_brier_score_holds_the_truth():
    """Of 100 sets some 95 hold the mean over very many recordings."""
    truth, p, _ = clustered(np.random.default_rng(13), recordings=20_000)
    expected = np.mean((p - truth) ** 2)
    held = 0
    for seed in range(100):
        y, q, group = clustered(np.random.default_rng([14, seed]))
        found = calibration_intervals(y, q, group, resample(60, 400, seed))[1]
        held += found.low <= expected <= found.high
    assert held >= 86


def test_a_good_calibration_is_told_from_a_bad_one():
    for shift, well in ((0.0, True), (1.0, False)):
        truth, p, group = clustered(np.random.default_rng(15), recordings=200, shift=shift)
        found = calibration_intervals(truth, p, group, resample(200))[0]
        chance = expected_calibration_error(truth, p).by_chance
        assert (found.low < 2 * chance) == well


def test_no_cells_no_interval():
    for found in calibration_intervals([], [], [], resample(3)):
        assert np.isnan([found.value, found.low, found.high]).all()

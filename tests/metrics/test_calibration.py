"""Calibration figures against formulas by hand, scikit-learn and simulation."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from britekit.metrics.calibration import brier, expected_calibration_error, reliability_bins, wilson_interval


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

"""Platt fits against scikit-learn, and against the values that the scores were simulated with."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from britekit.errors import InputError
from britekit.evaluation.platt_fit import PlattFit, cross_fit, fit_calibration, fit_platt, logit, lowest_fitted


def simulated(rng, recordings=50, rows=20, classes=4, a=0.7, b=-0.5, shifts=None):
    z = rng.normal(-2, 2.5, (recordings * rows, classes))
    chance = 1 / (1 + np.exp(-(a * z + b + (0 if shifts is None else shifts))))
    groups = np.repeat(np.arange(recordings), rows)
    return rng.random(z.shape) < chance, (1 / (1 + np.exp(-z))).astype(np.float32), groups


def reference(z, y):
    model = LogisticRegression(C=1, tol=1e-10, max_iter=2000).fit(z[:, None], y)
    return model.coef_[0, 0], model.intercept_[0]


def test_newton_equals_scikit_learn():
    rng = np.random.default_rng(1)
    for _ in range(60):
        n = int(rng.integers(5, 300))
        z = rng.normal(rng.normal(), rng.uniform(0.1, 5), n)
        y = rng.random(n) < 1 / (1 + np.exp(-(rng.normal() * z + rng.normal())))
        y[:2] = True, False
        assert fit_platt(z, y) == pytest.approx(reference(z, y), abs=2e-5)


def test_newton_copes_with_separated_truth_and_extreme_logits():
    z = np.array([-16.0, -16, -16, 16, 16, 16])
    y = z > 0
    assert fit_platt(z, y) == pytest.approx(reference(z, y), abs=1e-4)
    z, y = np.full(1000, -16.1), np.zeros(1000, dtype=bool)
    z[0], y[0] = 16.1, True
    assert np.isfinite(fit_platt(z, y)).all()


def test_counted_points_equal_single_cells():
    z = np.array([-1.0, 0.0, 2.0])
    many = np.repeat(z, [5, 4, 3])
    truth = np.array([1, 0, 0, 0, 0, 1, 1, 0, 0, 1, 1, 0], dtype=bool)
    counted = fit_platt(z, np.array([1.0, 2.0, 2.0]), np.array([5.0, 4.0, 3.0]))
    assert counted == pytest.approx(fit_platt(many, truth), abs=1e-9)


@pytest.mark.parametrize("cutoff", [0.0, 0.05, 0.4])
def test_calibration_equals_scikit_learn_on_the_cells_above_the_cutoff(cutoff):
    truth, scores, groups = simulated(np.random.default_rng(2))
    fit = fit_calibration(truth, scores, groups, cutoff, per_class=False)
    used = scores >= cutoff
    expected = reference(logit(scores)[used], truth[used])
    assert (fit.coefficient, fit.intercept) == pytest.approx(expected, rel=3e-5)
    assert fit.cells == used.sum()


def test_known_values_are_recovered():
    truth, scores, groups = simulated(np.random.default_rng(3), recordings=500)
    fit = fit_calibration(truth, scores, groups)
    assert fit.coefficient == pytest.approx(0.7, abs=0.02)
    assert fit.intercept == pytest.approx(-0.5, abs=0.04)
    assert fit.per_class == {}


def test_a_class_that_departs_gets_values_of_its_own_towards_the_global_ones():
    truth, scores, groups = simulated(np.random.default_rng(4), shifts=np.array([0, 0, 0, -2.0]))
    fit = fit_calibration(truth, scores, groups)
    assert 3 in fit.per_class
    own = fit.per_class[3]
    # near the truth of -2.5, and between it and the global fit
    assert -2.6 < own[1] < fit.intercept - 1
    last = np.s_[:, 3]
    free = fit_platt(logit(scores)[last], truth[last])
    assert free[1] < own[1]
    without = PlattFit(fit.coefficient, fit.intercept)
    error = np.abs(fit.apply(scores)[last].mean() - truth[last].mean())
    assert error < np.abs(without.apply(scores)[last].mean() - truth[last].mean()) / 3


def test_classes_alike_rarely_depart():
    own = [len(fit_calibration(*simulated(np.random.default_rng(seed), classes=10)).per_class) for seed in range(30)]
    assert sum(own) <= 10  # 3 expected of 300 at 1 %


def test_a_class_heard_in_few_recordings_never_departs():
    truth, scores, groups = simulated(np.random.default_rng(5))
    truth[:, 0] = False
    truth[groups < 4, 0] = True
    assert 0 not in fit_calibration(truth, scores, groups).per_class


def test_cross_fit_never_saw_the_recording_it_calibrates():
    rng = np.random.default_rng(6)
    truth, scores, groups = simulated(rng, recordings=12)
    first = cross_fit(truth, scores, groups)
    changed = truth.copy()
    changed[groups == 3] = ~changed[groups == 3]
    second = cross_fit(changed, scores, groups)
    np.testing.assert_array_equal(first[groups == 3], second[groups == 3])
    assert not np.array_equal(first, second)


def test_cross_fit_equals_fits_on_the_other_recordings():
    truth, scores, groups = simulated(np.random.default_rng(7), recordings=6)
    found = cross_fit(truth, scores, groups, per_class=False)
    for recording in range(6):  # fewer recordings than folds: each is a fold
        rest = groups != recording
        a, b = reference(logit(scores[rest]).ravel(), truth[rest].ravel())
        expected = 1 / (1 + np.exp(-(a * logit(scores[~rest]) + b)))
        np.testing.assert_allclose(found[~rest], expected, atol=2e-5)


def test_scores_of_zero_and_one_have_finite_probabilities():
    p = PlattFit(2.0, 1.0).apply(np.array([[0.0, 1.0, 0.5]], np.float32))
    assert np.isfinite(p).all() and p[0, 2] == pytest.approx(1 / (1 + np.exp(-1)))


def test_too_little_is_an_error():
    truth, scores, groups = simulated(np.random.default_rng(8))
    with pytest.raises(InputError, match="predictions reach the cutoff 1"):
        fit_calibration(truth, scores, groups, cutoff=1.0)
    few = (truth[:1], scores[:1], groups[:1])
    with pytest.raises(InputError, match="reach the cutoff 0; expected at least 10; test more recordings"):
        fit_calibration(*few, cutoff=lowest_fitted(0.0, unrounded=True))
    with pytest.raises(InputError, match="are false"):
        fit_calibration(np.zeros_like(truth), scores, groups)
    with pytest.raises(InputError, match="are true"):
        fit_calibration(np.ones_like(truth), scores, groups)
    with pytest.raises(InputError, match="only one recording"):
        cross_fit(truth, scores, np.zeros_like(groups))

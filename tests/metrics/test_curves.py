"""Curves against scikit-learn, tables per threshold against counting, thinning against the full curve."""

import numpy as np
import pytest
from sklearn import metrics as reference

from britekit.metrics.counts import count_by_threshold
from britekit.metrics.curves import curve_at, curve_of, rounded_thresholds, thin


def test_scores_of_three_decimals_reach_the_threshold_printed_for_them():
    """0.7 in single precision is a hair less than 0.7, yet a detection at the threshold 0.7."""
    scores = (np.arange(1, 1000) / 1000).astype(np.float32)
    truth = np.arange(999) % 3 > 0
    counts = count_by_threshold(truth, scores)
    table = curve_at(counts, rounded_thresholds(counts))
    assert len(table) == 999
    found = np.array([np.count_nonzero(truth & (scores >= np.float32(x))) for x in table.thresholds])
    np.testing.assert_allclose(table.recall, found / truth.sum())


def test_curves_equal_scikit_learn():
    rng = np.random.default_rng(1)
    for _ in range(300):
        n = int(rng.integers(2, 80))
        truth = rng.random(n) < 0.4
        truth[:2] = True, False
        scores = rng.random(n).round(int(rng.integers(1, 4)))
        curve = curve_of(count_by_threshold(truth, scores))
        fpr, tpr, thresholds = reference.roc_curve(truth, scores, drop_intermediate=False)
        np.testing.assert_allclose(curve.false_positive_rate, fpr[1:])
        np.testing.assert_allclose(curve.recall, tpr[1:])
        np.testing.assert_allclose(curve.thresholds, thresholds[1:])
        precision, recall, _ = reference.precision_recall_curve(truth, scores)
        np.testing.assert_allclose(curve.precision[::-1], precision[:-1])
        np.testing.assert_allclose(curve.recall[::-1], recall[:-1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_table_rows_are_what_counting_gives(dtype):
    rng = np.random.default_rng(2)
    truth = rng.random(500) < 0.3
    scores = rng.random(500).astype(dtype)
    counts = count_by_threshold(truth, scores)
    thresholds = rounded_thresholds(counts, 2)
    assert len(thresholds) <= 101 and np.all(np.diff(thresholds) < 0)
    table = curve_at(counts, thresholds)
    for k, threshold in enumerate(thresholds):
        found = scores >= threshold
        assert table.precision[k] == pytest.approx(truth[found].mean() if found.any() else 0)
        assert table.recall[k] == pytest.approx((truth & found).sum() / truth.sum())
        assert table.false_positive_rate[k] == pytest.approx((~truth & found).sum() / (~truth).sum())
    assert table.recall[-1] == 1


def test_rounded_thresholds_keep_decimal_scores():
    scores = np.array([0.7, 0.1, 0.123, 1.0, 0.0], dtype=np.float32)
    counts = count_by_threshold(np.ones(5, dtype=bool), scores)
    assert rounded_thresholds(counts).tolist() == [1.0, 0.7, 0.123, 0.1, 0.0]


def test_a_threshold_above_all_scores_detects_nothing():
    table = curve_at(count_by_threshold([1, 0], [0.2, 0.3]), np.array([0.9]))
    assert (table.precision[0], table.recall[0], table.false_positive_rate[0]) == (0, 0, 0)


def test_undefined_rates_are_nan():
    assert np.isnan(curve_of(count_by_threshold([0, 0], [0.1, 0.2])).recall).all()
    assert np.isnan(curve_of(count_by_threshold([1, 1], [0.1, 0.2])).false_positive_rate).all()


def test_thinning_keeps_ends_and_shape():
    rng = np.random.default_rng(3)
    scores = rng.random(20_000)
    curve = curve_of(count_by_threshold(rng.random(20_000) < scores**2, scores))
    kept = thin(curve.recall, curve.precision, 1000)
    assert len(kept) <= 1000 and kept[0] == 0 and kept[-1] == len(curve) - 1
    again = np.interp(curve.recall, curve.recall[kept], curve.precision[kept])
    assert np.abs(again - curve.precision)[curve.recall > 0.05].max() < 0.02
    assert thin(curve.recall[:5], curve.precision[:5], 10).tolist() == [0, 1, 2, 3, 4]


def test_thinning_copes_with_one_repeated_point():
    assert len(thin(np.zeros(5000), np.zeros(5000), 100)) <= 100

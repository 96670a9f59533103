"""Ranking metrics against scikit-learn, on thousands of cases with ties, empty and constant columns."""

import warnings

import numpy as np
import pytest
from sklearn import config_context
from sklearn import metrics as reference

from britekit.errors import InputError
from britekit.metrics.counts import count_by_threshold
from britekit.metrics.ranking import average_precision, rank_classes, ranking_summary, roc_auc


def random_case(rng):
    """Return truth and scores of random length, prevalence, number of distinct scores and type."""
    n = int(rng.integers(1, 60))
    truth = rng.random(n) < rng.choice([0.0, 0.05, 0.5, 0.95, 1.0])
    kind = rng.integers(5)
    if kind == 0:
        scores = rng.random(n)
    elif kind == 1:
        scores = np.round(rng.random(n), 1)
    elif kind == 2:
        scores = np.full(n, rng.choice([0.0, 0.5, 1.0]))
    elif kind == 3:
        scores = rng.normal(size=n).round(1) * rng.choice([1.0, -0.0])
    else:
        scores = np.where(rng.random(n) < 0.7, 0.0, rng.random(n))
    return truth, scores.astype(rng.choice([np.float32, np.float64]))


@pytest.fixture(autouse=True)
def quick_reference():
    """Spare scikit-learn its checks of every argument, which take longer than its work."""
    with config_context(assume_finite=True, skip_parameter_validation=True):
        yield


def expected_roc(truth, scores):
    return reference.roc_auc_score(truth, scores) if 0 < truth.sum() < len(truth) else np.nan


def expected_pr(truth, scores):
    return reference.average_precision_score(truth, scores) if truth.any() else np.nan


def test_areas_equal_scikit_learn_on_thousands_of_cases():
    rng = np.random.default_rng(1)
    for _ in range(2000):
        truth, scores = random_case(rng)
        assert average_precision(truth, scores) == pytest.approx(expected_pr(truth, scores), abs=1e-12, nan_ok=True)
        assert roc_auc(truth, scores) == pytest.approx(expected_roc(truth, scores), abs=1e-12, nan_ok=True)


def test_summary_equals_scikit_learn_over_columns():
    rng = np.random.default_rng(2)
    for _ in range(100):
        rows, classes = int(rng.integers(2, 40)), int(rng.integers(1, 7))
        truth = rng.random((rows, classes)) < rng.choice([0.0, 0.1, 0.5, 1.0], size=classes)
        scores = rng.random((rows, classes)).round(int(rng.integers(1, 4))).astype(np.float32)
        columns = sorted(rng.choice(classes, size=int(rng.integers(1, classes + 1)), replace=False).tolist())
        found = ranking_summary(truth, scores, columns)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a mean of nothing is NaN here too
            expected = {
                "macro_pr": np.nanmean([expected_pr(truth[:, c], scores[:, c]) for c in columns]),
                "macro_roc": np.nanmean([expected_roc(truth[:, c], scores[:, c]) for c in columns]),
                "micro_pr": expected_pr(truth[:, columns].ravel(), scores[:, columns].ravel()),
                "micro_roc": expected_roc(truth[:, columns].ravel(), scores[:, columns].ravel()),
                "micro_pr_trained": expected_pr(truth.ravel(), scores.ravel()),
                "micro_roc_trained": expected_roc(truth.ravel(), scores.ravel()),
            }
        assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_columns_without_a_defined_area_are_named():
    truth = np.array([[1, 0, 1], [1, 0, 0]], dtype=bool)
    found = rank_classes(truth, np.array([[0.1, 0.2, 0.9], [0.3, 0.4, 0.8]]))
    assert found.without_positives.tolist() == [1]
    assert found.always_positive.tolist() == [0]
    assert found.pr_auc_C[[0, 2]].tolist() == [1.0, 1.0]
    assert np.isnan(found.roc_auc_C[[0, 1]]).all() and found.roc_auc_C[2] == 1.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_order_of_ties_does_not_matter(dtype):
    rng = np.random.default_rng(3)
    truth = rng.random(200) < 0.3
    scores = rng.integers(0, 4, 200).astype(dtype) / 4
    first = average_precision(truth, scores)
    for _ in range(20):
        order = rng.permutation(200)
        assert average_precision(truth[order], scores[order]) == first


def test_float32_keys_sort_as_floats_do():
    values = np.array([0.0, -0.0, 1e-45, -1e-45, 3.4e38, -3.4e38, np.inf, -np.inf, 0.7, -0.7], dtype=np.float32)
    counts = count_by_threshold(np.ones(len(values), dtype=bool), values)
    assert counts.thresholds.tolist() == sorted(set(values.tolist()), reverse=True)
    assert counts.tp[-1] == len(values)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, -np.nan])
def test_nan_is_refused(dtype, bad):
    with pytest.raises(InputError, match="1 of 3 scores are NaN"):
        roc_auc([1, 0, 1], np.array([0.1, bad, 0.3], dtype=dtype))


def test_shapes_must_agree():
    with pytest.raises(InputError, match="same shape"):
        roc_auc([1, 0], [0.5])


def test_nothing_has_no_area():
    assert np.isnan(average_precision([], [])) and np.isnan(roc_auc([], []))


def test_a_large_matrix_takes_seconds():
    import time

    rng = np.random.default_rng(4)
    scores = rng.random((50_000, 20), dtype=np.float32)
    truth = rng.random(scores.shape, dtype=np.float32) < scores * 0.05
    begun = time.perf_counter()
    ranking_summary(truth, scores, list(range(10)))
    assert time.perf_counter() - begun < 5

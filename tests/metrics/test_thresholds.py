"""Figures at a threshold against scikit-learn."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn import metrics as reference

from britekit.metrics.thresholds import count_ranges, detect, top_one_accuracy


@pytest.fixture(autouse=True)
def quick_reference():
    """Spare scikit-learn its checks of every argument, which take longer than its work."""
    with config_context(assume_finite=True, skip_parameter_validation=True):
        yield


def test_precision_and_recall_equal_scikit_learn():
    rng = np.random.default_rng(1)
    for _ in range(60):
        rows, classes = int(rng.integers(1, 30)), int(rng.integers(2, 6))
        truth = rng.random((rows, classes)) < rng.choice([0.0, 0.3, 1.0])
        scores = rng.random((rows, classes)).round(1).astype(np.float32)
        threshold = float(np.float32(rng.choice([0.0, 0.3, 0.5, 1.0])))
        found = detect(truth, scores, threshold)
        said = scores >= threshold
        options = {"zero_division": 0}
        assert found.precision() == pytest.approx(reference.precision_score(truth.ravel(), said.ravel(), **options))
        assert found.recall() == pytest.approx(reference.recall_score(truth.ravel(), said.ravel(), **options))
        for c in range(classes):
            assert found.precision_C[c] == pytest.approx(reference.precision_score(truth[:, c], said[:, c], **options))
            assert found.recall_C[c] == pytest.approx(reference.recall_score(truth[:, c], said[:, c], **options))
        assert found.precision([0]) == found.precision_C[0]


def test_accuracy_equals_scikit_learn_without_ties():
    rng = np.random.default_rng(2)
    right = rng.integers(0, 4, 200)
    scores = rng.random((200, 4))
    truth = np.eye(4, dtype=bool)[right]
    assert top_one_accuracy(truth, scores) == pytest.approx(reference.accuracy_score(right, scores.argmax(axis=1)))


def test_accuracy_of_equal_scores_is_that_of_a_draw():
    truth = np.eye(4, dtype=bool)
    assert top_one_accuracy(truth, np.zeros((4, 4))) == 0.25


@pytest.mark.parametrize("truth", [[[1, 1]], [[0, 0]], np.zeros((0, 2)), [[1, 0], [0, 0]]])
def test_accuracy_needs_one_true_class_per_row(truth):
    assert np.isnan(top_one_accuracy(truth, np.zeros(np.shape(truth))))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ranges_hold_their_lower_border(dtype):
    scores = np.array([k / 10 for k in range(11)], dtype=dtype)
    assert count_ranges(scores).tolist() == [1] * 9 + [2]
    assert count_ranges(np.zeros((0, 3), dtype=dtype)).tolist() == [0] * 10

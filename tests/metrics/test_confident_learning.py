"""Confident learning beside a twin that goes sample by sample, and beside cleanlab where it is installed."""

import numpy as np
import pytest

from britekit.metrics.confident_learning import confident_labels, confusions, doubted, doubted_cells


def draw(seed, wrong=0.15):
    rng = np.random.default_rng(seed)
    classes, count = int(rng.integers(2, 7)), 200
    true = rng.integers(0, classes, count)
    given = np.where(rng.random(count) < wrong, rng.integers(0, classes, count), true)
    logit = rng.normal(size=(count, classes))
    logit[np.arange(count), true] += rng.uniform(0, 3)
    score = np.exp(logit)
    return given, score / score.sum(axis=1, keepdims=True)


def draw_cells(seed):
    rng = np.random.default_rng(seed)
    true = rng.random((200, 5)) < 0.25
    given = true ^ (rng.random(true.shape) < 0.08)
    return given.astype(int), 1 / (1 + np.exp(-rng.normal(size=true.shape) - np.where(true, 2, -2)))


def twin(given, score):
    """The rule of the paper, a sample at a time."""
    classes = range(score.shape[1])
    least = {}
    for k in classes:
        own = [score[n][k] for n in range(len(given)) if given[n] == k]
        least[k] = sum(own) / len(own) if own else 2.0
    found = []
    for n in range(len(given)):
        reached = [k for k in classes if score[n][k] >= least[k] - 1e-6]
        found.append(max(reached, key=lambda k: score[n][k]) if reached else -1)
    return found


@pytest.mark.parametrize("seed", range(8))
def test_equal_to_the_twin(seed):
    given, score = draw(seed)
    likely = twin(given, score)
    assert confident_labels(given, score).tolist() == likely
    wanted = [k not in (-1, own) and own != row.argmax() for k, own, row in zip(likely, given, score, strict=True)]
    assert doubted(given, score).tolist() == wanted and any(wanted)


@pytest.mark.parametrize("seed", range(8))
def test_equal_to_cleanlab(seed):
    filters = pytest.importorskip("cleanlab.filter")
    given, score = draw(seed)
    issues = filters.find_label_issues(given, score, filter_by="confident_learning", n_jobs=1)
    assert doubted(given, score).tolist() == issues.tolist()
    from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class

    label, cells = draw_cells(seed)
    lists = [np.flatnonzero(row).tolist() for row in label]
    issues = find_multilabel_issues_per_class(lists, cells, filter_by="confident_learning", n_jobs=1)
    assert doubted_cells(label, cells).tolist() == np.array(issues).tolist()


def test_wrong_labels_are_found_and_unknown_ones_are_not_doubted():
    """Scores are high where the class is, and low elsewhere; only swapped labels contradict them."""
    rng = np.random.default_rng(0)
    label = (rng.random((200, 5)) < 0.25).astype(int)
    score = np.where(label > 0, 0.9, 0.1) + rng.uniform(-0.05, 0.05, label.shape)
    swapped = {(4, 0), (17, 1), (30, 4), (99, 2)}
    for cell in swapped:
        label[cell] = 1 - label[cell]
        score[cell] = 0.01 if label[cell] else 0.99
    assert {tuple(cell) for cell in np.argwhere(doubted_cells(label, score)).tolist()} == swapped
    known = np.ones_like(label)
    known[17] = 0
    found = np.argwhere(doubted_cells(label, score, known)).tolist()
    assert {tuple(cell) for cell in found} == swapped - {(17, 1)}


def test_a_class_without_samples_is_never_confident():
    given, score = np.array([0, 0, 1, 1]), np.array([[0.5, 0.1, 0.4], [0.4, 0, 0.6], [0.1, 0.8, 0.1], [0, 0.3, 0.7]])
    assert confident_labels(given, score).tolist() == [0, -1, 1, -1]
    assert confusions(np.eye(3, dtype=int)[given], score)[0][2].tolist() == [0, 0, 0]


def test_confusions_by_hand():
    label = np.array([[1, 0], [1, 0], [1, 1], [0, 1], [0, 1]])
    score = np.array([[0.9, 0.7], [0.7, 0.1], [0.8, 0.6], [0.8, 0.9], [0.1, 0.6]])  # means of own: 0.8 and 0.7
    seen, taken, mean = confusions(label, score)
    assert seen.tolist() == [[0, 2], [2, 0]] and taken.tolist() == [[0, 1], [1, 0]]
    assert mean[0, 1] == pytest.approx(0.4) and mean[1, 0] == pytest.approx(0.45)
    known = np.ones_like(label)
    known[0, 1] = 0  # the first may hold the second class
    assert [part[0, 1] for part in confusions(label, score, known)] == pytest.approx([1, 0, 0.1])

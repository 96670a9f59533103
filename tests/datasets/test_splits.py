"""Folds and validation portions: groups whole, classes in proportion, repeatable."""

import numpy as np
import pytest

from britekit.datasets.splits import make_splits
from britekit.errors import TrainingError


def data(groups=60, per_group=3, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    group_class = np.arange(groups) % classes
    ids = np.repeat(np.arange(groups) * 7 + 100, per_group)
    labels = np.zeros((groups * per_group, classes), np.uint8)
    labels[np.arange(len(ids)), np.repeat(group_class, per_group)] = 1
    order = rng.permutation(len(ids))
    return labels[order], ids[order]


def test_no_split():
    labels, groups = data()
    (only,) = make_splits(labels, groups)
    assert only.train.tolist() == list(range(len(labels))) and len(only.held_out) == 0


@pytest.mark.parametrize("folds", [2, 4, 5])
def test_folds_hold_each_sample_out_once_with_groups_whole(folds):
    labels, groups = data()
    splits = make_splits(labels, groups, num_folds=folds)
    assert sorted(np.concatenate([s.held_out for s in splits]).tolist()) == list(range(len(labels)))
    for split in splits:
        assert not set(groups[split.train]) & set(groups[split.held_out])
        assert sorted([*split.train, *split.held_out]) == list(range(len(labels)))
        share = labels[split.held_out].mean(axis=0)
        assert np.abs(share - 0.25).max() < 0.08


@pytest.mark.parametrize("portion", [0.1, 0.2, 0.5])
def test_validation_portion_is_stratified_with_groups_whole(portion):
    labels, groups = data()
    (split,) = make_splits(labels, groups, val_portion=portion)
    assert not set(groups[split.train]) & set(groups[split.held_out])
    assert len(split.held_out) / len(labels) == pytest.approx(portion, abs=0.05)
    assert labels[split.held_out].sum(axis=0).min() > 0


def test_splits_repeat():
    labels, groups = data()
    first = make_splits(labels, groups, num_folds=3)
    second = make_splits(labels, groups, num_folds=3)
    assert all(np.array_equal(a.held_out, b.held_out) for a, b in zip(first, second, strict=True))


def test_uneven_groups_are_balanced():
    sizes = [30, 1, 1, 1, 1, 20, 20, 3, 3, 10, 5, 5]
    groups = np.repeat(np.arange(len(sizes)), sizes)
    labels = np.ones((len(groups), 1), np.uint8)
    splits = make_splits(labels, groups, num_folds=3)
    held = [len(s.held_out) for s in splits]
    assert max(held) - min(held) <= 10


def test_a_class_that_cannot_be_on_every_side_is_named(caplog):
    labels, groups = data(groups=8, classes=4)
    labels = np.hstack([labels, np.zeros((len(labels), 1), np.uint8)])
    one = groups == groups[0]
    labels[one] = 0
    labels[one, 4] = 1
    make_splits(labels, groups, val_portion=0.5, class_names=["a", "b", "c", "d", "Rare Owl"])
    assert "Rare Owl" in caplog.text


def test_a_class_whose_recordings_all_fell_on_one_side_is_named(caplog):
    labels, groups = data(groups=20, classes=2)
    second = np.zeros((len(labels), 1), np.uint8)
    second[np.isin(groups, np.unique(groups)[:2])] = 1  # two recordings, and never the first class
    split = make_splits(np.hstack([labels, second]), groups, val_portion=0.1, class_names=["a", "b", "Rare"])[0]
    assert not second[split.held_out].any()
    assert "on every side of the split: Rare" in caplog.text


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"num_folds": 9}, "8 groups of recordings, too few for train.num_folds 9"),
        ({"num_folds": 2, "val_portion": 0.1}, "use one of the two"),
        ({"val_portion": 1.0}, "below 1"),
        ({"val_portion": -0.1}, "at least 0"),
        ({"val_portion": 0.0001}, "0 held out"),
    ],
)
def test_impossible_splits_are_refused(settings, said):
    labels, groups = data(groups=8)
    with pytest.raises(TrainingError) as caught:
        make_splits(labels, groups, **settings)
    assert said in str(caught.value)

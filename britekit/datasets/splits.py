"""Which samples are held out: folds and a validation portion, groups whole, classes in proportion.

Samples cut from one recording (or from one group of recordings) are near copies of each other; a split that
parts them measures memory, not recognition.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from britekit.errors import TrainingError

log = logging.getLogger(__name__)

# The same everywhere, so that runs with different seeds are judged on the same held-out data.
_SHUFFLE_SEED = 6823


@dataclass(frozen=True)
class Split:
    """One division."""

    train: np.ndarray
    held_out: np.ndarray
    """Sample indices, ascending; ``held_out`` may be empty."""


def first_class(labels_NC: np.ndarray) -> np.ndarray:
    """(N,) index of each sample's first class; -1 where classes were only rejected."""
    labels = np.asarray(labels_NC)
    return np.where(labels.any(axis=1), labels.argmax(axis=1), -1)


def make_splits(
    labels_NC: np.ndarray,
    group_ids: np.ndarray,
    num_folds: int = 1,
    val_portion: float = 0.0,
    class_names: Sequence[str] | None = None,
) -> list[Split]:
    """Return the splits of a training run: one per fold, or a single one.

    Parameters
    ----------
    group_ids
        (N,) samples of equal id stay on one side.
    num_folds
        More than 1: cross-validation; every sample is held out once.
    val_portion
        Share held out, with ``num_folds`` 1.

    Raises
    ------
    TrainingError
        Both kinds asked for, a portion outside [0, 1), more folds than groups, nothing left on one side.
    """
    count = len(labels_NC)
    if num_folds > 1 and val_portion > 0:
        raise TrainingError(f"train.num_folds is {num_folds} and train.val_portion {val_portion}; use one of the two")
    if not 0 <= val_portion < 1:
        raise TrainingError(f"train.val_portion is {val_portion}; it must be at least 0 and below 1")
    if num_folds <= 1 and val_portion == 0:
        return [Split(np.arange(count), np.arange(0))]
    groups = np.unique(group_ids)
    parts = num_folds if num_folds > 1 else 2
    if len(groups) < parts:
        raise TrainingError(
            f"the training data come from {len(groups)} groups of recordings, too few for "
            + (f"train.num_folds {num_folds}" if num_folds > 1 else f"train.val_portion {val_portion}")
            + "; add recordings or ask for less"
        )
    classes = first_class(labels_NC)
    shares = [1.0 / num_folds] * num_folds if num_folds > 1 else [1.0 - val_portion, val_portion]
    side = assign_groups(classes, group_ids, shares, _SHUFFLE_SEED)
    if num_folds > 1:
        splits = [Split(np.flatnonzero(side != k), np.flatnonzero(side == k)) for k in range(num_folds)]
    else:
        splits = [Split(np.flatnonzero(side == 0), np.flatnonzero(side == 1))]
    for split in splits:
        if len(split.train) < 2 or len(split.held_out) == 0:
            raise TrainingError(
                f"the split leaves {len(split.train)} spectrograms for training and {len(split.held_out)} "
                "held out; add recordings or change train.num_folds or train.val_portion"
            )
    _warn_of_gaps(np.asarray(labels_NC), splits, class_names)
    return splits


def assign_groups(classes_N: np.ndarray, group_ids: np.ndarray, shares: Sequence[float], seed: int) -> np.ndarray:
    """(N,) side of each sample, groups whole, each side near its share of each class.

    Groups are dealt out from the largest to the smallest (equal ones in random order), each to the side that
    lacks most of what the group holds.
    """
    _, group = np.unique(group_ids, return_inverse=True)
    _, label = np.unique(classes_N, return_inverse=True)
    content = np.zeros((group.max() + 1, label.max() + 1))
    np.add.at(content, (group, label), 1)
    wanted = np.outer(shares, content.sum(axis=0))
    rarity = 1.0 / content.sum(axis=0)
    order = np.random.default_rng(seed).permutation(len(content))
    order = order[np.argsort(-content[order].sum(axis=1), kind="stable")]
    side_of_group = np.zeros(len(content), dtype=np.int64)
    for number in order:
        own = content[number]
        missing = wanted @ (own * rarity)
        # Equal need for the classes: the emptier side as a whole.
        best = np.flatnonzero(missing >= missing.max() - 1e-9)
        chosen = best[np.argmax(wanted[best].sum(axis=1))]
        side_of_group[number] = chosen
        wanted[chosen] -= own
    return side_of_group[group]


def _warn_of_gaps(labels_NC: np.ndarray, splits: Sequence[Split], class_names: Sequence[str] | None) -> None:
    """Name the classes that are missing on a side: not learned there, or not judged."""
    sides = [labels_NC[side].any(axis=0) for split in splits for side in (split.train, split.held_out)]
    gaps = np.flatnonzero(np.any(sides, axis=0) & ~np.all(sides, axis=0)).tolist()
    if gaps:
        names = ", ".join(class_names[c] if class_names else str(c) for c in gaps)
        log.warning("too few recordings to be on every side of the split: %s", names)

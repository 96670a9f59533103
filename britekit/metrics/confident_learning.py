"""Confident learning: which labels are probably wrong, by scores of models that had not seen them.

A score is confident if it reaches the mean score of the samples that have the label (Northcutt, Jiang & Chuang, JAIR
70, 2021). A label is doubted if another one is confident instead. Where classes exclude each other, they are compared
with one another; else each class with its absence.

Legend: N samples, C classes, K alternatives.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-6


def confident_labels(given_N: NDArray[np.integer], score_NK: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return which alternative each sample is confidently taken for, -1 where none reaches its mean.

    Parameters
    ----------
    given_N
        The alternative that each sample is labeled with.
    score_NK
        Scores by alternative, each row of sum 1. An alternative that no sample is labeled with is never confident.
    """
    count = score_NK.shape[1]
    least = np.array([score_NK[given_N == k, k].mean() if (given_N == k).any() else np.inf for k in range(count)])
    reached = score_NK >= least - _ROUNDING
    # Of several, the highest score.
    best = np.where(reached, score_NK, -1.0).argmax(axis=1)
    best = np.where(reached.sum(axis=1) > 1, score_NK.argmax(axis=1), best)
    return np.where(reached.any(axis=1), best, -1).astype(np.int64)


def doubted(given_N: NDArray[np.integer], score_NK: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return whether a sample's label is doubted: another is confident, and the label is not the likeliest."""
    likely = confident_labels(given_N, score_NK)
    return (likely >= 0) & (likely != given_N) & (score_NK.argmax(axis=1) != given_N)


def doubted_cells(
    label_NC: NDArray[np.integer], score_NC: NDArray[np.floating], known_NC: NDArray[np.integer] | None = None
) -> NDArray[np.bool_]:
    """Return (N, C) which labels are doubted, each class compared with its absence.

    Parameters
    ----------
    label_NC, score_NC
        Whether a sample has the class, and how likely it has, 0 to 1.
    known_NC
        0 where the label is not known, so that nothing can be doubted.
    """
    found = np.zeros(label_NC.shape, bool)
    for c in range(label_NC.shape[1]):
        rows = np.arange(len(label_NC)) if known_NC is None else np.flatnonzero(known_NC[:, c])
        score = np.asarray(score_NC[rows, c], np.float64)
        found[rows, c] = doubted(np.asarray(label_NC[rows, c], np.int64), np.stack([1 - score, score], axis=1))
    return found


def confusions(
    label_NC: NDArray[np.integer], score_NC: NDArray[np.floating], known_NC: NDArray[np.integer] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return what samples of a class are taken for besides.

    Returns
    -------
    tuple of (C, C)
        By class and other class: samples of the class that are known to lack the other one, in how many of them it is
        confident all the same (reaches the mean score of its own samples), and its mean score over all of them.
    """
    label = np.asarray(label_NC, np.int64)
    absent = (1 - label) * (1 if known_NC is None else np.asarray(known_NC, np.int64))
    score = np.asarray(score_NC, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        least = (label * score).sum(axis=0) / label.sum(axis=0)
        seen = label.T @ absent
        mean = (label.T @ (absent * score)) / seen
    return seen, label.T @ (absent * (score >= least - _ROUNDING)), mean

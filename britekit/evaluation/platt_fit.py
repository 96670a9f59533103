"""Platt scaling: P = sigmoid(a logit(p) + b), fitted on the ensemble's mean score p.

Platt, Probabilistic Outputs for Support Vector Machines (1999), on logits and with a light penalty. N: rows,
C: classes, M: points, B: bins of logits.

Cells are counted in narrow bins of their logit, each represented by the mean logit of its cells. This changes a fitted
value by a relative 1e-5 at most, and eleven fits over millions of cells take two passes over them, one for the global
values and one for the classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from britekit.errors import InputError

# Scores of exactly 0 or 1 have no logit.
CLIP = 1e-7
MIN_CELLS = 10
# A class gets its own values only if it is present in this many recordings, and absent from as many.
MIN_RECORDINGS = 5
# 99 % quantile of chi-squared with 2 degrees of freedom.
_DEPARTURE = 9.21
# Standard deviations of the normal prior of a class around the global fit: slope, intercept.
PRIOR_PRECISION = (0.25**-2, 1.0**-2)
# Logits of clipped scores lie within ±16.2.
_SPAN = 17
_FOLDS = 10
# Bins per unit of logit. Classes need fewer: their values are shrunk anyway, and there are many.
_FINE, _COARSE = 1024, 128


@dataclass(frozen=True)
class PlattFit:
    """A fitted calibration."""

    coefficient: float
    intercept: float
    per_class: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Coefficient and intercept of each column with its own values."""
    cells: int = 0
    """Number of fitted cells at or above the cutoff."""

    def apply(self, scores_NC: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return calibrated probabilities; a score of exactly 0, which means no score, stays 0."""
        probabilities = np.empty(scores_NC.shape, dtype=np.float32)
        # One class at a time: all cells in double precision would take several times the memory of scores.
        for column in range(scores_NC.shape[1]):
            a, b = self.per_class.get(column, (self.coefficient, self.intercept))
            scores = np.ascontiguousarray(scores_NC[:, column])
            probabilities[:, column] = np.where(scores == 0, 0.0, _sigmoid(a * logit(scores) + b))
        return probabilities


def logit(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return log(p / (1 - p)) of scores clipped to [1e-7, 1 - 1e-7]."""
    p = np.clip(np.asarray(scores, dtype=np.float64), CLIP, 1 - CLIP)
    return np.log(p / (1 - p))


def lowest_fitted(cutoff: float, unrounded: bool) -> float:
    """Return the lowest score that takes part in a fit.

    Among unrounded scores, exactly 0 means that no window covers the cell, so there is nothing to calibrate; in label
    files it may be a low score.
    """
    return max(cutoff, float(np.finfo(np.float32).tiny)) if unrounded else cutoff


def fit_platt(
    z_M: NDArray[np.float64],
    true_M: NDArray[np.floating] | NDArray[np.bool_],
    count_M: NDArray[np.floating] | None = None,
    start: tuple[float, float] = (1.0, 0.0),
    center: tuple[float, float] = (0.0, 0.0),
    penalty: tuple[float, float] = (1.0, 0.0),
) -> tuple[float, float]:
    """Fit truth on logits by penalized logistic regression with Newton's method.

    Minimizes the summed log loss plus half of penalty · (value - center)². The default is scikit-learn's
    ``LogisticRegression(C=1)``: the coefficient penalized with strength 1, the intercept free.

    Parameters
    ----------
    z_M
        Logits of the scores.
    true_M, count_M
        Number of cells with this logit, and how many of them are true; by default one cell each.
    start
        Initial values.
    center, penalty
        Center and strength of the penalty on coefficient and intercept.

    Returns
    -------
    tuple
        Coefficient a and intercept b.
    """
    y = true_M.astype(np.float64)
    count = np.ones(len(y)) if count_M is None else count_M.astype(np.float64)
    value, pull, strength = np.array(start), np.array(center), np.array(penalty)

    def loss(candidate: NDArray[np.float64]) -> float:
        logits = candidate[0] * z_M + candidate[1]
        return float(count @ np.logaddexp(0, logits) - logits @ y + strength @ (candidate - pull) ** 2 / 2)

    now = loss(value)
    for _ in range(100):
        p = _sigmoid(value[0] * z_M + value[1])
        residual, weight = count * p - y, count * p * (1 - p)
        weighted = weight * z_M
        gradient = np.array([residual @ z_M, residual.sum()]) + strength * (value - pull)
        off = weighted.sum()
        hessian = np.array([[weighted @ z_M, off], [off, weight.sum()]]) + np.diag(strength + 1e-12)
        step = np.linalg.solve(hessian, gradient)
        # Far from the optimum a whole step can overshoot; halve it until the loss falls.
        for _ in range(40):
            after = loss(value - step)
            if after <= now + 1e-12 * abs(now):
                break
            step /= 2
        value, now = value - step, after
        if np.all(np.abs(step) < 1e-9 * (1 + np.abs(value))):
            break
    return float(value[0]), float(value[1])


def fit_calibration(
    truth_NC: NDArray[np.bool_],
    scores_NC: NDArray[np.floating],
    groups_N: NDArray[np.integer],
    cutoff: float = 0.0,
    per_class: bool = True,
) -> PlattFit:
    """Fit a calibration on all cells at or above the cutoff, and per class where there is evidence.

    A class gets its own values if it is present in at least 5 recordings and absent from 5, and a score test of its
    cells against the global fit, with recordings as independent units, is significant at 1 %. They are then shrunk
    towards the global values by a normal prior (standard deviation 0.25 for the coefficient, 1 for the intercept).

    Parameters
    ----------
    truth_NC, scores_NC
        A column per trained class.
    groups_N
        Recording of each row.
    cutoff
        Cells below are left out of the fit.
    per_class
        False fits only the global values.

    Raises
    ------
    InputError
        Fewer than 10 cells reach the cutoff, or all of them are true, or all false.
    """
    everything = np.zeros(len(groups_N), dtype=np.int64)
    cells = _Cells(truth_NC, scores_NC, groups_N, everything, 1, cutoff)
    return cells.fit([None], per_class)[0]


def cross_fit(
    truth_NC: NDArray[np.bool_],
    scores_NC: NDArray[np.floating],
    groups_N: NDArray[np.integer],
    cutoff: float = 0.0,
    per_class: bool = True,
) -> NDArray[np.float32]:
    """Return probabilities, each calibrated without the recording that it belongs to.

    Recordings are assigned to folds at random, with a fixed seed. Each fold is calibrated by a fit on all others, so
    that errors measured on the result hold for new recordings.

    Raises `InputError` if there is only one recording, or the recordings outside a fold do not suffice for a fit.
    """
    members = np.unique(groups_N)
    if len(members) < 2:
        raise InputError("only one recording: a calibration cannot be checked on recordings it has not seen")
    number = min(_FOLDS, len(members))
    fold_of = np.zeros(int(members.max()) + 1, dtype=np.int64)
    fold_of[np.random.default_rng(0).permutation(members)] = np.arange(len(members)) % number
    fold_N = fold_of[groups_N]
    cells = _Cells(truth_NC, scores_NC, groups_N, fold_N, number, cutoff)
    probabilities = np.empty(scores_NC.shape, dtype=np.float32)
    for fold, fitted in enumerate(cells.fit(list(range(number)), per_class)):
        held_out = fold_N == fold
        probabilities[held_out] = fitted.apply(scores_NC[held_out])
    return probabilities


class _Cells:
    """Cells at or above the cutoff, counted by fold and bin of their logit."""

    def __init__(
        self,
        truth_NC: NDArray[np.bool_],
        scores_NC: NDArray[np.floating],
        groups_N: NDArray[np.integer],
        fold_N: NDArray[np.int64],
        folds: int,
        cutoff: float,
    ) -> None:
        self.truth_NC, self.scores_NC = truth_NC, scores_NC
        self.fold_N, self.folds, self.cutoff = fold_N, folds, cutoff
        _, self.group_N = np.unique(groups_N, return_inverse=True)
        self.groups = int(self.group_N.max()) + 1 if len(groups_N) else 0
        self.fold_G = np.zeros(self.groups, dtype=np.int64)
        self.fold_G[self.group_N] = fold_N
        self.sums = np.zeros((3, folds, 2 * _SPAN * _FINE))
        for column in range(scores_NC.shape[1]):
            self.sums += _Column(self, column, _FINE).sums

    def fit(self, without: list[int | None], per_class: bool) -> list[PlattFit]:
        """Return a fit for each fold that is left out (None: no fold)."""
        fits = [self._fit_global(fold) for fold in without]
        own: list[dict[int, tuple[float, float]]] = [{} for _ in without]
        for column in range(self.scores_NC.shape[1]) if per_class else ():
            cells = _Column(self, column, _COARSE)
            if not cells.may_depart():
                continue
            for fold, (a, b, _), found in zip(without, fits, own, strict=True):
                if cells.departs(fold, a, b):
                    count, true, z = _points(cells.sums, fold)
                    found[column] = fit_platt(z, true, count, (a, b), (a, b), PRIOR_PRECISION)
        return [PlattFit(a, b, found, cells) for (a, b, cells), found in zip(fits, own, strict=True)]

    def _fit_global(self, without: int | None) -> tuple[float, float, int]:
        count, true, z = _points(self.sums, without)
        cells, positives = int(count.sum()), int(true.sum())
        # A cutoff of 0 was replaced by the smallest score that has a logit.
        shown = self.cutoff if self.cutoff > np.finfo(np.float32).tiny else 0.0
        if cells < MIN_CELLS:
            raise InputError(
                f"{cells} predictions reach the cutoff {shown:g}; expected at least {MIN_CELLS}; "
                f"{'lower --cutoff or ' if shown else ''}test more recordings"
            )
        if positives in (0, cells):
            raise InputError(
                f"all {cells} predictions that reach the cutoff {shown:g} are {'true' if positives else 'false'}; a "
                "calibration needs both; change --cutoff or check that annotations and labels belong together"
            )
        if np.ptp(z) < 1e-6:
            raise InputError(
                f"all {cells} predictions that reach the cutoff {shown:g} have the same score; a "
                "calibration needs scores that differ; check the models and run analyze again"
            )
        return *fit_platt(z, true, count), cells


class _Column:
    """The cells of one class."""

    def __init__(self, cells: _Cells, column: int, bins_per_unit: int) -> None:
        self._cells, self._bins = cells, 2 * _SPAN * bins_per_unit
        scores = np.ascontiguousarray(cells.scores_NC[:, column])
        self._used = np.flatnonzero(scores >= cells.cutoff)
        z = logit(scores[self._used])
        self._y = cells.truth_NC[self._used, column].astype(np.float64)
        self._group = cells.group_N[self._used]
        place = ((z + _SPAN) * bins_per_unit).astype(np.int64)
        index, size = cells.fold_N[self._used] * self._bins + place, cells.folds * self._bins
        counted = [np.bincount(index, w, minlength=size).astype(np.float64) for w in (None, self._y, z)]
        self.sums = np.stack(counted).reshape(3, cells.folds, self._bins)
        """(3, folds, B) cells, true cells, sum of logits."""
        self._place = place

    def may_depart(self) -> bool:
        """Whether enough recordings contain the class, and enough do not."""
        self._present_G = self._sum(np.ones(len(self._used))) > 0
        self._heard_G = self._sum(self._y) > 0
        count, _, z = self.sums.sum(axis=1)
        self._z_of_bin = np.divide(z, count, out=np.zeros(self._bins), where=count > 0)
        return self._enough(self._present_G)

    def departs(self, without: int | None, a: float, b: float) -> bool:
        """Test whether the cells of a class contradict the global fit.

        The score (gradient of the log likelihood at the global fit) is summed per recording. These sums are independent
        however correlated the cells within a recording are, and their scatter gives the variance of the test.
        """
        chosen_G = self._present_G
        if without is not None:
            chosen_G = chosen_G & (self._cells.fold_G != without)
        if not self._enough(chosen_G):
            return False
        residual = self._y - _sigmoid(a * self._z_of_bin + b)[self._place]
        sums = [self._sum(residual * self._z_of_bin[self._place]), self._sum(residual)]
        score_G2 = np.stack(sums, axis=1)[chosen_G]
        total = score_G2.sum(axis=0)
        variance = score_G2.T @ score_G2
        if np.linalg.cond(variance) > 1e12:  # nearly equal scores: slope and intercept are not identifiable
            return False
        return float(total @ np.linalg.solve(variance, total)) > _DEPARTURE

    def _enough(self, chosen_G: NDArray[np.bool_]) -> bool:
        heard = int(np.count_nonzero(self._heard_G[chosen_G]))
        silent = int(np.count_nonzero(chosen_G)) - heard
        return heard >= MIN_RECORDINGS and silent >= MIN_RECORDINGS

    def _sum(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum the values of the cells of each recording."""
        return np.bincount(self._group, values, minlength=self._cells.groups).astype(np.float64)


def _points(sums: NDArray[np.float64], without: int | None) -> tuple[NDArray, NDArray, NDArray]:
    """Return cells, true cells and mean logit of the non-empty bins, over all folds but one."""
    count, true, z = sums.sum(axis=1) if without is None else np.delete(sums, without, axis=1).sum(axis=1)
    filled = count > 0
    return count[filled], true[filled], z[filled] / count[filled]


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-x)) without overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)

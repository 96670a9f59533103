"""Platt scaling: P = sigmoid(a logit(p) + b), fitted on the ensemble's mean score p.

Platt, Probabilistic Outputs for Support Vector Machines (1999), on logits and with a light penalty. N: rows,
C: classes, M: points, B: bins of logits.

Cells are counted in narrow bins of their logit, each standing at the mean logit of its cells. That changes a
fitted value by less than 1e-5 of itself, and lets eleven fits over millions of cells cost one pass over
them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from britekit.errors import InputError

# Scores of exactly 0 or 1 have no logit.
CLIP = 1e-7
MIN_CELLS = 10
# A class gets values of its own only with this many recordings in which it is heard, and as many in which
# not.
MIN_RECORDINGS = 5
# 99 % quantile of chi-squared with 2 degrees of freedom.
_DEPARTURE = 9.21
# How far a class may lie from the global fit, as standard deviations of a normal prior: of the slope, the
# intercept.
_PRIOR_PRECISION = (0.25**-2, 1.0**-2)
# Logits of clipped scores lie within ±16.2.
_SPAN, _BINS_PER_UNIT = 17, 1024
_BINS = 2 * _SPAN * _BINS_PER_UNIT


@dataclass(frozen=True)
class PlattFit:
    """A fitted calibration."""

    coefficient: float
    intercept: float
    per_class: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Coefficient and intercept of the columns that have their own."""
    cells: int = 0
    """Cells at or above the cutoff it was fitted on."""

    def apply(self, scores_NC: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return calibrated probabilities of a score matrix."""
        z = logit(scores_NC)
        shape = z.shape
        a, b = np.full(shape[-1], self.coefficient), np.full(shape[-1], self.intercept)
        for column, (own_a, own_b) in self.per_class.items():
            a[column], b[column] = own_a, own_b
        return _sigmoid(z * a + b).astype(np.float32)


def logit(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return log(p / (1 - p)) of scores clipped to [1e-7, 1 - 1e-7]."""
    p = np.clip(np.asarray(scores, dtype=np.float64), CLIP, 1 - CLIP)
    return np.log(p / (1 - p))


def fit_platt(
    z_M: NDArray[np.float64],
    true_M: NDArray[np.floating] | NDArray[np.bool_],
    count_M: NDArray[np.floating] | None = None,
    start: tuple[float, float] = (1.0, 0.0),
    centre: tuple[float, float] = (0.0, 0.0),
    penalty: tuple[float, float] = (1.0, 0.0),
) -> tuple[float, float]:
    """Fit truth on logits by penalised logistic regression with Newton's method.

    Minimises the summed log loss plus half of penalty · (value - centre)². The default is scikit-learn's
    ``LogisticRegression(C=1)``: the coefficient penalised with strength 1, the intercept free.

    Parameters
    ----------
    z_M
        Logits of the scores.
    true_M, count_M
        How many cells have this logit, and how many of them are true; default one cell each.
    start
        Where to begin.
    centre, penalty
        Of coefficient and intercept.

    Returns
    -------
    tuple
        Coefficient a and intercept b.
    """
    y = true_M.astype(np.float64)
    count = np.ones(len(y)) if count_M is None else count_M.astype(np.float64)
    value, pull, strength = np.array(start), np.array(centre), np.array(penalty)

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
    """Fit one calibration on all cells at or above the cutoff, and per class where there is evidence.

    A class gets values of its own if it is heard in at least 5 recordings and absent from 5, and a score
    test of its cells against the global fit, with recordings as independent units, is significant at 1 %.
    They are then shrunk towards the global values by a normal prior (standard deviation 0.25 for the
    coefficient, 1 for the intercept).

    Parameters
    ----------
    truth_NC, scores_NC
        A column per trained class.
    groups_N
        Recording of each row.
    cutoff
        Cells below are left out of the fit.
    per_class
        False fits the global values alone.

    Raises
    ------
    InputError
        If fewer than 10 cells reach the cutoff, or all of them are true, or all false.
    """
    everything = np.zeros(len(groups_N), dtype=np.int64)
    cells = _Cells(truth_NC, scores_NC, groups_N, everything, 1, cutoff)
    return cells.fit(None, per_class)


def cross_fit(
    truth_NC: NDArray[np.bool_],
    scores_NC: NDArray[np.floating],
    groups_N: NDArray[np.integer],
    cutoff: float = 0.0,
    per_class: bool = True,
    folds: int = 10,
) -> NDArray[np.float32]:
    """Return probabilities whose calibration never saw the recording they belong to.

    Recordings are dealt to the folds at random (always in the same way). Each fold is calibrated by a fit on
    all others, so that errors measured on the result are what new recordings would show.

    Raises
    ------
    InputError
        If there is only one recording, or the recordings outside a fold do not suffice for a fit.
    """
    members = np.unique(groups_N)
    if len(members) < 2:
        raise InputError("only one recording: a calibration cannot be checked on recordings it has not seen")
    number = min(folds, len(members))
    fold_of = np.zeros(int(members.max()) + 1, dtype=np.int64)
    fold_of[np.random.default_rng(0).permutation(members)] = np.arange(len(members)) % number
    fold_N = fold_of[groups_N]
    cells = _Cells(truth_NC, scores_NC, groups_N, fold_N, number, cutoff)
    probabilities = np.empty(scores_NC.shape, dtype=np.float32)
    for fold in range(number):
        held_out = fold_N == fold
        probabilities[held_out] = cells.fit(fold, per_class).apply(scores_NC[held_out])
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
        self.fold_N, self.folds, self.cutoff = fold_N, folds, cutoff
        _, self.group_N = np.unique(groups_N, return_inverse=True)
        self.groups = int(self.group_N.max()) + 1 if len(groups_N) else 0
        self.fold_G = np.zeros(self.groups, dtype=np.int64)
        self.fold_G[self.group_N] = fold_N
        # A class at a time is wanted from here on; its cells should lie together.
        self.truth_CN = np.ascontiguousarray(truth_NC.T)
        self.used_CN = np.ascontiguousarray((scores_NC >= cutoff).T)
        self.z_CN = logit(np.ascontiguousarray(scores_NC.T))
        self.sums = np.zeros((3, folds, _BINS))
        for column in range(len(self.z_CN)):
            self.sums += self._count(column)

    def fit(self, without: int | None, per_class: bool) -> PlattFit:
        """Fit all folds but one (None: all)."""
        count, true, z = _points(self.sums, without)
        cells, positives = int(count.sum()), int(true.sum())
        if cells < MIN_CELLS:
            raise InputError(
                f"{cells} predictions reach the cutoff {self.cutoff:g}; expected at least {MIN_CELLS}; lower "
                "--cutoff or test more recordings"
            )
        if positives in (0, cells):
            raise InputError(
                f"all {cells} predictions that reach the cutoff {self.cutoff:g} are "
                f"{'true' if positives else 'false'}; a calibration needs both; change --cutoff or check "
                "that annotations and labels belong together"
            )
        a, b = fit_platt(z, true, count)
        own: dict[int, tuple[float, float]] = {}
        for column in range(len(self.z_CN)) if per_class else ():
            if self._departs(column, without, a, b):
                count, true, z = _points(self._count(column), without)
                own[column] = fit_platt(z, true, count, (a, b), (a, b), _PRIOR_PRECISION)
        return PlattFit(a, b, own, cells)

    def _count(self, column: int) -> NDArray[np.float64]:
        """Count the cells of a column: (3, folds, B) cells, true cells, sum of logits."""
        used = self.used_CN[column]
        z = self.z_CN[column, used]
        place = np.clip((z + _SPAN) * _BINS_PER_UNIT, 0, _BINS - 1).astype(np.int64)
        index, size = self.fold_N[used] * _BINS + place, self.folds * _BINS
        weights = (None, self.truth_CN[column, used], z)
        counted = [np.bincount(index, w, minlength=size).astype(np.float64) for w in weights]
        return np.stack(counted).reshape(3, self.folds, _BINS)

    def _departs(self, column: int, without: int | None, a: float, b: float) -> bool:
        """Test whether the cells of a class contradict the global fit.

        The score (gradient of the log likelihood at the global fit) is summed per recording; the sums are
        independent whatever the likeness of cells within a recording, and their scatter measures the test's
        variance.
        """
        z, used = self.z_CN[column], self.used_CN[column]
        y = self.truth_CN[column] & used
        chosen_G = self._sum(used) > 0
        if without is not None:
            chosen_G &= self.fold_G != without
        heard = int(np.count_nonzero(self._sum(y)[chosen_G]))
        if heard < MIN_RECORDINGS or np.count_nonzero(chosen_G) - heard < MIN_RECORDINGS:
            return False
        residual = (y - _sigmoid(a * z + b)) * used
        score_G2 = np.stack([self._sum(residual * z), self._sum(residual)], axis=1)[chosen_G]
        total = score_G2.sum(axis=0)
        variance = score_G2.T @ score_G2
        if np.linalg.cond(variance) > 1e12:  # all scores alike: slope and intercept cannot be told apart
            return False
        return float(total @ np.linalg.solve(variance, total)) > _DEPARTURE

    def _sum(self, values_N: NDArray) -> NDArray[np.float64]:
        """Sum the values of the rows of each recording."""
        return np.bincount(self.group_N, values_N, minlength=self.groups).astype(np.float64)


def _points(sums: NDArray[np.float64], without: int | None) -> tuple[NDArray, NDArray, NDArray]:
    """Return cells, true cells and mean logit of the bins that hold any, over all folds but one."""
    count, true, z = sums.sum(axis=1) if without is None else np.delete(sums, without, axis=1).sum(axis=1)
    filled = count > 0
    return count[filled], true[filled], z[filled] / count[filled]


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-x)) without overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)

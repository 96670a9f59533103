"""Rate the average of some members exactly, or within two bounds in a fraction of the time.

Ranking metrics depend on the ranks of the few true cells among the many false ones. So false cells are separated from
true ones: only their scores are averaged and sorted, as plain float32, and the true ones are looked up in them. For
bounds they are not even sorted, but counted in bins of nearly equal scores, and the effect of the order inside a bin is
bounded.

M: members, P: true cells, N: false cells of one list. A list is what one area is computed over: all cells
together (micro), or one class (macro).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from britekit.errors import InputError

Metric = Literal["macro_pr", "micro_pr", "macro_roc", "micro_roc"]
METRICS: tuple[Metric, ...] = ("macro_pr", "micro_pr", "macro_roc", "micro_roc")

# Number of cells averaged at once, which fit the CPU cache.
_BLOCK = 1 << 17
# The leading bits of a float32 between 0 and 1 give its bin: 512 or 128 bins per doubling of the score.
_FINE, _COARSE = 14, 16
_MANY = 1 << 20


@dataclass(frozen=True)
class _List:
    true_MP: NDArray[np.float32]
    false_MN: NDArray[np.float32]


class MeanScores:
    """Scores of members on one set of cells, ready to rate averages of them.

    Raises `InputError` if the metric is unknown or not defined for this truth, or scores are not between 0 and 1.

    Parameters
    ----------
    truth_NC
        Which cells are true.
    scores_MNC
        Scores of each member, float32, 0 to 1.
    metric
        ``macro_...``: the mean over classes for which the area is defined; ``micro_...``: all cells as one list.
    """

    def __init__(self, truth_NC: NDArray[np.bool_], scores_MNC: NDArray[np.float32], metric: str) -> None:
        if metric not in METRICS:
            raise InputError(f'metric "{metric}" is unknown; expected {", ".join(METRICS)}')
        # This form also rejects NaN.
        if scores_MNC.size and not (scores_MNC.min() >= 0 and scores_MNC.max() <= 1):
            raise InputError("a score is not a number between 0 and 1; run inference again")
        self.metric, self.members = metric, len(scores_MNC)
        self._is_pr = metric.endswith("_pr")
        if metric.startswith("micro"):
            groups = [(truth_NC.ravel(), scores_MNC.reshape(self.members, -1))]
        else:
            groups = [(truth_NC[:, c], scores_MNC[:, :, c]) for c in range(truth_NC.shape[1])]
        self._lists = [
            _List(
                np.ascontiguousarray(scores[:, truth], np.float32), np.ascontiguousarray(scores[:, ~truth], np.float32)
            )
            for truth, scores in groups
            # A class that is always true has precision 1, but no ROC curve.
            if truth.any() and (self._is_pr or not truth.all())
        ]
        if not self._lists:
            raise InputError(f"{metric} is not defined here: no class is both present and absent")

    def exact(self, combination: Sequence[int]) -> float:
        """Return the metric of the mean of these members; a member named twice counts twice."""
        return _mean(self._exact(each, combination) for each in self._lists)

    def bounds(self, combination: Sequence[int]) -> tuple[float, float]:
        """Return two numbers between which `exact` lies."""
        found = [self._bounds(each, combination) for each in self._lists]
        return _mean(low for low, _ in found), _mean(high for _, high in found)

    def _exact(self, data: _List, combination: Sequence[int]) -> float:
        true_P = np.sort(mean_of(data.true_MP, combination))
        false_N = mean_of(data.false_MN, combination)
        false_N.sort()
        below_P = np.searchsorted(false_N, true_P, side="left")
        if not self._is_pr:
            through_P = np.searchsorted(false_N, true_P, side="right")
            # Twice the number of false cells below; equal ones count one half.
            return float((below_P + through_P).sum()) / (2.0 * len(true_P) * len(false_N))
        higher_P = len(true_P) - np.searchsorted(true_P, true_P, side="left")
        return float((higher_P / (higher_P + (len(false_N) - below_P))).mean())

    def _bounds(self, data: _List, combination: Sequence[int]) -> tuple[float, float]:
        shift = _FINE if data.false_MN.shape[1] > _MANY else _COARSE
        false_B = _histogram(data.false_MN, combination, shift)
        true_B = _histogram(data.true_MP, combination, shift)
        positives, negatives = int(true_B.sum()), int(false_B.sum())
        false_from_B = false_B[::-1].cumsum()[::-1]  # in this bin or a higher one
        used = np.flatnonzero(true_B)
        count, inside, through = true_B[used], false_B[used], false_from_B[used]
        if not self._is_pr:
            surely = float((count * (negatives - through)).sum())
            pairs = float(positives) * negatives
            return surely / pairs, (surely + float((count * inside).sum())) / pairs
        true_from = count[::-1].cumsum()[::-1]
        # Worst case: the false cells of the bin rank above its true ones, which follow one by one. Best case: the true
        # cells are all equal and rank above.
        best = float((count * (true_from / (true_from + (through - inside)))).sum())
        worst = float((count * ((true_from - count + 1) / (true_from - count + 1 + through))).sum())
        return worst / positives, best / positives


def mean_of(scores_MN: NDArray[np.float32], combination: Sequence[int]) -> NDArray[np.float32]:
    """Return the mean of rows (N,), rounded as `Ensemble.score` rounds it."""
    total = np.empty(scores_MN.shape[1], np.float32)
    for first in range(0, len(total), _BLOCK):
        _mean_into(total[first : first + _BLOCK], scores_MN[:, first : first + _BLOCK], combination)
    return total


def _mean_into(total_N: NDArray[np.float32], scores_MN: NDArray[np.float32], combination: Sequence[int]) -> None:
    total_N[:] = scores_MN[combination[0]]
    for member in combination[1:]:
        total_N += scores_MN[member]
    if len(combination) > 1:
        total_N /= np.float32(len(combination))


def _histogram(scores_MN: NDArray[np.float32], combination: Sequence[int], shift: int) -> NDArray[np.int64]:
    """Count means by their leading bits: non-negative floats are ordered like their bits."""
    bins = (0x3F800000 >> shift) + 2  # a mean of ones may round to slightly above 1
    counts = np.zeros(bins, np.int64)
    size = min(_BLOCK, scores_MN.shape[1])
    mean, places = np.empty(size, np.float32), np.empty(size, np.intp)
    for first in range(0, scores_MN.shape[1], _BLOCK):
        part = scores_MN[:, first : first + _BLOCK]
        here = mean[: part.shape[1]]
        _mean_into(here, part, combination)
        bits = here.view(np.uint32)
        bits >>= np.uint32(shift)
        places[: len(here)] = bits
        counts += np.bincount(places[: len(here)], minlength=bins)
    return counts


def _mean(values: object) -> float:
    listed = list(values)  # type: ignore[call-overload]
    return float(sum(listed)) / len(listed)

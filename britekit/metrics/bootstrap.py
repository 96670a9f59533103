"""Confidence intervals by resampling recordings.

Cells of one recording are correlated, so recordings, not cells, are drawn with replacement. A replicate weights each
recording by the number of times it was drawn, and an area under a curve follows from sums of weighted counts: one
matrix product for all replicates, without concatenating or sorting again.

R: recordings, N: rows, C: classes, K: bins of scores, W: weightings (the set itself and its replicates).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, stdtrit

REPLICATES = 1000
# With fewer defined replicates, the bounds of an interval would be arbitrary.
_FEWEST = 20
_ROWS_AT_ONCE = 200
_CELLS_AT_ONCE = 1 << 20
_LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A metric and its 95 % confidence interval; NaN where undefined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Resampling:
    """Weightings of recordings: first the set itself, then the replicates."""

    weights_WR: NDArray[np.float32]

    @property
    def recordings(self) -> int:
        """Number of recordings."""
        return self.weights_WR.shape[1]

    def ratio(self, part_R: ArrayLike, whole_R: ArrayLike) -> NDArray[np.float64]:
        """Return the (W,) ratios of two weighted sums; NaN for 0/0."""
        part, whole = (self.weights_WR @ np.asarray(x, dtype=np.float64) for x in (part_R, whole_R))
        return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)

    def interval(self, values_W: NDArray[np.float64], exact: float | None = None) -> Interval:
        """Return the percentile interval of a metric, widened for few recordings.

        Percentiles need no assumption about the scale of the metric. The widening is that of Hesterberg, What Teachers
        Should Know About the Bootstrap, The American Statistician 69 (2015) 371-386: the variance of replicates of n
        recordings is too small by (n - 1) / n, and the scatter of few recordings is uncertain. Bias-corrected and
        accelerated intervals (Efron, 1987) had lower coverage in simulated tests (``benchmarks/coverage.py``).

        Parameters
        ----------
        values_W
            The metric under each weighting.
        exact
            The exact metric, if the first weighting gives an approximation (of binned scores); the interval is shifted
            accordingly.
        """
        own = float(values_W[0])
        exact = own if exact is None else exact
        drawn = values_W[1:][np.isfinite(values_W[1:])]
        if not np.isfinite(own) or len(drawn) < _FEWEST:
            return Interval(exact, float("nan"), float("nan"))
        reach = _reach(self.recordings)
        low, high = np.quantile(drawn, ndtr([-reach, reach])) + (exact - own)
        return Interval(exact, float(low), float(high))

    def area_interval(self, values_W: NDArray[np.float64], exact: float, heard: int) -> Interval:
        """Return the interval of an area under a curve, or a mean of such, within 0 to 1.

        If ranks are perfect, or all wrong, in every recording, replicates do not vary. Then the other bound is that of
        `share_interval`, with each recording that has true cells as one trial.

        Parameters
        ----------
        values_W, exact
            As for `interval`.
        heard
            Recordings with true cells.
        """
        found = self.interval(values_W, exact)
        if np.isnan(found.low):
            return found
        end = round(exact, 9)
        if end in (0, 1) and np.ptp(values_W[np.isfinite(values_W)]) == 0:
            return _all_or_nothing(exact, heard, end == 1)
        return Interval(exact, *np.clip([found.low, found.high], 0.0, 1.0).tolist())

    def share_interval(self, part_R: NDArray[np.floating], whole_R: NDArray[np.floating], exact: float) -> Interval:
        """Return the interval of a ratio of sums over recordings, such as precision.

        If the ratio is 0 or 1 in every recording, all replicates are equal. Then the other bound is that of Clopper and
        Pearson, Biometrika 26 (1934) 404-413, with each recording as one trial: as if everything in a recording were
        right or wrong together, which is the most conservative assumption.
        """
        found = self.interval(self.ratio(part_R, whole_R), exact)
        all_of_it, none = bool(np.all(part_R == whole_R)), not np.any(part_R)
        if np.isnan(found.low) or not (all_of_it or none):
            return found
        return _all_or_nothing(exact, int(np.count_nonzero(whole_R)), all_of_it)


def resample(recordings: int, replicates: int = REPLICATES, seed: int = 0) -> Resampling:
    """Draw weightings of recordings; reproducible for a seed."""
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(recordings, np.full(recordings, 1 / recordings), size=replicates)
    return Resampling(np.concatenate([np.ones((1, recordings)), drawn]).astype(np.float32))


@dataclass(frozen=True)
class BinnedRanks:
    """True and false cells of each recording, counted in bins of their score, highest bin first."""

    positives_RK: NDArray[np.float32]
    negatives_RK: NDArray[np.float32]

    def with_negatives(self, other: BinnedRanks) -> BinnedRanks:
        """Return these counts plus the false cells of others in the same bins."""
        return BinnedRanks(self.positives_RK, self.negatives_RK + other.negatives_RK)

    def areas(self, sampling: Resampling) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return (W,) PR-AUC and (W,) ROC-AUC under each weighting; NaN where undefined.

        Cells in one bin count as ties.
        """
        return self.areas_with_padding(sampling, 0)[:2]

    def areas_with_padding(
        self, sampling: Resampling, padding: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return `areas`, and the (W,) PR-AUC with ``padding`` true cells added above all others."""
        weights = sampling.weights_WR
        pr, roc, padded = (np.full(len(weights), np.nan) for _ in range(3))
        heard = self._heard
        for first in range(0, len(weights), _ROWS_AT_ONCE):
            part = slice(first, first + _ROWS_AT_ONCE)
            gained = (weights[part][:, heard] @ self.positives_RK[heard]).astype(np.float64)
            false = (weights[part] @ self.negatives_RK).astype(np.float64)
            tp, fp = np.cumsum(gained, axis=1), np.cumsum(false, axis=1)
            positives, negatives = tp[:, -1], fp[:, -1]
            with np.errstate(invalid="ignore", divide="ignore"):
                for values, more in ((pr, 0), (padded, padding)):
                    precision = np.where(gained > 0, (tp + more) / (tp + more + fp), 0.0)
                    summed = np.sum(gained * precision, axis=1) + more
                    values[part] = np.where(positives > 0, summed / (positives + more), np.nan)
                above = np.sum(false * (tp - gained / 2), axis=1)
                roc[part] = above / (positives * negatives)
        return pr, roc, padded

    @cached_property
    def _heard(self) -> NDArray[np.intp]:
        return np.flatnonzero(self.positives_RK.any(axis=1))


def bin_ranks(
    truth_NC: NDArray[np.bool_],
    scores_NC: NDArray[np.floating],
    group_N: NDArray[np.integer],
    recordings: int,
    edges: int | NDArray[np.floating],
    columns: Sequence[int] | None = None,
) -> BinnedRanks:
    """Count cells by recording and score bin.

    Bins are the distinct scores of true cells and what lies between them. Areas from such counts are exact;
    with more distinct scores than ``edges``, that many quantiles are used, and cells between two of them count as ties.

    Parameters
    ----------
    truth_NC, scores_NC
        Cells, all ranked together.
    group_N
        Recording of each row.
    recordings
        R.
    edges
        Limit of distinct scores, or the edges themselves (`score_edges`).
    columns
        Columns to count; by default all.
    """
    used = list(range(truth_NC.shape[1])) if columns is None else list(columns)
    chosen = score_edges(truth_NC, scores_NC, edges, used) if isinstance(edges, int) else edges
    bins = 2 * len(chosen) + 1
    counts = np.zeros((2, recordings, bins), dtype=np.int64)
    # Several columns at once, as the counts may be larger than a column.
    together = max(1, _CELLS_AT_ONCE // max(len(truth_NC), 1))
    for first in range(0, len(used), together):
        some = used[first : first + together]
        index = [
            (truth_NC[:, c] * np.int64(recordings) + group_N) * bins
            + _places(chosen, np.ascontiguousarray(scores_NC[:, c]))
            for c in some
        ]
        found = np.bincount(np.concatenate(index), minlength=counts.size)
        counts += found.reshape(counts.shape)
    return BinnedRanks(counts[1].astype(np.float32), counts[0].astype(np.float32))


def score_edges(
    truth_NC: NDArray[np.bool_], scores_NC: NDArray[np.floating], most: int, columns: Sequence[int]
) -> NDArray[np.floating]:
    """Return the distinct scores of true cells in the columns, or at most ``most`` quantiles of them."""
    every = np.sort(np.concatenate([scores_NC[truth_NC[:, c], c] for c in columns]))
    distinct = np.unique(every)
    if len(distinct) <= most:
        return distinct
    return np.unique(every[np.linspace(0, len(every) - 1, most).astype(np.int64)])


def _places(edges: NDArray[np.floating], scores_N: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return the bin of each score, 0 the highest: odd bins are edges, even bins lie between edges."""
    left = np.searchsorted(edges, scores_N, "left")
    place = 2 * len(edges) - 2 * left
    if not len(edges):
        return place
    return place - (edges[np.minimum(left, len(edges) - 1)] == scores_N)


def _all_or_nothing(exact: float, trials: int, all_of_it: bool) -> Interval:
    """Return the Clopper-Pearson interval if all trials succeeded, or none did."""
    end = float(((1 - _LEVEL) / 2) ** (1 / trials))
    return Interval(exact, end, 1.0) if all_of_it else Interval(exact, 0.0, 1.0 - end)


def _reach(recordings: int) -> float:
    """Return the 97.5 % quantile of Student's t times sqrt(n / (n - 1))."""
    free = max(recordings - 1, 1)
    return float(stdtrit(free, (1 + _LEVEL) / 2)) * sqrt(recordings / free)

"""Measure how far probabilities are from observed frequencies.

N: cells (a unit and a class), B: bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from britekit.metrics.bootstrap import Interval, Resampling


@dataclass(frozen=True)
class CalibrationError:
    """Expected calibration error, and its value for perfect calibration."""

    error: float
    """Mean over bins, weighted by cells, of |mean probability - observed frequency|."""
    by_chance: float
    """Expected value if every probability were exactly right: the floor for this many cells."""
    cells: int


def expected_calibration_error(truth: ArrayLike, probabilities: ArrayLike, bins: int = 15) -> CalibrationError:
    """Compute the expected calibration error over bins of equal numbers of cells.

    Bins have equal mass, since with equal widths nearly all cells of a detector fall into the first. Nixon et al.,
    Measuring Calibration in Deep Learning, CVPR Workshops 2019.

    Parameters
    ----------
    truth
        (N,) bool or 0/1.
    probabilities
        (N,) in [0, 1]. Cells of equal probability share a bin, so that their order does not matter.
    bins
        Number of bins, fewer if there are fewer distinct probabilities.

    Returns
    -------
    CalibrationError
        NaN in an empty set.
    """
    p = np.asarray(probabilities, dtype=np.float64).ravel()
    y = np.asarray(truth).ravel().astype(np.float64)
    if not len(p):
        return CalibrationError(float("nan"), float("nan"), 0)
    index = equal_mass_bins(p, bins)
    gaps = np.bincount(index, p - y)
    # A centered sum of independent 0/1 draws is nearly normal: E|gap| = sqrt(2 variance / pi).
    spread = np.sqrt(np.bincount(index, p * (1 - p)) * 2 / np.pi)
    return CalibrationError(float(np.abs(gaps).sum() / len(p)), float(spread.sum() / len(p)), len(p))


def equal_mass_bins(probabilities: ArrayLike, bins: int = 15) -> NDArray[np.int64]:
    """Return the bin of each cell, from 0; bins have equal numbers of cells, ties share a bin."""
    p = np.asarray(probabilities, dtype=np.float64).ravel()
    ordered = np.sort(p)
    wanted = np.arange(1, bins) * len(p) / bins
    # Move borders to the end of a run of equal probabilities.
    last = np.unique(ordered[np.maximum(np.ceil(wanted).astype(int) - 1, 0)]) if len(p) else np.zeros(0)
    used = last[last < ordered[-1]] if len(p) else last
    return np.searchsorted(used, p, side="left").astype(np.int64)


def calibration_intervals(
    truth: ArrayLike, probabilities: ArrayLike, groups: ArrayLike, sampling: Resampling, bins: int = 15
) -> tuple[Interval, Interval]:
    """Return the expected calibration error and the Brier score, each with its interval.

    Parameters
    ----------
    truth, probabilities
        (N,) each.
    groups
        (N,) index of the recording of each cell, from 0.
    sampling
        Weightings of the recordings. All use the bins of the whole set. Replicates of the calibration error are biased
        upwards, since each adds noise to absolute values, so they are shifted to center on it.
    bins
        As for `expected_calibration_error`.
    """
    p = np.asarray(probabilities, dtype=np.float64).ravel()
    y = np.asarray(truth).ravel().astype(np.float64)
    group = np.asarray(groups, dtype=np.int64).ravel()
    nothing = float("nan")
    if not len(p):
        return Interval(nothing, nothing, nothing), Interval(nothing, nothing, nothing)
    recordings, index = sampling.recordings, equal_mass_bins(p, bins)
    used = int(index.max()) + 1
    gaps_RB = np.bincount(group * used + index, p - y, minlength=recordings * used).reshape(recordings, used)
    cells_R = np.bincount(group, minlength=recordings)
    gaps = np.abs(sampling.weights_WR @ gaps_RB).sum(axis=1)
    count = sampling.weights_WR @ cells_R
    errors = np.divide(gaps, count, out=np.full(len(gaps), np.nan), where=count > 0)
    errors[1:] = np.maximum(errors[1:] - np.nanmean(errors[1:]) + errors[0], 0)
    squared = np.bincount(group, (p - y) ** 2, minlength=recordings)
    return sampling.interval(errors), sampling.interval(sampling.ratio(squared, cells_R))


def brier(truth: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the mean squared difference of probability and truth; NaN in an empty set. Brier (1950)."""
    p = np.asarray(probabilities, dtype=np.float64).ravel()
    y = np.asarray(truth).ravel().astype(np.float64)
    return float(np.mean((p - y) ** 2)) if len(p) else float("nan")


@dataclass(frozen=True)
class ReliabilityBins:
    """Mean prediction against observed frequency in bins of equal width; empty bins are NaN."""

    mean_prediction: NDArray[np.float64]
    observed: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    """(B,) 95 % interval of the observed frequency."""
    count: NDArray[np.int64]


def reliability_bins(
    truth: ArrayLike, probabilities: ArrayLike, groups: ArrayLike | None = None, bins: int = 15
) -> ReliabilityBins:
    """Sort cells into bins of equal width of [0, 1].

    Parameters
    ----------
    truth, probabilities
        (N,) each.
    groups
        (N,) index of the recording of each cell, from 0. Cells of a recording are correlated, so the interval is
        widened by the design effect between recordings; without groups, cells count as independent.
    """
    p = np.asarray(probabilities, dtype=np.float64).ravel()
    y = np.asarray(truth).ravel().astype(np.float64)
    index = np.clip((p * bins).astype(np.int64), 0, bins - 1)
    count = np.bincount(index, minlength=bins)
    empty = np.where(count > 0, 1.0, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(index, p, minlength=bins) / count * empty
        observed = np.bincount(index, y, minlength=bins) / count * empty
    effective = count.astype(np.float64)
    if groups is not None and len(p):
        effective /= _design_effect(y, index, np.asarray(groups).ravel(), observed, count, bins)
    low, high = wilson_interval(observed * effective, effective)
    return ReliabilityBins(mean, observed, low, high, count)


def wilson_interval(successes: ArrayLike, trials: ArrayLike, z: float = 1.959964) -> tuple[NDArray, NDArray]:
    """Return the score interval of a proportion (95 % by default). Wilson, JASA 22 (1927) 209-212."""
    n = np.asarray(trials, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.asarray(successes, dtype=np.float64) / n
        center = (share + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return np.clip(center - half, 0, 1), np.clip(center + half, 0, 1)


def _design_effect(
    y: NDArray, index: NDArray, groups: NDArray, observed_B: NDArray, count_B: NDArray, bins: int
) -> NDArray[np.float64]:
    """Return the variance between groups relative to that of independent cells, per bin, at least 1."""
    number = int(groups.max()) + 1
    place = groups.astype(np.int64) * bins + index
    residual = np.bincount(place, y - observed_B[index], minlength=number * bins)
    present = np.bincount(place, minlength=number * bins).reshape(number, bins) > 0
    groups_B = np.count_nonzero(present, axis=0)
    between = np.sum(residual.reshape(number, bins) ** 2, axis=0) * groups_B / np.maximum(groups_B - 1, 1)
    within = count_B * observed_B * (1 - observed_B)
    effect = np.divide(between, within, out=np.ones(bins), where=np.nan_to_num(within) > 0)
    return np.maximum(effect, 1.0)

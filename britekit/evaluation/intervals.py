"""Compute intervals of the key metrics of a test from one set of resampled recordings."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from britekit.metrics.bootstrap import BinnedRanks, Interval, Resampling, bin_ranks, resample, score_edges
from britekit.metrics.ranking import PADDING

if TYPE_CHECKING:
    from britekit.evaluation.unit_report import UnitReport

# Score bins over all classes, and of one class. Finer bins move a bound by less than 0.001.
_EDGES, _CLASS_EDGES = 1000, 64


def compute_intervals(report: UnitReport, replicates: int) -> dict[str, Interval]:
    """Return the 95 % interval of each headline figure, by its name in `UnitReport.metrics`."""
    data, figures = report.data, report.metrics()
    sampling = resample(len(data.recordings), replicates)
    columns = data.annotated
    others = sorted(set(range(len(data.labels))).difference(columns))
    edges = score_edges(data.truth_NC, data.scores_NC, _EDGES, columns)

    def ranks_of(chosen: list[int]) -> BinnedRanks:
        return bin_ranks(data.truth_NC, data.scores_NC, data.groups_N, sampling.recordings, edges, chosen)

    values: dict[str, NDArray[np.float64]] = {}
    ranks = ranks_of(columns)
    values["micro_pr"], values["micro_roc"] = values["micro_pr_trained"], values["micro_roc_trained"] = ranks.areas(
        sampling
    )
    if others:
        # These classes have no annotations, so they add only false cells.
        areas = ranks.with_negatives(ranks_of(others)).areas(sampling)
        values["micro_pr_trained"], values["micro_roc_trained"] = areas
    values |= _macro(report, sampling)
    heard = len(np.unique(data.groups_N[data.truth_NC.any(axis=1)]))
    intervals = {name: sampling.area_interval(x, figures[name], heard) for name, x in values.items()}
    for name, (part_R, whole_R) in _rates(report, sampling.recordings).items():
        intervals[name] = sampling.share_interval(part_R, whole_R, figures[name])
    return intervals


def _macro(report: UnitReport, sampling: Resampling) -> dict[str, NDArray[np.float64]]:
    """Return the macro metrics under each weighting: means over the classes that are defined."""
    data = report.data
    collected: dict[str, list[NDArray[np.float64]]] = {"macro_pr": [], "macro_roc": [], "cmap": []}
    for c in data.annotated:
        ranks = bin_ranks(data.truth_NC, data.scores_NC, data.groups_N, sampling.recordings, _CLASS_EDGES, [c])
        pr, roc, padded = ranks.areas_with_padding(sampling, PADDING)
        for values, found in zip(collected.values(), (pr, roc, padded), strict=True):
            values.append(found)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a replicate may miss every class
        return {name: np.nanmean(np.stack(found), axis=0) for name, found in collected.items()}


def _rates(report: UnitReport, recordings: int) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return numerator and denominator per recording of each rate."""
    data, found = report.data, report.found_NC

    def per_recording(mask_NC: NDArray[np.bool_]) -> NDArray[np.float64]:
        per_row = np.count_nonzero(mask_NC, axis=1).astype(np.float64)
        return np.asarray(np.bincount(data.groups_N, per_row, minlength=recordings), dtype=np.float64)

    rates: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    for ending, chosen in (("", data.annotated), ("_trained", slice(None))):
        truth, detected = data.truth_NC[:, chosen], found[:, chosen]
        hits = per_recording(truth & detected)
        rates[f"precision{ending}"] = hits, per_recording(detected)
        rates[f"recall{ending}"] = hits, per_recording(truth)
        if report.seconds is not None:
            true = report.seconds.true_RC[:, chosen].sum(axis=1)
            false = report.seconds.false_RC[:, chosen].sum(axis=1)
            rates[f"precision_seconds{ending}"] = true, true + false
    if not np.isnan(report.accuracy):
        highest = data.scores_NC == data.scores_NC.max(axis=1, keepdims=True)
        right = np.count_nonzero(highest & data.truth_NC, axis=1) / np.count_nonzero(highest, axis=1)
        right_R, rows_R = (np.bincount(data.groups_N, x, recordings) for x in (right, np.ones_like(right)))
        rates["accuracy"] = np.asarray(right_R, np.float64), np.asarray(rows_R, np.float64)
    return rates

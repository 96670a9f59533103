"""Compute intervals of the key metrics of a test from one set of resampled recordings."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from britekit.evaluation.scored_segments import ScoredSegments
from britekit.evaluation.scored_units import ScoredUnits
from britekit.evaluation.seconds import SecondsAtThresholds
from britekit.metrics.bootstrap import BinnedRanks, Interval, Resampling, bin_ranks, resample, score_edges
from britekit.metrics.ranking import PADDING

# Score bins over all classes, and of one class. Finer bins move a bound by less than 0.001.
_EDGES, _CLASS_EDGES = 1000, 64


Data = ScoredSegments | ScoredUnits


def compute_intervals(
    data: Data,
    found_NC: NDArray[np.bool_],
    seconds: SecondsAtThresholds | None,
    figures: Mapping[str, Any],
    replicates: int,
) -> dict[str, Interval]:
    """Return the 95 % interval of each key metric by its name.

    Parameters
    ----------
    found_NC
        Detections at the threshold.
    figures
        The metrics (`UnitReport.metrics`).
    """
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
    values |= _macro(data, sampling)
    heard = len(np.unique(data.groups_N[data.truth_NC.any(axis=1)]))
    intervals = {name: sampling.area_interval(x, figures[name], heard) for name, x in values.items()}
    for name, (part_R, whole_R) in _rates(data, found_NC, seconds, "accuracy" in figures, sampling.recordings).items():
        intervals[name] = sampling.share_interval(part_R, whole_R, figures[name])
    return intervals


def _macro(data: Data, sampling: Resampling) -> dict[str, NDArray[np.float64]]:
    """Return the macro metrics under each weighting: means over the classes that are defined."""
    collected: dict[str, list[NDArray[np.float64]]] = {"macro_pr": [], "macro_roc": [], "cmap": []}
    for c in data.annotated:
        ranks = bin_ranks(data.truth_NC, data.scores_NC, data.groups_N, sampling.recordings, _CLASS_EDGES, [c])
        pr, roc, padded = ranks.areas_with_padding(sampling, PADDING)
        for values, found in zip(collected.values(), (pr, roc, padded), strict=True):
            values.append(found)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a replicate may miss every class
        return {name: np.nanmean(np.stack(found), axis=0) for name, found in collected.items()}


def _rates(
    data: Data, found_NC: NDArray[np.bool_], seconds: SecondsAtThresholds | None, accuracy: bool, recordings: int
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return numerator and denominator per recording of each rate."""

    def per_recording(mask_NC: NDArray[np.bool_]) -> NDArray[np.float64]:
        per_row = np.count_nonzero(mask_NC, axis=1).astype(np.float64)
        return np.asarray(np.bincount(data.groups_N, per_row, minlength=recordings), dtype=np.float64)

    rates: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    for ending, chosen in (("", data.annotated), ("_trained", slice(None))):
        truth, detected = data.truth_NC[:, chosen], found_NC[:, chosen]
        hits = per_recording(truth & detected)
        rates[f"precision{ending}"] = hits, per_recording(detected)
        rates[f"recall{ending}"] = hits, per_recording(truth)
        if seconds is not None:
            true = seconds.true_RC[:, chosen].sum(axis=1)
            false = seconds.false_RC[:, chosen].sum(axis=1)
            rates[f"precision_seconds{ending}"] = true, true + false
    if accuracy:
        highest = data.scores_NC == data.scores_NC.max(axis=1, keepdims=True)
        right = np.count_nonzero(highest & data.truth_NC, axis=1) / np.count_nonzero(highest, axis=1)
        right_R, rows_R = (np.bincount(data.groups_N, x, recordings) for x in (right, np.ones_like(right)))
        rates["accuracy"] = np.asarray(right_R, np.float64), np.asarray(rows_R, np.float64)
    return rates

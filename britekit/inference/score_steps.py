"""Steps between the mean of the members and the occurrence prior: smoothing, then scaling by the recording's own top.

Both take a whole recording, in bounded memory: rows are read in blocks of a `SpilledArray`. Rows of zeros, which no
window covers, stay zeros and do not count as neighbors. N rows, C classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from britekit.config import InferConfig
from britekit.inference.spilled_array import SpilledArray

_ROWS = 512
# Settings whose steps make the scores of a window depend on others, or on frames.
STEPS = ("window_s", "initial_offsets", "shift_s", "frame_taper", "smoothing_s", "top_weight")
_DEFAULTS = {field.name: field.default for field in dataclasses.fields(InferConfig)}


def steps_taken(infer: InferConfig | Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of steps that are on, from the section or its plain form in a manifest."""
    values = infer if isinstance(infer, Mapping) else vars(infer)
    return {name: values[name] for name in STEPS if values.get(name, _DEFAULTS[name]) != _DEFAULTS[name]}


def scored_with(infer: InferConfig | Mapping[str, Any]) -> dict[str, Any]:
    """Return what a calibration must share with the scores that it is applied to: the occurrence prior, and steps."""
    values = infer if isinstance(infer, Mapping) else vars(infer)
    has_prior = values.get("occurrence") is not None and values.get("occurrence_use", "prior") == "prior"
    quantile = {} if values.get("quantile") is None else {"quantile": values["quantile"]}
    return {"occurrence_prior": has_prior, **steps_taken(infer), **quantile}


def finish_scores(infer: InferConfig, starts_N: np.ndarray, rows: SpilledArray) -> SpilledArray:
    """Return the rows of a recording after smoothing and scaling, as the settings say; ``rows`` is used up.

    Parameters
    ----------
    infer
        Uses ``smoothing_s`` and ``top_weight``.
    starts_N
        Ascending starts of the rows, seconds.
    rows
        (N, C) mean scores.
    """
    if infer.smoothing_s:
        rows = _replaced(rows, smooth(starts_N, rows, infer.smoothing_s))
    if infer.top_weight:
        rows = _replaced(rows, scale_by_top(rows, infer.top_weight))
    return rows


def smooth(starts_N: np.ndarray, rows: SpilledArray, reach_s: float) -> SpilledArray:
    """Return weighted means over neighbors: a row that begins d seconds away weighs max(0, 1 - d / reach_s)."""
    smoothed = rows.empty_like()
    # Neighbors of row n are those from low[n] to before high[n].
    low_N = np.searchsorted(starts_N, starts_N - reach_s, side="right")
    high_N = np.searchsorted(starts_N, starts_N + reach_s, side="left")
    for first in range(0, len(rows), _ROWS):
        past = min(first + _ROWS, len(rows))
        begin, end = int(low_N[first]), int(high_N[past - 1])
        part = rows.part(begin, end)
        covered = np.asarray(part.any(axis=1))
        total = np.zeros((past - first, part.shape[1]))
        weights = np.zeros(past - first)
        row = np.arange(first, past)
        before = int((row - low_N[row]).max())
        after = int((high_N[row] - row).max())
        for lag in range(-before, after):
            other = np.clip(row + lag, begin, end - 1)
            weight = np.maximum(0.0, 1.0 - np.abs(starts_N[other] - starts_N[row]) / reach_s)
            weight *= (other == row + lag) & covered[other - begin]
            total += weight[:, None] * part[other - begin]
            weights += weight
        mean = total / np.maximum(weights, 1e-12)[:, None]
        mean[~covered[row - begin]] = 0.0
        smoothed.append(mean.astype(np.float32))
    return smoothed


def scale_by_top(rows: SpilledArray, weight: float) -> SpilledArray:
    """Return scores times the highest one of their class in the recording, to the power of ``weight``."""
    top_C = np.zeros(rows.shape[1], np.float32)
    for block in rows.blocks():
        np.maximum(top_C, block.max(axis=0, initial=0.0), out=top_C)
    factor_C = (top_C.astype(np.float64) ** weight).astype(np.float32)
    scaled = rows.empty_like()
    for block in rows.blocks():
        scaled.append(block * factor_C)
    return scaled


def _replaced(old: SpilledArray, new: SpilledArray) -> SpilledArray:
    old.close()
    return new

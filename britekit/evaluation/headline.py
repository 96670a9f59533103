"""The key metrics of a test, and a suggested threshold."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from britekit.evaluation.unit_report import UnitReport
from britekit.metrics.counts import count_by_threshold
from britekit.metrics.curves import curve_at
from britekit.metrics.thresholds import detect

LEADING = ("macro_pr", "micro_pr", "macro_roc", "precision", "recall", "accuracy", "tp_seconds_at_precision")
# The suggested threshold lets one in ten detections be wrong, if possible.
_WANTED_PRECISION = 0.9


def leading_figures(report: UnitReport) -> dict[str, Any]:
    """Return the metrics for a metrics file, few enough for a table of experiments."""
    figures = report.metrics()
    return {name: figures[name] for name in LEADING if name in figures}


def all_figures(report: UnitReport) -> dict[str, Any]:
    """Return every metric, intervals as pairs, and the suggested threshold with its precision and recall."""
    intervals = {name: [found.low, found.high] for name, found in report.intervals.items() if not math.isnan(found.low)}
    return {**report.metrics(), "intervals": intervals, "suggested": suggest_threshold(report)}


def suggest_threshold(report: UnitReport) -> dict[str, float] | None:
    """Return a threshold for this test with its precision and recall, over all annotated classes.

    This is the lowest threshold with a precision of 0.9, else the one with the highest F1; None if nothing is detected.
    It is chosen on the test itself, so precision and recall are slightly optimistic.
    """
    columns = report.data.annotated
    values = report.decisions.values_NC
    counts = count_by_threshold(report.data.truth_NC[:, columns], values[:, columns])
    curve = curve_at(counts, np.arange(1.0, 100.0) / 100)
    if not curve.recall.any():
        return None
    good = np.flatnonzero((curve.precision >= _WANTED_PRECISION) & (curve.recall > 0))
    if len(good):
        place = int(good[np.argmax(curve.recall[good])])
    else:
        both = curve.precision + curve.recall
        place = int(np.argmax(np.divide(curve.precision * curve.recall, both, out=np.zeros_like(both), where=both > 0)))
    threshold = float(curve.thresholds[place])
    found = detect(report.data.truth_NC, values, threshold)
    return {"threshold": threshold, "precision": found.precision(columns), "recall": found.recall(columns)}

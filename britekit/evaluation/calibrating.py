"""Fit a calibration to a test, measure it on unseen recordings, write it and plot it."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from britekit.config.yaml_reader import dump_plain
from britekit.errors import InputError
from britekit.evaluation.analyzed_scores import AnalyzedScores
from britekit.evaluation.class_thresholds import ClassThresholds
from britekit.evaluation.platt_fit import PlattFit, cross_fit, fit_calibration, lowest_fitted
from britekit.evaluation.scored_segments import ScoredSegments
from britekit.files import write_text
from britekit.metrics.bootstrap import Interval, resample
from britekit.metrics.calibration import (
    CalibrationError,
    ReliabilityBins,
    brier,
    calibration_intervals,
    expected_calibration_error,
    reliability_bins,
)
from britekit.plots.picture import Picture, draw_picture
from britekit.plots.reliability import ReliabilityLine, plot_reliability

# Below, nearly every cell is correctly detected silence, which would hide the errors that matter.
COUNTED_FROM = 0.1

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judged:
    """Calibration error and Brier score of scores or probabilities."""

    error: CalibrationError
    brier: float
    bins: ReliabilityBins
    error_interval: Interval
    brier_interval: Interval
    """95 %, by resampling recordings; NaN bounds for a single recording."""


@dataclass(frozen=True, repr=False)
class CalibrationResult:
    """A calibration with its errors before and after."""

    fit: PlattFit
    cutoff: float
    cross_fitted: bool
    """Whether `after` was measured on recordings outside the fit."""
    before: Judged
    after: Judged
    recordings: int
    positives: int
    """True cells among those fitted."""
    probabilities_NC: NDArray[np.float32]
    """Calibrated scores of all cells, cross-fitted where `cross_fitted`."""

    def __repr__(self) -> str:
        return (
            f"<CalibrationResult: σ({self.fit.coefficient:.3f} logit(p) {self.fit.intercept:+.3f}); calibration "
            f"error {self.before.error.error:.3f} before, {self.after.error.error:.3f} after>"
        )

    def to_dataframe(self) -> Any:
        """Return the bins of the reliability diagram, before and after, as a pandas data frame."""
        import pandas

        tables = [pandas.DataFrame(vars(judged.bins)) for judged in (self.before, self.after)]
        return pandas.concat(tables, keys=["before", "after"], names=["calibration", "bin"]).reset_index()

    def plot(self, path: str | os.PathLike[str] | None = None) -> Picture:
        """Draw the reliability diagram before and after."""
        return draw_picture(lambda file: plot_calibration(file, self), path)


def calibrate_scores(
    data: ScoredSegments, cutoff: float, given: tuple[float, float] | None = None, per_class: bool = True
) -> CalibrationResult:
    """Fit a calibration and measure calibration error and Brier score before and after.

    Both are taken over the same cells, those whose calibrated probability is at least 0.1.

    Raises `InputError` if the cells at or above the cutoff do not suffice for a fit.

    Parameters
    ----------
    cutoff
        Cells with a lower score are excluded from the fit and the reliability diagram.
    given
        Coefficient and intercept to judge instead of fitting.
    per_class
        Fit separate values for classes with enough evidence.
    """
    truth, scores, groups = data.truth_NC, data.scores_NC, data.groups_N
    lowest = lowest_fitted(cutoff, data.source.unrounded)
    used = scores >= lowest
    cross_fitted = False
    if given is not None:
        fit = PlattFit(*given, cells=int(np.count_nonzero(used)))
        probabilities = fit.apply(scores)
    else:
        _warn_of_missing_cells(data, cutoff)
        fit = fit_calibration(truth, scores, groups, lowest, per_class)
        if fit.coefficient <= 0:
            log.warning(
                "the fitted coefficient %.3f is not positive: higher scores are not more often right, so "
                "check that annotations and labels belong together", fit.coefficient,
            )  # fmt: skip
        try:
            probabilities = cross_fit(truth, scores, groups, lowest, per_class)
            cross_fitted = True
        except InputError as error:
            log.warning("the error after calibration is measured on the fitted cells themselves: %s", error)
            probabilities = fit.apply(scores)
    counted = probabilities >= COUNTED_FROM
    groups_NC = np.broadcast_to(groups[:, None], scores.shape)
    sampling = resample(len(data.recordings))

    def judge(values: NDArray[np.float32]) -> Judged:
        return Judged(
            expected_calibration_error(truth[counted], values[counted]),
            brier(truth[counted], values[counted]),
            reliability_bins(truth[used], values[used], groups_NC[used]),
            *calibration_intervals(truth[counted], values[counted], groups_NC[counted], sampling),
        )

    return CalibrationResult(
        fit=fit,
        cutoff=cutoff,
        cross_fitted=cross_fitted,
        before=judge(scores),
        after=judge(probabilities),
        recordings=len(data.recordings),
        positives=int(np.count_nonzero(truth & used)),
        probabilities_NC=probabilities,
    )


def calibration_metrics(result: CalibrationResult) -> dict[str, Any]:
    """Return the metrics of a calibration for a metrics file."""
    return {
        "coefficient": result.fit.coefficient,
        "intercept": result.fit.intercept,
        "classes_calibrated_separately": len(result.fit.per_class),
        "ece_before": result.before.error.error,
        "ece_after": result.after.error.error,
        "ece_expected_by_chance": result.after.error.by_chance,
        "brier_before": result.before.brier,
        "brier_after": result.after.brier,
        **{
            f"{name}_{end}": getattr(found, end)
            for name, found in _intervals(result).items()
            for end in ("low", "high")
        },
        "cross_fitted": result.cross_fitted,
        "cells": result.fit.cells,
        "cells_counted": result.after.error.cells,
        "recordings": result.recordings,
    }


def write_calibration(
    path: str | Path, result: CalibrationResult, data: ScoredSegments, thresholds: ClassThresholds | None = None
) -> None:
    """Write a calibration file for `infer.calibration`.

    Classes with their own values are listed by name. ``thresholds`` are written beside the values; inference ignores
    them. If the fitted labels had been scaled by inference, both scalings are combined, since inference applies the
    file to unscaled scores.
    """
    source = data.source
    a, b, own = _on_unscaled(result.fit, source)
    content: dict[str, Any] = {
        "coefficient": _rounded(a),
        "intercept": _rounded(b),
        "classes": {
            source.classes[column].name: {"coefficient": _rounded(a), "intercept": _rounded(b)}
            for column, (a, b) in sorted(own.items())
        },
        "backend": source.backend,
        "members": source.members,
        **({} if source.scored_with is None else {"scored_with": source.scored_with}),
        "cutoff": result.cutoff,
        "cells": result.fit.cells,
        "recordings": result.recordings,
        "cross_fitted": result.cross_fitted,
        "cells_counted": result.after.error.cells,
        "ece_before": _rounded(result.before.error.error),
        "ece_after": _rounded(result.after.error.error),
        "ece_expected_by_chance": _rounded(result.after.error.by_chance),
        "brier_before": _rounded(result.before.brier),
        "brier_after": _rounded(result.after.brier),
        "intervals": {name: [_rounded(found.low), _rounded(found.high)] for name, found in _intervals(result).items()},
    }
    if thresholds is not None:
        content["thresholds"] = thresholds.as_dict(data)
    comment = (
        "# Calibration of the ensemble's mean score p: P = sigmoid(coefficient * logit(p) + intercept)\n"
        "# and of single classes where there was evidence. ECE and Brier over cells with P >= 0.1; after:\n"
        "# on recordings that the fit had not seen; intervals: 95 %, by resampling recordings. Thresholds:\n"
        "# the lowest probability of a class whose precision has this as its lower 95 % bound.\n"
    )
    write_text(path, comment + dump_plain(content))


def write_bins(path: str | Path, result: CalibrationResult) -> None:
    """Write the bins of the reliability diagram, before and after, as a table."""
    lines = ["series,bin,mean prediction,observed frequency,low,high,count"]
    for name, judged in (("before", result.before), ("after", result.after)):
        bins = judged.bins
        for k, count in enumerate(bins.count):
            values = (bins.mean_prediction[k], bins.observed[k], bins.low[k], bins.high[k])
            shown = ",".join(f"{value:.4f}" if count else "" for value in values)
            lines.append(f"{name},{k + 1},{shown},{count}")
    write_text(path, "\n".join(lines) + "\n")


def plot_calibration(path: str | Path, result: CalibrationResult) -> None:
    """Draw the reliability diagram before and after."""

    def line(name: str, judged: Judged) -> ReliabilityLine:
        bins, error = judged.bins, judged.error.error
        shown = name if np.isnan(error) else f"{name}, ECE {error:.3f}"
        return ReliabilityLine(shown, bins.mean_prediction, bins.observed, bins.low, bins.high, bins.count)

    after = "after, unseen recordings" if result.cross_fitted else "after"
    sign = "−" if result.fit.intercept < 0 else "+"
    formula = f"σ({result.fit.coefficient:.2f} · logit(p) {sign} {abs(result.fit.intercept):.2f})"
    title = f"{formula}, {result.fit.cells:,} cells"
    plot_reliability(path, line("before", result.before), line(after, result.after), title)


def _on_unscaled(fit: PlattFit, source: AnalyzedScores) -> tuple[float, float, dict[int, tuple[float, float]]]:
    """Return global and per-column coefficients and intercepts, converted to unscaled scores."""
    usual, everywhere = source.scaling or (1.0, 0.0), (fit.coefficient, fit.intercept)

    def joined(fitted: tuple[float, float], before: tuple[float, float]) -> tuple[float, float]:
        return fitted[0] * before[0], fitted[0] * before[1] + fitted[1]

    own = {
        column: joined(fit.per_class.get(column, everywhere), source.own_scaling.get(column, usual))
        for column in {*fit.per_class, *source.own_scaling}
    }
    return *joined(everywhere, usual), own


def _intervals(result: CalibrationResult) -> dict[str, Interval]:
    return {
        "ece_before": result.before.error_interval,
        "ece_after": result.after.error_interval,
        "brier_before": result.before.brier_interval,
        "brier_after": result.after.brier_interval,
    }


def _warn_of_missing_cells(data: ScoredSegments, cutoff: float) -> None:
    """Warn if scores below the threshold of the label files enter the fit as 0."""
    if data.source.unrounded or cutoff > 0:
        return
    present = data.scores_NC[data.scores_NC > 0]
    if len(present) and float(present.min()) >= 0.01:
        log.warning(
            "%s contains no score below %.3g; cells without a label enter the fit as 0, which distorts it: "
            "run analyze with --min-score 0, or give a --cutoff", data.source.path, float(present.min()),
        )  # fmt: skip


def _rounded(value: float) -> float | None:
    """Round to seven significant digits, which agree between machines; None for NaN."""
    return None if np.isnan(value) else float(f"{value:.7g}")

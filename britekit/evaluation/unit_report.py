"""Compute all metrics of a test per segment, block or recording, with intervals.

AUC values are computed from scores, metrics at the threshold from `ThresholdedValues`, intervals by resampling
recordings. N: units, C: classes.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from britekit.errors import InputError, counted, some
from britekit.evaluation.intervals import compute_intervals
from britekit.evaluation.scored_segments import ScoredSegments
from britekit.evaluation.scored_units import ScoredUnits
from britekit.evaluation.seconds import SecondsAtThresholds, count_seconds
from britekit.evaluation.thresholded_values import ThresholdedValues
from britekit.metrics.bootstrap import REPLICATES, Interval
from britekit.metrics.counts import ThresholdCounts, count_by_threshold
from britekit.metrics.curves import coarse, curve_of
from britekit.metrics.ranking import ClassRanking, area_under_pr, area_under_roc, mean_defined, rank_classes
from britekit.metrics.thresholds import Detections, detect, top_one_accuracy
from britekit.plots.picture import Picture, draw_picture

# With fewer, intervals are too narrow (benchmarks/coverage.py).
FEW_RECORDINGS = 30
# Labels that were made without a minimum score begin far below.
CUT_FROM = 0.01


@dataclass(frozen=True, repr=False)
class UnitReport:
    """A test: its data, and everything computed from the data."""

    data: ScoredSegments | ScoredUnits
    threshold: float
    decisions: ThresholdedValues
    detections: Detections
    per_class: ClassRanking
    """Metrics of the annotated columns, in their order."""
    annotated: ThresholdCounts
    trained: ThresholdCounts
    accuracy: float
    """Top-1 accuracy; NaN unless every unit has exactly one true class."""
    mean_tp_score: float
    """Mean score of true positives; NaN if there are none."""
    seconds: SecondsAtThresholds | None = None
    """Seconds of detections; only per block and recording."""
    wanted_precision: float | None = None
    """Precision in seconds at which TP seconds are reported."""
    intervals: dict[str, Interval] = field(default_factory=dict)
    """95 % interval of each metric, by its name in `metrics`."""

    def __repr__(self) -> str:
        data, figures = self.data, self.metrics()
        shown = ", ".join(f"{name} {figures[name]:.3f}" for name in ("macro_pr", "micro_roc", "precision", "recall"))
        size = f"{counted(len(data.groups_N), data.unit)} of {counted(len(data.recordings), 'recording')}"
        return f"<UnitReport: {size}, {counted(len(data.annotated), 'class', 'classes')}; {shown}>"

    def to_dataframe(self) -> Any:
        """Return the metrics of each annotated class as a pandas data frame, one row per class."""
        import pandas

        data, columns = self.data, self.data.annotated
        return pandas.DataFrame(
            {
                "class": [data.labels[c] for c in columns],
                "pr_auc": self.per_class.pr_auc_C,
                "roc_auc": self.per_class.roc_auc_C,
                "precision": self.detections.precision_C[columns],
                "recall": self.detections.recall_C[columns],
                "positives": data.truth_NC[:, columns].sum(axis=0),
            }
        )

    def plot(self, path: str | os.PathLike[str] | None = None) -> Picture:
        """Draw the precision-recall curve over the annotated classes."""
        from britekit.plots.curves import plot_pr_curve  # brings matplotlib, which reading a report does not need

        curve, area = curve_of(coarse(self.annotated, 20_000)), area_under_pr(self.annotated)
        share = self.annotated.positives / (self.annotated.positives + self.annotated.negatives)
        return draw_picture(
            lambda file: plot_pr_curve(file, curve.recall, curve.precision, area, share, "Annotated classes"), path
        )

    @property
    def without_positives(self) -> list[str]:
        """Annotated classes that mark no unit."""
        return [self.data.labels[self.data.annotated[k]] for k in self.per_class.without_positives]

    @property
    def always_positive(self) -> list[str]:
        """Annotated classes that mark every unit."""
        return [self.data.labels[self.data.annotated[k]] for k in self.per_class.always_positive]

    @property
    def found_NC(self) -> NDArray[np.bool_]:
        """(N, C) mask of detections at the threshold."""
        return self.decisions.values_NC >= self.threshold

    def metrics(self) -> dict[str, Any]:
        """Return the metrics for a metrics file; NaN where undefined."""
        return dict(self._metrics)

    @cached_property
    def _metrics(self) -> dict[str, Any]:
        data, columns = self.data, self.data.annotated
        figures: dict[str, Any] = {
            "macro_pr": mean_defined(self.per_class.pr_auc_C),
            "micro_pr": area_under_pr(self.annotated),
            "macro_roc": mean_defined(self.per_class.roc_auc_C),
            "micro_roc": area_under_roc(self.annotated),
            "cmap": mean_defined(self.per_class.padded_pr_auc_C),
            "precision": self.detections.precision(columns),
            "recall": self.detections.recall(columns),
            "threshold": self.threshold,
            "threshold_on_probabilities": self.decisions.fitted,
            "micro_pr_trained": area_under_pr(self.trained),
            "micro_roc_trained": area_under_roc(self.trained),
            "precision_trained": self.detections.precision(),
            "recall_trained": self.detections.recall(),
        }
        if self.seconds is not None:
            figures["precision_seconds"] = self.seconds.precision(columns)
            figures["precision_seconds_trained"] = self.seconds.precision()
        if self.seconds is not None and self.wanted_precision is not None:
            figures["tp_seconds_at_precision"] = self.seconds.true_at_precision(self.wanted_precision)
            figures["wanted_precision"] = self.wanted_precision
        if not math.isnan(self.accuracy):
            figures["accuracy"] = self.accuracy
        figures |= {
            "recordings": len(data.recordings),
            f"{data.unit}s": len(data.truth_NC),
            "classes_annotated": len(columns),
            "classes_trained": len(data.labels),
            "positives": self.annotated.positives,
        }
        if data.unit == "recording":
            del figures["recordings"]
            figures["recordings"] = len(data.recordings)
        return figures

    def notes(self) -> list[str]:
        """Return notes that a reader needs to judge the metrics, one sentence each."""
        return [*self.cautions(), self.at_another_threshold(), *self.data.exclusions.sentences(self.data.labels)]

    def at_another_threshold(self) -> str:
        """Return a sentence with precision and recall at another threshold."""
        other = next(t for t in (0.5, 0.8) if abs(t - self.threshold) > 0.1)
        parts = []
        for threshold in (self.threshold, other):
            found = detect(self.data.truth_NC, self.decisions.values_NC, threshold)
            rates = (found.precision(self.data.annotated), found.recall(self.data.annotated))
            parts.append("at {:g}: precision {:.2f}, recall {:.2f}".format(threshold, *rates))
        return f"{'; '.join(parts)} (min_score sets the threshold)"

    def cautions(self) -> list[str]:
        """Return warnings that follow from the metrics, one sentence each."""
        data, unit = self.data, self.data.unit
        notes = []
        if len(data.recordings) == 1:
            notes.append("only 1 recording: no intervals, since the variation between recordings is unknown")
        elif len(data.recordings) < FEW_RECORDINGS:
            notes.append(
                f"only {len(data.recordings)} recordings: other recordings could give very different figures, and the "
                f"intervals are too narrow; use {FEW_RECORDINGS} or more"
            )
        lowest = _lowest_kept(data)
        if lowest >= CUT_FROM:
            notes.append(
                f"the labels contain no score below {lowest:.3g}: lower scores count as 0, so areas and "
                "metrics at lower thresholds are not those of the models; run analyze with --min-score 0"
            )
        if self.without_positives:
            notes.append(f"no {unit} contains {some(self.without_positives)}: excluded from macro averages")
        if self.always_positive:
            notes.append(f"every {unit} contains {some(self.always_positive)}: no ROC-AUC, excluded from its average")
        highest = float(self.decisions.values_NC.max())
        if highest < self.threshold:
            notes.append(
                f"there is no detection at the threshold {self.threshold:g}, because the highest value is "
                f"{highest:.3g}; precision is undefined and written as 0"
            )
        if data.without_scores:
            notes.append(f"no scores for {some(data.without_scores)}: counted as 0")
        return notes


def report_units(
    data: ScoredSegments | ScoredUnits,
    threshold: float,
    decisions: ThresholdedValues,
    wanted_precision: float | None = None,
    replicates: int = REPLICATES,
) -> UnitReport:
    """Compute all metrics of a test.

    Parameters
    ----------
    decisions
        Values that the threshold is applied to (`choose_decisions`).
    wanted_precision
        Report the most seconds found at this precision in seconds; for blocks and recordings.
    replicates
        Number of bootstrap replicates; 0 computes no intervals.

    Raises
    ------
    InputError
        No annotation marks a unit, or all scores are equal.
    """
    units, unit = len(data.truth_NC), data.unit
    if not data.truth_NC.any():
        raise InputError(
            f"no annotation marks any of the {units} {unit}s, so there is nothing to measure; check that the "
            "annotations' times lie inside their recordings"
        )
    first = data.scores_NC.flat[0]
    if units * len(data.labels) > 1 and np.all(data.scores_NC == first):
        raise InputError(
            f"{data.source.path}: all {data.scores_NC.size} scores are {first:g}, so they cannot be "
            "ranked; check the models and run analyze again"
        )
    columns = data.annotated
    all_annotated = len(columns) == len(data.labels)
    trained = count_by_threshold(data.truth_NC, data.scores_NC)
    annotated = trained if all_annotated else count_by_threshold(data.truth_NC[:, columns], data.scores_NC[:, columns])
    found = decisions.values_NC >= threshold
    hits = data.scores_NC[data.truth_NC & found]
    report = UnitReport(
        data=data,
        threshold=threshold,
        decisions=decisions,
        detections=detect(data.truth_NC, decisions.values_NC, threshold),
        per_class=rank_classes(data.truth_NC, data.scores_NC, columns),
        annotated=annotated,
        trained=trained,
        accuracy=top_one_accuracy(data.truth_NC, data.scores_NC),
        mean_tp_score=float(hits.mean(dtype=np.float64)) if len(hits) else float("nan"),
        seconds=count_seconds(data, decisions, threshold) if isinstance(data, ScoredUnits) else None,
        wanted_precision=wanted_precision if isinstance(data, ScoredUnits) else None,
    )
    if replicates and len(data.recordings) > 1:
        report.intervals.update(compute_intervals(data, found, report.seconds, report.metrics(), replicates))
    return report


def _lowest_kept(data: ScoredSegments | ScoredUnits) -> float:
    """Return the lowest score in label files; 0 if no score is missing."""
    if data.source.unrounded or data.scores_NC.all():
        return 0.0
    return float(np.min(data.scores_NC, where=data.scores_NC > 0, initial=np.inf))

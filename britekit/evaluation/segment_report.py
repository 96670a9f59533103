"""All figures of a test per segment.

AUC values are taken on the scores. Figures at the threshold are taken on what the user will see at the
threshold: calibrated probabilities where there is a calibration, and then cross-fitted ones, since a
calibration flatters the recordings it was fitted on.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from britekit.config import BaseConfig
from britekit.errors import InputError
from britekit.evaluation.fit import PlattFit, cross_fit
from britekit.evaluation.scored_set import ScoredSet
from britekit.inference.platt import Calibration, read_calibration
from britekit.metrics.counts import ThresholdCounts, count_by_threshold
from britekit.metrics.ranking import ClassRanking, area_under_pr, area_under_roc, mean_defined, rank_classes
from britekit.metrics.thresholds import Detections, detect, top_one_accuracy

DEFAULT_CALIBRATION = "models/calibration.yaml"

log = logging.getLogger("britekit.evaluation")


@dataclass(frozen=True)
class Decisions:
    """The values that a threshold is applied to."""

    values_NC: NDArray[np.float32]
    basis: str
    """What they are, to complete "at the threshold, on …"."""
    fitted: bool = False
    """Whether they are calibrated probabilities."""


@dataclass(frozen=True)
class SegmentReport:
    """A test per segment."""

    data: ScoredSet
    threshold: float
    decisions: Decisions
    detections: Detections
    per_class: ClassRanking
    """Of the annotated columns, in their order."""
    annotated: ThresholdCounts
    trained: ThresholdCounts
    accuracy: float
    """By highest score; NaN unless every segment has exactly one true class."""
    mean_tp_score: float
    """Mean score of true cells that were detected; NaN if there are none."""

    @property
    def without_positives(self) -> list[str]:
        """Annotated classes that mark no segment."""
        return [self.data.labels[self.data.annotated[k]] for k in self.per_class.without_positives]

    @property
    def always_positive(self) -> list[str]:
        """Annotated classes that mark every segment."""
        return [self.data.labels[self.data.annotated[k]] for k in self.per_class.always_positive]

    def metrics(self) -> dict[str, Any]:
        """Return the figures for a metrics file; NaN where undefined."""
        data, columns = self.data, self.data.annotated
        figures: dict[str, Any] = {
            "macro_pr": mean_defined(self.per_class.pr_auc_C),
            "micro_pr": area_under_pr(self.annotated),
            "macro_roc": mean_defined(self.per_class.roc_auc_C),
            "micro_roc": area_under_roc(self.annotated),
            "precision": self.detections.precision(columns),
            "recall": self.detections.recall(columns),
            "threshold": self.threshold,
            "threshold_on_probabilities": self.decisions.fitted,
            "micro_pr_trained": area_under_pr(self.trained),
            "micro_roc_trained": area_under_roc(self.trained),
            "precision_trained": self.detections.precision(),
            "recall_trained": self.detections.recall(),
        }
        if not math.isnan(self.accuracy):
            figures["accuracy"] = self.accuracy
        figures |= {
            "recordings": len(data.recordings),
            "segments": data.grid.rows,
            "classes_annotated": len(columns),
            "classes_trained": len(data.labels),
            "positives": self.annotated.positives,
        }
        return figures


def report_segments(data: ScoredSet, threshold: float, decisions: Decisions) -> SegmentReport:
    """Compute all figures of a test per segment.

    Parameters
    ----------
    data
        Truth and scores.
    threshold
        A value at or above it is a detection.
    decisions
        What the threshold is applied to (`choose_decisions`).

    Raises
    ------
    InputError
        If no annotation marks a segment, so that no figure is defined.
    """
    if not data.truth_NC.any():
        raise InputError(
            f"no annotation marks any of the {data.grid.rows} segments, so there is nothing to measure; "
            "check that the annotations' times lie inside their recordings"
        )
    columns = data.annotated
    all_annotated = len(columns) == len(data.labels)
    trained = count_by_threshold(data.truth_NC, data.scores_NC)
    annotated = (
        trained
        if all_annotated
        else count_by_threshold(data.truth_NC[:, columns], data.scores_NC[:, columns])
    )
    found = decisions.values_NC >= threshold
    hits = data.scores_NC[data.truth_NC & found]
    return SegmentReport(
        data=data,
        threshold=threshold,
        decisions=decisions,
        detections=detect(data.truth_NC, decisions.values_NC, threshold),
        per_class=rank_classes(data.truth_NC, data.scores_NC, columns),
        annotated=annotated,
        trained=trained,
        accuracy=top_one_accuracy(data.truth_NC, data.scores_NC),
        mean_tp_score=float(hits.mean(dtype=np.float64)) if len(hits) else float("nan"),
    )


def choose_decisions(
    data: ScoredSet, cfg: BaseConfig, calibration_path: str | Path | None = None
) -> Decisions:
    """Choose what the threshold is applied to, and say so.

    Parameters
    ----------
    data
        Truth and scores.
    cfg
        `infer.calibration`, `infer.scaling_coefficient` and `infer.scaling_intercept` are used.
    calibration_path
        Calibration file; default `infer.calibration`, else ``models/calibration.yaml`` if it exists and
        belongs to the members that gave the scores. ``none`` uses no calibration.

    Raises
    ------
    InputError
        If a calibration file that was asked for cannot be read.
    """
    source, scores = data.source, data.scores_NC
    if source.scaling or source.calibrated:
        # Text labels carry what inference had applied; the scores behind them are gone.
        how = "calibrated" if source.calibrated else "scaled"
        return Decisions(scores, f"scores that inference had already {how}", True)
    if str(calibration_path or "").lower() == "none":
        return Decisions(scores, "scores")
    path = calibration_path or cfg.infer.calibration
    if path is None and Path(DEFAULT_CALIBRATION).is_file():
        if _belongs(DEFAULT_CALIBRATION, data):
            path = DEFAULT_CALIBRATION
        else:
            log.warning(
                "%s belongs to other checkpoints than the scores in %s and is not used; run calibrate again",
                DEFAULT_CALIBRATION, source.path,
            )  # fmt: skip
    if path is not None:
        return _calibrated(data, path)
    a, b = cfg.infer.scaling_coefficient, cfg.infer.scaling_intercept
    if (a, b) != (1.0, 0.0):
        values = PlattFit(a, b).apply(scores)
        return Decisions(
            values, f"scores scaled by infer.scaling_coefficient {a:g} and scaling_intercept {b:g}", True
        )
    return Decisions(scores, "scores, not calibrated")


def _calibrated(data: ScoredSet, path: str | Path) -> Decisions:
    calibration = read_calibration(path)
    if not _belongs(path, data):
        log.warning(
            "%s was fitted on other checkpoints than those of the scores in %s", path, data.source.path
        )
    cutoff = _facts(path).get("cutoff")
    try:
        values = cross_fit(
            data.truth_NC,
            data.scores_NC,
            data.groups_N,
            float(cutoff) if isinstance(cutoff, (int, float)) else 0.0,
        )
    except InputError as error:
        log.warning("probabilities are those of %s itself, not cross-fitted: %s", path, error)
        return Decisions(
            _apply(calibration, data), f"probabilities calibrated by {path}, not cross-fitted", True
        )
    basis = "cross-fitted calibrated probabilities (each recording calibrated by a fit on others)"
    return Decisions(values, basis, True)


def _apply(calibration: Calibration, data: ScoredSet) -> NDArray[np.float32]:
    return np.asarray(calibration.apply(data.scores_NC, data.source.classes), dtype=np.float32)


def _belongs(path: str | Path, data: ScoredSet) -> bool:
    """Return whether a calibration names the members that gave the scores; true if either is silent."""
    named = _facts(path).get("members")
    return not named or not data.source.members or named == data.source.members


def _facts(path: str | Path) -> dict[str, Any]:
    """Return a calibration file's content; empty if it cannot be read (`read_calibration` then says why)."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}

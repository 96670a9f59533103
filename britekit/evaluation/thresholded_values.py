"""Choose the values that a threshold is applied to: the ones that the user sees.

These are scores, or calibrated probabilities if there is a calibration. Per segment they are cross-fitted, since a
calibration is optimistic on the recordings it was fitted on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from britekit.config import BaseConfig
from britekit.config.yaml_reader import load_plain
from britekit.errors import InputError
from britekit.evaluation.platt_fit import PlattFit, cross_fit, lowest_fitted
from britekit.evaluation.scored_segments import ScoredSegments
from britekit.evaluation.scored_units import ScoredUnits
from britekit.files import require_file
from britekit.inference.platt import project_calibration, read_calibration

log = logging.getLogger(__name__)

Apply = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def _as_they_are(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    return scores


@dataclass(frozen=True)
class ThresholdedValues:
    """The values that a threshold is applied to."""

    values_NC: NDArray[np.float32]
    basis: str
    """Description of the values, to complete "at the threshold, on …"."""
    fitted: bool = False
    """Whether the values are calibrated probabilities."""
    apply: Apply = _as_they_are
    """Converts scores of windows, one column per class, to such values."""


def choose_decisions(
    data: ScoredSegments | ScoredUnits, cfg: BaseConfig, calibration_path: str | Path | None = None
) -> ThresholdedValues:
    """Choose the values that the threshold is applied to.

    Raises `InputError` if an explicit calibration file cannot be read.

    Parameters
    ----------
    cfg
        Uses `infer.calibration`, `infer.scaling_coefficient` and `infer.scaling_intercept`.
    calibration_path
        Calibration file. The default is that of `analyze`: `infer.calibration`, else the project's calibration if it
        belongs to the members that produced the scores. ``none`` uses no calibration.
    """
    source, scores = data.source, data.scores_NC
    if source.scaling or source.calibrated:
        # Text labels contain the scaling of inference; the original scores are lost.
        how = "calibrated" if source.calibrated else "scaled"
        return ThresholdedValues(scores, f"scores already {how} by inference", True)
    if str(calibration_path or "").lower() == "none":
        return ThresholdedValues(scores, "scores")
    path = calibration_path or cfg.infer.calibration
    if path is None and (found := project_calibration(source.sha256s)) is not None:
        path = found.source
    if path is not None:
        return _calibrated(data, path)
    a, b = cfg.infer.scaling_coefficient, cfg.infer.scaling_intercept
    if (a, b) != (1.0, 0.0):
        basis = f"scores scaled by infer.scaling_coefficient {a:g} and scaling_intercept {b:g}"
        return _applied(data, PlattFit(a, b).apply, basis)
    return ThresholdedValues(scores, "scores, not calibrated")


def _calibrated(data: ScoredSegments | ScoredUnits, path: str | Path) -> ThresholdedValues:
    calibration = read_calibration(path)
    members = data.source.sha256s
    if calibration.members and members and calibration.members != members:
        log.warning("%s was fitted on other checkpoints than those of the scores in %s", path, data.source.path)

    def apply(scores: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(calibration.apply(scores, data.source.classes), dtype=np.float32)

    if data.unit != "segment":
        # A calibration is fitted per segment; without truth per segment none can be fitted here.
        return _applied(data, apply, f"probabilities calibrated by {path}")
    cutoff = _facts(path).get("cutoff")
    try:
        values = cross_fit(
            data.truth_NC,
            data.scores_NC,
            data.groups_N,
            lowest_fitted(float(cutoff) if isinstance(cutoff, (int, float)) else 0.0, data.source.unrounded),
        )
    except InputError as error:
        log.warning("probabilities come from %s and are not cross-fitted: %s", path, error)
        return _applied(data, apply, f"probabilities calibrated by {path}, not cross-fitted")
    basis = (
        "calibrated probabilities (cross-fitted: each recording is calibrated without its own annotations; the "
        "examples show the probability that analyze gives)"
    )
    return ThresholdedValues(values, basis, True, apply)


def _applied(data: ScoredSegments | ScoredUnits, apply: Apply, basis: str) -> ThresholdedValues:
    return ThresholdedValues(apply(data.scores_NC), basis, True, apply)


def _facts(path: str | Path) -> dict[str, Any]:
    """Return the content of a calibration file; empty if unreadable (`read_calibration` then raises)."""
    try:
        content = load_plain(require_file(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}

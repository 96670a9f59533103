"""Apply Platt scaling to the mean score of an ensemble: P = sigmoid(a * logit(p) + b).

J. Platt, Probabilistic outputs for support vector machines, 1999.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from britekit.annotations.classes import ClassInfo
from britekit.config import BaseConfig
from britekit.config.fields import show
from britekit.config.yaml_reader import load_plain
from britekit.errors import InputError
from britekit.files import require_file
from britekit.inference.score_steps import scored_with
from britekit.tracking.facts import is_dvc_stage

# Output of the pipeline stage `calibrate`.
PROJECT_CALIBRATION = "models/calibration.yaml"
# Scores are clipped in the fit, so they must be clipped here too.
CLIP = 1e-7

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Calibration:
    """Coefficient a and intercept b, globally and for classes with their own."""

    coefficient: float = 1.0
    intercept: float = 0.0
    """Values for classes without their own."""
    per_class: dict[str, tuple[float, float]] = field(default_factory=dict)
    """(a, b) by class code or name."""
    source: str | None = None
    """File of the values; None if they come from the settings."""
    members: frozenset[str] = frozenset()
    """SHA-256 of the checkpoints it was fitted on; empty if unknown."""
    backend: str | None = None
    """Backend of the scores it was fitted on: ``torch`` or ``openvino``; None if unknown."""
    thresholds: dict[str, float | None] = field(default_factory=dict)
    """Lowest probability that reaches `precision`, by class code or name; None if none does."""
    precision: float | None = None
    """Precision that `thresholds` were chosen for."""
    scored_with: dict[str, Any] | None = None
    """Occurrence prior and steps of the scores it was fitted on, see `score_steps`; None if unknown."""

    @property
    def is_identity(self) -> bool:
        """Whether scores stay unchanged."""
        return (self.coefficient, self.intercept) == (1.0, 0.0) and not self.per_class

    def apply(self, scores: np.ndarray, classes: Sequence[ClassInfo] = ()) -> np.ndarray:
        """Return calibrated scores, float32 of the same shape (..., C).

        Exactly 0 stays 0, which means that no window covers the row.

        Parameters
        ----------
        scores
            Mean scores of the ensemble, 0 to 1, classes last.
        classes
            Classes of the last axis; required only if classes have their own values.
        """
        if self.is_identity:
            return np.asarray(scores, np.float32)
        a: Any = self.coefficient
        b: Any = self.intercept
        if self.per_class:
            if len(classes) != np.shape(scores)[-1]:
                raise InputError(f"scores have {np.shape(scores)[-1]} columns, but {len(classes)} classes were given")
            pairs = [self._of(info) for info in classes]
            a, b = (np.array(values, np.float64) for values in zip(*pairs, strict=True))
        p = np.clip(np.asarray(scores, np.float64), CLIP, 1 - CLIP)
        calibrated = (1.0 / (1.0 + np.exp(-(a * np.log(p / (1 - p)) + b)))).astype(np.float32)
        calibrated[np.asarray(scores) == 0] = 0
        return calibrated

    def threshold_of(self, info: ClassInfo) -> float | None:
        """Return the threshold of a class; None if none reaches the precision or none was computed."""
        return next((self.thresholds[key] for key in (info.code, info.name) if key in self.thresholds), None)

    def describe(self) -> str:
        """Return "calibrated" with the source of values, or "not calibrated"."""
        if self.is_identity:
            return "not calibrated"
        if self.source is not None:
            return f"calibrated ({self.source})"
        return "calibrated (infer.scaling_coefficient and infer.scaling_intercept)"

    def _of(self, info: ClassInfo) -> tuple[float, float]:
        for key in (info.code, info.name):
            if key and key in self.per_class:
                return self.per_class[key]
        return self.coefficient, self.intercept


def is_unfitted(path: str | Path) -> bool:
    """Return whether a file is the placeholder that `calibrate` writes while no test recording is annotated."""
    try:
        content = load_plain(require_file(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return False  # `read_calibration` raises with the reason
    return isinstance(content, dict) and content.get("fitted") is False


def configured_calibration(cfg: BaseConfig, members: Collection[str] = ()) -> Calibration:
    """Return the configured calibration: ``infer.calibration``, else the two numbers in the settings.

    Parameters
    ----------
    members
        SHA-256 of the checkpoints in use; logs a warning for a calibration of other ones.
    """
    if cfg.infer.calibration is None:
        return Calibration(cfg.infer.scaling_coefficient, cfg.infer.scaling_intercept)
    found = read_calibration(cfg.infer.calibration)
    if found.members and members and found.members != frozenset(members):
        log.warning(
            "%s was fitted on scores of other models than these: its probabilities will be wrong; run "
            '"britekit calibrate" on the scores of these models',
            found.source,
        )
    _warn_of_other_steps(found, cfg)
    return found


def _warn_of_other_steps(found: Calibration, cfg: BaseConfig) -> None:
    """Warn if a calibration was fitted on scores that were made in another way than these."""
    before, now = found.scored_with, scored_with(cfg.infer)
    if before is None or before == now:
        return
    if before.get("occurrence_prior") != now["occurrence_prior"]:
        words = ("without", "with") if now["occurrence_prior"] else ("with", "without")
        how = f"{words[0]} the occurrence prior (infer.occurrence), but is applied {words[1]} it"
    else:
        names = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
        how = "with " + ", ".join(f"infer.{n} {show(before.get(n))}, now {show(now.get(n))}" for n in names)
    log.warning(
        '%s was fitted on scores %s: its probabilities will be off; run "britekit calibrate" with these settings',
        *(found.source, how),
    )


def project_calibration(members: Collection[str], beside: Path | None = None) -> Calibration | None:
    """Return the project's calibration if it was fitted on exactly these models.

    Parameters
    ----------
    members
        SHA-256 of the checkpoints in use.
    beside
        Folder of the models; a calibration beside it is used if the working directory has none.

    Notes
    -----
    Returns none in a DVC stage, which must not depend on a file that dvc.yaml does not list.
    """
    if is_dvc_stage():
        return None
    places = [Path(PROJECT_CALIBRATION)]
    if beside is not None:
        places.append(beside.parent / Path(PROJECT_CALIBRATION).name)
    for path in places:
        if path.is_file() and not is_unfitted(path):
            found = read_calibration(path)
            if found.members and found.members == frozenset(members):
                return found
            log.warning(
                '%s was not fitted on the models in use and is not applied; run "britekit calibrate" again', path
            )
    return None


def choose_calibration(
    cfg: BaseConfig, members: Collection[str], beside: Path | None = None, raw: bool = False
) -> Calibration:
    """Return the calibration that a command applies, or the identity if ``raw``.

    Like `configured_calibration`, but the project's file takes precedence over the two numbers.
    """
    if raw:
        return Calibration()
    found = None if cfg.infer.calibration is not None else project_calibration(members, beside)
    if found is None:
        return configured_calibration(cfg, members)
    if (cfg.infer.scaling_coefficient, cfg.infer.scaling_intercept) != (1.0, 0.0):
        log.warning(
            "infer.scaling_coefficient and scaling_intercept are ignored: %s belongs to the models", found.source
        )
    _warn_of_other_steps(found, cfg)
    return found


def read_calibration(path: str | Path) -> Calibration:
    """Read a calibration file, as ``calibrate`` writes it.

    Raises `InputError` if the file is missing, not YAML, or without a valid coefficient and intercept.
    """
    try:
        text = require_file(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(
            f'calibration file {path} (infer.calibration) does not exist; run "britekit calibrate" '
            "first, or set infer.calibration to null"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"calibration file {path} cannot be read: {error}") from None
    try:
        content = load_plain(text)
    except ValueError as error:
        raise InputError(f"calibration file {path} is not YAML: {error}") from None
    if not isinstance(content, dict):
        raise InputError(f"calibration file {path} is not a map; expected coefficient and intercept")
    if content.get("fitted") is False:
        raise InputError(
            f'calibration file {path} contains no fit: {content.get("reason")}; annotate a test and run "dvc repro"'
        )
    per_class = content.get("classes") or {}
    if not isinstance(per_class, dict):
        raise InputError(f"calibration file {path}: classes is not a map of class to coefficient and intercept")
    a, b = _pair(content, str(path))
    values = {str(name): _pair(entry, f"{path}, class {name}") for name, entry in per_class.items()}
    listed = content.get("members")
    members = [x.get("sha256") for x in listed if isinstance(x, dict)] if isinstance(listed, list) else []
    backend = content.get("backend")
    thresholds, precision = _thresholds(content.get("thresholds"), str(path))
    return Calibration(
        *(a, b, values, str(path), frozenset(map(str, members)), backend and str(backend)), *(thresholds, precision),
        scored_with=known if isinstance(known := content.get("scored_with"), dict) else None,
    )  # fmt: skip


def _thresholds(entry: Any, where: str) -> tuple[dict[str, float | None], float | None]:
    if entry is None:
        return {}, None
    classes = entry.get("classes") if isinstance(entry, dict) else None
    if not isinstance(classes, dict):
        raise InputError(f'{where}: thresholds is not a map with precision and classes; run "britekit calibrate"')
    for name, value in classes.items():
        if value is not None and not (_is_number(value) and 0 <= value <= 1):
            raise InputError(f"{where}: threshold of {name} is {value!r}; expected a number from 0 to 1, or null")
    precision = entry.get("precision")
    found = {str(name): None if value is None else float(value) for name, value in classes.items()}
    return found, None if precision is None or not _is_number(precision) else float(precision)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _pair(entry: Any, where: str) -> tuple[float, float]:
    if not isinstance(entry, dict):
        raise InputError(f"{where}: {entry!r} is not a map with coefficient and intercept")
    values = []
    for key in ("coefficient", "intercept"):
        value = entry.get(key)
        if not _is_number(value):
            raise InputError(f"{where}: {key} is {value!r}; expected a number")
        values.append(float(value))
    if values[0] == 0:
        raise InputError(f"{where}: coefficient is 0, which makes every score equal; fit it again")
    return values[0], values[1]

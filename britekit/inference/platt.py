"""Platt scaling of an ensemble's mean score: P = sigmoid(a * logit(p) + b).

J. Platt, Probabilistic outputs for support vector machines, 1999.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from britekit.annotations.classes import ClassInfo
from britekit.config.yaml_reader import load_plain
from britekit.errors import InputError
from britekit.files import require_file

# Scores are clipped like this where the scaling is fitted, so they are clipped where it is applied.
CLIP = 1e-7


@dataclass(frozen=True)
class Calibration:
    """Coefficient a and intercept b, and those of classes that have their own.

    Attributes
    ----------
    coefficient, intercept
        For classes without values of their own.
    per_class
        Class code or name to (a, b).
    source
        File they come from; None for the settings' numbers.
    members
        SHA-256 of the checkpoints it was fitted on; empty if nobody says.
    backend
        What computed the scores it was fitted on: ``torch`` or ``openvino``; None if nobody says.
    """

    coefficient: float = 1.0
    intercept: float = 0.0
    per_class: dict[str, tuple[float, float]] = field(default_factory=dict)
    source: str | None = None
    members: frozenset[str] = frozenset()
    backend: str | None = None

    @property
    def is_identity(self) -> bool:
        """Whether scores stay as they are."""
        return (self.coefficient, self.intercept) == (1.0, 0.0) and not self.per_class

    def apply(self, scores: np.ndarray, classes: Sequence[ClassInfo] = ()) -> np.ndarray:
        """Return calibrated scores, float32 of the same shape (..., C).

        Exactly 0 stays 0: so scores what no window covers, and nothing was heard there.

        Parameters
        ----------
        scores
            Mean scores of the ensemble, 0 to 1, classes last.
        classes
            What the last axis stands for; needed only where classes have values of their own.
        """
        if self.is_identity:
            return np.asarray(scores, np.float32)
        a: Any = self.coefficient
        b: Any = self.intercept
        if self.per_class:
            if len(classes) != np.shape(scores)[-1]:
                raise InputError(
                    f"{np.shape(scores)[-1]} columns of scores need as many classes; got {len(classes)}"
                )
            pairs = [self._of(info) for info in classes]
            a, b = (np.array(values, np.float64) for values in zip(*pairs, strict=True))
        p = np.clip(np.asarray(scores, np.float64), CLIP, 1 - CLIP)
        calibrated = (1.0 / (1.0 + np.exp(-(a * np.log(p / (1 - p)) + b)))).astype(np.float32)
        calibrated[np.asarray(scores) == 0] = 0
        return calibrated

    def _of(self, info: ClassInfo) -> tuple[float, float]:
        for key in (info.code, info.name):
            if key and key in self.per_class:
                return self.per_class[key]
        return self.coefficient, self.intercept


def is_unfitted(path: str | Path) -> bool:
    """Return whether a file is what the stage `calibrate` writes while no test recording is annotated."""
    try:
        content = load_plain(require_file(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return False  # `read_calibration` says why
    return isinstance(content, dict) and content.get("fitted") is False


def read_calibration(path: str | Path) -> Calibration:
    """Read a calibration file, as ``calibrate`` writes it.

    Raises
    ------
    InputError
        Missing, not YAML, or without a usable coefficient and intercept.
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
            f'calibration file {path} holds no fit: {content.get("reason")}; annotate a test and run "dvc repro"'
        )
    per_class = content.get("classes") or {}
    if not isinstance(per_class, dict):
        raise InputError(
            f"calibration file {path}: classes is not a map of class to coefficient and intercept"
        )
    a, b = _pair(content, str(path))
    values = {str(name): _pair(entry, f"{path}, class {name}") for name, entry in per_class.items()}
    listed = content.get("members")
    members = [x.get("sha256") for x in listed if isinstance(x, dict)] if isinstance(listed, list) else []
    backend = content.get("backend")
    return Calibration(a, b, values, str(path), frozenset(map(str, members)), backend and str(backend))


def _pair(entry: Any, where: str) -> tuple[float, float]:
    if not isinstance(entry, dict):
        raise InputError(f"{where}: {entry!r} is not a map with coefficient and intercept")
    values = []
    for key in ("coefficient", "intercept"):
        value = entry.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise InputError(f"{where}: {key} is {value!r}; expected a number")
        values.append(float(value))
    if values[0] == 0:
        raise InputError(f"{where}: coefficient is 0, which makes every score equal; fit it again")
    return values[0], values[1]

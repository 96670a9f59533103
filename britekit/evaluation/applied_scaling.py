"""Read from a manifest the scaling that inference applied to scores in label files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from britekit.annotations.classes import ClassInfo
from britekit.errors import InputError

Pair = tuple[float, float]


def applied_scaling(manifest: dict[str, Any]) -> tuple[Pair | None, bool]:
    """Return the Platt values already applied to labels, or None, and whether they came from a file."""
    from_file = manifest.get("calibration")
    values = from_file if isinstance(from_file, dict) else None
    names = ("coefficient", "intercept") if values else ("scaling_coefficient", "scaling_intercept")
    pair = _pair(values or manifest.get("inference") or {}, *names)
    return (None if pair == (1.0, 0.0) else pair), bool(from_file)


def scaling_of_classes(manifest: dict[str, Any], classes: Sequence[ClassInfo]) -> dict[int, Pair]:
    """Return the Platt values of classes with their own entry in the calibration file, by index."""
    from_file = manifest.get("calibration")
    own = from_file.get("classes") if isinstance(from_file, dict) else None
    if not isinstance(own, dict):
        return {}
    found: dict[int, Pair] = {}
    for place, info in enumerate(classes):
        entry = own.get(info.code) if info.code in own else own.get(info.name)
        if isinstance(entry, dict):
            found[place] = _pair(entry, "coefficient", "intercept")
    return found


def _pair(values: dict[str, Any], a: str, b: str) -> Pair:
    try:
        return float(values.get(a, 1.0)), float(values.get(b, 0.0))
    except (TypeError, ValueError):
        raise InputError(f"manifest.yaml: {a} or {b} is not a number; run analyze again") from None

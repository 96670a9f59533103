"""The JSON file of a stage's metrics: small, rounded, with the version and revision it was measured on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from britekit.files import write_json
from britekit.tracking.facts import provenance


def write_metrics(path: str | Path, metrics: dict[str, Any]) -> None:
    """Write metrics for ``dvc metrics`` and ``dvc exp show``.

    Floats are rounded to six digits after the point, so that a table of experiments can be read; version and
    revision are added. What is not finite becomes null.
    """
    write_json(path, {**_rounded(metrics), **provenance()})


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    return round(value, 6) if isinstance(value, float) else value

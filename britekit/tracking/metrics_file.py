"""The figures of a stage as JSON: a few for DVC's tables, all of them beside the results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from britekit.files import write_json
from britekit.tracking.facts import provenance

FIGURES_NAME = "figures.json"
"""Name of the file of all figures, in a stage's folder of results."""


def write_metrics(path: str | Path, metrics: dict[str, Any]) -> None:
    """Write the figures that ``dvc exp show`` and ``dvc metrics diff`` compare: few, so that they fit a screen.

    Floats are rounded to four digits after the point; what is not finite becomes null.
    """
    write_json(path, _rounded(metrics, 4))


def write_figures(path: str | Path, figures: dict[str, Any]) -> None:
    """Write all figures of a stage, with the version and the revision they were measured on.

    Floats are rounded to six digits after the point; what is not finite becomes null.
    """
    write_json(path, {**_rounded(figures, 6), **provenance()})


def _rounded(value: Any, digits: int) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item, digits) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item, digits) for item in value]
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    return round(value, digits) if isinstance(value, float) else value

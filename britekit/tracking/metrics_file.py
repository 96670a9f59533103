"""The metrics of a stage as JSON: a few for DVC's tables, all of them beside the results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from britekit.errors import InputError
from britekit.files import write_json
from britekit.tracking.facts import provenance

FIGURES_NAME = "figures.json"
"""Name of the file of all metrics, in a stage's folder of results."""


def write_metrics(path: str | Path, metrics: dict[str, Any]) -> None:
    """Write the metrics that ``dvc exp show`` and ``dvc metrics diff`` compare; few, to fit a screen.

    Floats are rounded to four decimals; non-finite values become null.
    """
    write_json(path, _rounded(metrics, 4))


def write_figures(path: str | Path, figures: dict[str, Any]) -> None:
    """Write all metrics of a stage, with the version and revision.

    Floats are rounded to six decimals; non-finite values become null.
    """
    write_json(path, {**_rounded(figures, 6), **provenance()})


def read_metrics(path: Path) -> dict[str, Any]:
    """Return a file of metrics; an ensemble that was not made by the pipeline has none.

    Raises `InputError` if it is not valid JSON.
    """
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON ({error}); run the pipeline again") from None


def run_figures(root: Path, member: str) -> dict[str, Any]:
    """Return what training noted about a member of the ensemble."""
    return read_metrics(root / "results/runs" / f"train-{Path(member).stem.removeprefix('seed-')}.json")


def _rounded(value: Any, digits: int) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item, digits) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item, digits) for item in value]
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    return round(value, digits) if isinstance(value, float) else value

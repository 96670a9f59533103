"""Find the threshold of each class for a required precision."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from britekit.errors import InputError
from britekit.evaluation.matrix_file import write_table
from britekit.evaluation.scored_segments import ScoredSegments
from britekit.metrics.precision_bounds import PrecisionBounds, bound_precision


@dataclass(frozen=True)
class ClassThresholds:
    """Precision of each annotated class at all thresholds, and the chosen threshold."""

    wanted: float
    bounds: dict[int, PrecisionBounds]
    """By column."""
    chosen: dict[int, int | None]
    """Index of the lowest sufficient threshold in `bounds`; None if no threshold reaches the precision."""

    @property
    def reached(self) -> int:
        """Number of classes with a threshold."""
        return sum(place is not None for place in self.chosen.values())

    def as_dict(self, data: ScoredSegments) -> dict[str, Any]:
        """Return the thresholds for a calibration file; classes without one are null."""
        classes = {}
        for column, place in self.chosen.items():
            value = None if place is None else float(self.bounds[column].thresholds[place])
            # Rounded down, so that the detection exactly at the threshold still counts.
            classes[data.source.classes[column].name] = None if value is None else np.floor(value * 1e6) / 1e6
        return {
            "precision": self.wanted,
            "classes": {name: None if x is None else float(x) for name, x in classes.items()},
        }


def find_thresholds(data: ScoredSegments, values_NC: NDArray[np.floating], wanted: float) -> ClassThresholds:
    """Find the lowest threshold of each annotated class that reaches a precision (95 % confidence).

    Raises `InputError` if the precision is out of range.

    Parameters
    ----------
    values_NC
        Values to apply thresholds to; for unbiased bounds, probabilities cross-fitted by recording.
    wanted
        Precision, above 0 and below 1.
    """
    if not 0 < wanted < 1:
        raise InputError(f"--precision is {wanted:g}; expected a share above 0 and below 1")
    bounds = {c: bound_precision(data.truth_NC[:, c], values_NC[:, c], data.groups_N) for c in data.annotated}
    return ClassThresholds(wanted, bounds, {c: found.lowest(wanted) for c, found in bounds.items()})


def write_thresholds(path: str | Path, thresholds: ClassThresholds, data: ScoredSegments) -> None:
    """Write the thresholds as a table; a class that cannot reach the precision gets its best bound."""
    write_table(Path(path), _rows(thresholds, data))


def _rows(thresholds: ClassThresholds, data: ScoredSegments) -> Iterator[Sequence[object]]:
    yield "class", "threshold", "precision", "lower bound", "recall", "detections", "recordings", "met"
    for column, place in thresholds.chosen.items():
        found = thresholds.bounds[column]
        label = data.labels[column]
        shown = int(np.argmax(found.lower)) if place is None else place
        yield (
            label, "" if place is None else f"{np.floor(found.thresholds[shown] * 1e6) / 1e6:.6f}",
            f"{found.precision[shown]:.3f}", f"{found.lower[shown]:.3f}",
            "" if np.isnan(found.recall[shown]) else f"{found.recall[shown]:.3f}",
            int(found.detections[shown]), int(found.recordings[shown]), "no" if place is None else "yes",
        )  # fmt: skip

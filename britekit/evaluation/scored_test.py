"""The common part of all tests, per segment, block or recording: truth and scores as matrices, and their origin.

N: units, C: trained classes, R: recordings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from britekit.errors import InputError
from britekit.evaluation.analyzed_scores import AnalyzedScores
from britekit.evaluation.exclusions import Exclusions


@dataclass(frozen=True)
class ScoredTest:
    """Truth and scores, one row per unit and one column per trained class."""

    source: AnalyzedScores
    recordings: list[str]
    """Sorted."""
    seconds_R: NDArray[np.float64]
    """Length of each recording."""
    truth_NC: NDArray[np.bool_]
    scores_NC: NDArray[np.float32]
    annotated: list[int]
    """Columns of classes with at least one annotation."""
    without_scores: list[str]
    """Recordings without scores, which count as 0: nothing was detected, or they were not analyzed."""
    exclusions: Exclusions

    @property
    def labels(self) -> list[str]:
        """Name of each column in annotations."""
        return self.source.labels


def common_facts(source: AnalyzedScores, seconds: Mapping[str, float], exclusions: Exclusions) -> dict[str, Any]:
    """Return the fields of a test that follow from its scores and the lengths of its recordings."""
    recordings = list(seconds)
    return {
        "source": source.facts_alone(),
        "recordings": recordings,
        "seconds_R": np.array([seconds[name] for name in recordings]),
        "without_scores": [name for name in recordings if name not in source.recordings],
        "exclusions": exclusions,
    }


def require_usable(
    is_usable: bool, path: str | Path, source: AnalyzedScores, exclusions: Exclusions, if_no: str
) -> None:
    """Raise `InputError` with the reasons, or with ``if_no``, unless a test has an annotation that can be used."""
    if not is_usable:
        reasons = "; ".join(exclusions.sentences(source.labels)[:3]) or if_no
        raise InputError(f"{path}: no usable annotation is left ({reasons})")

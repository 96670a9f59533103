"""The file of a screen: for each class, the lowest score of a student at which the ensemble sees a window.

`threshold_for` chooses it so that the share of detections that are lost is bounded.

Legend: M windows in which the ensemble detects a class.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv  # type: ignore[import-untyped]

from britekit.config.yaml_reader import dump_plain, load_plain
from britekit.errors import InputError
from britekit.files import require_file, write_text

FORMAT = "britekit-screen-1"
CONFIDENCE = 0.95


@dataclass(frozen=True)
class ClassScreen:
    """Threshold of a class, and the detections below it."""

    detections: int
    """Windows in which the ensemble detects it."""
    threshold: float | None = None
    """Lowest score of the student that lets a window pass; None: there were too few detections for the bound."""
    lost: int = 0
    """Detections below that."""
    bound: float | None = None
    """Upper bound of the share of detections lost, of all classes together if the screen has one threshold."""


@dataclass(frozen=True)
class ScreenFile:
    """The content of a screen."""

    student: str
    """The student's file, below the folder of the screen."""
    student_sha256: str
    members: list[str]
    """SHA-256 of the ensemble's checkpoints."""
    lose: float
    min_score: float
    """Lowest score of a detection, calibrated where ``calibration`` says so."""
    calibration: str | None
    """SHA-256 of the calibration of those scores; None: they were not calibrated."""
    unscreened: str = "compute"
    """Windows for classes without a threshold: ``compute`` all, or ``mark`` them as not computed."""
    together: bool = False
    """Whether one threshold on the student's highest score bounds the windows with detections of any class."""
    passing: float | None = None
    """Share of the windows that passed, of the recordings that it was fitted on; None in older files."""
    classes: dict[str, ClassScreen] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the file."""
        write_text(path, dump_plain({"format": FORMAT, **dataclasses.asdict(self)}))


def read_screen(path: Path) -> ScreenFile:
    """Read a screen; raises `InputError` if it is missing, or not such a file."""
    try:
        content = load_plain(require_file(path).read_text(encoding="utf-8-sig"))
        if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
            raise ValueError(f'expected the format "{FORMAT}"')
        classes = {str(name): ClassScreen(**values) for name, values in content.pop("classes").items()}
        found = ScreenFile(**content, classes=classes)
        numbers = [each.threshold for each in classes.values() if each.threshold is not None]
        if found.unscreened not in ("compute", "mark") or not all(0 <= float(x) <= 1 for x in numbers):
            raise ValueError("a threshold is not a score, or unscreened is neither compute nor mark")
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f'{path} is not a screen: {reason}; make one with "britekit screen"') from None
    return found


def upper_bound(lost: int, detections: int, confidence: float = CONFIDENCE) -> float:
    """Return the one-sided upper bound of a share (Clopper and Pearson, Biometrika 26, 1934)."""
    return 1.0 if lost >= detections else float(betaincinv(lost + 1, detections - lost, confidence))


def threshold_for(student_M: NDArray[np.floating], lose: float) -> ClassScreen:
    """Return the highest threshold on the student at which no more than a share of detections is lost.

    Parameters
    ----------
    student_M
        The student's scores of the M windows in which the ensemble detects the class.
    lose
        Largest upper bound of the share of detections below the threshold. How many may be lost depends on M alone,
        so the bound also holds for the threshold that was chosen (an order statistic).
    """
    count = len(student_M)
    lost = -1
    while lost + 1 < count and upper_bound(lost + 1, count) <= lose:
        lost += 1
    if lost < 0:
        return ClassScreen(count)
    threshold = float(np.sort(student_M)[lost])
    below = int(np.count_nonzero(student_M < threshold))  # fewer than `lost` where scores are equal
    return ClassScreen(count, threshold, below, upper_bound(lost, count))

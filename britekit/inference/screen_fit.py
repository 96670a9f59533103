"""Measure a student against its ensemble on recordings, and choose the thresholds of a screen."""

from __future__ import annotations

import copy
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from britekit.audio.files import shown
from britekit.audio.windows import Windows, spectrograms_of
from britekit.config import BaseConfig
from britekit.errors import BriteKitError, InputError, some
from britekit.files import sha256_of, write_csv
from britekit.files import together as written_together
from britekit.inference.ensemble import Ensemble
from britekit.inference.labeling import Labeler
from britekit.inference.screen_file import CONFIDENCE, ClassScreen, ScreenFile, threshold_for, upper_bound
from britekit.inference.screening import load_student, smaller, student_scores
from britekit.inference.spilled_array import SpilledArray

log = logging.getLogger(__name__)

_AT_ONCE = 64


@dataclass(frozen=True)
class ScreenReport:
    """A screen with what it saves and loses on the recordings it was made from."""

    screen: ScreenFile
    """The screen for `analyze`."""
    windows: int
    passed: int
    detected: int
    """All windows, those that some class lets pass, and those in which something is detected."""
    without: int
    with_: int
    """Detections of all classes without the screen, and with it."""
    kept: dict[str, int]
    """Detections that are left, by class."""
    student_s: float
    ensemble_s: float
    """Seconds that each took for all windows, spectrograms not included."""
    failed: dict[Path, str]
    """Recordings that could not be scored, with the reason."""

    @property
    def cost(self) -> float:
        """Time of student and ensemble with the screen, as a share of the ensemble's without."""
        return (self.student_s + self.ensemble_s * self.passed / max(1, self.windows)) / max(self.ensemble_s, 1e-9)


def fit_screen(
    cfg: BaseConfig,
    ensemble: Ensemble,
    labeler: Labeler,
    student_path: Path,
    recordings: Sequence[Path],
    output: Path,
    lose: float = 0.01,
    mark: bool = False,
    together: bool = False,
    on_done: Callable[[Path], None] | None = None,
) -> ScreenReport:
    """Score recordings with both, choose a threshold for each class, and write the screen and a table beside it.

    Parameters
    ----------
    labeler
        Gives the scores of detections: calibrated, without ignored classes; its lowest score counts.
    output
        The screen; a table of the same name ends in ``.csv``.
    lose
        Largest upper bound (95 %) of the share of a class's detections that are lost.
    together
        Bound the lost share of windows in which any class is detected, by one threshold on the student's highest score.
    mark
        Windows do not pass for the sake of classes that have too few detections for the bound.

    Raises
    ------
    InputError
        No recording could be scored, or nothing was detected.
    ModelError
        The student does not fit the ensemble.
    """
    if not 0 < lose < 1:
        raise InputError(f"--lose {lose:g}: expected a share above 0 and below 1")
    if output.suffix not in (".yaml", ".yml"):
        raise InputError(f"{output}: the name of a screen ends in .yaml")
    settings = copy.deepcopy(cfg.infer)
    settings.screen = str(output)
    if problems := [problem for problem in settings.relations() if "infer.screen" in problem.fields]:
        raise InputError(f"{problems[0].fields[0]}: {problems[0].text}")
    student = load_student(cfg, ensemble, student_path)
    names = [info.name for info in labeler.classes]
    column = {info.name: place for place, info in enumerate(student.classes)}
    if unknown := [name for name in names if name not in column]:
        raise InputError(f"the student {student_path} does not know {some(unknown, 4)}; it must know every class")
    columns = [column[name] for name in names]
    own, theirs, spent, failed = _score_both(ensemble, student, labeler, recordings, on_done)
    if not len(own):
        reasons = some((f"{shown(path)}: {reason}" for path, reason in failed.items()), 3, "; ")
        raise InputError(f"no recording could be scored{f' ({reasons})' if reasons else ''}; nothing was written")
    own = own[:, columns]
    lowest = np.array(labeler.thresholds or [labeler.rules.min_score] * len(names))
    detected: NDArray[np.bool_] = np.asarray(theirs >= lowest)
    if not detected.any():
        raise InputError(f"the models detect nothing at {lowest.min():g} or more, so nothing can be measured")
    if together:
        best = own.max(axis=1)
        one = threshold_for(best[detected.any(axis=1)], lose)
        classes = {name: _share(one, best[detected[:, c]]) for c, name in enumerate(names)}
    else:
        classes = {name: threshold_for(own[detected[:, c], c], lose) for c, name in enumerate(names)}
    unscreened = [name for name in names if classes[name].threshold is None]
    thresholds = np.array([_pass_from(classes[name], mark) for name in names])
    passed: NDArray[np.bool_] = np.asarray((own >= thresholds).any(axis=1))
    source = labeler.calibration.source
    screen = ScreenFile(
        student=Path(os.path.relpath(student.members[0].path, output.parent)).as_posix(),
        student_sha256=student.members[0].sha256,
        members=sorted(ensemble.sha256s),
        lose=lose,
        min_score=float(lowest.min()),
        calibration=None if source is None else sha256_of(source),
        unscreened="mark" if mark else "compute",
        together=together,
        passing=float(passed.mean()),
        classes=classes,
    )
    kept = detected & passed[:, None]
    report = ScreenReport(
        screen, len(own), int(passed.sum()), int(detected.any(axis=1).sum()), int(detected.sum()), int(kept.sum()),
        dict(zip(names, kept.sum(axis=0).tolist(), strict=True)), *spent, failed,
    )  # fmt: skip
    if unscreened:
        log.warning(
            "%d of %d classes have too few detections for a bound of %g, which needs %d, and are not screened: %s; %s",
            *(len(unscreened), len(names), lose, least_detections(lose), some(unscreened, 6)),
            ("windows are computed for others alone" if mark else "every window passes for them")
            + ("" if together else "; --together bounds all classes as one"),
        )
    with written_together():
        screen.save(output)
        write_csv(output.with_suffix(".csv"), _table(report))
    return report


def least_detections(lose: float) -> int:
    """Return how many detections a bound needs if none of them is lost."""
    count = 1
    while upper_bound(0, count) > lose:
        count += 1
    return count


def _share(one: ClassScreen, student_M: NDArray[np.floating]) -> ClassScreen:
    """Return what a threshold for all classes together means for the detections of one."""
    lost = 0 if one.threshold is None else int(np.count_nonzero(student_M < one.threshold))
    return ClassScreen(len(student_M), one.threshold, lost, one.bound)


def _pass_from(each: ClassScreen, mark: bool) -> float:
    if each.threshold is not None:
        return each.threshold
    return np.inf if mark else 0.0


def _score_both(
    ensemble: Ensemble,
    student: Ensemble,
    labeler: Labeler,
    recordings: Sequence[Path],
    on_done: Callable[[Path], None] | None,
) -> tuple[NDArray[np.float32], NDArray[np.float32], tuple[float, float], dict[Path, str]]:
    """Return the student's scores (N, C), the ensemble's calibrated ones (N, C), seconds of both, and failures."""
    own: list[NDArray[np.float32]] = []
    theirs: list[NDArray[np.float32]] = []
    spent, failed = [0.0, 0.0], dict[Path, str]()
    small = smaller(student, ensemble)

    def timed(place: int, work: Callable[[NDArray[np.float32]], NDArray[np.float32]], windows: NDArray[np.float32]):  # type: ignore[no-untyped-def]
        began = time.perf_counter()
        found = work(windows)
        spent[place] += time.perf_counter() - began
        return found

    for path in recordings:
        passed: list[NDArray[np.float32]] = []
        rows, starts = SpilledArray(ensemble.width), list[float]()
        try:
            for batch in Windows(path, ensemble.audio, ensemble.grid()).batches(_AT_ONCE, small=small):
                passed.append(timed(0, lambda x: student_scores(student, x), batch.spectrograms))
                whole = batch.spectrograms if batch.sounds is None else spectrograms_of(batch.sounds, ensemble.audio)
                rows.append(timed(1, lambda x: student_scores(ensemble, x), whole))
                starts += batch.starts
        except BriteKitError as error:
            failed[path] = " ".join(str(error).split())
            log.warning("%s is left out: %s", shown(path), failed[path])
            continue
        if passed:
            own += passed
            theirs.append(labeler.scores(ensemble.finish(np.array(starts), rows).array()))
        if on_done is not None:
            on_done(path)
    if not own:
        return np.empty((0, 0), np.float32), np.empty((0, 0), np.float32), (0.0, 0.0), failed
    return np.concatenate(own), np.concatenate(theirs), (spent[0], spent[1]), failed


def _table(report: ScreenReport) -> Iterator[tuple[object, ...]]:
    yield "class", "detections", "threshold", "lost_below", f"lost_at_most_{CONFIDENCE:g}", "detections_left"
    for name, each in report.screen.classes.items():
        numbers = ("", "", "") if each.threshold is None else (each.threshold, each.lost, f"{each.bound:.6f}")
        yield name, each.detections, *numbers, report.kept[name]

"""Screening: a small student decides which windows the ensemble sees, so that most need not be computed.

The file that `britekit screen` writes (``britekit-screen-1``) names the student, the models that it was measured
against, and for each class the lowest score of the student at which a window passes. A window that no class lets
pass is not computed: its scores are NaN, never 0, and it has no label. Where windows overlap, those that share
sound with one that passes are computed too, so frames averaged over windows are what they are without screening.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from britekit.audio.windows import spectrograms_of
from britekit.config import AudioConfig, BaseConfig
from britekit.config.audio import with_channels
from britekit.errors import InputError, ModelError, some
from britekit.files import sha256_of
from britekit.inference.ensemble import Ensemble, load_ensemble
from britekit.inference.labeling import Labeler
from britekit.inference.model_files import resolve_for_models
from britekit.inference.screen_file import ScreenFile, read_screen

if TYPE_CHECKING:
    from britekit.audio.windows import SpectrogramBatch
    from britekit.inference.recording_job import Job, Network

log = logging.getLogger(__name__)

_EPSILON_S = 1e-6
# Above every score: a class that lets no window pass.
_NEVER = 2.0
# The share of windows that pass differs from that of the fit if it is so many times larger or smaller, counted over at
# least so many windows.
_DIFFERS, _ENOUGH = 3.0, 500


class Screen:
    """A student with its thresholds, between the reader of windows and an ensemble.

    Parameters
    ----------
    student
        Scores every window.
    thresholds_C
        Lowest score of the student, by its classes, that lets a window pass.
    reach_s
        Windows that begin less than this away from one that passes are computed too.
    fitted
        Share of windows that passed where the screen was fitted; None: not known.
    small
        Settings of the student's spectrograms, see `smaller`.

    Attributes
    ----------
    seen, passed, computed
        How many windows the student has seen, how many of them passed, and how many the ensemble computed.
    facts
        SHA-256 of the file and of the student.
    """

    def __init__(
        self,
        student: Ensemble,
        thresholds_C: NDArray[np.float32],
        reach_s: float,
        fitted: float | None = None,
        small: AudioConfig | None = None,
    ) -> None:
        self.student, self.small = student, small
        self._thresholds_C, self._reach_s, self._fitted = thresholds_C, reach_s, fitted
        self.seen = self.passed = self.computed = 0
        self.facts: dict[str, str] = {}
        self._held: dict[int, _Held] = {}

    def passes(self, windows: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return which windows (N,) a class lets pass."""
        return np.asarray((student_scores(self.student, windows) >= self._thresholds_C).any(axis=1))

    def decide(self, items: Sequence[tuple[Job, SpectrogramBatch | None]]) -> list[Decided]:
        """Return the windows of which it is known whether they are computed; the others wait for the next call.

        Parameters
        ----------
        items
            Windows of recordings in reading order; None ends a recording.
        """
        fresh = [batch.spectrograms for _, batch in items if batch is not None]
        passed = self.passes(np.concatenate(fresh)) if fresh else np.empty(0, bool)
        self.passed += int(np.count_nonzero(passed))
        decided, first = [], 0
        for job, batch in items:
            count = 0 if batch is None else len(batch.starts)
            held = self._held.setdefault(id(job), _Held())
            found = held.push(batch, passed[first : first + count], self._reach_s)
            first += count
            if batch is None:
                del self._held[id(job)]
            if found is not None:
                starts, images, computed = found
                self.seen += len(starts)
                self.computed += int(np.count_nonzero(computed))
                decided.append(Decided(job, starts, images, computed))
        return decided

    def forget(self, job: Job) -> None:
        """Drop what is held of a recording that failed."""
        self._held.pop(id(job), None)

    def describe(self) -> str:
        """Return how many windows were not computed."""
        left = self.seen - self.computed
        text = f"{left} of {self.seen} windows not computed ({left / max(1, self.seen):.1%})"
        if self._fitted is None:
            return text
        return f"{text}; {self.passed / max(1, self.seen):.1%} passed, {self._fitted:.1%} where the screen was fitted"

    def warning(self) -> str | None:
        """Return a warning if these recordings differ much from those of the fit; None if they do not."""
        here = self.passed / max(1, self.seen)
        if self._fitted is None or self.seen < _ENOUGH or self._fitted < _DIFFERS * here < _DIFFERS**2 * self._fitted:
            return None
        return (
            f"{here:.1%} of the windows passed the screen, but {self._fitted:.1%} where it was fitted, so its bound "
            'does not hold here; run "britekit screen" on recordings in which as much is heard as in these'
        )


@dataclass(frozen=True, eq=False)
class Decided:
    """Windows of a recording, and which of them are computed; spectrograms, or samples where these were smaller."""

    job: Job
    starts: list[float]
    images: list[NDArray[np.float32]]
    computed_N: NDArray[np.bool_]


class _Held:
    """The last windows of a recording, whose successors may let them pass."""

    def __init__(self) -> None:
        self._starts: list[float] = []
        self._images: list[NDArray[np.float32]] = []
        self._passed: list[bool] = []
        self._done = 0  # how many of them were handed on, and are here since later ones may overlap them

    def push(
        self, batch: SpectrogramBatch | None, passed: NDArray[np.bool_], reach_s: float
    ) -> tuple[list[float], list[NDArray[np.float32]], NDArray[np.bool_]] | None:
        if batch is not None:
            self._starts += batch.starts
            self._images += list(batch.spectrograms) if batch.sounds is None else batch.sounds
            self._passed += passed.tolist()
        starts, flags = np.array(self._starts), np.array(self._passed, bool)
        computed = flags.copy()
        for start in starts[flags]:
            computed |= np.abs(starts - start) < reach_s - _EPSILON_S
        # Starts ascend: a window is decided when none that is still to come can share sound with it.
        stop = len(starts)
        if batch is not None and reach_s and stop:
            stop = int(np.searchsorted(starts, starts[-1] - reach_s + _EPSILON_S, side="right"))
        stop = max(stop, self._done)
        found = None
        if stop > self._done:
            fresh = slice(self._done, stop)
            found = self._starts[fresh], self._images[fresh], computed[fresh]
        if len(starts):  # those that share sound with one that is not decided stay
            oldest = starts[min(stop, len(starts) - 1)] - reach_s
            gone = min(stop, int(np.searchsorted(starts, oldest + _EPSILON_S, side="right")))
            del self._starts[:gone], self._images[:gone], self._passed[:gone]
            self._done = stop - gone
        return found


def score_screened(
    screen: Screen, ensemble: Network, items: Sequence[tuple[Job, SpectrogramBatch | None]]
) -> list[tuple[Job, list[float], NDArray[np.float32], NDArray[np.float32] | None, NDArray[np.bool_]]]:
    """Return starts, scores and frames of the windows that are decided, and which were computed; NaN elsewhere."""
    decided = screen.decide(items)
    images = [image for each in decided for image, is_in in zip(each.images, each.computed_N, strict=True) if is_in]
    segment, frames = np.empty((0, ensemble.width), np.float32), None
    if images:
        device = "cuda" if ensemble.device == "cuda" else "cpu"
        whole = np.stack(images) if screen.small is None else spectrograms_of(images, ensemble.audio, device)
        segment, frames = ensemble.score(whole)
    found, row = [], 0
    for each in decided:
        past = row + int(np.count_nonzero(each.computed_N))
        all_segment = np.full((len(each.starts), ensemble.width), np.nan, np.float32)
        all_segment[each.computed_N] = segment[row:past]
        all_frames = None
        if ensemble.sed_fps is not None:
            length = max(1, round(ensemble.sed_fps * ensemble.audio.spec_duration))
            all_frames = np.full((len(each.starts), ensemble.width, length), np.nan, np.float32)
            if frames is not None:
                all_frames[each.computed_N] = frames[row:past]
        found.append((each.job, each.starts, all_segment, all_frames, each.computed_N))
        row = past
    return found


def student_scores(student: Ensemble, windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the student's scores (N, C): with an SED head, the highest of the frames."""
    segment, frames = student.score(windows)
    return segment if frames is None else frames.max(axis=2)


def open_screen(cfg: BaseConfig, ensemble: Ensemble, labeler: Labeler) -> Screen | None:
    """Load the screen of ``infer.screen``; None if none is set.

    Raises
    ------
    InputError
        It was made for other models, or does not know a class.
    ModelError
        The student is missing, is another one, or takes other spectrograms.
    """
    if cfg.infer.screen is None:
        return None
    path = Path(cfg.infer.screen)
    stored = read_screen(path)
    if set(stored.members) != ensemble.sha256s:
        raise InputError(f'{path} was made for other models than these; run "britekit screen" with these')
    student = load_student(cfg, ensemble, path.parent / stored.student)
    if student.members[0].sha256 != stored.student_sha256:
        raise ModelError(f"{path.parent / stored.student} is not the student that {path} was made with")
    unknown = [info.name for info in labeler.classes if info.name not in stored.classes]
    if unknown:
        raise InputError(f'{path} does not know {some(unknown, 4)}; run "britekit screen" without ignoring them')
    column = {info.name: place for place, info in enumerate(student.classes)}
    thresholds = np.full(len(student.classes), _NEVER, np.float32)
    for info in labeler.classes:
        threshold = stored.classes[info.name].threshold
        if threshold is None:
            threshold = 0.0 if stored.unscreened == "compute" else _NEVER
        if info.name in column:
            thresholds[column[info.name]] = threshold
        elif threshold < _NEVER:
            raise InputError(f'the student of {path} does not know the class "{info.name}"')
    _warn_of_lower(cfg, stored, labeler, path)
    # Frames are averaged over overlapping windows, and smoothing takes rows further away.
    reach_s = cfg.infer.smoothing_s + (0.0 if ensemble.sed_fps is None else ensemble.duration)
    screen = Screen(student, thresholds, reach_s, stored.passing, smaller(student, ensemble))
    screen.facts = {"screen": sha256_of(path), "student": stored.student_sha256}
    return screen


def smaller(student: Ensemble, ensemble: Ensemble) -> AudioConfig | None:
    """Return the settings of the student's spectrograms if they are smaller than the ensemble's, else None."""
    sizes = [(each.audio.spec_height, each.audio.spec_width) for each in (student, ensemble)]
    return None if sizes[0] == sizes[1] else student.audio


def load_student(cfg: BaseConfig, ensemble: Ensemble, path: Path) -> Ensemble:
    """Load a student for an ensemble; it must take the same windows, but its spectrograms may be smaller."""
    if not path.is_file():
        raise ModelError(f"the student {path} does not exist")
    if ensemble.takes_sound:
        raise ModelError("models that take sound cannot be screened: the student looks at spectrograms")
    settings = copy.deepcopy(cfg)
    settings.infer.screen = None
    student = load_ensemble(*resolve_for_models(ckpt_path=path, cfg=settings))
    own_settings = with_channels(student.members[0].training_cfg["audio"])
    for name, wanted in with_channels(ensemble.members[0].training_cfg["audio"]).items():
        own = own_settings.get(name)
        is_smaller = name in ("spec_height", "spec_width") and isinstance(own, int) and own < wanted
        if own != wanted and not is_smaller:
            raise ModelError(
                f"the student {path} was trained with audio.{name} {own}, the ensemble with {wanted}; train a student "
                "on the ensemble's spectrograms, or on smaller ones"
            )
    return student


def _warn_of_lower(cfg: BaseConfig, stored: ScreenFile, labeler: Labeler, path: Path) -> None:
    lowest = min([labeler.rules.min_score, *(labeler.thresholds or ())])
    if cfg.infer.lower_min_if_confirmed:
        lowest *= cfg.infer.lower_min_factor
    if lowest < stored.min_score - 1e-9:
        log.warning(
            "%s bounds what is lost of detections that score %g or more; of those from %g on more may be lost",
            *(path, stored.min_score, lowest),
        )
    source = labeler.calibration.source
    if (None if source is None else sha256_of(source)) != stored.calibration:
        log.warning("%s was made with scores of another calibration than this, so its bound does not hold", path)
    if cfg.infer.occurrence is not None and cfg.infer.occurrence_use == "prior":
        log.warning("%s was made without occurrence data, so its bound does not hold where they raise scores", path)


def left_out_as_0(scores_NC: NDArray[np.float32], where: str) -> NDArray[np.float32]:
    """Return scores for a test, in which windows that were not computed count as 0, with a warning."""
    left: NDArray[np.bool_] = np.asarray(np.isnan(scores_NC).all(axis=1))
    if left.any():
        log.warning("%s: %d of %d windows were not computed and count as 0", where, np.count_nonzero(left), len(left))
    return np.nan_to_num(scores_NC, copy=False, nan=0.0)

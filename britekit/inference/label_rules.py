"""Convert calibrated scores to labels (algorithms page, section 7)."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

import numpy as np

from britekit.annotations.labels import Label
from britekit.config import BaseConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelRules:
    """The rules for labels."""

    min_score: float
    """Lowest score of a label."""
    duration_s: float
    """Length of a window in seconds."""
    fps: int
    """Frames per second of frame scores."""
    segment_frames: int | None = None
    """Frames of a label of fixed length; None for labels of variable length."""
    quantile: float | None = None
    """Quantile of the frames of a label of fixed length that is its score; None for their maximum."""
    second_pass: bool = False
    raise_min_to_confirm: float = 0.5
    confirmed_if_seconds: float = 8.0
    lower_min_factor: float = 0.6
    """Settings of the second pass, see section ``infer``."""

    @property
    def segment_s(self) -> float:
        """Seconds of a label of fixed length: a whole number of frames, so that labels do not drift."""
        return (self.segment_frames or 0) / self.fps


def label_rules(cfg: BaseConfig, has_frames: bool, has_windows: bool = False) -> LabelRules:
    """Return the rules of these settings; with frames and a min_score of 0, labels have the length of a window.

    So they have if the frames are windows laid over each other (``has_windows``).
    """
    infer, duration, fps = cfg.infer, cfg.audio.spec_duration, cfg.train.sed_fps
    length = infer.segment_len if has_frames else None
    if has_windows and length is None:
        length = duration
    if has_frames and length is None and infer.min_score == 0:
        length = duration
        log.warning(
            "with min_score 0, labels of variable length cannot be tested: making labels of %g s (as with --seg)",
            duration,
        )
    return LabelRules(
        min_score=infer.min_score,
        duration_s=duration,
        fps=fps,
        segment_frames=None if length is None else max(1, round(fps * length)),
        quantile=infer.quantile,
        second_pass=infer.lower_min_if_confirmed,
        raise_min_to_confirm=infer.raise_min_to_confirm,
        confirmed_if_seconds=infer.confirmed_if_seconds,
        lower_min_factor=infer.lower_min_factor,
    )


@dataclass(frozen=True, eq=False)
class Intervals:
    """Labels of one class: M labels in ascending order of start, as arrays, since there may be a million.

    No label ends after its recording.
    """

    starts: np.ndarray
    ends: np.ndarray
    """(M,) seconds, float64."""
    scores: np.ndarray
    """(M,) float32."""
    confirmed: np.ndarray
    """(M,) bool: below the threshold, accepted only because the class is confirmed elsewhere."""

    def __len__(self) -> int:
        return len(self.starts)


def named(recording: str, name: str, found: Intervals) -> list[Label]:
    """Return intervals as labels."""
    columns = (found.starts, found.ends, found.scores, found.confirmed)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [Label(recording, name, *row) for row in rows]


def group_frames(frames_FC: np.ndarray, segment_frames: int, quantile: float | None = None) -> np.ndarray:
    """Return the maximum, or a quantile, of each group of frames, (ceil(F / segment_frames), C).

    Frames that were not computed are NaN and do not count; a group of them alone is NaN.
    """
    length = len(frames_FC)
    if quantile is not None:
        whole = length // segment_frames * segment_frames
        groups_GSC = frames_FC[:whole].reshape(-1, segment_frames, *frames_FC.shape[1:])
        found = [np.quantile(groups_GSC, quantile, axis=1)] if whole else []
        found += [np.quantile(frames_FC[whole:], quantile, axis=0)[None]] if whole < length else []
        return np.concatenate([np.empty((0, *frames_FC.shape[1:]), np.float32), *found]).astype(np.float32)
    groups = -(-length // segment_frames)
    padded = np.full((groups * segment_frames, *frames_FC.shape[1:]), np.nan, frames_FC.dtype)
    padded[:length] = frames_FC
    parts = padded.reshape(groups, segment_frames, *frames_FC.shape[1:])
    return np.asarray(np.fmax.reduce(parts, axis=1))


def confirm_score(rules: LabelRules) -> float:
    """Return the score above which the time of a class counts as confirmed."""
    return rules.min_score + rules.raise_min_to_confirm * (1.0 - rules.min_score)


def _threshold(rules: LabelRules, confirmed_s: float) -> float:
    """Return the score that a label needs, given for how long the class is confirmed."""
    if confirmed_s >= rules.confirmed_if_seconds - 1e-9:
        return rules.min_score * rules.lower_min_factor
    return rules.min_score


def _looks_twice(rules: LabelRules) -> bool:
    return rules.second_pass and rules.min_score > 0


def intervals_of_windows(
    starts_N: np.ndarray, scores_N: np.ndarray, rules: LabelRules, seconds: float = math.inf
) -> Intervals:
    """Return the labels of a class from its window scores, in a recording of the given length."""
    threshold = rules.min_score
    if _looks_twice(rules):
        confirmed = starts_N[scores_N >= confirm_score(rules)]
        threshold = _threshold(rules, _union_seconds(confirmed, rules.duration_s))
    above = scores_N >= threshold
    starts = starts_N[above]
    return _intervals(starts, starts + rules.duration_s, scores_N[above], rules, seconds)


def intervals_of_frames(frames_F: np.ndarray, rules: LabelRules, seconds: float = math.inf) -> Intervals:
    """Return the labels of a class from its frame scores: in runs, or in groups of fixed length."""
    found = _runs(frames_F, rules) if rules.segment_frames is None else _groups(frames_F, rules)
    return _intervals(*found, rules, seconds)


def _intervals(
    starts: np.ndarray, ends: np.ndarray, scores: np.ndarray, rules: LabelRules, seconds: float
) -> Intervals:
    # The last window and the last frame may extend beyond the recording.
    return Intervals(starts, np.minimum(ends, np.maximum(seconds, starts)), scores, scores < rules.min_score)


def _union_seconds(starts: np.ndarray, duration_s: float) -> float:
    """Return the length of the union of windows of equal length in ascending order of start."""
    if not len(starts):
        return 0.0
    return float(np.minimum(np.diff(starts), duration_s).sum() + duration_s)


def _frame_threshold(frames_F: np.ndarray, rules: LabelRules) -> float:
    if not _looks_twice(rules):
        return rules.min_score
    return _threshold(rules, np.count_nonzero(frames_F >= confirm_score(rules)) / rules.fps)


def _runs(frames_F: np.ndarray, rules: LabelRules) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    above = np.zeros(len(frames_F) + 2, np.int8)
    above[1:-1] = frames_F >= _frame_threshold(frames_F, rules)
    edges = np.flatnonzero(np.diff(above))
    first, past = edges[::2], edges[1::2]
    if not len(first):
        return np.empty(0), np.empty(0), np.empty(0, np.float32)
    # Take the maximum of each run; every second group is a gap between runs and is dropped.
    padded = np.append(frames_F, np.float32(0))
    scores = np.maximum.reduceat(padded, edges)[::2]
    return first / rules.fps, past / rules.fps, scores


def _groups(frames_F: np.ndarray, rules: LabelRules) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    assert rules.segment_frames is not None
    scores = group_frames(frames_F, rules.segment_frames, rules.quantile)
    groups = np.flatnonzero(scores >= _frame_threshold(frames_F, rules))
    return groups * rules.segment_s, (groups + 1) * rules.segment_s, scores[groups]

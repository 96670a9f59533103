"""Scores become labels (algorithms page, section 7). Scores here are calibrated already."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from britekit.annotations.classes import ClassInfo
from britekit.annotations.labels import Label
from britekit.config import BaseConfig

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelRules:
    """What decides about labels.

    Attributes
    ----------
    min_score
        Lowest score that makes a label.
    duration_s
        Length of a window.
    fps
        Frames per second of frame scores.
    segment_frames
        Frames of a label of fixed length; None: labels as long as the sounds.
    second_pass, raise_min_to_confirm, confirmed_if_seconds, lower_min_factor
        The second pass, as in the section ``infer``.
    """

    min_score: float
    duration_s: float
    fps: int
    segment_frames: int | None = None
    second_pass: bool = True
    raise_min_to_confirm: float = 0.5
    confirmed_if_seconds: float = 8.0
    lower_min_factor: float = 0.6

    @property
    def segment_s(self) -> float:
        """Seconds of a label of fixed length: a whole number of frames, so that labels never drift."""
        return (self.segment_frames or 0) / self.fps


def label_rules(cfg: BaseConfig, has_frames: bool) -> LabelRules:
    """Return the rules of these settings; frames with a min_score of 0 get labels of a window's length."""
    infer, duration, fps = cfg.infer, cfg.audio.spec_duration, cfg.train.sed_fps
    length = infer.segment_len if has_frames else None
    if has_frames and length is None and infer.min_score == 0:
        length = duration
        logger.warning(
            "min_score is 0, where unbroken labels cannot be tested: labels of %g s are made (as with --seg)",
            duration,
        )
    return LabelRules(
        min_score=infer.min_score,
        duration_s=duration,
        fps=fps,
        segment_frames=None if length is None else max(1, round(fps * length)),
        second_pass=infer.lower_min_if_confirmed,
        raise_min_to_confirm=infer.raise_min_to_confirm,
        confirmed_if_seconds=infer.confirmed_if_seconds,
        lower_min_factor=infer.lower_min_factor,
    )


@dataclass(frozen=True, eq=False)
class Intervals:
    """Where one class is heard: M labels by ascending start, as arrays, since there may be a million.

    Attributes
    ----------
    starts, ends
        (M,) seconds, float64.
    scores
        (M,) float32.
    """

    starts: np.ndarray
    ends: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)


def make_labels(
    recording: str,
    classes: Sequence[ClassInfo],
    label_field: str,
    rules: LabelRules,
    starts_N: np.ndarray,
    scores_NC: np.ndarray,
    frames_FC: np.ndarray | None = None,
) -> list[Label]:
    """Return the labels of one recording.

    Parameters
    ----------
    recording
        Its name in the labels.
    classes
        C classes.
    label_field
        What a label shows (``infer.label_field``).
    starts_N, scores_NC
        Start times in seconds and scores of the windows.
    frames_FC
        Scores of the frames, from 0 s on; None without an SED head: then the windows make the labels.
    """
    labels = []
    for column, info in enumerate(classes):
        if frames_FC is None:
            found = intervals_of_windows(starts_N, scores_NC[:, column], rules)
        else:
            found = intervals_of_frames(frames_FC[:, column], rules)
        labels += named(recording, info.label(label_field), found)
    return labels


def named(recording: str, name: str, found: Intervals) -> list[Label]:
    """Return stretches as labels."""
    columns = (found.starts.tolist(), found.ends.tolist(), found.scores.tolist())
    return [Label(recording, name, start, end, score) for start, end, score in zip(*columns, strict=True)]


def group_frames(frames_FC: np.ndarray, segment_frames: int) -> np.ndarray:
    """Return the maximum of each group of frames, (ceil(F / segment_frames), C)."""
    length = len(frames_FC)
    groups = -(-length // segment_frames)
    padded = np.zeros((groups * segment_frames, *frames_FC.shape[1:]), frames_FC.dtype)
    padded[:length] = frames_FC
    return padded.reshape(groups, segment_frames, *frames_FC.shape[1:]).max(axis=1)


def confirm_score(rules: LabelRules) -> float:
    """Score above which the time of a class counts as confirmed."""
    return rules.min_score + rules.raise_min_to_confirm * (1.0 - rules.min_score)


def _threshold(rules: LabelRules, confirmed_s: float) -> float:
    """Score a label needs, once it is known for how long the class is confirmed."""
    if confirmed_s >= rules.confirmed_if_seconds - 1e-9:
        return rules.min_score * rules.lower_min_factor
    return rules.min_score


def _looks_twice(rules: LabelRules) -> bool:
    return rules.second_pass and rules.min_score > 0


def intervals_of_windows(starts_N: np.ndarray, scores_N: np.ndarray, rules: LabelRules) -> Intervals:
    """Return where a class is heard by its scores in windows."""
    threshold = rules.min_score
    if _looks_twice(rules):
        confirmed = starts_N[scores_N >= confirm_score(rules)]
        threshold = _threshold(rules, _union_seconds(confirmed, rules.duration_s))
    above = scores_N >= threshold
    starts = starts_N[above]
    return Intervals(starts, starts + rules.duration_s, scores_N[above])


def intervals_of_frames(frames_F: np.ndarray, rules: LabelRules) -> Intervals:
    """Return where a class is heard by its scores in frames: in runs, or in groups of fixed length."""
    return _runs(frames_F, rules) if rules.segment_frames is None else _groups(frames_F, rules)


def _union_seconds(starts: np.ndarray, duration_s: float) -> float:
    """Length of the union of windows of equal length, by ascending start."""
    if not len(starts):
        return 0.0
    return float(np.minimum(np.diff(starts), duration_s).sum() + duration_s)


def _frame_threshold(frames_F: np.ndarray, rules: LabelRules) -> float:
    if not _looks_twice(rules):
        return rules.min_score
    return _threshold(rules, np.count_nonzero(frames_F >= confirm_score(rules)) / rules.fps)


def _runs(frames_F: np.ndarray, rules: LabelRules) -> Intervals:
    above = np.zeros(len(frames_F) + 2, np.int8)
    above[1:-1] = frames_F >= _frame_threshold(frames_F, rules)
    edges = np.flatnonzero(np.diff(above))
    first, past = edges[::2], edges[1::2]
    if not len(first):
        return Intervals(np.empty(0), np.empty(0), np.empty(0, np.float32))
    # The largest of each run; what lies between runs falls to every second group and is dropped.
    padded = np.append(frames_F, np.float32(0))
    scores = np.maximum.reduceat(padded, edges)[::2]
    return Intervals(first / rules.fps, past / rules.fps, scores)


def _groups(frames_F: np.ndarray, rules: LabelRules) -> Intervals:
    assert rules.segment_frames is not None
    scores = group_frames(frames_F, rules.segment_frames)
    groups = np.flatnonzero(scores >= _frame_threshold(frames_F, rules))
    return Intervals(groups * rules.segment_s, (groups + 1) * rules.segment_s, scores[groups])

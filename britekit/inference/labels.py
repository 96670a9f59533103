"""Scores become labels (algorithms page, section 7). Scores here are calibrated already."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
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
        name = info.label(label_field)
        if frames_FC is None:
            found = _from_windows(starts_N, scores_NC[:, column], rules)
        elif rules.segment_frames is not None:
            found = _from_groups(frames_FC[:, column], rules)
        else:
            found = _from_runs(frames_FC[:, column], rules)
        labels += [Label(recording, name, start, end, score) for start, end, score in found]
    return labels


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


def _from_windows(
    starts_N: np.ndarray, scores_N: np.ndarray, rules: LabelRules
) -> Iterator[tuple[float, float, float]]:
    threshold = rules.min_score
    if _looks_twice(rules):
        confirmed = starts_N[scores_N >= confirm_score(rules)]
        threshold = _threshold(rules, _union_seconds(confirmed, rules.duration_s))
    for row in np.flatnonzero(scores_N >= threshold):
        start = float(starts_N[row])
        yield start, start + rules.duration_s, float(scores_N[row])


def _union_seconds(starts: np.ndarray, duration_s: float) -> float:
    """Length of the union of windows of equal length, by ascending start."""
    if not len(starts):
        return 0.0
    return float(np.minimum(np.diff(starts), duration_s).sum() + duration_s)


def _frame_threshold(frames_F: np.ndarray, rules: LabelRules) -> float:
    if not _looks_twice(rules):
        return rules.min_score
    return _threshold(rules, np.count_nonzero(frames_F >= confirm_score(rules)) / rules.fps)


def _from_runs(frames_F: np.ndarray, rules: LabelRules) -> Iterator[tuple[float, float, float]]:
    above = np.zeros(len(frames_F) + 2, np.int8)
    above[1:-1] = frames_F >= _frame_threshold(frames_F, rules)
    edges = np.flatnonzero(np.diff(above))
    for first, past in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        yield first / rules.fps, past / rules.fps, float(frames_F[first:past].max())


def _from_groups(frames_F: np.ndarray, rules: LabelRules) -> Iterator[tuple[float, float, float]]:
    assert rules.segment_frames is not None
    scores = group_frames(frames_F, rules.segment_frames)
    for group in np.flatnonzero(scores >= _frame_threshold(frames_F, rules)).tolist():
        yield group * rules.segment_s, (group + 1) * rules.segment_s, float(scores[group])

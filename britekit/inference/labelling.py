"""From an ensemble's scores to labels by the settings: calibration, ignored classes, rules."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator

import numpy as np

from britekit.annotations.classes import ClassInfo, read_ignore_list
from britekit.annotations.labels import Label
from britekit.config import BaseConfig, MiscConfig
from britekit.inference.ensemble import Ensemble
from britekit.inference.label_rules import (
    Intervals,
    LabelRules,
    group_frames,
    intervals_of_frames,
    intervals_of_windows,
    label_rules,
    named,
)
from britekit.inference.platt import Calibration, read_calibration
from britekit.inference.scores import RecordingScores

logger = logging.getLogger(__name__)


class Labeller:
    """What makes labels of scores, in memory that hardly grows with a recording's length.

    Parameters
    ----------
    cfg
        Settings in force.
    ensemble
        Where scores come from.

    Attributes
    ----------
    classes
        Classes that labels can have: those of the ensemble without the ignored ones.
    calibration
        What is applied to scores.
    rules
        What makes a label.
    label_field
        What a label shows.

    Raises
    ------
    InputError
        The calibration or a configured ignore file is missing or unusable.
    """

    def __init__(self, cfg: BaseConfig, ensemble: Ensemble) -> None:
        ignored = read_ignore_list(
            cfg.misc.ignore_file, required=cfg.misc.ignore_file != MiscConfig().ignore_file
        )
        self._columns = [place for place, info in enumerate(ensemble.classes) if info.name not in ignored]
        self.classes: list[ClassInfo] = [ensemble.classes[place] for place in self._columns]
        self.calibration = choose_calibration(cfg)
        fitted_on = self.calibration.members
        if fitted_on and fitted_on != {member.sha256 for member in ensemble.members}:
            logger.warning(
                "%s was fitted on scores of other models than these: its probabilities will be wrong; run "
                '"britekit calibrate" on theirs',
                self.calibration.source,
            )
        self.rules: LabelRules = label_rules(cfg, ensemble.sed_fps is not None)
        self.label_field = cfg.infer.label_field
        # Where files sort labels: by what a label shows.
        shown = [info.label(self.label_field) for info in self.classes]
        self._order = sorted(range(len(shown)), key=shown.__getitem__)
        self._shown = shown

    @property
    def unit_s(self) -> float:
        """Seconds that a row of `raw_blocks` stands for."""
        return self.rules.segment_s if self.rules.segment_frames is not None else self.rules.duration_s

    def scores(self, scores_NC: np.ndarray) -> np.ndarray:
        """Return the calibrated scores (N, C) of the classes that labels can have, of scores of them all."""
        return self.calibration.apply(scores_NC[:, self._columns], self.classes)

    def labels(self, recording: str, result: RecordingScores) -> list[Label]:
        """Return the labels of one recording, by name, then start."""
        return [x for name, found in self.intervals(result) for x in named(recording, name, found)]

    def intervals(self, result: RecordingScores) -> Iterator[tuple[str, Intervals]]:
        """Yield what each label shows, in alphabetical order, with where it is heard, by ascending start."""
        for name, group in itertools.groupby(self._by_class(result), key=lambda pair: pair[0]):
            found = [stretches for _, stretches in group]
            yield name, found[0] if len(found) == 1 else _merged(found)

    def _by_class(self, result: RecordingScores) -> Iterator[tuple[str, Intervals]]:
        frames = result.frame_rows is not None
        rows = result.score_rows if result.frame_rows is None else result.frame_rows
        for group in rows.column_groups(self._order):
            scores = rows.columns([self._columns[place] for place in group])
            scores = self.calibration.apply(scores, [self.classes[place] for place in group])
            for number, place in enumerate(group):
                column = scores[:, number]
                if frames:
                    yield self._shown[place], intervals_of_frames(column, self.rules)
                else:
                    yield self._shown[place], intervals_of_windows(result.starts, column, self.rules)

    def raw_starts(self, result: RecordingScores) -> np.ndarray:
        """Return the starts (N,) of the rows of `raw_blocks`, in seconds."""
        if result.frame_rows is None or self.rules.segment_frames is None:
            return result.starts
        groups = -(-len(result.frame_rows) // self.rules.segment_frames)
        return np.arange(groups) * self.rules.segment_s

    def raw_blocks(self, result: RecordingScores) -> Iterator[np.ndarray]:
        """Yield the scores (n, C) that labels are made from, not calibrated, in order of their starts."""
        if result.frame_rows is None or self.rules.segment_frames is None:
            for block in result.score_rows.blocks():
                yield np.ascontiguousarray(block[:, self._columns])
            return
        size = self.rules.segment_frames
        left = np.empty((0, len(self._columns)), np.float32)
        for block in result.frame_rows.blocks():
            left = np.concatenate([left, block[:, self._columns]])
            whole = len(left) // size * size
            yield group_frames(left[:whole], size)
            left = left[whole:]
        yield group_frames(left, size)


def choose_calibration(cfg: BaseConfig) -> Calibration:
    """Return what is applied to the mean scores: ``infer.calibration``, else the settings' numbers.

    With a min_score of 0, a test run, the file is left out: it is made from such a run, and must not decide
    about the scores it will be fitted on.
    """
    if cfg.infer.calibration is None:
        return Calibration(cfg.infer.scaling_coefficient, cfg.infer.scaling_intercept)
    if cfg.infer.min_score == 0:
        logger.warning("min_score is 0: scores are written as they are, without %s", cfg.infer.calibration)
        return Calibration()
    return read_calibration(cfg.infer.calibration)


def _merged(parts: list[Intervals]) -> Intervals:
    """Put the stretches of classes that are shown alike in order, by start, then end."""
    starts = np.concatenate([part.starts for part in parts])
    ends = np.concatenate([part.ends for part in parts])
    order = np.lexsort((ends, starts))
    return Intervals(starts[order], ends[order], np.concatenate([part.scores for part in parts])[order])

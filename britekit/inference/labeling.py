"""From an ensemble's scores to labels by the settings: occurrence prior, calibration, ignored classes, rules."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import logging
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from britekit import formats
from britekit.annotations.classes import ClassInfo, read_ignore_list
from britekit.annotations.labels import Label
from britekit.config import BaseConfig, MiscConfig
from britekit.errors import InputError, some
from britekit.formats import Facts, Rows
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
from britekit.inference.platt import Calibration, configured_calibration
from britekit.inference.scores import RecordingScores
from britekit.occurrence.prior import OccurrencePrior, RecordingPrior, Where, load_prior, shifted

log = logging.getLogger(__name__)


class Labeler:
    """Turns scores into labels, in near-constant memory.

    Raises `InputError` if the calibration or a configured ignore file is missing or invalid.

    Parameters
    ----------
    calibration
        Calibration of the scores; None takes the configured one.
    thresholds
        Use the thresholds per class of the calibration instead of ``infer.min_score``.
    prior
        Occurrence data; None takes those that the settings name.

    Attributes
    ----------
    thresholds
        Lowest score of a label by class; None for ``infer.min_score`` for all.
    label_field
        Name of a class that labels show.
    facts
        Facts that formats show beside labels.
    """

    def __init__(
        self,
        cfg: BaseConfig,
        ensemble: Ensemble,
        calibration: Calibration | None = None,
        thresholds: bool = False,
        prior: OccurrencePrior | None = None,
    ) -> None:
        ignored = ignored_classes(cfg)
        self._columns = [place for place, info in enumerate(ensemble.classes) if info.name not in ignored]
        self.classes: list[ClassInfo] = [ensemble.classes[place] for place in self._columns]
        if calibration is None:
            calibration = configured_calibration(cfg, ensemble.sha256s)
        self.calibration = calibration
        self.rules: LabelRules = label_rules(cfg, ensemble.sed_fps is not None, ensemble.spread is not None)
        self.thresholds = class_thresholds(calibration, self.classes, cfg) if thresholds else None
        self._cfg = cfg
        if prior is not None:
            self.prior = prior
        self.label_field = cfg.infer.label_field
        more = {
            "model": " ".join(member.identifier or member.path.name for member in ensemble.members),
            "calibrated": not calibration.is_identity,
            "threshold": self.rules.min_score,
            "thresholds": dict(zip((info.name for info in self.classes), self.thresholds or (), strict=False)),
        }
        self.facts = Facts(float(cfg.audio.min_freq), float(cfg.audio.max_freq), self.rules.second_pass, more)
        # Files sort labels by the name that they show.
        shown = [info.label(self.label_field) for info in self.classes]
        self._order = sorted(range(len(shown)), key=shown.__getitem__)
        self._shown = shown

    @property
    def unit_s(self) -> float:
        """Seconds of a row of `raw_blocks`."""
        return self.rules.segment_s if self.rules.segment_frames is not None else self.rules.duration_s

    @functools.cached_property
    def prior(self) -> OccurrencePrior | None:
        """Occurrence data, or None; their shifts are added before scores are calibrated."""
        return self.load_prior()

    def load_prior(self, where: Where | None = None, root: Path | None = None) -> OccurrencePrior | None:
        """Return the occurrence data of the settings for a stated place and week (`britekit.occurrence.prior`)."""
        return load_prior(self._cfg, self.classes, where, root, ignored_classes(self._cfg))

    def prior_of(self, path: Path) -> RecordingPrior | None:
        """Return what occurrence data say about a recording; None without such data."""
        return None if self.prior is None else self.prior.of(path)

    def scores(self, scores_NC: np.ndarray, prior: RecordingPrior | None = None) -> np.ndarray:
        """Return calibrated scores of the classes that labels can have, from scores (N, C) of all classes."""
        return self.calibration.apply(self._with_prior(scores_NC[:, self._columns], prior), self.classes)

    def own_columns(self, scores_NC: np.ndarray) -> np.ndarray:
        """Return the columns of `classes` from scores of all classes of the ensemble."""
        return scores_NC[:, self._columns]

    def all_with_prior(self, scores_NC: np.ndarray, prior: RecordingPrior | None) -> np.ndarray:
        """Return scores (N, C) of all classes of the ensemble with the prior, not calibrated."""
        if prior is None:
            return scores_NC
        shifts = np.zeros(scores_NC.shape[-1])
        shifts[self._columns] = prior.shifts
        return shifted(scores_NC, shifts)

    def labels(self, recording: str, result: RecordingScores, prior: RecordingPrior | None = None) -> list[Label]:
        """Return the labels of one recording in order of name, then start."""
        return [x for name, found in self.intervals(result, prior) for x in named(recording, name, found)]

    def intervals(
        self, result: RecordingScores, prior: RecordingPrior | None = None
    ) -> Iterator[tuple[str, Intervals]]:
        """Yield each name that labels show, in alphabetical order, with its intervals."""
        pairs = self.by_class(result, prior)
        for name, group in itertools.groupby(pairs, key=lambda pair: self._shown[pair[0]]):
            found = [stretches for _, stretches in group]
            yield name, found[0] if len(found) == 1 else _merged(found)

    def by_class(
        self, result: RecordingScores, prior: RecordingPrior | None = None, places: Collection[int] | None = None
    ) -> Iterator[tuple[int, Intervals]]:
        """Yield the place of each class in `classes`, or of some, in order of what labels show, with its intervals."""
        frames = result.frame_rows is not None
        rows = result.score_rows if result.frame_rows is None else result.frame_rows
        for group in rows.column_groups([x for x in self._order if places is None or x in places]):
            scores = rows.columns([self._columns[place] for place in group])
            scores = self._with_prior(scores, prior, group)
            scores = self.calibration.apply(scores, [self.classes[place] for place in group])
            for number, place in enumerate(group):
                column, rules = scores[:, number], self.rules
                if self.thresholds is not None:
                    rules = dataclasses.replace(rules, min_score=self.thresholds[place])
                if frames:
                    yield place, intervals_of_frames(column, rules, result.seconds)
                else:
                    yield place, intervals_of_windows(result.starts, column, rules, result.seconds)

    def _with_prior(
        self, scores: np.ndarray, prior: RecordingPrior | None, places: Sequence[int] | None = None
    ) -> np.ndarray:
        if prior is None:
            return scores
        return shifted(scores, prior.shifts if places is None else prior.shifts[list(places)])

    def rows(self, result: RecordingScores, prior: RecordingPrior | None = None) -> Iterator[Rows]:
        """Yield the labels of one recording in parts of bounded size, for formats."""
        classes = {info.label(self.label_field): info for info in reversed(self.classes)}
        for label, found in self.intervals(result, prior):
            columns = (found.starts, found.ends, found.scores, found.confirmed)
            yield from formats.in_pieces(label, classes[label].name, classes[label].code, *columns)

    def raw_starts(self, result: RecordingScores) -> np.ndarray:
        """Return the starts (N,) of the rows of `raw_blocks`, in seconds."""
        if result.frame_rows is None or self.rules.segment_frames is None:
            return result.starts
        groups = -(-len(result.frame_rows) // self.rules.segment_frames)
        return np.arange(groups) * self.rules.segment_s

    def raw_blocks(self, result: RecordingScores, prior: RecordingPrior | None = None) -> Iterator[np.ndarray]:
        """Yield the scores (n, C) that labels are made from, with the prior and not calibrated, by their starts."""
        if result.frame_rows is None or self.rules.segment_frames is None:
            for block in result.score_rows.blocks():
                yield np.ascontiguousarray(self._with_prior(block[:, self._columns], prior))
            return
        size = self.rules.segment_frames
        left = np.empty((0, len(self._columns)), np.float32)
        for block in result.frame_rows.blocks():
            left = np.concatenate([left, block[:, self._columns]])
            whole = len(left) // size * size
            yield self._with_prior(group_frames(left[:whole], size, self.rules.quantile), prior)
            left = left[whole:]
        yield self._with_prior(group_frames(left, size, self.rules.quantile), prior)


def ignored_classes(cfg: BaseConfig) -> Collection[str]:
    """Return the names of ignored classes; the default file may be missing."""
    return read_ignore_list(cfg.misc.ignore_file, required=cfg.misc.ignore_file != MiscConfig().ignore_file)


def class_thresholds(calibration: Calibration, classes: Sequence[ClassInfo], cfg: BaseConfig) -> list[float]:
    """Return the threshold of each class; ``infer.min_score`` if the calibration has none.

    Raises `InputError` if the scores are not calibrated, or the calibration has no thresholds.
    """
    if not calibration.thresholds:
        why = f"{calibration.source} holds none" if calibration.source else "scores are not calibrated"
        raise InputError(f'thresholds per class were requested, but {why}; run "britekit calibrate" on these models')
    found = [calibration.threshold_of(info) for info in classes]
    without = [info.name for info, value in zip(classes, found, strict=True) if value is None]
    if without:
        log.warning(
            "%d of %d classes have no threshold of precision %g and use infer.min_score %g: %s",
            *(len(without), len(classes), calibration.precision or 0.0, cfg.infer.min_score),
            some(without, 10),
        )
    return [cfg.infer.min_score if value is None else value for value in found]


def _merged(parts: list[Intervals]) -> Intervals:
    """Merge the intervals of classes with the same displayed name, in order of start, then end."""
    starts, ends, scores, confirmed = (
        np.concatenate(arrays)
        for arrays in zip(*((x.starts, x.ends, x.scores, x.confirmed) for x in parts), strict=True)
    )
    order = np.lexsort((ends, starts))
    return Intervals(starts[order], ends[order], scores[order], confirmed[order])

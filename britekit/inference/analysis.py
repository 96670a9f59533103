"""A batch of recordings from end to end: scored, calibrated, labelled, written."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from britekit.annotations.classes import ClassInfo, read_ignore_list
from britekit.annotations.labels import Label
from britekit.audio.files import check_stems, shown
from britekit.config import BaseConfig, MiscConfig
from britekit.errors import BriteKitError, InferenceError
from britekit.inference.engine import Engine, RecordingScores, score_recordings
from britekit.inference.ensemble import Ensemble
from britekit.inference.labels import LabelRules, group_frames, label_rules, make_labels
from britekit.inference.output import OutputFolder, manifest_text, recording_name, score_facts
from britekit.inference.platt import Calibration, read_calibration

logger = logging.getLogger(__name__)


@dataclass
class AnalysisSummary:
    """What a batch came to.

    Attributes
    ----------
    failed
        Recording to the reason why it has no scores.
    labels
        Number of labels written.
    audio_seconds
        Length of the recordings scored.
    """

    done: int = 0
    failed: dict[Path, str] = field(default_factory=dict)
    labels: int = 0
    audio_seconds: float = 0.0
    elapsed_s: float = 0.0


class Labeller:
    """From an ensemble's scores to labels by the settings: calibration, ignored classes, rules.

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
        self.rules: LabelRules = label_rules(cfg, ensemble.sed_fps is not None)
        self._label_field = cfg.infer.label_field

    @property
    def unit_s(self) -> float:
        """Seconds that a row of `raw_rows` stands for."""
        return self.rules.segment_s if self.rules.segment_frames is not None else self.rules.duration_s

    def labels(self, recording: str, result: RecordingScores) -> list[Label]:
        """Return the labels of one recording."""
        frames = None
        if result.frames is not None:
            frames = self.calibration.apply(result.frames[:, self._columns], self.classes)
        scores = self.calibration.apply(result.scores[:, self._columns], self.classes)
        return make_labels(
            recording, self.classes, self._label_field, self.rules, result.starts, scores, frames
        )

    def raw_rows(self, result: RecordingScores) -> tuple[np.ndarray, np.ndarray]:
        """Return starts (N,) and scores (N, C) that labels are made from, not calibrated."""
        if result.frames is None or self.rules.segment_frames is None:
            return result.starts, result.scores[:, self._columns]
        groups = group_frames(result.frames[:, self._columns], self.rules.segment_frames)
        return np.arange(len(groups)) * self.rules.segment_s, groups


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


def analyze_recordings(
    cfg: BaseConfig,
    ensemble: Ensemble,
    paths: Sequence[Path],
    output_dir: str | os.PathLike[str],
    *,
    root: Path | None = None,
    rtype: str = "both",
    first_s: float = 0.0,
    on_done: Callable[[Path, int, AnalysisSummary], None] | None = None,
) -> AnalysisSummary:
    """Score recordings and write labels, tables and the manifest.

    A recording that fails is reported and left out; the others are completed, and what is about all
    recordings is written for those.

    Parameters
    ----------
    cfg
        Settings in force.
    paths
        Recordings.
    root
        Directory that recordings are named relative to; None names them by their stem.
    rtype
        ``audacity``, ``csv`` or ``both``.
    first_s
        Seconds to skip at the start of each recording.
    on_done
        Called with each completed recording, its number of labels and the sums so far.

    Raises
    ------
    InputError
        Two recordings of equal name; the output cannot be written; calibration or ignore file unusable.
    """
    began = time.monotonic()
    check_stems(paths)
    labeller = Labeller(cfg, ensemble)
    summary = AnalysisSummary()
    keep_scores = cfg.infer.min_score == 0
    with (
        OutputFolder(Path(output_dir), rtype, keep_scores) as output,
        Engine(ensemble, open_recordings=min(cfg.infer.num_threads, len(paths))) as engine,
    ):
        for path, result in score_recordings(engine, paths, first_s):
            name = recording_name(path, root) if root is not None else path.stem
            if isinstance(result, BaseException):
                reason = _reason(result, path)
                summary.failed[path] = reason
                logger.warning("%s is left out: %s", shown(path), reason)
                output.discard(name)
                continue
            if result.damaged_at is not None:
                logger.warning(
                    "%s is damaged at %.1f s; the part before is scored", shown(path), result.damaged_at
                )
            labels = labeller.labels(name, result)
            output.add(name, labels, result.seconds, *labeller.raw_rows(result))
            summary.done += 1
            summary.labels += len(labels)
            summary.audio_seconds += result.seconds
            if on_done is not None:
                on_done(path, len(labels), summary)
        output.finish(
            manifest_text(cfg, ensemble, labeller.classes, labeller.calibration),
            labeller.classes,
            labeller.unit_s,
            score_facts(ensemble),
        )
    summary.elapsed_s = time.monotonic() - began
    return summary


def failure_of(summary: AnalysisSummary) -> InferenceError | None:
    """Return the error that a batch with failed recordings ends with, or None."""
    if not summary.failed:
        return None
    total = summary.done + len(summary.failed)
    listed = "; ".join(f"{shown(path)}: {reason}" for path, reason in list(summary.failed.items())[:3])
    more = f" and {len(summary.failed) - 3} more" if len(summary.failed) > 3 else ""
    return InferenceError(f"{len(summary.failed)} of {total} recordings could not be scored ({listed}{more})")


def _reason(error: BaseException, path: Path) -> str:
    if isinstance(error, BriteKitError):
        return " ".join(str(error).split()).removeprefix(f"{shown(path)} ").removeprefix(f"{shown(path)}: ")
    if not isinstance(error, Exception):
        raise error
    logger.debug("unexpected error", exc_info=error)
    return f"{type(error).__name__}: {' '.join(str(error).split())}"

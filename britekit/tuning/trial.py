"""Run one trial: train with its settings, score the test recordings, measure."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from britekit.annotations.scores import ScoreTable
from britekit.config import BaseConfig
from britekit.evaluation.scored_segments import read_scored_segments
from britekit.inference.backend import BackendChoice, backend_of_run
from britekit.inference.ensemble import load_ensemble
from britekit.inference.score_tables import score_all
from britekit.metrics.ranking import ranking_summary
from britekit.tuning.extracted import ExtractedPickles

log = logging.getLogger(__name__)

FIGURES = ("macro_pr", "micro_pr", "macro_roc", "micro_roc", "micro_pr_trained", "micro_roc_trained")
"""Figures of a trial: the last two are over all trained classes, the others over the annotated ones."""

# Called with the metrics of each epoch, from 0; may raise to stop the run.
OnEpoch = Callable[[dict[str, Any]], None]


class TestSet:
    """The annotated recordings for testing trials.

    Attributes
    ----------
    recordings
        Their audio files.
    root
        The directory that their names are relative to.
    """

    __test__ = False  # not a test class for pytest

    def __init__(self, annotations_path: str | Path, recordings: list[Path], root: Path) -> None:
        self.annotations_path, self.recordings, self.root = annotations_path, recordings, root

    def measure(self, scores: ScoreTable, cfg: BaseConfig) -> dict[str, float]:
        """Return `FIGURES` of scores."""
        data = read_scored_segments(self.annotations_path, scores, self.root, cfg)
        found = ranking_summary(data.truth_NC, data.scores_NC, data.annotated)
        return {name: float(found[name]) for name in FIGURES}


class Evaluator(Protocol):
    """Turns settings into metrics."""

    def run(self, cfg: BaseConfig, seed: int, on_epoch: OnEpoch) -> dict[str, float]:
        """Return `FIGURES` of one run with these settings."""


class TrainAndTest:
    """Trains, scores with all checkpoints of the run, and tests per segment.

    Parameters
    ----------
    pickles
        Creates the training file of each trial; None uses ``train.train_pickle``.
    """

    def __init__(self, test: TestSet, log_root: Path, pickles: ExtractedPickles | None = None) -> None:
        self._test, self._log_root, self._pickles = test, log_root, pickles

    def run(self, cfg: BaseConfig, seed: int, on_epoch: OnEpoch) -> dict[str, float]:
        """Return `FIGURES` of one run with these settings."""
        from britekit.training.trainer import train

        if self._pickles is not None:
            cfg.train.train_pickle = str(self._pickles.path(cfg))
        result = train(cfg, seed=seed, log_root=self._log_root, on_epoch=on_epoch)
        return score_and_measure(cfg, result.checkpoints, self._test, backend_of_run(cfg, result.checkpoints))


def score_and_measure(
    cfg: BaseConfig, checkpoints: list[Path], test: TestSet, backend: BackendChoice | None = None
) -> dict[str, float]:
    """Score the test recordings with an ensemble and measure, without calibration."""
    return test.measure(score_all(load_ensemble(cfg, checkpoints, backend), test.recordings, test.root), cfg)

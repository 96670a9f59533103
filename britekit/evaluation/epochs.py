"""Measure each checkpoint of a training run on the test recordings."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from britekit.annotations.scores import ScoreTable
from britekit.config import BaseConfig
from britekit.errors import InputError
from britekit.evaluation.exclusions import audio_files, root_of
from britekit.evaluation.matrix_file import write_table
from britekit.evaluation.scored_segments import read_scored_segments
from britekit.files import together
from britekit.formats import read_any_annotations
from britekit.metrics.counts import count_by_threshold
from britekit.metrics.ranking import area_under_pr, area_under_roc
from britekit.plots.training import plot_training_curve

_EPOCH = re.compile(r"-e(\d+)$")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EpochScore:
    """Scores of a checkpoint on the test: micro averages over all trained classes."""

    epoch: int
    path: Path
    pr_auc: float
    roc_auc: float


def find_epochs(directory: str | Path) -> list[tuple[int, Path]]:
    """Return the checkpoints of a directory with the epochs in their names, in order.

    Raises `InputError` if there is none, or two checkpoints have the same epoch.
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a directory; expected the checkpoints of a training run")
    paths = sorted(p for p in folder.glob("*.ckpt") if not p.name.startswith("."))
    found: dict[int, Path] = {}
    for path in paths:
        match = _EPOCH.search(path.stem)
        if match is None:
            log.warning("%s is left out: its name does not end in -e<number>", path)
            continue
        epoch = int(match[1])
        if epoch in found:
            raise InputError(
                f"{found[epoch]} and {path.name} both have epoch {epoch}; keep the checkpoints of one run only"
            )
        found[epoch] = path
    if not found:
        raise InputError(
            f"{folder} contains no checkpoint with an epoch in its name; expected names such as v3-e12.ckpt, as "
            "train leaves them in logs/version_N/checkpoints"
        )
    return sorted(found.items())


def annotated_recordings(annotations_path: str | Path, recordings_dir: str | Path | None = None) -> list[Path]:
    """Return the audio files of the annotated recordings, in a directory or beside the annotations.

    Raises `InputError` if there is none.
    """
    folder = root_of(annotations_path, recordings_dir)
    known = audio_files(folder, recursive=False)
    annotations = read_any_annotations(annotations_path, known=known)
    names = sorted({name for a in annotations for name in (a.recording, a.ends_in or a.recording)})
    audio = audio_files(folder, any("/" in name for name in names))
    paths = [path for name in names for path in audio.get(name, [])]
    if not paths:
        raise InputError(f"{folder} holds none of the {len(names)} annotated recordings")
    return paths


def score_epoch(
    epoch: int, path: Path, annotations_path: str | Path, scores: ScoreTable, cfg: BaseConfig
) -> EpochScore:
    """Measure the scores of one checkpoint, over all trained classes."""
    data = read_scored_segments(annotations_path, scores, None, cfg)
    counts = count_by_threshold(data.truth_NC, data.scores_NC)
    return EpochScore(epoch, path, area_under_pr(counts), area_under_roc(counts))


def best_epoch(scores: Sequence[EpochScore], figure: str) -> EpochScore:
    """Return the epoch with the highest ``pr_auc`` or ``roc_auc``; the first if several are equal."""
    return max(scores, key=lambda s: (-math.inf if math.isnan(getattr(s, figure)) else getattr(s, figure), -s.epoch))


def write_epochs(directory: str | Path, scores: Sequence[EpochScore]) -> list[Path]:
    """Write ``training_scores.csv`` and ``training_scores.jpeg``."""
    folder = Path(directory)
    rows = [(s.epoch, f"{s.pr_auc:.4f}", f"{s.roc_auc:.4f}") for s in scores]
    with together():
        table = write_table(folder / "training_scores.csv", [("epoch", "PR-AUC", "ROC-AUC"), *rows])
        picture = folder / "training_scores.jpeg"
        curves = {"PR-AUC": [s.pr_auc for s in scores], "ROC-AUC": [s.roc_auc for s in scores]}
        plot_training_curve(picture, [s.epoch for s in scores], {}, curves, "Test by epoch")
    return [table, picture]

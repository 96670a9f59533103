"""The results of a training run."""

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from britekit.errors import counted
from britekit.plots.picture import Picture, draw_picture


@dataclass
class FoldResult:
    """One fold, or the only run."""

    fold: int | None
    """Number from 0, None without folds."""
    epochs: list[dict[str, Any]] = field(default_factory=list)
    """Per epoch: epoch (zero-based), step, loss, lr, seconds, joules where measured, spectrograms_per_second, and with
    held-out data val_loss, val_roc, val_roc_macro, val_pr, val_pr_macro, val_top1."""
    checkpoints: list[Path] = field(default_factory=list)
    """Checkpoints kept in the log folder."""
    log_folder: Path | None = None
    best: int | None = None
    """Zero-based epoch with the best ``train.monitor``; None without held-out data."""
    best_checkpoint: Path | None = None
    """Checkpoint of the best epoch, with ``train.keep_best``."""
    final_epoch: int = -1
    """Zero-based epoch whose weights are tested and published: the last or, with ``train.publish_best``, the best."""
    stopped_early: bool = False
    """Whether ``train.patience`` stopped the training."""
    test: dict[str, float | None] | None = None
    """Metrics of ``train.test_pickle``."""

    @property
    def final(self) -> dict[str, Any]:
        """Metrics of the epoch whose weights are tested and published."""
        return self.epochs[self.final_epoch]


@dataclass(repr=False)
class TrainResult:
    """Result of a run."""

    folds: list[FoldResult]
    loss: float
    """Mean training loss of the final epoch (mean over folds)."""
    seconds: float
    spectrograms_per_second: float
    """Seconds of training alone, including earlier parts of a resumed run."""
    device: str
    seed: int
    num_spectrograms: int
    joules: float | None = None
    """Energy of processors and cards while training, None where their counters cannot be read."""
    published: Path | None = None
    resumed_from_epoch: int | None = None
    example: np.ndarray | None = None
    """(n, H, W) float32: the first images of a mixed and augmented batch."""

    def __repr__(self) -> str:
        size = f"{counted(len(self.epochs), 'epoch')} of {counted(self.num_spectrograms, 'spectrogram')}"
        return f"<TrainResult: {size} in {self.seconds:.1f} s on {self.device}; loss {self.loss:.4f}>"

    def sum_up(self) -> None:
        """Compute the metrics over all folds."""
        epochs = [row for fold in self.folds for row in fold.epochs]
        self.loss = sum(fold.final["loss"] for fold in self.folds) / len(self.folds)
        self.seconds = sum(row["seconds"] for row in epochs)
        joules: list[Any] = [row.get("joules") for row in epochs]
        self.joules = None if None in joules else sum(joules)
        self.spectrograms_per_second = sum(row["spectrograms"] for row in epochs) / max(1e-9, self.seconds)

    def to_dataframe(self) -> Any:
        """Return the metrics of every epoch, and every fold, as a pandas data frame."""
        import pandas

        return pandas.DataFrame([{"fold": fold.fold, **row} for fold in self.folds for row in fold.epochs])

    def plot(self, path: str | os.PathLike[str] | None = None) -> Picture:
        """Draw the losses and, with held-out data, the scores of the last fold over its epochs."""
        from britekit.plots.training import plot_training_curve

        rows = self.epochs
        series = {name: [math.nan if row.get(name) is None else row[name] for row in rows] for name in rows[0]}
        losses: dict[str, list[float]] = {name: series[name] for name in ("loss", "val_loss") if name in series}
        scores = {name: values for name, values in series.items() if name.startswith(("val_roc", "val_pr"))}
        return draw_picture(lambda file: plot_training_curve(file, series["epoch"], losses, scores), path)

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """Metrics of the epochs of the last fold."""
        return self.folds[-1].epochs

    @property
    def checkpoints(self) -> list[Path]:
        """All kept checkpoints."""
        return [path for fold in self.folds for path in fold.checkpoints]

"""One call that trains as configured: folds, checkpoints, curves, resuming, publishing."""

import copy
import logging
import math
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch

from britekit.config import BaseConfig, to_dict
from britekit.datasets.batches import Bank, TrainingBatches, batch_size_for, derived_seed
from britekit.datasets.splits import Split, make_splits
from britekit.errors import TrainingError
from britekit.files import together
from britekit.models.checkpoint import hyper_parameters, save_checkpoint
from britekit.models.recognizer import Recognizer
from britekit.training import preparation as prepare
from britekit.training.devices import (
    choose_device,
    device_name,
    lightning_accelerator,
    lightning_precision,
    memory_format,
)
from britekit.training.held_out import evaluate
from britekit.training.log_folder import LogFolder
from britekit.training.losses import class_weights
from britekit.training.meter import TrainingMeter
from britekit.training.module import StepFigures, TrainingModule, quiet_lightning
from britekit.training.optimizers import build_optimizer
from britekit.training.resume import ResumeState, run_key

log = logging.getLogger("britekit.training")

Report = Callable[[dict[str, Any]], None]


@dataclass
class FoldResult:
    """One fold, or the only run.

    Attributes
    ----------
    fold
        Number from 0, None without folds.
    epochs
        Per epoch: epoch (zero-based), step, loss, lr, seconds, spectrograms_per_second, and with held-out
        data val_loss, val_roc, val_roc_macro, val_pr, val_pr_macro, val_top1.
    checkpoints
        Those kept in the log folder.
    test
        Figures of ``train.test_pickle``.
    """

    fold: int | None
    epochs: list[dict[str, Any]] = field(default_factory=list)
    checkpoints: list[Path] = field(default_factory=list)
    log_folder: Path | None = None
    test: dict[str, float | None] | None = None


@dataclass
class TrainResult:
    """What a run gives back.

    Attributes
    ----------
    loss
        Mean training loss of the last epoch (mean over folds).
    seconds, spectrograms_per_second
        Of training itself; a resumed run counts the earlier parts too.
    example
        (n, H, W) float32: the first images of a mixed and augmented batch.
    """

    folds: list[FoldResult]
    loss: float
    seconds: float
    spectrograms_per_second: float
    device: str
    seed: int
    num_spectrograms: int
    published: Path | None = None
    resumed_from_epoch: int | None = None
    example: np.ndarray | None = None

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """Figures of the last fold's epochs."""
        return self.folds[-1].epochs

    @property
    def checkpoints(self) -> list[Path]:
        """All kept checkpoints."""
        return [path for fold in self.folds for path in fold.checkpoints]


def train(
    cfg: BaseConfig,
    *,
    seed: int | None = None,
    publish: str | Path | None = None,
    prefix: str = "",
    log_root: str | Path = "logs",
    resume: bool = False,
    on_step: Report | None = None,
    on_epoch: Report | None = None,
    on_publish: Callable[[TrainResult], None] | None = None,
) -> TrainResult:
    """Train as configured.

    Parameters
    ----------
    seed
        Of all generators; None takes ``train.seed``, and if that is null too, a random one.
    publish
        Where the frozen checkpoint of the last epoch goes; None publishes nothing.
    prefix
        Put before checkpoint names.
    log_root
        Folder of ``version_N``.
    resume
        Keep the state of the run below ``log_root/resume`` after each epoch, and continue a killed one.
    on_step, on_epoch
        Called with plain figures: step, epoch, loss, lr; those of `FoldResult.epochs`; both with ``fold``.
    on_publish
        Called with the result when the published checkpoint is written, but waits for its name
        (`britekit.files.waiting_path`): what the callback writes appears together with it, or neither does.

    Raises
    ------
    BriteKitError
        Settings or data that cannot be trained with (before the first step), a loss that is no number, too
        little memory.
    """
    prepare.check_names(cfg)
    if publish is not None and cfg.train.num_folds > 1:
        raise TrainingError(
            f"train.num_folds is {cfg.train.num_folds}; a run that publishes has one fold: set it to 1"
        )
    if seed is None:
        seed = cfg.train.seed if cfg.train.seed is not None else secrets.randbelow(2**31)
    samples = prepare.read_samples(cfg.train.train_pickle, cfg, "train.train_pickle")
    prepare.check_samples(samples, cfg)
    names = [c.name for c in samples.classes]
    splits = make_splits(samples.labels, samples.group_ids, cfg.train.num_folds, cfg.train.val_portion, names)
    test = None
    if cfg.train.test_pickle is not None:
        test = prepare.read_samples(cfg.train.test_pickle, cfg, "train.test_pickle")
        prepare.check_same_classes(samples.classes, test.classes, cfg.train.test_pickle)
    with _settled_randomness(cfg):
        run = _Run(cfg, seed, prefix, Path(log_root), resume, samples, test, on_step, on_epoch)
        for number, split in enumerate(splits):
            fold = number if len(splits) > 1 else None
            recognizer = run.train_fold(fold, split)
        run.sum_up()
        if publish is not None:
            with together():
                save_checkpoint(
                    publish,
                    recognizer,
                    run.hyper,
                    run.settings_after(cfg.train.num_epochs),
                    epoch=cfg.train.num_epochs - 1,
                    published=True,
                )
                run.result.published = Path(publish)
                if on_publish is not None:
                    on_publish(run.result)
        run.forget_states()
    return run.result


class _Run:
    """What the folds of one call share."""

    def __init__(
        self,
        cfg: BaseConfig,
        seed: int,
        prefix: str,
        log_root: Path,
        resume: bool,
        samples: Any,
        test: Any,
        on_step: Report | None,
        on_epoch: Report | None,
    ):
        self.cfg, self.seed, self.prefix, self.log_root = cfg, seed, prefix, log_root
        self.samples = samples
        self.on_step, self.on_epoch = on_step, on_epoch
        self.device = choose_device(cfg.misc.force_cpu)
        self.layout = memory_format(self.device)
        self.settings = to_dict(cfg)
        self.settings["train"]["seed"] = seed
        self.bank = Bank(samples, self.device)
        self.test_bank = Bank(test, self.device) if test is not None else None
        self.noise = prepare.noise_index(samples.classes, cfg.train.noise_class_name)
        self.hyper: dict[str, Any] = {}
        self.states: list[ResumeState] = []
        self.resume = resume
        self.result = TrainResult([], math.nan, 0.0, 0.0, device_name(self.device), seed, len(samples.images))
        self._trained = 0

    def settings_after(self, epochs: int) -> dict[str, Any]:
        """Settings for a checkpoint: the number of epochs is the one completed."""
        settings = copy.deepcopy(self.settings)
        settings["train"]["num_epochs"] = epochs
        return settings

    def train_fold(self, fold: int | None, split: Split) -> Recognizer:
        """Train one fold from fresh weights; the trained network."""
        cfg, train = self.cfg, self.cfg.train
        state = self._state_of(fold)
        saved = state.load() if state is not None else None
        torch.manual_seed(derived_seed(self.seed, 0))
        recognizer = prepare.make_recognizer(cfg, self.samples.classes)
        self.hyper = hyper_parameters(
            recognizer.blueprint, self.samples.classes, len(split.train), train.multi_label
        )
        recognizer.to(self.device, memory_format=self.layout)  # type: ignore[call-overload]
        size = batch_size_for(len(split.train), train.batch_size, train.min_steps)
        batches = TrainingBatches(
            self.bank,
            prepare.as_index(split.train),
            size,
            self.seed,
            prepare.make_chain(cfg),
            prepare.make_mixing(cfg),
            self.noise,
            train.shuffle,
        )
        if self.result.example is None:
            self.result.example = _example(batches)
        optimizer = build_optimizer(
            recognizer,
            train.optimizer,
            train.learning_rate,
            train.opt_weight_decay,
            train.opt_beta1,
            train.opt_beta2,
        )
        result = FoldResult(fold)
        first, version = 0, None
        if saved is not None:
            recognizer.load_state_dict(saved["weights"])
            optimizer.load_state_dict(saved["optimizer"])
            result.epochs = list(saved["epochs"])
            first, version = int(saved["next_epoch"]), int(saved["version"])
            self.result.resumed_from_epoch = first
            log.warning("continuing a half-finished run at epoch %d of %d", first + 1, train.num_epochs)
        root = self.log_root if fold is None else self.log_root / f"fold-{fold}"
        folder = LogFolder(root, version, self.prefix, train.save_last_n)
        result.log_folder = folder.path
        folder.describe(recognizer, self.hyper, self.settings)
        try:
            self._fit(recognizer, batches, optimizer, split, first, folder, state, result)
            if self.test_bank is not None:
                self._test(recognizer, folder, result, first_step=train.num_epochs * len(batches))
        finally:
            folder.close()
        result.checkpoints = sorted(
            folder.checkpoints.glob("*.ckpt"), key=lambda p: int(p.stem.rpartition("-e")[2])
        )
        self.result.folds.append(result)
        return recognizer

    def sum_up(self) -> None:
        """Work out the figures about all folds."""
        folds = self.result.folds
        self.result.loss = sum(f.epochs[-1]["loss"] for f in folds) / len(folds)
        self.result.seconds = sum(e["seconds"] for f in folds for e in f.epochs)
        seen = sum(e["spectrograms"] for f in folds for e in f.epochs)
        self.result.spectrograms_per_second = seen / max(1e-9, self.result.seconds)

    def forget_states(self) -> None:
        """Remove the states of the finished run."""
        for state in self.states:
            state.remove()

    def _state_of(self, fold: int | None) -> ResumeState | None:
        if not self.resume:
            return None
        key = run_key(self.settings, self.seed, self.device.type)
        state = ResumeState(self.log_root / "resume", key if fold is None else f"{key}-{fold}")
        self.states.append(state)
        return state

    def _fit(
        self,
        recognizer: Recognizer,
        batches: TrainingBatches,
        optimizer: torch.optim.Optimizer,
        split: Split,
        first: int,
        folder: LogFolder,
        state: ResumeState | None,
        result: FoldResult,
    ) -> None:
        train = self.cfg.train
        if first >= train.num_epochs:
            return
        held_out = prepare.as_index(split.held_out)
        settings = prepare.loss_settings(self.cfg)
        weights = None
        if train.use_class_weights:
            values = class_weights(self.samples.labels[split.train], train.weight_exponent)
            weights = torch.from_numpy(values).to(self.device, torch.float32)
        what = "train" if result.fold is None else f"fold {result.fold}"
        meter = TrainingMeter(train.num_epochs * len(batches), first * len(batches), train.num_epochs, what)
        clock = _Clock()

        def after_step(figures: StepFigures) -> None:
            folder.scalars(figures.step, {"loss": figures.loss, "lr": figures.lr})
            if self.on_step is not None:
                self.on_step(
                    {
                        "fold": result.fold,
                        "step": figures.step,
                        "epoch": figures.epoch,
                        "loss": figures.loss,
                        "lr": figures.lr,
                    }
                )

        def after_epoch(epoch: int, loss: float) -> None:
            seconds = clock.stop()
            row: dict[str, Any] = {
                "epoch": epoch,
                "step": module.step_number,
                "loss": loss,
                "lr": optimizer.param_groups[0]["lr"],
                "seconds": seconds,
                "spectrograms": len(split.train),
                "spectrograms_per_second": len(split.train) / max(1e-9, seconds),
            }
            if len(held_out):
                found = evaluate(recognizer, self.bank, held_out, settings, self.layout)
                row.update(_named("val_", found))
                folder.scalars(module.step_number, {"val_loss": row["val_loss"], "val_roc": row["val_roc"]})
            folder.scalars(module.step_number, {"epoch": epoch})
            result.epochs.append(row)
            training_state = {
                "optimizer_states": [optimizer.state_dict()],
                "lr_schedulers": [{"step": module.step_number}],
            }
            folder.save(recognizer, self.hyper, self.settings_after(epoch + 1), epoch, training_state)
            if state is not None and epoch + 1 < train.num_epochs:
                state.save(
                    {
                        "weights": recognizer.state_dict(),
                        "optimizer": optimizer.state_dict(),
                        "epochs": result.epochs,
                        "next_epoch": epoch + 1,
                        "version": folder.version,
                    }
                )
            if self.on_epoch is not None:
                self.on_epoch({"fold": result.fold, **row})
            clock.start()

        module = TrainingModule(
            recognizer,
            torch.compile(recognizer, dynamic=False) if train.compile else recognizer,
            batches,
            settings,
            weights,
            optimizer,
            train.num_epochs,
            first,
            train.warmup_fraction,
            self.layout,
            meter,
            after_step,
            after_epoch,
        )
        try:
            _fit_with_lightning(module, train.num_epochs - first, self.device, train.mixed_precision)
            meter.finish()
        except torch.OutOfMemoryError as error:
            raise TrainingError(_no_memory(batches.batch_size)) from error
        except RuntimeError as error:
            if "allocate memory" in str(error) or "out of memory" in str(error):
                raise TrainingError(_no_memory(batches.batch_size)) from error
            raise
        finally:
            meter.close()

    def _test(self, recognizer: Recognizer, folder: LogFolder, result: FoldResult, first_step: int) -> None:
        assert self.test_bank is not None
        members = torch.arange(len(self.test_bank))
        settings = prepare.loss_settings(self.cfg)
        found = evaluate(recognizer, self.test_bank, members, settings, self.layout)
        result.test = _named("test_", found)
        result.test["test_roc_auc"] = found["roc_micro"]
        folder.scalars(first_step, {"test_loss": found["loss"], "test_roc_auc": found["roc_micro"]})


def _fit_with_lightning(module: TrainingModule, epochs: int, device: torch.device, mixed: bool) -> None:
    with quiet_lightning():
        trainer = pl.Trainer(
            max_epochs=epochs,
            accelerator=lightning_accelerator(device),
            devices=1,
            precision=lightning_precision(device, mixed),  # type: ignore[arg-type]
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=0,
            use_distributed_sampler=False,
        )
        try:
            trainer.fit(module)
        except SystemExit as error:  # Lightning turns Ctrl-C into an exit
            raise KeyboardInterrupt from error


class _Clock:
    """Seconds of training alone: evaluation and saving between epochs do not count."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        self._begun = time.monotonic()

    def stop(self) -> float:
        return time.monotonic() - self._begun


@contextmanager
def _settled_randomness(cfg: BaseConfig) -> Iterator[None]:
    """Seeded generators inside, the caller's as before outside; repeatable kernels where asked."""
    before = torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng():
        try:
            if cfg.train.deterministic:
                torch.use_deterministic_algorithms(True, warn_only=True)
            yield
        finally:
            torch.use_deterministic_algorithms(before)


def _named(prefix: str, figures: dict[str, float | None]) -> dict[str, float | None]:
    return {
        f"{prefix}loss": figures["loss"],
        f"{prefix}roc": figures["roc_micro"],
        f"{prefix}roc_macro": figures["roc_macro"],
        f"{prefix}pr": figures["pr_micro"],
        f"{prefix}pr_macro": figures["pr_macro"],
        f"{prefix}top1": figures["top1"],
    }


def _example(batches: TrainingBatches, count: int = 16) -> np.ndarray:
    """Images of a batch as the network will see them; drawn apart, so that the run is the same without it."""
    batches.begin_epoch(0)
    index = next(iter(batches.indices(0)))[:count]
    return batches.make(index).images[:, 0].cpu().numpy()


def _no_memory(batch_size: int) -> str:
    return (
        f"the device ran out of memory with {batch_size} spectrograms per step; "
        f"lower train.batch_size (try {max(1, batch_size // 2)}) or choose a smaller train.model_type"
    )

"""Train fold by fold: network, batches, curves, checkpoints, stopping, resuming."""

import copy
import logging
import math
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from britekit.config import BaseConfig, to_shown_dict, without_defaults
from britekit.datasets.bank import Bank
from britekit.datasets.batches import TrainingBatches, batch_size_for, derived_seed
from britekit.datasets.pseudo_labels import PseudoLabels
from britekit.datasets.splits import Split
from britekit.datasets.student_batches import StudentBatches
from britekit.models.checkpoint import hyper_parameters, load_weights, read_archive
from britekit.models.recognizer import Recognizer
from britekit.tracking.facts import experiment_name
from britekit.training import configured
from britekit.training.averaging import WeightAverage
from britekit.training.confusion import ConfusionSmoothing
from britekit.training.devices import choose_device, device_name, memory_format, place
from britekit.training.early_stopping import EarlyStopping
from britekit.training.energy import Clock, EnergyMeter, cards_of
from britekit.training.extras import read_extras, teaching_settings
from britekit.training.held_out import evaluate, named
from britekit.training.log_folder import LogFolder
from britekit.training.loop import BatchLoss, StepFigures, TrainingLoop
from britekit.training.meter import TrainingMeter
from britekit.training.optimizers import build_optimizer
from britekit.training.ranks import ProcessGroup
from britekit.training.results import FoldResult, TrainResult
from britekit.training.resume import ResumeState, state_name
from britekit.training.run_on_device import as_run, explained, fit
from britekit.training.schedule import default_epochs
from britekit.training.sync_norm import synchronize_batch_norm

log = logging.getLogger(__name__)

# Checkpoints of shorter epochs are skipped if others follow.
_SAVE_EVERY_S = 2.0

Report = Callable[[dict[str, Any]], None]


class Folds:
    """The folds of one call, with their shared state.

    Parameters
    ----------
    named
        Whether the user chose the seed; otherwise a half-finished run is found without it.
    resume
        Continue a half-finished run.
    world
        The processes; only the first one writes files and calls callbacks.
    pseudo
        Windows of unlabeled recordings with soft labels, which training adds to every batch.
    """

    def __init__(
        self,
        cfg: BaseConfig,
        seed: int,
        named: bool,
        prefix: str,
        log_root: Path,
        resume: bool,
        samples: Any,
        test: Any,
        on_step: Report | None,
        on_epoch: Report | None,
        world: ProcessGroup,
        pseudo: PseudoLabels | None = None,
    ):
        self.cfg, self.seed, self.prefix, self.log_root = cfg, seed, prefix, log_root
        self.samples, self.named, self.world = samples, named, world
        self.on_step, self.on_epoch = on_step, on_epoch
        self.device = choose_device(cfg.misc.force_cpu)
        self.layout = memory_format(self.device)
        self.settings = without_defaults(to_shown_dict(cfg))
        self.settings["train"]["seed"] = seed
        self.bank = Bank(samples, self.device, pseudo, cfg.train.pseudo_weight, read_extras(samples, cfg, pseudo))
        self.pseudo = pseudo
        self.test_bank = Bank(test, self.device) if test is not None else None
        self.noise = configured.noise_index(samples.classes, cfg.train.noise_class_name)
        self.hyper: dict[str, Any] = {}
        self.epochs = 0  # number of epochs of the current fold
        self.states: list[ResumeState] = []
        self.resume = resume
        self.result = TrainResult([], math.nan, 0.0, 0.0, device_name(self.device), seed, len(samples.images))

    def settings_after(self, epochs: int) -> dict[str, Any]:
        """Return the settings for a checkpoint, with the number of completed epochs."""
        settings = copy.deepcopy(self.settings)
        settings["train"]["num_epochs"] = epochs
        return settings

    def train_fold(self, fold: int | None, split: Split) -> Recognizer:
        """Train one fold from new weights; return the trained network."""
        cfg, train = self.cfg, self.cfg.train
        state = self._state_of(fold)
        saved = self.world.from_leader(state.load() if state is not None and self.resume else None)
        torch.manual_seed(derived_seed(self.seed, 0))
        recognizer = configured.make_recognizer(cfg, self.samples.classes)
        self.hyper = hyper_parameters(recognizer.blueprint, self.samples.classes, len(split.train), train.multi_label)
        if self.world.size > 1:
            synchronize_batch_norm(recognizer, self.device)
        place(recognizer, self.device)
        batches = self._batches(split)
        self.epochs = train.num_epochs or default_epochs(len(batches))
        if self.result.example is None:
            self.result.example = _example(batches)
        optimizer = build_optimizer(
            recognizer, train.optimizer, train.learning_rate, train.opt_weight_decay, train.opt_beta1, train.opt_beta2
        )
        result = FoldResult(fold)
        average = configured.make_average(recognizer, cfg, self.epochs)
        confusion = configured.make_confusion(cfg, len(self.samples.classes), self.device)
        first, version = 0, None
        if saved is not None:
            recognizer.load_state_dict(saved["weights"])
            for part, name in ((average, "average"), (confusion, "confusion")):
                if part is not None:
                    part.load_state_dict(saved[name])
            optimizer.load_state_dict(saved["optimizer"])
            result.epochs = list(saved["epochs"])
            first, version = int(saved["next_epoch"]), int(saved["version"])
            self.result.resumed_from_epoch = first
            log.warning("continuing a half-finished run at epoch %d of %d", first + 1, self.epochs)
        watch = self._watch(result)
        folder = None
        if self.world.leads:
            root = self.log_root if fold is None else self.log_root / f"fold-{fold}"
            run_name = f"seed-{self.seed}-{experiment_name()}"
            folder = LogFolder(root, version, self.prefix, train.save_last_n, first * len(batches), run_name)
            result.log_folder = folder.path
            folder.describe(recognizer, self.hyper, self.settings_after(self.epochs))
            if result.epochs:
                folder.epoch(result.epochs[-1])  # its step is the one at which curves are cut on resuming
        try:
            if first < self.epochs and not watch.exhausted:
                self._fit(
                    recognizer, batches, optimizer, split, first, folder, state, result, watch, average, confusion
                )
            if average is not None:
                average.apply()
            result.best, result.stopped_early = watch.best_epoch, watch.exhausted
            result.final_epoch = int(result.epochs[-1]["epoch"])
            if train.publish_best and result.best is not None:
                self._take_best(recognizer, folder, result)
            if self.test_bank is not None:
                self._test(recognizer, folder, result)
        finally:
            if folder is not None:
                folder.close()
        if folder is not None:
            result.checkpoints = folder.kept_checkpoints()
            if self.keeps_best and result.best is not None:
                result.best_checkpoint = folder.checkpoint_path(result.best)
        self.result.folds.append(result)
        return recognizer

    def _batches(self, split: Split) -> TrainingBatches:
        """Return the batches of a fold; those of a student also hold windows of unlabeled recordings."""
        cfg, train = self.cfg, self.cfg.train
        sampler = configured.make_sampler(cfg, self.samples, split.train)
        count = len(split.train) if sampler is None else sampler.size
        size = batch_size_for(count, train.batch_size, train.min_steps)
        first = self.bank, configured.as_index(split.train), size, self.seed
        others = configured.make_chain(cfg), configured.make_mixing(cfg), self.noise, train.shuffle
        order = sampler, configured.make_order(self.samples, split.train, cfg)
        if self.pseudo is None:
            return TrainingBatches(*first, *others, *order)
        return StudentBatches(*first, *others, *order, confidence=self.pseudo.confidence, share=train.pseudo_share)

    @property
    def keeps_best(self) -> bool:
        """Whether the checkpoint of the best epoch is kept."""
        return self.cfg.train.keep_best or self.cfg.train.publish_best

    def _take_best(self, recognizer: Recognizer, folder: LogFolder | None, result: FoldResult) -> None:
        """Load the weights of the best epoch, which will be tested and published."""
        assert result.best is not None
        weights: Any = None
        if folder is not None:
            weights = read_archive(folder.checkpoint_path(result.best))[0]["state_dict"]
        load_weights(recognizer, self.world.from_leader(weights), "train.publish_best")
        result.final_epoch = result.best

    def _watch(self, result: FoldResult) -> EarlyStopping:
        watch = EarlyStopping(self.cfg.train.monitor, self.cfg.train.patience)
        for row in result.epochs:
            watch.see(row)
        return watch

    def forget_states(self) -> None:
        """Remove the states of the finished run."""
        for state in self.states:
            state.remove()

    def _state_of(self, fold: int | None) -> ResumeState | None:
        if not self.world.leads:
            return None
        name = state_name(self.settings, self.seed if self.named else None, self.seed, self.device.type)
        state = ResumeState(self.log_root / "resume", name if fold is None else f"{name}-{fold}")
        self.states.append(state)
        return state

    def _fit(
        self,
        recognizer: Recognizer,
        batches: TrainingBatches,
        optimizer: torch.optim.Optimizer,
        split: Split,
        first: int,
        folder: LogFolder | None,
        state: ResumeState | None,
        result: FoldResult,
        watch: EarlyStopping,
        average: WeightAverage | None,
        confusion: ConfusionSmoothing | None,
    ) -> None:
        train = self.cfg.train
        held_out = configured.as_index(configured.judged(self.cfg, self.samples, split.held_out))
        settings = configured.loss_settings(self.cfg)
        weights = None
        if train.use_class_weights:
            values = configured.make_class_weights(self.samples, split.train, train.weight_exponent)
            weights = torch.from_numpy(values).to(self.device, torch.float32)
        what = "train" if result.fold is None else f"fold {result.fold}"
        meter = TrainingMeter(self.epochs, len(batches), first, what)
        clock, energy = Clock(), EnergyMeter(cards_of(self.device, self.world.size))

        def after_step(figures: StepFigures) -> None:
            energy.tick()
            if folder is None:
                return
            folder.scalars(figures.step, {"loss": figures.loss, "lr": figures.lr})
            if self.on_step is not None:
                self.on_step({"fold": result.fold, **vars(figures)})

        def after_epoch(epoch: int, loss: float) -> bool:
            seconds, joules = clock.stop(), energy.stop()
            with nullcontext() if average is None else average.applied():
                ends = judge(epoch, loss, seconds, joules)
            # A finished fold is also saved while others are not finished.
            if state is not None and folder is not None and (not ends or result.fold is not None):
                folder.flush()
                saved = {
                    "weights": recognizer.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "epochs": result.epochs,
                    "next_epoch": epoch + 1,
                    "version": folder.version,
                    "seed": self.seed,
                }
                parts = {"average": average, "confusion": confusion}
                saved |= {name: part.state_dict() for name, part in parts.items() if part is not None}
                state.save(saved, at_once=ends)
            if self.on_epoch is not None and self.world.leads:
                self.on_epoch({"fold": result.fold, **result.epochs[-1]})
            clock.start()
            energy.start()
            return ends

        def judge(epoch: int, loss: float, seconds: float, joules: float | None) -> bool:
            """Note an epoch and save its checkpoint; return whether the run ends."""
            row: dict[str, Any] = {
                "epoch": epoch,
                "step": loop.step_number,
                "loss": loss,
                "lr": optimizer.param_groups[0]["lr"],
                "seconds": seconds,
                **({} if joules is None else {"joules": joules}),
                "spectrograms": batches.spectrograms,
                "spectrograms_per_second": batches.spectrograms / max(1e-9, seconds),
            }
            if len(held_out):
                row.update(named("val_", evaluate(recognizer, self.bank, held_out, settings, self.layout, self.world)))
                if not math.isfinite(row["val_loss"]):
                    what = f"the held-out loss is {row['val_loss']}"
                    raise loop.failed(what, loop.step_number - 1, epoch)
            result.epochs.append(row)
            watch.see(row)
            ends = epoch + 1 == self.epochs or watch.exhausted
            if folder is not None:
                folder.epoch(row)
                training_state = {
                    "optimizer_states": [optimizer.state_dict()],
                    "lr_schedulers": [{"step": loop.step_number}],
                }
                best = watch.best_epoch if self.keeps_best else None
                # Skip a checkpoint that would soon be replaced, unless the run may end before.
                passing = epoch + train.save_last_n < self.epochs and train.patience is None
                if best == epoch or not (passing and folder.saved_within(_SAVE_EVERY_S)):
                    folder.save(recognizer, self.hyper, self.settings_after(epoch + 1), epoch, training_state, best)
            return ends

        try:
            with explained(recognizer, self.cfg, batches.batch_size, self.layout):
                network = as_run(recognizer, optimizer, self.cfg, batches.batch_size, self.layout, self.world)
                loop = TrainingLoop(
                    BatchLoss(
                        recognizer, network, settings, weights, self.layout, confusion, teaching_settings(self.cfg)
                    ),
                    batches,
                    optimizer,
                    self.epochs,
                    first,
                    train.warmup_fraction,
                    meter,
                    after_step,
                    after_epoch,
                    self.world,
                    average,
                    train.swa_portion,
                )
                fit(loop, self.device, train.mixed_precision, self.world)
            meter.finish()
        finally:
            meter.close()

    def _test(self, recognizer: Recognizer, folder: LogFolder | None, result: FoldResult) -> None:
        assert self.test_bank is not None
        members = torch.arange(len(self.test_bank))
        settings = configured.loss_settings(self.cfg)
        found = evaluate(recognizer, self.test_bank, members, settings, self.layout, self.world)
        result.test = named("test_", found)
        result.test["test_roc_auc"] = found["roc_micro"]
        if folder is not None:
            step = int(result.final["step"])
            folder.scalars(step, {"test_loss": found["loss"], "test_roc_auc": found["roc_micro"]})


def _example(batches: TrainingBatches, count: int = 16) -> np.ndarray:
    """Return images of a batch as input to the network; drawn separately, so that the run does not change."""
    batches.begin_epoch(0)
    index = next(iter(batches.indices(0)))[:count]
    return batches.make(index).images[:, 0].cpu().numpy()

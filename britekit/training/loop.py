"""The training loop: connects batches, network, loss, optimizer and schedule.

Lightning's Fabric provides precision and, for several processes, DDP. Its Trainer is not used, since its overhead per
step was 5 ms beside an H200, nearly as long as a step of effnet.1.
"""

import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import nn

from britekit.datasets.batches import Batch, TrainingBatches, derived_seed
from britekit.errors import TrainingError
from britekit.models.recognizer import Recognizer
from britekit.training.averaging import WeightAverage
from britekit.training.confusion import ConfusionSmoothing
from britekit.training.losses import LossSettings, compute_loss
from britekit.training.meter import TrainingMeter
from britekit.training.ranks import ProcessGroup
from britekit.training.schedule import rate_factor
from britekit.training.sync_norm import note_samples
from britekit.training.taught_loss import TeachingSettings, taught_loss

# On a GPU, reading a loss synchronizes with the device; it is read at this interval for the progress line.
_READ_EVERY_S = 0.5


@dataclass
class StepFigures:
    """A step: zero-based number within the run, its epoch, loss and learning rate."""

    step: int
    epoch: int
    loss: float
    lr: float


class BatchLoss(nn.Module):
    """Computes the loss of a batch; DDP wraps this module, so that it sees every pass.

    Parameters
    ----------
    recognizer
        The network; ``forward`` runs it (compiled, replayed or unchanged).
    teaching
        Settings of the loss of batches with frame labels or targets of teachers.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        forward: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor | None]],
        loss: LossSettings,
        class_weights: torch.Tensor | None,
        layout: torch.memory_format,
        confusion: ConfusionSmoothing | None = None,
        teaching: TeachingSettings | None = None,
    ):
        super().__init__()
        self._teaching = teaching or TeachingSettings()
        self.recognizer = recognizer
        # In a tuple, so that DDP does not copy the matrix of one process to all at every step.
        self._confusion = (confusion,)
        self._run = forward
        self._settings, self._class_weights, self._layout = loss, class_weights, layout

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return the loss of the batch, a scalar."""
        segment, frames = self._run(batch.images.contiguous(memory_format=self._layout))
        (confusion,), targets = self._confusion, batch.targets
        if confusion is not None:
            targets = confusion(batch.targets)
            confusion.watch(segment, batch.targets, batch.known)
        settings, weights = self._settings, self._class_weights
        if batch.extras is None:
            return compute_loss(segment, frames, targets, batch.merged, settings, weights, batch.known)
        return taught_loss(
            segment, frames, targets, batch.merged, batch.extras, settings, self._teaching, weights, batch.known
        )


class TrainingLoop:
    """Training of one network.

    Parameters
    ----------
    batch_loss
        The network with its loss.
    num_epochs, first_epoch
        Number of epochs of the whole run, and the first epoch of this process.
    warmup_fraction
        Fraction of steps for warm-up, see `rate_factor`.
    on_step
        Called with the figures of each step, on a GPU with some delay.
    on_epoch
        Called after each epoch with its zero-based number and mean loss; returning true ends training.
    world
        The processes that share each batch.
    average
        Running average of the weights, or None.
    constant_portion
        Last share of steps with a constant rate, see `rate_factor`.
    section
        Section of the settings, for messages.
    """

    def __init__(
        self,
        batch_loss: BatchLoss,
        batches: TrainingBatches,
        optimizer: torch.optim.Optimizer,
        num_epochs: int,
        first_epoch: int,
        warmup_fraction: float,
        meter: TrainingMeter,
        on_step: Callable[[StepFigures], None],
        on_epoch: Callable[[int, float], bool],
        world: ProcessGroup | None = None,
        average: WeightAverage | None = None,
        constant_portion: float = 0.0,
        section: str = "train",
    ):
        self.batch_loss = batch_loss
        self.average, self._section = average, section
        self.batches = batches
        self.optimizer = optimizer
        self.first_epoch = first_epoch
        self.num_epochs = num_epochs
        self.meter = meter
        self._on_step = on_step
        self._on_epoch = on_epoch
        self.world = world or ProcessGroup()
        self.step_number = first_epoch * len(batches)
        # A loaded state contains the initial rates of the run.
        self._peaks = [group.setdefault("initial_lr", group["lr"]) for group in optimizer.param_groups]
        self._differentiates = bool(getattr(optimizer, "is_second_order", False))
        self._total, self._warmup, self._constant = num_epochs * len(batches), warmup_fraction, constant_portion
        self._pending: list[tuple[int, int, int, torch.Tensor]] = []
        self._epoch_losses: list[tuple[float, int]] = []
        self._read_at = time.monotonic()
        self._is_short = False  # whether the last batch had fewer samples than processes

    def run(self, fabric: Fabric) -> None:
        """Train until the last epoch, or until ``on_epoch`` returns true."""
        optimizer = fabric.setup_optimizers(self.optimizer)
        batch_loss: Any = self.batch_loss
        if self.world.size > 1:
            batch_loss = fabric.setup_module(self.batch_loss)
        self.batch_loss.train()
        for epoch in range(self.first_epoch, self.num_epochs):
            self._begin_epoch(epoch)
            for index in self.batches.indices(epoch):
                self._step(fabric, batch_loss, optimizer, epoch, index)
            self._read_losses()
            self._check_weights(epoch)
            seen = sum(count for _, count in self._epoch_losses)
            mean = sum(loss * count for loss, count in self._epoch_losses) / max(1, seen)
            self._epoch_losses = []
            if self.average is not None:
                self.average.after_epoch(epoch)
            if self._on_epoch(epoch, mean):
                return

    def _begin_epoch(self, epoch: int) -> None:
        rank = self.world.rank
        self.batches.begin_epoch(epoch, rank)
        # Dropout draws from the global generator; seeding per epoch makes resumed runs reproducible.
        own = (rank,) if rank else ()
        torch.manual_seed(derived_seed(self.batches.seed, epoch, 4, *own))

    def _step(
        self,
        fabric: Fabric,
        batch_loss: Callable[[Batch], torch.Tensor],
        optimizer: Any,
        epoch: int,
        index: torch.Tensor,
    ) -> None:
        """Train on one batch, or on this process's part of it.

        DDP averages gradients over processes; a part is weighted by its number of samples.
        """
        factor = rate_factor(self.step_number, self._total, self._warmup, self._constant)
        for group, peak in zip(self.optimizer.param_groups, self._peaks, strict=True):
            group["lr"] = peak * factor
        batch, share = self._batch(index)
        self.optimizer.zero_grad(set_to_none=True)
        with fabric.autocast():
            loss = batch_loss(batch)
        whole = loss.detach()
        if self.world.size > 1:
            whole = self.world.total(whole * share)
            loss = loss * (share * self.world.size)
        fabric.backward(loss, create_graph=self._differentiates)
        optimizer.step()
        if self.average is not None:
            self.average.after_step()
        self._pending.append((self.step_number, epoch, len(index), whole))
        self.step_number += 1
        # Losses are read at once on a CPU, at intervals on a GPU.
        now = time.monotonic()
        if whole.device.type == "cpu" or now - self._read_at >= _READ_EVERY_S:
            self._read_at = now
            self._read_losses()

    def _batch(self, index: torch.Tensor) -> tuple[Batch, float]:
        """Return this process's part of a batch, and its share of the samples."""
        world = self.world
        if world.size == 1:
            return self.batches.make(index), 1.0
        part = world.part(len(index))
        mine = part.stop - part.start
        # If a batch has fewer samples than processes, some processes use a padding sample with weight 0.
        if self._is_short or len(index) < world.size:
            self._is_short = len(index) < world.size
            note_samples(self.batch_loss, mine > 0, not self._is_short)
        batch = self.batches.make_part(index, part if mine else slice(0, 1))
        return batch, mine / len(index)

    def _read_losses(self) -> None:
        if not self._pending:
            return
        losses = torch.stack([entry[3] for entry in self._pending]).float().tolist()
        pending, self._pending = self._pending, []
        for (step, epoch, count, _), loss in zip(pending, losses, strict=True):
            if not math.isfinite(loss):
                raise self.failed(f"the loss is {loss}", step, epoch)
            rate = self._rate(step)
            self._epoch_losses.append((loss, count))
            self._on_step(StepFigures(step, epoch, loss, rate))
            if self.world.leads:
                self.meter.step(epoch, loss, rate, count)

    def _check_weights(self, epoch: int) -> None:
        """Raise if the last step made weights non-finite, which no later loss would reveal."""
        network = self.batch_loss.recognizer
        values = [p for p in (*network.parameters(), *network.buffers()) if p.is_floating_point()]
        if not torch.stack([torch.isfinite(p).all() for p in values]).all():
            raise self.failed("some weights are not finite", self.step_number - 1, epoch)

    def _rate(self, step: int) -> float:
        return self._peaks[0] * rate_factor(step, self._total, self._warmup, self._constant)

    def failed(self, what: str, step: int, epoch: int) -> TrainingError:
        """Return the message for non-finite numbers after a zero-based step, with the likely cause."""
        cause = (
            f"the learning rate {self._rate(step):.3g} is probably too high; lower {self._section}.learning_rate"
            + (" or raise train.warmup_fraction" if self._section == "train" else "")
        )
        buffers = (p for p in self.batch_loss.recognizer.buffers() if p.is_floating_point())
        if not all(bool(torch.isfinite(p).all()) for p in buffers):
            cause += " (batch-norm statistics overflowed)"
        return TrainingError(f"training stopped at step {step + 1} (epoch {epoch + 1}): {what}; {cause}")


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's advice and banners; this package logs what users need."""
    import logging

    names = ("lightning.fabric", "lightning.pytorch", "lightning", "lightning_fabric")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # With train.deterministic: operations without a deterministic implementation on the device.
            warnings.filterwarnings("default", message=".*determinis")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

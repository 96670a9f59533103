"""The Lightning module: wires batches, network, loss, optimizer and schedule, and computes nothing itself."""

import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl
import torch
from torch.optim.lr_scheduler import LambdaLR

from britekit.datasets.batches import TrainingBatches, derived_seed
from britekit.errors import TrainingError
from britekit.models.recognizer import Recognizer
from britekit.training.losses import LossSettings, compute_loss
from britekit.training.meter import TrainingMeter
from britekit.training.ranks import World
from britekit.training.schedule import rate_factor

# On a GPU, reading a loss waits for the device; this often it is read for the progress line.
_READ_EVERY_S = 0.5


@dataclass
class StepFigures:
    """One step: zero-based number within the run, its epoch, loss and learning rate."""

    step: int
    epoch: int
    loss: float
    lr: float


class EpochIndices:
    """What Lightning takes for a data loader: index draws; the batch itself is made in the step."""

    def __init__(self, module: "TrainingModule"):
        self.module = module

    def __len__(self) -> int:
        return len(self.module.batches)

    def __iter__(self) -> Iterator[torch.Tensor]:
        module = self.module
        epoch = module.epoch_number
        rank = module.world.rank
        module.batches.begin_epoch(epoch, rank)
        # Dropout draws from the global generator; seeded per epoch, a resumed run repeats it.
        own = (rank,) if rank else ()
        torch.manual_seed(derived_seed(module.batches.seed, epoch, 4, *own))
        yield from module.batches.indices(epoch)


class TrainingModule(pl.LightningModule):
    """Training of one network.

    Parameters
    ----------
    recognizer
        The network; ``forward`` is what runs it (compiled or not).
    batches
        Its data.
    loss, class_weights
        Settings of the loss.
    optimizer
        Over the network's parameters.
    num_epochs, first_epoch
        Epochs of the whole run, and the one this process begins with.
    warmup_fraction
        Of the schedule.
    on_step
        Called with the figures of each step; on a GPU somewhat later than the step.
    on_epoch
        Called after each epoch with its zero-based number and mean loss; true ends the training.
    world
        The processes that share each batch.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        forward: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor | None]],
        batches: TrainingBatches,
        loss: LossSettings,
        class_weights: torch.Tensor | None,
        optimizer: torch.optim.Optimizer,
        num_epochs: int,
        first_epoch: int,
        warmup_fraction: float,
        layout: torch.memory_format,
        meter: TrainingMeter,
        on_step: Callable[[StepFigures], None],
        on_epoch: Callable[[int, float], bool],
        world: World | None = None,
    ):
        super().__init__()
        self.recognizer = recognizer
        self._run = forward
        self.batches = batches
        self.loss_settings = loss
        self.class_weights = class_weights
        self._optimizer = optimizer
        self.first_epoch = first_epoch
        self.num_epochs = num_epochs
        self.layout = layout
        self.meter = meter
        self._on_step = on_step
        self._on_epoch = on_epoch
        self.world = world or World()
        self.step_number = first_epoch * len(batches)
        total = num_epochs * len(batches)
        first = self.step_number
        self._schedule = LambdaLR(optimizer, lambda step: rate_factor(first + step, total, warmup_fraction))
        self._peak = [group["initial_lr"] for group in optimizer.param_groups][0]
        self._total, self._warmup = total, warmup_fraction
        self._pending: list[tuple[int, int, int, torch.Tensor]] = []
        self._epoch_losses: list[tuple[float, int]] = []
        self._read_at = time.monotonic()

    @property
    def epoch_number(self) -> int:
        """Zero-based epoch within the whole run."""
        return self.first_epoch + int(self.current_epoch)

    def train_dataloader(self) -> Any:
        """Index draws of each epoch."""
        return EpochIndices(self)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Leave indices on the CPU, where choices are made."""
        return batch

    def configure_optimizers(self) -> Any:
        """Optimizer with a learning rate per step."""
        return {
            "optimizer": self._optimizer,
            "lr_scheduler": {"scheduler": self._schedule, "interval": "step"},
        }

    def training_step(self, index: torch.Tensor, batch_idx: int) -> torch.Tensor:
        """Loss of one batch, or of this process's part of it.

        DDP averages the processes' gradients; a part counts as much as it has samples.
        """
        world = self.world
        if world.size == 1:
            batch, share = self.batches.make(index), 1.0
        else:
            part = world.part(len(index))
            mine = part.stop - part.start
            # Where a batch has fewer samples than there are processes, one goes along without weight.
            batch = self.batches.make_part(index, part if mine else slice(0, 1))
            share = mine / len(index)
        segment, frames = self._run(batch.images.contiguous(memory_format=self.layout))
        loss = compute_loss(
            segment, frames, batch.targets, batch.merged, self.loss_settings, self.class_weights
        )
        whole = loss.detach() if world.size == 1 else world.total(loss.detach() * share)
        self._pending.append((self.step_number, self.epoch_number, len(index), whole))
        self.step_number += 1
        return loss if world.size == 1 else loss * (share * world.size)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Read losses: at once on a CPU, now and then on a GPU."""
        now = time.monotonic()
        if self.device.type == "cpu" or now - self._read_at >= _READ_EVERY_S:
            self._read_at = now
            self._read_losses()

    def on_train_epoch_end(self) -> None:
        """Report the epoch."""
        self._read_losses()
        seen = sum(count for _, count in self._epoch_losses)
        mean = sum(loss * count for loss, count in self._epoch_losses) / max(1, seen)
        self._epoch_losses = []
        if self._on_epoch(self.epoch_number, mean):
            self.trainer.should_stop = True

    def _read_losses(self) -> None:
        if not self._pending:
            return
        losses = torch.stack([entry[3] for entry in self._pending]).float().tolist()
        pending, self._pending = self._pending, []
        for (step, epoch, count, _), loss in zip(pending, losses, strict=True):
            rate = self._peak * rate_factor(step, self._total, self._warmup)
            if not math.isfinite(loss):
                raise TrainingError(_not_finite(step, epoch, rate, loss, self))
            self._epoch_losses.append((loss, count))
            self._on_step(StepFigures(step, epoch, loss, rate))
            if self.world.leads:
                self.meter.step(epoch, loss, rate, count)


def _not_finite(step: int, epoch: int, rate: float, loss: float, module: TrainingModule) -> str:
    """Sentence for a loss that is no number, with the likely cause."""
    cause = (
        f"the learning rate {rate:.3g} is probably too high; lower train.learning_rate or raise "
        "train.warmup_fraction"
    )
    if not all(bool(torch.isfinite(p).all()) for p in module.recognizer.buffers() if p.is_floating_point()):
        cause += " (batch-norm statistics overflowed)"
    return f"training stopped at step {step + 1} (epoch {epoch + 1}): the loss is {loss}; {cause}"


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's advice and banners: what people need to see is said by this room."""
    import logging

    names = ("lightning.pytorch", "lightning.fabric", "lightning", "pytorch_lightning", "lightning_fabric")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

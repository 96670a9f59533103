"""Training batches: an index draw from one 8-bit array, then everything on the device.

``Bank`` holds all spectrograms once, as 8-bit numbers, on the device where they fit. ``TrainingBatches``
gives the batches of an epoch, mixed and augmented; ``plain_batches`` gives held-out data as it is.

Legend: N samples, B batch, H rows, W columns, C classes.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from britekit.datasets.augmentations.columns import Columns
from britekit.datasets.augmentations.draws import Draws
from britekit.datasets.augmentations.registry import Chain
from britekit.datasets.bank import Bank
from britekit.datasets.extra_targets import BatchExtras, heard_in_either
from britekit.datasets.mixing import (
    Mixer,
    MixSettings,
    Partners,
    Plan,
    cutmix_boxes,
    inside_boxes,
    mixed_knowledge,
    rows_where,
)
from britekit.datasets.per_recording import PerRecording
from britekit.datasets.sampling import draw_order
from britekit.datasets.transfers import send

log = logging.getLogger(__name__)


@dataclass
class Batch:
    """One batch on the device."""

    images: torch.Tensor
    """(B, 1, H, W) float32 in [0, 1]."""
    targets: torch.Tensor
    """(B, C) float32 in [0, 1], not smoothed."""
    merged: torch.Tensor
    """(B,) float32, 1 where two samples were mixed."""
    known: torch.Tensor | None = None
    """(B, C) float32, weight of each target: 1 where it is known, 0 elsewhere; None if all are 1."""
    extras: BatchExtras | None = None
    """Frame labels and targets of teachers."""


def batch_size_for(count: int, batch_size: int, min_steps: int) -> int:
    """Batch size with which an epoch has at least ``min_steps`` steps, not below 8."""
    size = max(1, min(batch_size, max(8, count // max(1, min_steps))))
    if size < min(batch_size, count):
        log.info(
            "Small data set: batch size reduced from %d to %d (train.min_steps = %d)",
            min(batch_size, count),
            size,
            min_steps,
        )
    return size


def batch_bounds(count: int, batch_size: int) -> list[tuple[int, int]]:
    """Begin and end of each batch: full ones, then the rest.

    No sample is dropped, but none is left alone either, since batch norm needs two: a rest of one joins the
    batch before it.
    """
    starts = list(range(0, count, batch_size))
    if len(starts) > 1 and count - starts[-1] == 1:
        starts.pop()
    ends = starts[1:] + [count]
    return list(zip(starts, ends, strict=True))


def derived_seed(*parts: int) -> int:
    """Return a 63-bit seed from whole numbers; near ones give unrelated seeds."""
    words = np.random.SeedSequence([p & 0xFFFFFFFFFFFFFFFF for p in parts]).generate_state(2, np.uint32)
    return (int(words[0]) << 31) ^ int(words[1])


class TrainingBatches:
    """Batches of an epoch, mixed and augmented on the device.

    The random numbers of an epoch depend on seed and epoch only, so a resumed run draws what an uninterrupted
    one would have drawn.

    Parameters
    ----------
    members
        (N',) indices of the training samples.
    chain
        Augmentations, or None for none.
    mixing
        Chances of merge, mixup and cutmix.
    shuffle
        New order each epoch.
    per_recording
        Chooses, for each epoch, places of `members`; None takes all of them.
    shares
        (N',) how often each sample is wanted, see `sampling.py`; None for once per epoch.
    """

    def __init__(
        self,
        bank: Bank,
        members: torch.Tensor,
        batch_size: int,
        seed: int,
        chain: Chain | None = None,
        mixing: MixSettings | None = None,
        noise_class: int | None = None,
        shuffle: bool = True,
        per_recording: PerRecording | None = None,
        shares: np.ndarray | None = None,
    ):
        self.bank = bank
        self.shares = None if shares is None else torch.from_numpy(shares)
        self.members = members
        self.per_recording = per_recording
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.bounds = batch_bounds(len(members) if per_recording is None else per_recording.size, batch_size)
        self.generator = torch.Generator()
        self.device_generator = torch.Generator(bank.device) if bank.device.type != "cpu" else None
        self._noise_class = noise_class
        self.noise = torch.empty(0, dtype=torch.int64)
        if noise_class is not None:
            self.noise = members[bank.labels[members, noise_class] > 0]
        if chain is not None and chain.needs_noise and len(self.noise) == 0:
            log.warning(
                "%s is off: no training spectrogram has the class named by train.noise_class_name",
                ", ".join(chain.noise_steps),
            )
            chain = chain.without_noise()
        self.chain = chain
        self.mixer = Mixer(
            bank.labels, members, noise_class, mixing or MixSettings(), self._partners(), bank.known_labels
        )

    def _partners(self) -> Partners | None:
        """Return what draws partners of other kinds of samples; None for any of the members."""
        return None

    @property
    def spectrograms(self) -> int:
        """Number of spectrograms per epoch."""
        return self.bounds[-1][1]

    def __len__(self) -> int:
        """Return the number of steps per epoch."""
        return len(self.bounds)

    def order(self, epoch: int) -> torch.Tensor:
        """Sample indices of an epoch in their order."""
        members, shares = self.members, self.shares
        if self.per_recording is not None:
            chosen = torch.from_numpy(self.per_recording.choose(derived_seed(self.seed, epoch, 5)))
            members, shares = members[chosen], None if shares is None else shares[chosen]
        if not self.shuffle:
            return members
        generator = torch.Generator().manual_seed(derived_seed(self.seed, epoch, 1))
        if shares is not None:
            return members[draw_order(shares, generator)]
        return members[torch.randperm(len(members), generator=generator)]

    def begin_epoch(self, epoch: int, rank: int = 0) -> None:
        """Seed the epoch's random numbers; on a GPU, processes of other rank draw others."""
        own = (rank,) if rank and self.device_generator is not None else ()
        self.generator.manual_seed(derived_seed(self.seed, epoch, 2, *own))
        if self.device_generator is not None:
            self.device_generator.manual_seed(derived_seed(self.seed, epoch, 3, *own))

    def indices(self, epoch: int) -> Iterator[torch.Tensor]:
        """Sample indices of each batch of an epoch."""
        order = self.order(epoch)
        for begin, end in self.bounds:
            yield order[begin:end]

    def make_part(self, index: torch.Tensor, part: slice) -> Batch:
        """Return one rank's part of a batch that several processes share.

        On a CPU every process draws for the whole batch and keeps its part: the parts together are, to the
        bit, what one process would have made. On a GPU each draws for its own part only (see `begin_epoch`),
        which is the same in distribution and costs nothing more.
        """
        if self.bank.device.type != "cpu":
            return self.make(index[part])
        whole = self.make(index)
        known = None if whole.known is None else whole.known[part]
        extras = None if whole.extras is None else whole.extras.rows(part)
        return Batch(whole.images[part], whole.targets[part], whole.merged[part], known, extras)

    def make(self, index: torch.Tensor) -> Batch:
        """Batch of the given samples, mixed and augmented with fresh draws."""
        bank = self.bank
        if self.mixer.active:
            images, targets, merged, known, extras = self._mixed(index)
        else:
            images = bank.gather(index, self.generator)
            targets, merged = bank.targets(index), torch.zeros(len(index))
            known, extras = bank.known(index), bank.extras(index)
        columns = None
        if extras is not None:
            extras = extras.to(bank.device)
            if extras.frames is not None or extras.teacher_frames is not None:
                columns = Columns(len(index), bank.width, bank.device)
        if self.chain is not None:
            draws = Draws(
                len(index),
                self.generator,
                bank.device,
                self.device_generator,
                self._noise_images if len(self.noise) else None,
                columns,
            )
            images = self.chain(images, draws)
        elif self.mixer.active:
            images = images.clamp_(0.0, 1.0)
        if extras is not None and columns is not None:
            extras.follow(columns)
        parts = [targets, merged[:, None]] if known is None else [targets, merged[:, None], known]
        sent, classes = send(torch.cat(parts, 1), bank.device), targets.shape[1]
        there = None if known is None else sent[:, classes + 1 :]
        return Batch(images.unsqueeze(1), sent[:, :classes], sent[:, classes], there, extras)

    def _noise_images(self, count: int) -> torch.Tensor:
        pick = torch.randint(len(self.noise), (count,), generator=self.generator)
        return self.bank.gather(self.noise[pick], self.generator)

    def _mixed(
        self, index: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None, BatchExtras | None]:
        """Images, targets, what is merged, what is known, extras; the partners are gathered with the samples."""
        plan = self.mixer.plan(index, self.generator)
        bank, count = self.bank, len(index)
        ways = [rows_where(chosen) for chosen in (plan.merge, plan.mixup, plan.cutmix)]
        rows, sizes = torch.cat(ways), [len(way) for way in ways]
        extras = self._mixed_extras(index, plan, ways)
        both = torch.cat([index, plan.partner[rows]])
        known = bank.known(both)
        if known is not None:
            known = mixed_knowledge(known, bank.targets(both), ways, count)
        images, *others = bank.gather(both, self.generator).split([count, *sizes])
        targets, *their_targets = bank.targets(both).split([count, *sizes])
        places = send(rows, bank.device).split(sizes)
        merge, mixup, cutmix = zip(ways, places, others, their_targets, strict=True)
        if sizes[0]:
            rows, at, other, their = merge
            images.index_add_(0, at, other)
            targets[rows] = heard_in_either(targets[rows], their, self._noise_class)
        if sizes[1]:
            rows, at, other, their = mixup
            share = plan.share[rows]
            weight = send(share, bank.device)[:, None, None]
            images.index_copy_(0, at, torch.lerp(other, images.index_select(0, at), weight))
            targets[rows] = torch.lerp(their, targets[rows], share[:, None])
        if sizes[2]:
            rows, at, other, their = cutmix
            height, width = bank.height, bank.width
            boxes = cutmix_boxes(plan.share[rows], plan.place[rows], height, width)
            inside = inside_boxes(send(boxes, bank.device), height, width)
            images.index_copy_(0, at, torch.where(inside, other, images.index_select(0, at)))
            area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / (height * width)
            targets[rows] = torch.lerp(targets[rows], their, area[:, None])
        for number in range(plan.others.shape[1]):
            known = self._add_source(plan, number, images, targets, known)
        merged = (plan.merge | plan.mixup | plan.cutmix).to(torch.float32)
        return images, targets, merged, known, extras

    def _mixed_extras(self, index: torch.Tensor, plan: Plan, ways: Sequence[torch.Tensor]) -> BatchExtras | None:
        """Frame labels and targets of teachers, mixed as the images are."""
        bank = self.bank
        extras = bank.extras(index)
        if extras is None:
            return None
        for number, rows in enumerate(ways):
            others = bank.extras(plan.partner[rows]) if len(rows) else None
            if others is None:
                continue
            if number == 0:
                extras.merge(rows, others, self._noise_class)
            elif number == 1:
                extras.mixup(rows, others, plan.share[rows])
            else:
                boxes = cutmix_boxes(plan.share[rows], plan.place[rows], bank.height, bank.width)
                extras.cutmix(rows, others, boxes, (bank.height, bank.width))
        for number in range(plan.others.shape[1]):
            merge, mixup = (rows_where(way & (plan.sources > number + 2)) for way in (plan.merge, plan.mixup))
            for rows in (merge, mixup):
                others = bank.extras(plan.others[rows, number]) if len(rows) else None
                if others is not None and rows is merge:
                    extras.merge(rows, others, self._noise_class)
                elif others is not None:
                    extras.mixup(rows, others, plan.other_shares[rows, number])
        return extras

    def _add_source(
        self, plan: Plan, number: int, images: torch.Tensor, targets: torch.Tensor, known: torch.Tensor | None
    ) -> torch.Tensor | None:
        """Mix one more sample into those that get it, in place; return what is known."""
        bank = self.bank
        ways = [rows_where(chosen & (plan.sources > number + 2)) for chosen in (plan.merge, plan.mixup)]
        (merge, mixup), sizes = ways, [len(way) for way in ways]
        index = plan.others[torch.cat(ways), number]
        their_targets = bank.targets(index)
        their_known = bank.known(index)
        if known is not None and their_known is not None:
            both = torch.cat([targets, their_targets])
            known = mixed_knowledge(torch.cat([known, their_known]), both, ways, len(targets))
        added, mixed = bank.gather(index, self.generator).split(sizes)
        places = send(torch.cat(ways), bank.device).split(sizes)
        images.index_add_(0, places[0], added)
        targets[merge] = heard_in_either(targets[merge], their_targets[: sizes[0]], self._noise_class)
        share = plan.other_shares[mixup, number]
        weight = send(share, bank.device)[:, None, None]
        images.index_copy_(0, places[1], torch.lerp(mixed, images.index_select(0, places[1]), weight))
        targets[mixup] = torch.lerp(their_targets[sizes[0] :], targets[mixup], share[:, None])
        return known


def plain_batches(bank: Bank, members: torch.Tensor, batch_size: int) -> Iterator[Batch]:
    """Held-out samples in their order, neither mixed nor augmented."""
    for begin in range(0, len(members), batch_size):
        index = members[begin : begin + batch_size]
        targets = send(bank.targets(index), bank.device)
        known = bank.known(index)
        known = None if known is None else send(known, bank.device)
        yield Batch(bank.gather(index).unsqueeze(1), targets, torch.zeros(len(index), device=bank.device), known)

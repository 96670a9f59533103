"""Mixing two training samples: simple merge, mixup, cutmix.

Mixup: Zhang et al., ICLR 2018.  CutMix: Yun et al., ICCV 2019.  Which samples are mixed, and with which, is
decided on the CPU; the images themselves never leave their device.

Legend: B batch, H rows, W columns, C classes, K distinct sets of labels.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

log = logging.getLogger(__name__)

Partners = Callable[[torch.Tensor, torch.Generator], torch.Tensor]
"""Draws a partner for each of the given samples."""


@dataclass(frozen=True)
class MixSettings:
    """Chances of the three ways, which exclude one another, and Beta's parameter."""

    prob_merge: float = 0.0
    prob_mixup: float = 0.0
    prob_cutmix: float = 0.0
    alpha: float = 0.4
    sources: int = 2
    """Most samples that merge and mixup combine."""


@dataclass
class Plan:
    """Draws for the samples of one batch; all tensors on the CPU, one entry per batch row."""

    partner: torch.Tensor
    """(B,) index of the other sample within the data set."""
    merge: torch.Tensor
    mixup: torch.Tensor
    cutmix: torch.Tensor
    """(B,) booleans, at most one true per row."""
    share: torch.Tensor
    """(B,) lambda, the share of the first sample."""
    place: torch.Tensor
    """(B, 2) uniform numbers that place cutmix's box."""
    sources: torch.Tensor
    """(B,) number of samples to combine by merge or mixup."""
    others: torch.Tensor
    """(B, S - 2) indices of samples beyond the second."""
    other_shares: torch.Tensor
    """(B, S - 2) share that mixup leaves to what was mixed before."""


class PartnerPicker:
    """Picks, uniformly, a sample that shares no class with a given one and is not noise.

    Samples are grouped by their set of labels, so that a pick costs B x K however many samples there are.

    Parameters
    ----------
    members
        Indices of the samples that take part (the training side of a split).
    noise_class
        Column of the noise class, or None.
    """

    def __init__(self, labels_NC: torch.Tensor, members: torch.Tensor, noise_class: int | None):
        own = labels_NC[members].to(torch.float32)
        sets, which = torch.unique(own, dim=0, return_inverse=True)
        self.sets_KC = sets
        self.labels_NC = labels_NC
        self.noise_class = noise_class
        self.members = members[torch.argsort(which, stable=True)]
        self.counts = torch.bincount(which, minlength=len(sets))
        self.first = torch.cumsum(self.counts, 0) - self.counts
        self.allowed = torch.ones(len(sets), dtype=torch.bool)
        if noise_class is not None:
            self.allowed = sets[:, noise_class] == 0

    def possible(self) -> bool:
        """Whether any two samples can be merged at all."""
        sets = self.sets_KC[self.allowed]
        return bool((sets @ sets.T == 0).any())

    def pick(self, index_B: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Partners (B,) and whether there is one (B,); noise samples get none."""
        own = self.labels_NC[index_B].to(torch.float32)
        fits = (own @ self.sets_KC.T == 0) & self.allowed
        if self.noise_class is not None:
            fits &= (own[:, self.noise_class] == 0)[:, None]
        ends = torch.cumsum(fits * self.counts, 1)
        total = ends[:, -1:]
        share = torch.rand(len(index_B), 1, generator=generator, dtype=torch.float64)
        rank = torch.minimum((share * total).long(), (total - 1).clamp(min=0))
        chosen = torch.searchsorted(ends, rank, right=True).clamp(max=len(self.counts) - 1)
        before = ends.gather(1, chosen) - (fits * self.counts).gather(1, chosen)
        place = self.first[chosen] + rank - before
        place = place.clamp(0, len(self.members) - 1)
        return self.members[place.squeeze(1)], total.squeeze(1) > 0


class Mixer:
    """Decides which samples of a batch are mixed, and mixes them.

    Parameters
    ----------
    members
        Indices of the training samples, from which partners are picked.
    partners
        Draws partners for all three ways; default: any of the members for mixup and cutmix, and for merge one of other
        classes.
    known_NC
        1 where a label is known; None if all are. Partners are samples of which everything is known, if there are
        any: another one would take away what is known of the first, all but the classes that are heard.
    """

    def __init__(
        self,
        labels_NC: torch.Tensor,
        members: torch.Tensor,
        noise_class: int | None,
        settings: MixSettings,
        partners: Partners | None = None,
        known_NC: torch.Tensor | None = None,
    ):
        self.settings = settings
        self._partners = partners
        if known_NC is not None and (whole := (known_NC[members] > 0).all(dim=1)).any():
            members = members[whole]
        self.members = members
        self.picker: PartnerPicker | None = None
        self.merges = settings.prob_merge > 0
        if self.merges and partners is None:
            self.picker = PartnerPicker(labels_NC, members, noise_class)
            if not self.picker.possible():
                log.warning("simple merge is off: no two training spectrograms have different classes beside noise")
                self.picker, self.merges = None, False

    @property
    def active(self) -> bool:
        """Whether any sample can be mixed."""
        return self.merges or self.settings.prob_mixup > 0 or self.settings.prob_cutmix > 0

    def plan(self, index_B: torch.Tensor, generator: torch.Generator) -> Plan:
        """Random decisions for one batch."""
        count = len(index_B)
        chance = torch.rand(count, generator=generator)
        settings = self.settings
        merge = chance < settings.prob_merge
        mixup = ~merge & (chance < settings.prob_merge + settings.prob_mixup)
        cutmix = ~merge & ~mixup
        cutmix &= chance < settings.prob_merge + settings.prob_mixup + settings.prob_cutmix
        if self._partners is None:
            partner = self.members[torch.randint(len(self.members), (count,), generator=generator)]
        else:
            partner = self._partners(index_B, generator)
        if not self.merges:
            merge = torch.zeros_like(merge)
        elif self.picker is not None:
            other, exists = self.picker.pick(index_B, generator)
            merge &= exists
            partner = torch.where(merge, other, partner)
        share = torch.ones(count)
        if settings.prob_mixup > 0 or settings.prob_cutmix > 0:
            seed = int(torch.randint(2**62, (1,), generator=generator))
            beta = np.random.default_rng(seed).beta(settings.alpha, settings.alpha, count)
            share = torch.from_numpy(beta).to(torch.float32)
        place = torch.rand(count, 2, generator=generator)
        return Plan(partner, merge, mixup, cutmix, share, place, *self._more_sources(index_B, merge, generator))

    def _more_sources(
        self, index_B: torch.Tensor, merge_B: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the number of samples to combine, 2 to S alike often, the further ones and their shares.

        With k samples before it, another leaves them Beta(k alpha, alpha), so all shares together follow Dirichlet's
        distribution.
        """
        count, settings = len(index_B), self.settings
        more = settings.sources - 2
        if more < 1:
            return torch.full((count,), 2), torch.empty(count, 0, dtype=torch.int64), torch.empty(count, 0)
        sources = torch.randint(2, settings.sources + 1, (count,), generator=generator)
        if self._partners is None:
            others = self.members[torch.randint(len(self.members), (count, more), generator=generator)]
        else:
            others = torch.stack([self._partners(index_B, generator) for _ in range(more)], 1)
        if self.picker is not None:
            apart = torch.stack([self.picker.pick(index_B, generator)[0] for _ in range(more)], 1)
            others = torch.where(merge_B[:, None], apart, others)
        seed = int(torch.randint(2**62, (1,), generator=generator))
        before = settings.alpha * np.arange(2, settings.sources)
        shares = np.random.default_rng(seed).beta(before, settings.alpha, (count, more))
        return sources, others, torch.from_numpy(shares).to(torch.float32)


def rows_where(chosen_B: torch.Tensor) -> torch.Tensor:
    """Row numbers where true."""
    return chosen_B.nonzero().squeeze(1)


def cutmix_boxes(share_B: torch.Tensor, place_B2: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """(B, 4) boxes top, left, bottom, right of side sqrt(1 - lambda), wholly inside the image."""
    side = torch.sqrt(1.0 - share_B)
    rows = torch.round(side * height)
    columns = torch.round(side * width)
    top = torch.floor(place_B2[:, 0] * (height - rows + 1)).clamp(max=height).minimum(height - rows)
    left = torch.floor(place_B2[:, 1] * (width - columns + 1)).clamp(max=width).minimum(width - columns)
    return torch.stack([top, left, top + rows, left + columns], 1).long()


def inside_boxes(boxes_B4: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """(B, H, W) booleans, true inside each box."""
    row = torch.arange(height, device=boxes_B4.device)
    column = torch.arange(width, device=boxes_B4.device)
    rows = (row >= boxes_B4[:, 0:1]) & (row < boxes_B4[:, 2:3])
    columns = (column >= boxes_B4[:, 1:2]) & (column < boxes_B4[:, 3:4])
    return rows[:, :, None] & columns[:, None, :]


def mixed_knowledge(
    known_MC: torch.Tensor, targets_MC: torch.Tensor, ways: Sequence[torch.Tensor], count: int
) -> torch.Tensor:
    """(B, C) where the targets of mixed samples are known.

    In two merged sounds a class is heard if it is heard in either, and known to be absent only if it is absent
    from both. In mixup and cutmix the target is a share of both sides, so both must be known.

    Parameters
    ----------
    known_MC, targets_MC
        Of the B samples, then of the partners of those that are merged, mixed up and cut, in this order.
    ways
        Row numbers of these.
    """
    sizes = [len(way) for way in ways]
    known, *theirs = known_MC.split([count, *sizes])
    targets, their_targets, *_ = targets_MC.split([count, *sizes])
    known = known.clone()
    for number, (rows, other) in enumerate(zip(ways, theirs, strict=True)):
        both = known[rows] * other
        if number == 0:
            both = torch.maximum(both, torch.maximum(targets[rows], their_targets))
        known[rows] = both
    return known

"""Two random views of each window: what changes between them is what the network learns to ignore.

A view is a random crop, stretched to the whole size; another window in the background; another loudness curve; and a
blanked band of frequencies and stretch of time (after BYOL-A: Niizumi et al., IJCNN 2021). Some pairs come from two
windows of one recording (COLA: Saeed et al., ICASSP 2021).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from britekit.config.pretrain import PretrainConfig
from britekit.datasets.augmentations.bands import outside_band
from britekit.datasets.augmentations.draws import Draws
from britekit.datasets.augmentations.registry import normalize
from britekit.datasets.bank import Bank
from britekit.datasets.batches import derived_seed

STEPS_PER_EPOCH = 25
"""A run is saved, and a point of the curve drawn, after so many steps."""


@dataclass(frozen=True)
class WindowImages:
    """Spectrograms without labels, as `Bank` takes them."""

    images: np.ndarray
    """(N, H, W) uint8."""

    @property
    def labels(self) -> np.ndarray:
        """(N, 0)."""
        return np.zeros((len(self.images), 0), np.uint8)


class PairBatches:
    """Batches of pairs of views; random numbers depend on seed and epoch only, so that a killed run continues alike.

    Parameters
    ----------
    bank
        The windows.
    counts
        Windows of each recording, in the order of the bank.
    settings
        Section ``pretrain``.
    seed
        Seed of the run.
    """

    def __init__(self, bank: Bank, counts: Sequence[int], settings: PretrainConfig, seed: int):
        self.bank, self.seed, self.settings = bank, seed, settings
        self.batch_size = min(settings.batch_size, len(bank))
        sizes = torch.tensor(counts)
        self._first = (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
        self._size = sizes.repeat_interleave(sizes)
        self.generator = torch.Generator()

    def __len__(self) -> int:
        return STEPS_PER_EPOCH

    def begin_epoch(self, epoch: int, rank: int = 0) -> None:
        """Seed the random numbers of an epoch."""
        self.generator.manual_seed(derived_seed(self.seed, epoch, 2, *((rank,) if rank else ())))

    def indices(self, epoch: int) -> Iterator[torch.Tensor]:
        """Yield the windows of each batch, (B,): all in random order, then all again; a rest below B is skipped."""
        per_pass = len(self.bank) // self.batch_size
        order, held = torch.empty(0, dtype=torch.int64), -1
        for step in range(epoch * STEPS_PER_EPOCH, (epoch + 1) * STEPS_PER_EPOCH):
            number, place = divmod(step, per_pass)
            if number != held:
                generator = torch.Generator().manual_seed(derived_seed(self.seed, number, 1))
                order, held = torch.randperm(len(self.bank), generator=generator), number
            yield order[place * self.batch_size : (place + 1) * self.batch_size]

    def partners(self, index: torch.Tensor) -> torch.Tensor:
        """Return the window of each second view: the same one or, by chance, any of its recording."""
        chosen = torch.rand(len(index), generator=self.generator) < self.settings.prob_same_recording
        places = (torch.rand(len(index), generator=self.generator) * self._size[index]).long()
        return torch.where(chosen, self._first[index] + torch.minimum(places, self._size[index] - 1), index)

    def make(self, index: torch.Tensor) -> torch.Tensor:
        """Return the views of a batch, (2B, H, W): the first ones, then the second ones in the same order."""
        partners = self.partners(index)
        device = self.bank.device
        views = [
            make_view(self.bank.gather(windows), Draws(len(windows), self.generator, device), self.settings)
            for windows in (index, partners)
        ]
        return torch.cat(views)


def make_view(images_BHW: torch.Tensor, draws: Draws, settings: PretrainConfig) -> torch.Tensor:
    """Return a random view of each spectrogram, (B, H, W) in [0, 1]."""
    views = crop(images_BHW, draws, settings.min_crop_time, settings.min_crop_freq)
    views = views + draws.uniform(0.0, settings.max_background)[:, None, None] * views[draws.permutation()]
    power = torch.exp(draws.uniform(-settings.max_power_change, settings.max_power_change))
    views = views.clamp_(min=0.0).pow(power[:, None, None])
    return normalize(blank(blank(views, draws, settings.max_blank, 1), draws, settings.max_blank, 2))


def crop(images_BHW: torch.Tensor, draws: Draws, min_time: float, min_freq: float) -> torch.Tensor:
    """Cut a random box of at least these shares of each spectrogram, and stretch it to the whole size (bilinear)."""
    width, height = draws.uniform(min_time, 1.0), draws.uniform(min_freq, 1.0)
    # Places run from -1 to 1; a box of half-width s fits at 0 +- (1 - s).
    x, y = (1.0 - width) * draws.uniform(-1.0, 1.0), (1.0 - height) * draws.uniform(-1.0, 1.0)
    none = torch.zeros_like(x)
    boxes = torch.stack([width, none, x, none, height, y], 1).reshape(-1, 2, 3)
    grid = nn.functional.affine_grid(boxes, [len(x), 1, *images_BHW.shape[1:]], align_corners=False)
    cut = nn.functional.grid_sample(images_BHW[:, None], grid, padding_mode="border", align_corners=False)
    return cut[:, 0]


def blank(images_BHW: torch.Tensor, draws: Draws, most: float, dim: int) -> torch.Tensor:
    """Set a random band of up to ``most`` of the rows (``dim`` 1) or columns (2) of each spectrogram to zero."""
    size = images_BHW.shape[dim]
    width = (draws.uniform(0.0, most) * size).round()
    start = (draws.uniform() * (size - width + 1.0)).floor()
    kept = outside_band(size, start, width).to(images_BHW.dtype)
    return images_BHW * kept.unsqueeze(3 - dim)

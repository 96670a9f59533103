"""Masked reconstruction: a network fills in what is hidden of a spectrogram.

Xie et al., "SimMIM: a simple framework for masked image modeling", CVPR 2022: random patches are replaced by a learned
value, a light decoder (one convolution per cell of the features) gives all pixels, and the loss counts hidden ones. The
target is each spectrogram with mean 0 and standard deviation 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from britekit.config.pretrain import PretrainConfig
from britekit.datasets.augmentations.draws import Draws
from britekit.datasets.bank import Bank
from britekit.datasets.batches import derived_seed
from britekit.models.recognizer import Recognizer

STEPS_PER_EPOCH = 25
"""A run is saved, and a point of the curve drawn, after so many steps."""
HIDDEN = 256
# Of a spectrogram without any variation, such as a constant tone cut out.
_FLOOR = 1e-3


@dataclass(frozen=True)
class WindowImages:
    """Spectrograms without labels, as `Bank` takes them."""

    images: np.ndarray
    """(N, H, W) uint8."""

    @property
    def labels(self) -> np.ndarray:
        """(N, 0)."""
        return np.zeros((len(self.images), 0), np.uint8)


class MaskedBatches:
    """Batches of masked spectrograms; random numbers depend on seed and epoch only."""

    def __init__(self, bank: Bank, settings: PretrainConfig):
        self.bank, self.seed, self.settings = bank, settings.seed, settings
        self.batch_size = min(settings.batch_size, len(bank))
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

    def make(self, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return random crops of the windows, (B, H, W), and what is hidden of each, likewise, 1 = hidden."""
        settings, draws = self.settings, Draws(len(index), self.generator, self.bank.device)
        images = crop(self.bank.gather(index), draws, settings.min_crop_time, settings.min_crop_freq)
        hidden = make_masks(len(index), (self.bank.height, self.bank.width), settings, self.generator)
        return images, hidden.to(self.bank.device)


def make_masks(count: int, size: tuple[int, int], settings: PretrainConfig, generator: torch.Generator) -> torch.Tensor:
    """Return masks (B, H, W): of the square patches of each, the same number, at random, is 1, all others 0."""
    height, width = size
    rows, columns = -(-height // settings.patch_size), -(-width // settings.patch_size)
    most = max(1, min(rows * columns - 1, round(settings.mask_share * rows * columns)))
    ranks = torch.rand(count, rows * columns, generator=generator).argsort(1).argsort(1)
    patches = (ranks < most).float().reshape(count, rows, columns)
    whole = patches.repeat_interleave(settings.patch_size, 1).repeat_interleave(settings.patch_size, 2)
    return whole[:, :height, :width]


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


def masked_loss(guess_BHW: torch.Tensor, images_BHW: torch.Tensor, hidden_BHW: torch.Tensor) -> torch.Tensor:
    """Return the mean Huber loss (d ** 2 / 2 up to 1, then |d| - 1 / 2) of hidden pixels of standardized images."""
    mean, spread = images_BHW.mean((1, 2), keepdim=True), images_BHW.std((1, 2), keepdim=True)
    wanted = (images_BHW - mean) / (spread + _FLOOR)
    each = nn.functional.smooth_l1_loss(guess_BHW.float(), wanted, reduction="none")
    return (each * hidden_BHW).sum() / hidden_BHW.sum()


class MaskedLoss(nn.Module):
    """A backbone with a decoder, which is thrown away after training, and the loss of a batch.

    Parameters
    ----------
    recognizer
        The backbone; no head is needed.
    size
        Rows and columns of a spectrogram.
    layout
        Memory format of the images.
    """

    def __init__(self, recognizer: Recognizer, size: tuple[int, int], layout: torch.memory_format):
        super().__init__()
        self.recognizer, self._size, self._layout = recognizer, size, layout
        was_training = recognizer.training
        recognizer.eval()  # statistics of batch norm stay as they are
        with torch.no_grad():
            _, channels, rows, columns = recognizer.feature_map(torch.zeros(1, 1, *size)).shape
        recognizer.train(was_training)
        # Each cell of the features gives a block of pixels.
        self._block = -(-size[0] // rows), -(-size[1] // columns)
        self.decoder = nn.Sequential(
            nn.Conv2d(channels, HIDDEN, 1), nn.GELU(), nn.Conv2d(HIDDEN, self._block[0] * self._block[1], 1)
        )
        self.token = nn.Parameter(torch.zeros(1))

    def forward(self, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """Return the loss of a batch, a scalar."""
        images, hidden = batch
        seen = images * (1.0 - hidden) + self.token * hidden
        return masked_loss(self.reconstruct(seen), images, hidden)

    def reconstruct(self, seen_BHW: torch.Tensor) -> torch.Tensor:
        """Return the pixels, (B, H, W), of spectrograms with hidden patches."""
        blocks = self.decoder(self.recognizer.feature_map(seen_BHW[:, None].contiguous(memory_format=self._layout)))
        (high, wide), (count, _, rows, columns) = self._block, blocks.shape
        pixels = blocks.reshape(count, high, wide, rows, columns).permute(0, 3, 1, 4, 2)
        return pixels.reshape(count, rows * high, columns * wide)[:, : self._size[0], : self._size[1]]

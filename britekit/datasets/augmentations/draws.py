"""Random numbers of a batch: every sample has its own, and no loop over samples draws them."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from britekit.datasets.augmentations.columns import Columns
from britekit.datasets.transfers import send


class Draws:
    """Random numbers for ``count`` samples.

    Small numbers (one per sample) are drawn on the CPU from one generator, so that choices are known without
    waiting for the device, and equal on every device; whole images of noise are drawn on the device.

    Parameters
    ----------
    generator
        CPU generator.
    device_generator
        Generator of that device; None uses ``generator`` (then the device must be the CPU).
    noise_images
        Gives N random spectrograms of the noise class, (N, H, W); None where there are none.
    columns
        Notes what moves in time; None if that is not needed.
    rows
        Places of the samples in ``columns``; None for all.
    """

    def __init__(
        self,
        count: int,
        generator: torch.Generator,
        device: torch.device | str = "cpu",
        device_generator: torch.Generator | None = None,
        noise_images: Callable[[int], torch.Tensor] | None = None,
        columns: Columns | None = None,
        rows: torch.Tensor | None = None,
    ):
        self.count = count
        self.columns, self._rows = columns, rows
        self.generator = generator
        self.device = torch.device(device)
        self.device_generator = device_generator or generator
        self._noise_images = noise_images

    def subset(self, rows_K: torch.Tensor) -> "Draws":
        """Return the same source of numbers for the samples of these rows."""
        return Draws(
            len(rows_K), self.generator, self.device, self.device_generator, self._noise_images, self.columns, rows_K
        )

    def moved(self, source_of: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Note that an augmentation moves columns; see `Columns.move`."""
        if self.columns is not None:
            self.columns.move(self._rows, source_of)

    def blanked(self, kept_BW: torch.Tensor) -> None:
        """Note that an augmentation blanks columns, where ``kept_BW`` is 0."""
        if self.columns is not None:
            self.columns.blank(self._rows, kept_BW)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
        """(B,) uniform numbers in [low, high)."""
        return self._send(torch.rand(self.count, generator=self.generator) * (high - low) + low)

    def integers(self, low: int, high: int) -> torch.Tensor:
        """(B,) whole numbers in low..high, both included."""
        return self._send(torch.randint(low, high + 1, (self.count,), generator=self.generator))

    def factors(self, probability: float, low: float, high: float) -> torch.Tensor:
        """(B,) numbers: with the probability uniform in [low, high), else 1."""
        chosen_B = torch.rand(self.count, generator=self.generator) < probability
        numbers_B = torch.rand(self.count, generator=self.generator) * (high - low) + low
        return self._send(torch.where(chosen_B, numbers_B, 1.0))

    def beta(self, alpha: float) -> torch.Tensor:
        """(B,) numbers of Beta(alpha, alpha)."""
        seed = int(torch.randint(2**62, (1,), generator=self.generator))
        numbers = np.random.default_rng(seed).beta(alpha, alpha, self.count)
        return self._send(torch.from_numpy(numbers).to(torch.float32))

    def permutation(self) -> torch.Tensor:
        """(B,) the numbers 0 to B - 1 in random order."""
        return self._send(torch.randperm(self.count, generator=self.generator))

    def chances(self, probabilities: Sequence[float]) -> torch.Tensor:
        """(K, B) booleans, true with each of K probabilities; stay on the CPU, where choices are made."""
        numbers_KB = torch.rand(len(probabilities), self.count, generator=self.generator)
        return numbers_KB < torch.tensor(probabilities).reshape(-1, 1)

    def normal_like(self, images: torch.Tensor) -> torch.Tensor:
        """Return standard normal numbers of the images' shape, drawn on their device."""
        return torch.empty_like(images).normal_(generator=self.device_generator)

    def noise_images(self) -> torch.Tensor:
        """(B, H, W) random spectrograms of the noise class."""
        assert self._noise_images is not None
        return self._noise_images(self.count)

    def _send(self, values: torch.Tensor) -> torch.Tensor:
        return send(values, self.device)

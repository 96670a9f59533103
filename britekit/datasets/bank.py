"""All spectrograms of a training set, decoded once, as 8-bit numbers on the device where they fit.

Legend: N samples, B batch, H rows, W columns, C classes.
"""

from typing import Protocol

import numpy as np
import torch

from britekit.datasets.extra_targets import BatchExtras, ExtraTargets
from britekit.datasets.mixing import rows_where
from britekit.datasets.pseudo_labels import PseudoLabels
from britekit.datasets.transfers import send

# Share of a GPU's free memory that the spectrograms may take; the rest is for the network.
_DEVICE_SHARE = 0.5


class Samples(Protocol):
    """The parts of a training set that are used here."""

    @property
    def images(self) -> np.ndarray:
        """(N, H, W) uint8."""

    @property
    def labels(self) -> np.ndarray:
        """(N, C), 0 or 1."""


class Bank:
    """All spectrograms, decoded once, 8-bit; batches are gathered from it.

    Parameters
    ----------
    samples
        ``images`` uint8 (N, H, W) and ``labels`` (N, C).  On a CPU the array is used as it is, not copied.
    pseudo, weight
        Windows of unlabeled recordings with soft labels, which follow the samples, and the weight of their labels.
    extras
        Frame labels and targets of teachers, of the same samples and windows.
    """

    def __init__(
        self,
        samples: Samples,
        device: torch.device | str = "cpu",
        pseudo: PseudoLabels | None = None,
        weight: float = 1.0,
        extras: ExtraTargets | None = None,
    ):
        self.device = torch.device(device)
        stored, labels, known = samples.images, samples.labels, getattr(samples, "known", None)
        if pseudo is not None:
            assert pseudo.images is not None
            stored = np.concatenate([stored, pseudo.images])
            if known is not None or weight != 1.0:
                ours = np.ones(labels.shape, np.float32) if known is None else known.astype(np.float32)
                known = np.concatenate([ours, np.full(pseudo.probabilities.shape, weight, np.float32)])
            labels = np.concatenate([labels.astype(np.float32), pseudo.probabilities])
        images = torch.from_numpy(stored)
        if self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            if images.numel() < free * _DEVICE_SHARE:
                images = images.to(self.device)
        elif self.device.type != "cpu":
            images = images.to(self.device)
        self.images = images
        self.variants = self._variants(samples)
        self.labels = torch.from_numpy(np.ascontiguousarray(labels))
        self.extra_targets = extras
        self.known_labels = None if known is None else torch.from_numpy(np.ascontiguousarray(known))

    def _variants(self, samples: Samples) -> torch.Tensor | None:
        """Return the variants (K, N, H, W) of the samples, on the device if the samples are and it has room."""
        stored = getattr(samples, "variants", None)
        if stored is None:
            return None
        variants = torch.from_numpy(stored)
        if self.images.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            return variants.to(self.device) if variants.numel() < free * _DEVICE_SHARE else variants
        return variants.to(self.images.device)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def height(self) -> int:
        """H."""
        return int(self.images.shape[1])

    @property
    def width(self) -> int:
        """W."""
        return int(self.images.shape[2])

    def gather(self, index: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """Spectrograms of the given samples, (B, H, W) float32 in [0, 1], new memory.

        With a generator, each is drawn from the sample's own one and its variants, alike often.
        """
        stored = self.images.index_select(0, send(index, self.images.device))
        if generator is not None and self.variants is not None:
            kinds, count = self.variants.shape[:2]
            drawn = torch.randint(kinds + 1, (len(index),), generator=generator)
            rows = rows_where((drawn > 0) & (index < count))
            chosen = (drawn[rows] - 1) * count + index[rows]
            varied = self.variants.flatten(0, 1).index_select(0, send(chosen, self.variants.device))
            stored.index_copy_(0, send(rows, stored.device), varied.to(stored.device))
        if self.images.device.type != self.device.type:  # the set did not fit on the device
            stored = send(stored, self.device)
        return stored.to(torch.float32).mul_(1.0 / 255.0)

    def targets(self, index: torch.Tensor) -> torch.Tensor:
        """Labels of the given samples on the CPU, (B, C) float32."""
        return self.labels.index_select(0, index).to(torch.float32)

    def extras(self, index: torch.Tensor) -> BatchExtras | None:
        """Frame labels and targets of teachers of the given samples, on the CPU; None if there are none."""
        return None if self.extra_targets is None else self.extra_targets.gather(index, self.targets(index))

    def known(self, index: torch.Tensor) -> torch.Tensor | None:
        """Weight of the labels of the given samples, on the CPU, (B, C) float32, 0 = unknown; None if all are 1."""
        return None if self.known_labels is None else self.known_labels.index_select(0, index).to(torch.float32)

"""Batches of a student: labeled spectrograms and windows of unlabeled recordings, mixed with each other.

Legend: N labeled samples, M windows, B batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from britekit.annotations.classes import difference_of
from britekit.datasets.bank import Bank
from britekit.datasets.batches import TrainingBatches, derived_seed
from britekit.datasets.mixing import Partners
from britekit.errors import InputError


class StudentBatches(TrainingBatches):
    """Batches of which a share are windows with soft labels, drawn by confidence.

    An epoch goes once through the labeled samples; windows are drawn with replacement. In merge, mixup and cutmix, the
    partner of a labeled sample is a window, and that of a window a labeled sample: so labeled calls are heard in
    the noise of the unlabeled recordings.

    Parameters
    ----------
    bank
        Holds the labeled samples, then the windows.
    confidence
        (M,) relative chance of each window.
    share
        Share of each batch that windows take, above 0 and below 1.
    others
        As in `TrainingBatches`.
    """

    def __init__(
        self,
        bank: Bank,
        members: torch.Tensor,
        batch_size: int,
        seed: int,
        *others: Any,
        confidence: np.ndarray,
        share: float,
    ):
        self._first = len(bank) - len(confidence)
        self._chances = torch.from_numpy(np.cumsum(confidence.astype(np.float64)))
        labeled = max(1, round(batch_size * (1.0 - share)))
        super().__init__(bank, members, labeled, seed, *others)
        self._windows = [_windows(end - begin, share) for begin, end in self.bounds]
        self.batch_size = labeled + _windows(labeled, share)

    @property
    def spectrograms(self) -> int:
        """Number of spectrograms per epoch, of both kinds."""
        return super().spectrograms + sum(self._windows)

    def indices(self, epoch: int) -> Iterator[torch.Tensor]:
        """Sample indices of each batch of an epoch: labeled ones, then windows."""
        generator = torch.Generator().manual_seed(derived_seed(self.seed, epoch, 6))
        for index, count in zip(super().indices(epoch), self._windows, strict=True):
            yield torch.cat([index, self._draw(count, generator)])

    def _draw(self, count: int, generator: torch.Generator) -> torch.Tensor:
        draws = torch.rand(count, generator=generator, dtype=torch.float64) * self._chances[-1]
        return self._first + torch.searchsorted(self._chances, draws, right=True).clamp(max=len(self._chances) - 1)

    def _partners(self) -> Partners:
        def partners(index_B: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
            ours = self.members[torch.randint(len(self.members), (len(index_B),), generator=generator)]
            return torch.where(index_B < self._first, self._draw(len(index_B), generator), ours)

        return partners


def _windows(labeled: int, share: float) -> int:
    """Return the number of windows that go with so many labeled samples."""
    return max(1, round(labeled * share / (1.0 - share)))


def check_classes(path: str, theirs: list[str], ours: list[str], training: str) -> None:
    """Raise if pseudo-labels are about other classes than the training file.

    Raises `InputError` if the lists differ; names the first difference.
    """
    if what := difference_of(theirs, ours):
        raise InputError(f"train.pseudo_labels: {path} has {what} than {training}; run pseudo-label again")

"""Targets of frames for windows with soft labels, beside those of labeled samples.

Legend: N labeled samples, M windows, B batch, C classes, T frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from britekit.datasets.extra_targets import BatchExtras, ExtraTargets


@dataclass(frozen=True, eq=False)
class WindowTargets(ExtraTargets):
    """Those of samples, then of windows; a window's frames are those of its teacher."""

    labeled: ExtraTargets | None = None
    """Those of the samples; None if these have only labels of segments."""
    first: int = 0
    """N, number of the first window."""
    windows: NDArray[np.float16] | None = None
    """(M, C, T) soft labels of frames; None if windows have only those of segments."""

    def gather(self, index_B: torch.Tensor, targets_BC: torch.Tensor) -> BatchExtras:
        """Return those of samples and windows whose labels are ``targets_BC``, in new memory."""
        extras = BatchExtras()
        if self.labeled is not None:
            extras = self.labeled.gather(index_B.clamp(max=self.first - 1), targets_BC)
        rows = (index_B >= self.first).nonzero().squeeze(1)
        if self.windows is not None and extras.frames is None:
            extras.frames = targets_BC[:, :, None].repeat(1, 1, self.num_frames)
            extras.framed = torch.zeros(len(index_B))
        frames = targets_BC[rows, :, None].repeat(1, 1, self.num_frames)
        if self.windows is not None:
            frames = torch.from_numpy(self.windows[(index_B[rows] - self.first).numpy()]).to(torch.float32)
        for name, values in (("frames", frames), ("teacher", targets_BC[rows]), ("teacher_frames", frames)):
            if (own := getattr(extras, name)) is not None:
                own[rows] = values
        if extras.framed is not None:
            extras.framed[rows] = float(self.windows is not None)
        return extras

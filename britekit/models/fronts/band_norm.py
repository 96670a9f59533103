"""Per-band normalization with learned parameters, after a learned logarithm.

For spectrograms of linear amplitude or power.
"""

import math

import torch
from torch import nn

_FIRST_GAIN = 10.0


class BandNorm(nn.Module):
    """Batch norm of log(1 + gain x), each row by itself; every row has its own gain."""

    def __init__(self, height: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((height, 1), math.log(_FIRST_GAIN)))
        self.norm = nn.BatchNorm2d(height)

    def forward(self, x_B1HW: torch.Tensor) -> torch.Tensor:
        """Return the normalized spectrograms, of the same shape."""
        level = torch.log1p(self.gain.exp() * x_B1HW.float())
        normal: torch.Tensor = self.norm(level.transpose(1, 2))
        return normal.transpose(1, 2)


def build(height: int) -> nn.Module:
    """Return the layer for spectrograms with that many rows."""
    return BandNorm(height)

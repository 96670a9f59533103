"""Per-channel energy normalization with learned parameters (Wang et al., ICASSP 2017; Lostanlen et al., IEEE SPL 2019).

For spectrograms of linear power (``audio.power`` 2, ``audio.decibels`` false). Every row has its own gain, bias and
root; the smoothing is one for all.

Legend: B batch, H rows, W columns, K blocks of L columns.
"""

import math

import torch
from torch import nn

# A recursion over columns would take W steps; two small matrix products give the same.
_BLOCK = 16
# Below the smallest step of stored spectrograms, 1/255.
_FLOOR = 1e-3


class Pcen(nn.Module):
    """(x / (floor + m) ** gain + bias) ** root - bias ** root, where m follows each row slowly: m += s (x - m).

    m begins at the first column. Parameters are kept as logarithms, so that they stay positive.
    """

    gain: nn.Parameter
    bias: nn.Parameter
    root: nn.Parameter

    def __init__(
        self, height: int, smoothing: float = 0.04, gain: float = 0.8, bias: float = 2.0, root: float = 0.5
    ) -> None:
        super().__init__()
        self.smoothing = nn.Parameter(torch.tensor([math.log(smoothing / (1.0 - smoothing))]))
        for name, value in (("gain", gain), ("bias", bias), ("root", root)):
            setattr(self, name, nn.Parameter(torch.full((height, 1), math.log(value))))

    def forward(self, x_B1HW: torch.Tensor) -> torch.Tensor:
        """Return the normalized spectrograms, of the same shape."""
        x = x_B1HW.float()
        bias_H1, root_H1 = self.bias.exp(), self.root.exp()
        level = torch.exp(-self.gain.exp() * torch.log(self.followed(x) + _FLOOR))
        return torch.exp(root_H1 * torch.log(x * level + bias_H1)) - torch.exp(root_H1 * self.bias)

    def followed(self, x_B1HW: torch.Tensor) -> torch.Tensor:
        """Return m for every column."""
        width = x_B1HW.shape[3]
        blocks = -(-width // _BLOCK)
        x_BHKL = nn.functional.pad(x_B1HW[:, 0], (0, blocks * _BLOCK - width)).unflatten(2, (blocks, _BLOCK))
        share = torch.sigmoid(self.smoothing)
        kept = nn.functional.logsigmoid(-self.smoothing)  # log(1 - s)
        inside_LL = share * _powers(kept, _BLOCK)
        own_BHKL = x_BHKL @ inside_LL.t()
        # The level with which a block ends, of itself and of what came before it.
        ends_BHK = own_BHKL[:, :, :, -1] @ _powers(kept * _BLOCK, blocks).t()
        ages_K = torch.arange(1, blocks + 1, device=kept.device, dtype=torch.float32)
        ends_BHK = ends_BHK + x_B1HW[:, 0, :, :1] * torch.exp(kept * _BLOCK * ages_K)
        before_BHK = torch.cat([x_B1HW[:, 0, :, :1], ends_BHK[:, :, :-1]], 2)
        ages_L = torch.arange(1, _BLOCK + 1, device=kept.device, dtype=torch.float32)
        whole = own_BHKL + before_BHK.unsqueeze(3) * torch.exp(kept * ages_L)
        return whole.flatten(2)[:, None, :, :width]


def _powers(logarithm: torch.Tensor, size: int) -> torch.Tensor:
    """(size, size) lower triangle of exp(logarithm) ** (row - column)."""
    place = torch.arange(size, device=logarithm.device, dtype=torch.float32)
    age = place[:, None] - place
    return torch.exp(logarithm * age.clamp(min=0.0)) * (age >= 0)


def build(height: int) -> nn.Module:
    """Return the layer for spectrograms with that many rows."""
    return Pcen(height)

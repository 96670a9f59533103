"""Sound event detection with attention over time.

After the attention pooling of Kong et al., "PANNs", IEEE/ACM TASLP 2020: the segment logit is the
attention-weighted sum of the frame logits.
"""

import torch
from torch import nn
from torch.nn import functional

from britekit.models.options import Blueprint

IS_SED = True


class BasicSedHead(nn.Module):
    """Frame logits from a small convolution in time, and their attention-weighted sum."""

    def __init__(
        self,
        num_features: int,
        hidden: int,
        num_classes: int,
        frames: int,
        drop_rate: float,
        attend_features: bool = False,
    ):
        super().__init__()
        self.frames = frames
        self.attend_features = attend_features
        self.conv = nn.Conv1d(num_features, hidden, 3, padding=1)
        self.dropout = nn.Dropout(drop_rate)
        self.classify = nn.Conv1d(hidden, num_classes, 1)
        self.attention = nn.Conv1d(num_features if attend_features else hidden, 1, 1)

    def forward(self, x_BFHT: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Segment logits (B, C) and frame logits (B, C, T)."""
        features = x_BFHT.mean(2)
        hidden = self.dropout(torch.relu(self.conv(features)))
        frames = self.classify(hidden)
        weights = torch.softmax(self.attention(features if self.attend_features else hidden), dim=2)
        return (frames * weights).sum(2), stretch(frames, self.frames)


def stretch(logits_BCT: torch.Tensor, frames: int) -> torch.Tensor:
    """Frame logits interpolated linearly to the wanted number of frames."""
    return functional.interpolate(logits_BCT, size=frames, mode="linear", align_corners=False)


def build(num_features: int, num_classes: int, options: Blueprint) -> nn.Module:
    """Head for features of ``num_features`` channels."""
    sizes = (num_features, options.hidden_channels, num_classes, options.frames)
    return BasicSedHead(*sizes, options.drop_rate or 0.0, attend_features=options.as_public)

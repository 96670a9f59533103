"""Sound event detection for wide backbones: a grouped reduction keeps the head small.

As ``basic_sed``, with the features reduced in eight groups first, and a sharper attention (temperature 0.7).
"""

import torch
from torch import nn

from britekit.errors import ModelError
from britekit.models.heads.basic_sed import stretch
from britekit.models.options import Blueprint

IS_SED = True
_GROUPS = 8
_TEMPERATURE = 0.7


class ScalableSedHead(nn.Module):
    """Grouped reduction, convolution in time, frame logits and their attention-weighted sum."""

    def __init__(self, num_features: int, hidden: int, num_classes: int, frames: int, drop_rate: float):
        super().__init__()
        self.frames = frames
        self.reduce = nn.Sequential(
            nn.Conv1d(num_features, hidden, 1, groups=_GROUPS, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(drop_rate),
        )
        self.conv = nn.Sequential(
            nn.Conv1d(hidden, hidden, 3, padding=1, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(drop_rate),
        )
        self.classify = nn.Conv1d(hidden, num_classes, 1)
        self.attention = nn.Conv1d(hidden, 1, 1)

    def forward(self, x_BFHT: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Segment logits (B, C) and frame logits (B, C, T)."""
        hidden = self.conv(self.reduce(x_BFHT.mean(2)))
        frames = self.classify(hidden)
        weights = torch.softmax(self.attention(hidden) / _TEMPERATURE, dim=2)
        return (frames * weights).sum(2), stretch(frames, self.frames)


def build(num_features: int, num_classes: int, options: Blueprint) -> nn.Module:
    """Head for features of ``num_features`` channels.

    Raises `ModelError` if feature or hidden channels do not divide into eight groups.
    """
    if num_features % _GROUPS or options.hidden_channels % _GROUPS:
        raise ModelError(
            f"train.head_type: scalable_sed needs feature channels ({num_features}) and "
            f"train.hidden_channels ({options.hidden_channels}) divisible by {_GROUPS}; change one of them"
        )
    return ScalableSedHead(num_features, options.hidden_channels, num_classes, options.frames, options.drop_rate or 0.0)

"""EfficientNet's head: 1x1 convolution, batch norm, SiLU, average pool, dropout, linear."""

import torch
from torch import nn

from britekit.models.options import Blueprint

IS_SED = False


class EffnetHead(nn.Module):
    """Logits from a widened map."""

    def __init__(self, num_features: int, hidden: int, num_classes: int, drop_rate: float):
        super().__init__()
        self.conv = nn.Conv2d(num_features, hidden, 1, bias=False)
        self.norm = nn.BatchNorm2d(hidden)
        self.act = nn.SiLU(inplace=True)
        self.dropout = nn.Dropout(drop_rate)
        self.linear = nn.Linear(hidden, num_classes)

    def forward(self, x_BFHT: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Segment logits (B, C) and no frame logits."""
        hidden = self.act(self.norm(self.conv(x_BFHT)))
        return self.linear(self.dropout(hidden.mean((2, 3)))), None


def build(num_features: int, num_classes: int, options: Blueprint) -> nn.Module:
    """Head for features of ``num_features`` channels."""
    return EffnetHead(num_features, options.hidden_channels, num_classes, options.drop_rate or 0.0)

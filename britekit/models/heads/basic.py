"""Average pool, dropout, linear."""

import torch
from torch import nn

from britekit.models.options import Blueprint

IS_SED = False


class BasicHead(nn.Module):
    """Logits from the mean over frequency and time."""

    def __init__(self, num_features: int, num_classes: int, drop_rate: float):
        super().__init__()
        self.dropout = nn.Dropout(drop_rate)
        self.linear = nn.Linear(num_features, num_classes)

    def forward(self, x_BFHT: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Segment logits (B, C) and no frame logits."""
        return self.linear(self.dropout(x_BFHT.mean((2, 3)))), None


def build(num_features: int, num_classes: int, options: Blueprint) -> nn.Module:
    """Head for features of ``num_features`` channels."""
    return BasicHead(num_features, num_classes, options.drop_rate or 0.0)

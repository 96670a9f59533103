"""HGNetV2's head: average pool, 1x1 convolution, ReLU, dropout, linear."""

import torch
from torch import nn

from britekit.models.options import Blueprint

IS_SED = False


class HgnetHead(nn.Module):
    """Logits from a widened mean; after pooling a 1x1 convolution is a linear layer."""

    def __init__(self, num_features: int, hidden: int, num_classes: int, drop_rate: float, bias: bool = False):
        super().__init__()
        self.widen = nn.Linear(num_features, hidden, bias=bias)
        self.dropout = nn.Dropout(drop_rate)
        self.linear = nn.Linear(hidden, num_classes)

    def forward(self, x_BFHT: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Segment logits (B, C) and no frame logits."""
        hidden = torch.relu(self.widen(x_BFHT.mean((2, 3))))
        return self.linear(self.dropout(hidden)), None


def build(num_features: int, num_classes: int, options: Blueprint) -> nn.Module:
    """Head for features of ``num_features`` channels."""
    bias = options.as_public and options.head_type == "hgnet"  # there, the backbone's own head has none
    return HgnetHead(num_features, options.hidden_channels, num_classes, options.drop_rate or 0.0, bias)

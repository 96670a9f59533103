"""Cosine similarity to one prototype per class.

Snell, Swersky and Zemel, Prototypical Networks for Few-shot Learning, NeurIPS 2017, with cosine distance and a
scale and bias per class. `britekit probe` sets the weights; they can also be trained.
"""

import torch
from torch import nn
from torch.nn import functional

from britekit.models.options import Blueprint

IS_SED = False


class PrototypesHead(nn.Module):
    """Logits from the direction of the mean over frequency and time, seen from a center."""

    def __init__(self, num_features: int, num_classes: int):
        super().__init__()
        self.centre = nn.Parameter(torch.zeros(num_features))
        self.linear = nn.Linear(num_features, num_classes)

    def forward(self, x_BFHT: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Segment logits (B, C) and no frame logits."""
        return self.linear(functional.normalize(x_BFHT.mean((2, 3)) - self.centre, dim=1)), None


def build(num_features: int, num_classes: int, options: Blueprint) -> nn.Module:
    """Head for features of ``num_features`` channels."""
    return PrototypesHead(num_features, num_classes)

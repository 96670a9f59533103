"""Multiply by Gaussian noise."""

import torch

from britekit.datasets.augmentations.draws import Draws

SETTINGS = {"place": 70, "doc": "multiplicative noise", "params": {"std2": {"doc": "standard deviation", "low": 0}}}


def speckle(images_BHW: torch.Tensor, draws: Draws, *, std2: float = 0.1) -> torch.Tensor:
    """X + x * N(0, ``std2``) per pixel, clipped to [0, 1]."""
    factor = draws.normal_like(images_BHW).mul_(std2).add_(1.0)
    return factor.mul_(images_BHW).clamp_(0.0, 1.0)

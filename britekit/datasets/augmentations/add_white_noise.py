"""Add Gaussian noise."""

import torch

from britekit.datasets.augmentations.draws import Draws

SETTINGS = {
    "place": 20,
    "doc": "add Gaussian noise",
    "params": {
        "std1": {"doc": "standard deviation", "low": 0},
        "min_std": {"doc": "null, or lower end of a range that replaces std1", "low": 0},
        "max_std": {"doc": "null, or upper end of that range", "low": 0},
    },
}


def add_white_noise(
    images_BHW: torch.Tensor,
    draws: Draws,
    *,
    std1: float = 0.08,
    min_std: float | None = None,
    max_std: float | None = None,
) -> torch.Tensor:
    """Add Gaussian noise of standard deviation ``std1`` to each pixel and clip to [0, 1].

    With ``min_std`` and ``max_std`` the deviation is drawn per image from that range, and the noise is
    abs(normal) / 2.5 instead, which only adds.
    """
    noise = draws.normal_like(images_BHW)
    if min_std is not None and max_std is not None:
        noise = noise.abs_().mul_(draws.uniform(min_std, max_std)[:, None, None] / 2.5)
    else:
        noise = noise.mul_(std1)
    return noise.add_(images_BHW).clamp_(0.0, 1.0)

"""Blur in both directions."""

import torch

from britekit.datasets.augmentations.bands import blur_matrix
from britekit.datasets.augmentations.draws import Draws

SETTINGS = {
    "place": 90,
    "doc": "blur in both directions",
    "params": {
        "min_sigma": {"doc": "smallest width", "unit": "px", "above": 0},
        "max_sigma": {"doc": "largest width", "unit": "px", "above": 0},
    },
}


def blur(images_BHW: torch.Tensor, draws: Draws, *, min_sigma: float = 0.5, max_sigma: float = 1.0) -> torch.Tensor:
    """Gaussian blur along frequency and time, sigma drawn per image, edges reflected."""
    sigma = draws.uniform(min_sigma, max_sigma)
    rows = blur_matrix(images_BHW.shape[1], sigma, max_sigma)
    columns = blur_matrix(images_BHW.shape[2], sigma, max_sigma)
    return torch.bmm(torch.bmm(rows, images_BHW), columns.transpose(1, 2))

"""Blur along frequency."""

import torch

from britekit.datasets.augmentations.bands import blur_matrix
from britekit.datasets.augmentations.draws import Draws
from britekit.datasets.transfers import send

SETTINGS = {"place": 40, "doc": "blur along frequency", "params": {"sigma": {"doc": "width", "unit": "px", "above": 0}}}


def freq_blur(images_BHW: torch.Tensor, draws: Draws, *, sigma: float = 0.4) -> torch.Tensor:
    """Gaussian blur of ``sigma`` rows along frequency only, edges reflected."""
    matrix = send(blur_matrix(images_BHW.shape[1], torch.tensor([sigma]), sigma), images_BHW.device)
    return matrix @ images_BHW

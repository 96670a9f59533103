"""Reverse time."""

import torch

from britekit.datasets.augmentations.draws import Draws

SETTINGS = {"place": 30, "doc": "reverse time"}


def flip_horizontal(images_BHW: torch.Tensor, draws: Draws) -> torch.Tensor:
    """Images with time reversed."""
    width = images_BHW.shape[2]
    draws.moved(lambda column: width - 1 - column)
    return images_BHW.flip(2)

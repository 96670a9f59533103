"""Zero a band of frequencies (Park et al., "SpecAugment", Interspeech 2019)."""

import torch

from britekit.datasets.augmentations.bands import outside_band, random_band
from britekit.datasets.augmentations.draws import Draws

SETTINGS = {
    "place": 50,
    "doc": "blank a band of frequencies",
    "params": {"max_width1": {"doc": "widest band", "unit": "px", "low": 1, "at_most": "spec_height"}},
}


def freq_mask(images_BHW: torch.Tensor, draws: Draws, *, max_width1: int = 4) -> torch.Tensor:
    """Zero a band of 1 to ``max_width1`` rows at a random place."""
    if max_width1 < 1:
        return images_BHW
    height = images_BHW.shape[1]
    width = draws.integers(1, max_width1)
    start = random_band(height, width, draws.uniform())
    return images_BHW.mul_(outside_band(height, start, width)[:, :, None])

"""Zero a stretch of time (Park et al., "SpecAugment", Interspeech 2019)."""

import torch

from britekit.datasets.augmentations.bands import outside_band, random_band
from britekit.datasets.augmentations.draws import Draws

SETTINGS = {
    "place": 80,
    "doc": "blank a stretch of time",
    "params": {"max_width2": {"doc": "longest stretch", "unit": "px", "low": 1, "at_most": "spec_width"}},
}


def time_mask(images_BHW: torch.Tensor, draws: Draws, *, max_width2: int = 8) -> torch.Tensor:
    """Zero 1 to ``max_width2`` columns at a random place."""
    if max_width2 < 1:
        return images_BHW
    columns = images_BHW.shape[2]
    width = draws.integers(1, max_width2)
    start = random_band(columns, width, draws.uniform())
    kept = outside_band(columns, start, width)
    draws.blanked(kept)
    return images_BHW.mul_(kept[:, None, :])

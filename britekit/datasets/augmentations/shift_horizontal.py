"""Roll in time."""

import torch

from britekit.datasets.augmentations.draws import Draws

SETTINGS = {
    "place": 60,
    "prob": 0.6,
    "doc": "shift in time",
    "params": {"max_shift": {"doc": "farthest shift", "unit": "px", "low": 0, "at_most": "spec_width"}},
}


def shift_horizontal(images_BHW: torch.Tensor, draws: Draws, *, max_shift: int = 8) -> torch.Tensor:
    """Roll each image by up to ``max_shift`` columns either way; what leaves at one end enters the other."""
    shift = draws.integers(-max_shift, max_shift)
    width = images_BHW.shape[2]
    draws.moved(lambda column: (column - shift[:, None]) % width)
    source = (torch.arange(width, device=images_BHW.device) - shift[:, None]) % width
    return images_BHW.gather(2, source[:, None, :].expand_as(images_BHW))

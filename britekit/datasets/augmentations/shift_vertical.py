"""Higher and lower."""

import torch

from britekit.datasets.augmentations.draws import Draws

SETTINGS = {
    "place": 4,
    "doc": "shift in frequency",
    "params": {"max_rows": {"doc": "farthest shift", "unit": "px", "low": 0, "at_most": "spec_height"}},
}


def shift_vertical(images_BHW: torch.Tensor, draws: Draws, *, max_rows: int = 2) -> torch.Tensor:
    """Shift each image by up to ``max_rows`` rows either way; what leaves is gone, zeros enter."""
    shift = draws.integers(-max_rows, max_rows)
    height = images_BHW.shape[1]
    source = torch.arange(height, device=images_BHW.device) - shift[:, None]
    inside = (source >= 0) & (source < height)
    source = source.clamp(0, height - 1)[:, :, None].expand_as(images_BHW)
    return images_BHW.gather(1, source).mul_(inside[:, :, None])

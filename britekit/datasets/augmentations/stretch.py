"""Faster and slower."""

import torch

from britekit.datasets.augmentations.draws import Draws

SETTINGS = {
    "place": 2,
    "doc": "stretch or squeeze time",
    "params": {"max_stretch": {"doc": "0.2 = up to 1.2 times as long or as short", "low": 0}},
}


def stretch(images_BHW: torch.Tensor, draws: Draws, *, max_stretch: float = 0.2) -> torch.Tensor:
    """Change the tempo by 1 / (1 + ``max_stretch``) to 1 + ``max_stretch`` times around a random column.

    Between columns values are interpolated linearly; where there was no sound there are zeros.
    """
    width = images_BHW.shape[2]
    factor = (1.0 + max_stretch) ** draws.uniform(-1.0, 1.0)
    center = draws.uniform(0.0, width - 1.0)

    def source_of(column: torch.Tensor) -> torch.Tensor:
        return center[:, None] + (column - center[:, None]) / factor[:, None]

    draws.moved(source_of)
    source = source_of(torch.arange(width, device=images_BHW.device))
    before = source.floor()
    return torch.lerp(
        _columns(images_BHW, before.long()), _columns(images_BHW, before.long() + 1), (source - before)[:, None, :]
    )


def _columns(images_BHW: torch.Tensor, place_BW: torch.Tensor) -> torch.Tensor:
    width = images_BHW.shape[2]
    inside = (place_BW >= 0) & (place_BW < width)
    place = place_BW.clamp(0, width - 1)[:, None, :].expand_as(images_BHW)
    return images_BHW.gather(2, place).mul_(inside[:, None, :])

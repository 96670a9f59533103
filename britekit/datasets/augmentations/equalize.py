"""Other microphones and distances (Nam et al., "FilterAugment", ICASSP 2022, its linear kind)."""

import torch

from britekit.datasets.augmentations.draws import Draws

SETTINGS = {
    "place": 6,
    "doc": "strengthen and weaken frequency bands",
    "params": {
        "min_gain": {"doc": "smallest factor", "low": 0},
        "max_gain": {"doc": "largest factor", "low": 0},
        "num_points": {"doc": "number of frequencies with their own factor, evenly spaced", "low": 2},
    },
}


def equalize(
    images_BHW: torch.Tensor, draws: Draws, *, min_gain: float = 0.7, max_gain: float = 1.3, num_points: int = 4
) -> torch.Tensor:
    """Multiply each row by a factor; evenly spaced rows draw theirs, those between are interpolated."""
    height = images_BHW.shape[1]
    points_BK = torch.stack([draws.uniform(min_gain, max_gain) for _ in range(num_points)], 1)
    place = torch.linspace(0.0, num_points - 1.0, height, device=images_BHW.device)
    before = place.long().clamp(max=num_points - 2)
    gains_BH = torch.lerp(points_BK[:, before], points_BK[:, before + 1], place - before)
    return images_BHW.mul_(gains_BH[:, :, None])

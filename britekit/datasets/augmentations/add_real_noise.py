"""Add a spectrogram of the noise class."""

import torch

from britekit.datasets.augmentations.draws import Draws

SETTINGS = {
    "place": 10,
    "prob": 0.34,
    "doc": "add a spectrogram of the noise class",
    "needs_noise": True,
    "params": {
        "prob_fade2": {"doc": "probability of fading the sound first", "low": 0, "high": 1},
        "min_fade2": {"doc": "smallest fade factor", "low": 0, "high": 1},
        "max_fade2": {"doc": "largest fade factor", "low": 0, "high": 1},
    },
}


def add_real_noise(
    images_BHW: torch.Tensor, draws: Draws, *, prob_fade2: float = 0.5, min_fade2: float = 0.2, max_fade2: float = 0.8
) -> torch.Tensor:
    """Add a random spectrogram of the noise class to each image.

    With probability ``prob_fade2`` the image is first scaled by a factor from ``min_fade2`` to ``max_fade2``,
    so that sounds are also learned when they are weak.
    """
    factors = draws.factors(prob_fade2, min_fade2, max_fade2)
    return draws.noise_images().addcmul_(images_BHW, factors[:, None, None])

"""Imitate other recorders: mix the level and spread of each frequency.

Kim et al., "Domain generalization with relaxed instance frequency-wise normalization", Interspeech 2022; Schmid et al.,
DCASE 2022.
"""

import torch

from britekit.datasets.augmentations.draws import Draws

SETTINGS = {
    "place": 7,
    "doc": "mix each frequency's level and spread with another spectrogram's",
    "params": {"style_alpha": {"doc": "parameter of the Beta distribution of the share", "above": 0}},
}


def freq_mix_style(images_BHW: torch.Tensor, draws: Draws, *, style_alpha: float = 0.4) -> torch.Tensor:
    """Give each row the mean and standard deviation over time between its own and those of another image of the batch.

    The image's own share is Beta(``style_alpha``, ``style_alpha``); a row without any variation gets the mean alone.
    """
    own_2BH = torch.stack([images_BHW.mean(2), images_BHW.std(2, correction=0)])
    other_2BH = own_2BH[:, draws.permutation()]
    mean_BH, spread_BH = torch.lerp(other_2BH, own_2BH, draws.beta(style_alpha)[None, :, None])
    gain_BH = spread_BH / own_2BH[1].clamp(min=1e-5)
    offset_BH = mean_BH - own_2BH[0] * gain_BH
    return images_BHW.mul_(gain_BH[:, :, None]).add_(offset_BH[:, :, None]).clamp_(0.0, 1.0)

"""The contrastive loss of SimCLR.

Chen, Kornblith, Norouzi and Hinton, "A simple framework for contrastive learning of visual representations", ICML 2020,
equation 1 (NT-Xent).
"""

from __future__ import annotations

import torch
from torch import nn

from britekit.models.recognizer import Recognizer

HIDDEN, PROJECTION = 256, 64


def contrastive_loss(projected_2BD: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the mean over all views i of -log(exp(s_ij / t) / sum over k != i of exp(s_ik / t)).

    s is the cosine of two projections; j is the other view of the same pair.

    Parameters
    ----------
    projected_2BD
        First views, then second ones, in the same order.
    temperature
        t, above 0.
    """
    unit = nn.functional.normalize(projected_2BD.float(), dim=1)
    count = len(unit)
    same = torch.eye(count, dtype=torch.bool, device=unit.device)
    logits = (unit @ unit.t() / temperature).masked_fill(same, -torch.inf)
    return nn.functional.cross_entropy(logits, torch.arange(count, device=unit.device).roll(count // 2))


class ContrastiveLoss(nn.Module):
    """A backbone with a projection, which is thrown away after training, and the loss of a batch of views.

    Parameters
    ----------
    recognizer
        The backbone; no head is needed.
    temperature
        See `contrastive_loss`.
    layout
        Memory format of the images.
    """

    def __init__(self, recognizer: Recognizer, temperature: float, layout: torch.memory_format):
        super().__init__()
        self.recognizer = recognizer
        self.projection = nn.Sequential(
            nn.Linear(int(recognizer.backbone.num_features), HIDDEN, bias=False),  # type: ignore[arg-type]
            nn.BatchNorm1d(HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, PROJECTION),
        )
        self._temperature, self._layout = temperature, layout

    def forward(self, views_2BHW: torch.Tensor) -> torch.Tensor:
        """Return the loss of a batch, a scalar."""
        images = views_2BHW[:, None].contiguous(memory_format=self._layout)
        return contrastive_loss(self.projection(self.recognizer.embed(images)), self._temperature)

"""Losses of single cells (a sample and a class) that stand in for binary cross-entropy.

Legend: B batch, C classes; any shape will do, as long as logits and targets have the same.
"""

import torch
from torch.nn import functional

_SMALLEST = 1e-8


def focal(logits: torch.Tensor, targets: torch.Tensor, gamma: float = 2.0) -> torch.Tensor:
    """Return the focal loss of each cell (Lin et al., ICCV 2017), without its weight alpha.

    Cross-entropy times (1 - q) ** gamma, where q is the probability that the network gives to the target; if that is
    soft, q = p y + (1 - p)(1 - y).
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    scores = torch.sigmoid(logits)
    beside = scores + targets - 2.0 * scores * targets  # 1 - q
    # The gradient of a power below 1 is infinite at 0.
    return entropy * beside.clamp(min=_SMALLEST).pow(gamma)


def asymmetric(logits: torch.Tensor, targets: torch.Tensor, gamma: float = 4.0, margin: float = 0.05) -> torch.Tensor:
    """Return the asymmetric loss of each cell (Ridnik et al., ICCV 2021), without focusing on positives.

    -y log p - (1 - y) r ** gamma log(1 - r), where r = max(p - margin, 0): what is rightly scored below the margin
    counts nothing, and easy negatives count little.
    """
    raised = (torch.sigmoid(logits) - margin).clamp(min=0.0)
    negative = raised.clamp(min=_SMALLEST).pow(gamma) * torch.log1p(-raised)
    return -targets * functional.logsigmoid(logits) - (1.0 - targets) * negative

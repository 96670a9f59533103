"""Label smoothing by class confusion: what is often taken for the true class gets part of its target.

As Zhang et al., "Delving deep into label smoothing", IEEE TIP 2021, with a running mean of scores instead of one per
epoch.

Legend: B batch, C classes.
"""

import torch
from torch import nn

# Share of the past in the running mean, about the last hundred batches.
_KEPT = 0.99


class ConfusionSmoothing(nn.Module):
    """Knows which classes the network scores beside the true one, and smooths targets by it.

    Parameters
    ----------
    classes
        C.
    amount
        Share of a positive target that is spread over the classes confused with it.
    multi_label
        Whether scores are sigmoids; otherwise they are a softmax.
    """

    confused_CC: torch.Tensor

    def __init__(self, classes: int, amount: float, multi_label: bool):
        super().__init__()
        self.amount, self.multi_label = amount, multi_label
        # Row c: running mean of the scores of the other classes where c is heard.
        self.register_buffer("confused_CC", (1.0 - torch.eye(classes)) / max(1, classes - 1))

    def forward(self, targets_BC: torch.Tensor) -> torch.Tensor:
        """Return y (1 - s) + (1 - y) min(1, s sum_c y_c m_cj), where row c of m is scaled to sum 1.

        Without multi_label, the sum of a row of targets stays 1: y (1 - s) + s sum_c y_c m_cj.
        """
        share_CC = self.confused_CC / self.confused_CC.sum(1, keepdim=True).clamp(min=1e-8)
        spread_BC = self.amount * (targets_BC @ share_CC)
        kept_BC = (1.0 - self.amount) * targets_BC
        return kept_BC + ((1.0 - targets_BC) * spread_BC.clamp(max=1.0) if self.multi_label else spread_BC)

    @torch.no_grad()
    def watch(self, logits_BC: torch.Tensor, targets_BC: torch.Tensor, known_BC: torch.Tensor | None = None) -> None:
        """Include the scores of a batch; soft targets (mixup) count by their share, unknown cells not at all."""
        logits = logits_BC.detach().float()
        scores_BC = torch.sigmoid(logits) if self.multi_label else torch.softmax(logits, 1)
        # A class that is heard itself is not confused.
        beside_BC = 1.0 - targets_BC if known_BC is None else (1.0 - targets_BC) * known_BC
        own_BC = targets_BC if known_BC is None else targets_BC * known_BC
        weight_CC = own_BC.t() @ beside_BC
        mean_CC = (own_BC.t() @ (scores_BC * beside_BC)) / weight_CC.clamp(min=1e-8)
        step_CC = (1.0 - _KEPT) * weight_CC.clamp(max=1.0)
        step_CC = step_CC * (1.0 - torch.eye(len(step_CC), device=step_CC.device))
        self.confused_CC.lerp_(mean_CC, step_CC)

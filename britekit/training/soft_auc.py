"""A smooth stand-in for the area under the ROC curve, as a loss.

Legend: B batch, C classes.
"""

import torch


def soft_auc_loss(
    logits_BC: torch.Tensor, targets_BC: torch.Tensor, known_BC: torch.Tensor | None = None, temperature: float = 1.0
) -> torch.Tensor:
    """Return 1 - AUC, a scalar: the mean over classes of sigmoid((negative - positive) / temperature) over all pairs.

    As the temperature falls towards 0, this becomes the share of pairs in the wrong order, ties counting half (Yan et
    al., ICML 2003). A pair weighs y_i (1 - y_j), so soft targets count by their share; where ``known_BC`` is 0, a
    sample is in no pair. Classes without a pair are left out; if that is all of them, the loss is 0.
    """
    known = torch.ones_like(targets_BC) if known_BC is None else known_BC
    above, below = targets_BC * known, (1.0 - targets_BC) * known
    wrong_BBC = torch.sigmoid((logits_BC[None, :, :] - logits_BC[:, None, :]) / temperature)
    total_C = (above[:, None, :] * below[None, :, :] * wrong_BBC).sum((0, 1))
    # A sample with a soft target is not paired with itself.
    own_C = (above * below).sum(0)
    weight_C = above.sum(0) * below.sum(0) - own_C
    share_C = (total_C - 0.5 * own_C) / weight_C.clamp(min=1e-6)
    has_pair_C = (weight_C > 1e-6).to(share_C.dtype)
    return (share_C * has_pair_C).sum() / has_pair_C.sum().clamp(min=1.0)

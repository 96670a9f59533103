"""How often each training sample is drawn: rare classes, or recordings with few segments, more often.

Legend: N samples, C classes.
"""

import numpy as np
import torch


def sample_shares(labels_NC: np.ndarray, recording_ids: np.ndarray, kind: str) -> np.ndarray:
    """Return (N,) how often each sample is wanted, relative to the others; their mean is 1.

    Parameters
    ----------
    kind
        "class": 1 / sqrt(samples of its rarest class), the mean of all others for a sample without a class;
        "recording": 1 / samples of its recording; "both": the product.
    """
    labels = np.asarray(labels_NC) > 0
    shares = np.ones(len(labels))
    if kind in ("class", "both"):
        rarity_C = 1.0 / np.sqrt(np.maximum(labels.sum(0), 1))
        own = np.where(labels, rarity_C, 0.0).max(1, initial=0.0)
        has_class = own > 0
        shares = np.where(has_class, own, own[has_class].mean() if has_class.any() else 1.0)
    if kind in ("recording", "both"):
        _, which, counts = np.unique(recording_ids, return_inverse=True, return_counts=True)
        shares = shares / counts[which]
    return shares / shares.mean()


def draw_order(shares_N: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return (N,) positions in random order, each as often as its share says.

    A sample with share w occurs w times on average and never less than floor(w) or more than ceil(w) times (systematic
    sampling), so with equal shares an epoch holds each once.
    """
    count = len(shares_N)
    mixed = torch.randperm(count, generator=generator)
    ends = torch.cumsum(shares_N[mixed].double(), 0)
    ends = ends * (count / ends[-1])
    points = torch.arange(count, dtype=torch.float64) + torch.rand(1, generator=generator, dtype=torch.float64)
    found = mixed[torch.searchsorted(ends, points, right=True).clamp(max=count - 1)]
    return found[torch.randperm(count, generator=generator)]

"""Compute the loss of a batch.

Legend: B batch, C classes, T frames.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from britekit.training.cell_losses import asymmetric, focal
from britekit.training.soft_auc import soft_auc_loss


@dataclass(frozen=True)
class LossSettings:
    """Settings of `compute_loss`; smoothing applies only in training with multi-label targets."""

    multi_label: bool = True
    pos_smoothing: float = 0.0
    neg_smoothing: float = 0.0
    frame_weight: float = 0.5
    offpeak_weight: float = 0.0
    kind: str = "bce"
    focal_gamma: float = 2.0
    asymmetric_gamma: float = 4.0
    asymmetric_margin: float = 0.05
    auc_weight: float = 0.0


def compute_loss(
    segment_logits_BC: torch.Tensor,
    frame_logits_BCT: torch.Tensor | None,
    targets_BC: torch.Tensor,
    merged_B: torch.Tensor,
    settings: LossSettings,
    class_weights_C: torch.Tensor | None = None,
    known_BC: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the loss of a batch, a scalar.

    Multi-label: binary cross-entropy, focal or asymmetric loss, mean over batch and classes. Otherwise cross-entropy;
    targets may be soft (mixup). With frame logits: (1 - w) segment + w frame, plus the off-peak penalty. The soft AUC
    is that of the segment; processes that share a batch each compare their own samples.

    Where ``known_BC`` is 0 nothing is counted. The mean is still taken over all cells, so that a known one
    weighs the same in every batch, and the parts of a batch that processes share add up.
    """
    if settings.multi_label:
        targets = smooth(targets_BC, settings.pos_smoothing, settings.neg_smoothing)
        loss = _binary(segment_logits_BC, targets, _weights(class_weights_C, known_BC), settings)
    else:
        targets = targets_BC
        loss = _categorical(segment_logits_BC, targets, class_weights_C)
    ranking = None
    if settings.auc_weight > 0:
        ranking = settings.auc_weight * soft_auc_loss(segment_logits_BC.float(), targets_BC, known_BC)
    if frame_logits_BCT is None:
        return loss if ranking is None else loss + ranking
    frame_targets = targets[:, :, None].expand_as(frame_logits_BCT)
    weights = _weights(class_weights_C, known_BC)
    frame_loss = _binary(frame_logits_BCT, frame_targets, None if weights is None else weights[..., None], settings)
    loss = (1.0 - settings.frame_weight) * loss + settings.frame_weight * frame_loss
    if settings.offpeak_weight > 0:
        loss = loss + settings.offpeak_weight * offpeak(frame_logits_BCT, merged_B, known_BC)
    return loss if ranking is None else loss + ranking


def smooth(targets_BC: torch.Tensor, positive: float, negative: float) -> torch.Tensor:
    """Return y (1 - positive) + (1 - y) negative."""
    return targets_BC * (1.0 - positive - negative) + negative


def offpeak(
    frame_logits_BCT: torch.Tensor, merged_B: torch.Tensor, known_BC: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the mean sum of frame probabilities beyond the peak, per batch and class; 0 for merged samples."""
    scores = torch.sigmoid(frame_logits_BCT)
    beyond = (scores.sum(2) - scores.amax(2)).clamp(min=0.0)
    beyond = beyond if known_BC is None else beyond * known_BC
    return ((1.0 - merged_B)[:, None] * beyond).mean()


def class_weights(labels_NC: np.ndarray, exponent: float, known_NC: np.ndarray | None = None) -> np.ndarray:
    """(C,) weights (N / (C n_c)) ** exponent; 1 for a class that does not occur.

    N is the number of samples of which it is known whether they hold the class.
    """
    counts = np.asarray(labels_NC, dtype=np.float64).sum(axis=0)
    total = len(labels_NC) if known_NC is None else np.asarray(known_NC, dtype=np.float64).sum(axis=0)
    classes = labels_NC.shape[1]
    ratio = total / (classes * np.maximum(counts, 1.0))
    return np.where(counts > 0, ratio**exponent, 1.0)


def _weights(class_weights_C: torch.Tensor | None, known_BC: torch.Tensor | None) -> torch.Tensor | None:
    """Return the weight of each cell, (B, C) or (C,); None if all weigh 1."""
    if known_BC is None or class_weights_C is None:
        return known_BC if class_weights_C is None else class_weights_C
    return known_BC * class_weights_C


def _binary(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None, settings: LossSettings
) -> torch.Tensor:
    if settings.kind == "bce":
        return functional.binary_cross_entropy_with_logits(logits, targets, weight=weights)
    each = cells(logits, targets, settings)
    return (each if weights is None else each * weights).mean()


def cells(logits: torch.Tensor, targets: torch.Tensor, settings: LossSettings) -> torch.Tensor:
    """Return the multi-label loss of each cell."""
    if settings.kind == "bce":
        return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    if settings.kind == "focal":
        return focal(logits, targets, settings.focal_gamma)
    return asymmetric(logits, targets, settings.asymmetric_gamma, settings.asymmetric_margin)


def _categorical(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    each = -targets * functional.log_softmax(logits, dim=1)
    if weights is not None:
        each = each * weights
    return each.sum(1).mean()

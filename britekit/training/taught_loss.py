"""Compute the loss of a batch that has targets of frames or of teachers beside its labels.

Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, for binary targets too. With a share d of the
teachers and a temperature t, the loss is (1 - d) hard + d t^2 soft; soft is the cross-entropy of logits over t with
the teachers' probabilities, softened likewise.

Legend: B batch, C classes, T frames.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional

from britekit.datasets.extra_targets import BatchExtras
from britekit.training.losses import LossSettings, cells, offpeak, smooth
from britekit.training.soft_auc import soft_auc_loss

# Teachers that are certain would have infinite logits; half precision has numbers down to 6e-8.
_CERTAIN = 1e-6


@dataclass(frozen=True)
class TeachingSettings:
    """Settings of `taught_loss`."""

    share: float = 0.5
    temperature: float = 1.0
    alone_without_frames: bool = False
    """Whether samples without frame labels learn from the teachers alone."""


def taught_loss(
    segment_logits_BC: torch.Tensor,
    frame_logits_BCT: torch.Tensor | None,
    targets_BC: torch.Tensor,
    merged_B: torch.Tensor,
    extras: BatchExtras,
    settings: LossSettings,
    teaching: TeachingSettings,
    class_weights_C: torch.Tensor | None = None,
    known_BC: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the loss of a batch, a scalar; see `britekit.training.losses.compute_loss`.

    Teachers score every class, so they also teach where ``known_BC`` is 0.
    """
    batch = len(segment_logits_BC)
    share_B = torch.full((batch,), teaching.share, device=segment_logits_BC.device)
    if teaching.alone_without_frames and extras.framed is not None:
        share_B = torch.where(extras.framed > 0, share_B, 1.0)
    hard_B = _hard(segment_logits_BC, targets_BC, settings, class_weights_C, known_BC)
    segment_loss = _combined(hard_B, segment_logits_BC, extras.teacher, share_B, settings, teaching, class_weights_C)
    loss = segment_loss
    if settings.auc_weight > 0:
        loss = loss + settings.auc_weight * soft_auc_loss(segment_logits_BC.float(), targets_BC, known_BC)
    if frame_logits_BCT is None:
        return loss
    targets = targets_BC[:, :, None].expand_as(frame_logits_BCT) if extras.frames is None else extras.frames
    hard_B = _hard(frame_logits_BCT, targets, settings, class_weights_C, known_BC)
    if extras.teacher_frames is None and teaching.alone_without_frames and extras.framed is not None:
        hard_B = hard_B * (extras.framed > 0)
    frame_loss = _combined(
        hard_B, frame_logits_BCT, extras.teacher_frames, share_B, settings, teaching, class_weights_C
    )
    loss = loss + settings.frame_weight * (frame_loss - segment_loss)
    if settings.offpeak_weight > 0:
        loss = loss + settings.offpeak_weight * offpeak(frame_logits_BCT, merged_B, known_BC)
    return loss


def _hard(
    logits: torch.Tensor,
    targets: torch.Tensor,
    settings: LossSettings,
    class_weights_C: torch.Tensor | None,
    known_BC: torch.Tensor | None,
) -> torch.Tensor:
    """Return the loss against labels, (B,)."""
    if not settings.multi_label:
        return _categorical(logits, targets, class_weights_C)
    wanted = smooth(targets, settings.pos_smoothing, settings.neg_smoothing)
    each = cells(logits, wanted, settings)
    if known_BC is not None:
        each = each * _like(known_BC, each)
    return _mean(each, class_weights_C)


def _combined(
    hard_B: torch.Tensor,
    logits: torch.Tensor,
    teacher: torch.Tensor | None,
    share_B: torch.Tensor,
    settings: LossSettings,
    teaching: TeachingSettings,
    class_weights_C: torch.Tensor | None,
) -> torch.Tensor:
    if teacher is None:
        return hard_B.mean()
    degree = teaching.temperature
    if settings.multi_label:
        soft = torch.sigmoid(torch.logit(teacher, eps=_CERTAIN) / degree)
        each = functional.binary_cross_entropy_with_logits(logits / degree, soft, reduction="none")
        soft_B = _mean(each, class_weights_C)
    else:
        soft = torch.softmax(torch.log(teacher.clamp(min=_CERTAIN)) / degree, 1)
        soft_B = _categorical(logits / degree, soft, class_weights_C)
    return ((1.0 - share_B) * hard_B + share_B * degree**2 * soft_B).mean()


def _mean(each: torch.Tensor, class_weights_C: torch.Tensor | None) -> torch.Tensor:
    """Return the mean of each sample over classes (and frames), (B,)."""
    if class_weights_C is not None:
        each = each * _like(class_weights_C[None], each)
    return each.flatten(1).mean(1)


def _like(weights: torch.Tensor, each: torch.Tensor) -> torch.Tensor:
    return weights if each.ndim == 2 else weights[..., None]


def _categorical(logits: torch.Tensor, targets: torch.Tensor, class_weights_C: torch.Tensor | None) -> torch.Tensor:
    each = -targets * functional.log_softmax(logits, dim=1)
    return (each if class_weights_C is None else each * class_weights_C).sum(1)

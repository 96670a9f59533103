"""Compute metrics on held-out data, over the whole set.

Legend: N samples, C classes.
"""

import math

import numpy as np
import torch

from britekit.datasets.bank import Bank
from britekit.datasets.batches import plain_batches
from britekit.metrics.ranking import average_precision, roc_auc
from britekit.models.recognizer import Recognizer
from britekit.training.losses import LossSettings, compute_loss
from britekit.training.ranks import ProcessGroup

_BATCH = 64
_FIGURES = ("roc_micro", "roc_macro", "pr_micro", "pr_macro", "top1")


def named(prefix: str, figures: dict[str, float | None]) -> dict[str, float | None]:
    """Return the figures of `evaluate` under the names of the results, such as ``val_pr_macro``."""
    given = {"loss": "loss", "roc_micro": "roc", "roc_macro": "roc_macro", "pr_micro": "pr", "pr_macro": "pr_macro"}
    return {prefix + short: figures[name] for name, short in {**given, "top1": "top1"}.items()}


def evaluate(
    recognizer: Recognizer,
    bank: Bank,
    members: torch.Tensor,
    settings: LossSettings,
    layout: torch.memory_format = torch.contiguous_format,
    world: ProcessGroup | None = None,
) -> dict[str, float | None]:
    """Return loss, ROC-AUC and average precision, micro and macro; None if undefined or a score is NaN.

    There is no label smoothing and no off-peak penalty, to measure recognition alone. Several processes share the work,
    and each gets the metrics of the whole set.
    """
    world = world or ProcessGroup()
    plain = LossSettings(multi_label=settings.multi_label, frame_weight=settings.frame_weight)
    was_training = recognizer.training
    recognizer.eval()
    total, scores, truth, known = 0.0, [], [], []
    with torch.inference_mode():
        for batch in plain_batches(bank, members[world.part(len(members))], _BATCH):
            logits, frames = recognizer(batch.images.contiguous(memory_format=layout))
            loss = compute_loss(logits, frames, batch.targets, batch.merged, plain, known_BC=batch.known)
            total += float(loss) * len(logits)
            scores.append(_scores(logits, settings.multi_label))
            truth.append(batch.targets.cpu().numpy())
            if batch.known is not None:
                known.append(batch.known.cpu().numpy() > 0)
    recognizer.train(was_training)
    classes = bank.labels.shape[1]
    found = world.from_all((total, _joined(truth, classes), _joined(scores, classes), _joined(known, classes)))
    totals, truths, all_scores, all_known = zip(*found, strict=True)
    loss, score = sum(totals) / len(members), np.concatenate(all_scores)
    if not np.isfinite(score).all():
        return {"loss": math.nan, **dict.fromkeys(_FIGURES)}
    known_NC = None if bank.known_labels is None else np.concatenate(all_known) > 0
    return {"loss": loss, **ranking_figures(np.concatenate(truths), score, known_NC)}


def score_held_out(recognizer: Recognizer, bank: Bank, members: torch.Tensor, multi_label: bool) -> np.ndarray:
    """Return the scores of samples, (N, C) float32 in [0, 1], in evaluation mode."""
    was_training = recognizer.training
    recognizer.eval()
    with torch.inference_mode():
        scores = [_scores(recognizer(batch.images)[0], multi_label) for batch in plain_batches(bank, members, _BATCH)]
    recognizer.train(was_training)
    return _joined(scores, bank.labels.shape[1])


def _scores(logits: torch.Tensor, multi_label: bool) -> np.ndarray:
    score = torch.sigmoid(logits) if multi_label else torch.softmax(logits, 1)
    return np.asarray(score.float().cpu().numpy())


def _joined(parts: list[np.ndarray], classes: int) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros((0, classes), np.float32)


def ranking_figures(
    truth_NC: np.ndarray, score_NC: np.ndarray, known_NC: np.ndarray | None = None
) -> dict[str, float | None]:
    """ROC-AUC and average precision, micro over all cells and macro over the classes where defined.

    Only known cells count; `top1` is over the samples of which all is known.
    """
    truth = truth_NC > 0.5
    known = np.ones_like(truth) if known_NC is None else known_NC
    classes = [(truth[known[:, c], c], score_NC[known[:, c], c]) for c in range(truth.shape[1])]
    per_class_roc = [roc_auc(true, score) for true, score in classes]
    per_class_pr = [average_precision(true, score) for true, score in classes if true.any()]
    whole = np.flatnonzero(known.all(axis=1))
    right = truth[whole, score_NC[whole].argmax(axis=1)]
    return {
        "roc_micro": _defined([roc_auc(truth[known], score_NC[known])]),
        "roc_macro": _defined(per_class_roc),
        "pr_micro": _defined([average_precision(truth[known], score_NC[known])]) if truth[known].any() else None,
        "pr_macro": _defined(per_class_pr),
        "top1": float(right.mean()) if len(right) else None,
    }


def _defined(values: list[float]) -> float | None:
    finite = [float(v) for v in values if v is not None and math.isfinite(v)]
    return sum(finite) / len(finite) if finite else None

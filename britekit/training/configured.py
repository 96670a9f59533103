"""Build the parts of a run as the settings say: network, augmentations, loss, sampling, averages.

Legend: N samples, C classes.
"""

import copy
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from britekit.annotations.classes import ClassInfo
from britekit.config import BaseConfig, to_dict
from britekit.config.audio import with_channels
from britekit.datasets.augmentations.registry import Chain, Fade, build_steps
from britekit.datasets.mixing import MixSettings
from britekit.datasets.per_recording import PerRecording, first_per_recording, sample_per_recording
from britekit.datasets.sampling import sample_shares
from britekit.errors import ModelError
from britekit.models.checkpoint import StoredModel, load_checkpoint, load_weights
from britekit.models.recognizer import Recognizer, build_recognizer
from britekit.training.averaging import WeightAverage
from britekit.training.confusion import ConfusionSmoothing
from britekit.training.losses import LossSettings, class_weights

log = logging.getLogger(__name__)


def make_class_weights(samples: Any, members: np.ndarray, exponent: float) -> np.ndarray:
    """Return the (C,) weights of classes over the given samples."""
    known = getattr(samples, "known", None)
    return class_weights(samples.labels[members], exponent, None if known is None else known[members])


def make_recognizer(cfg: BaseConfig, classes: Sequence[ClassInfo]) -> Recognizer:
    """Return a new network, or one that starts from ``train.load_ckpt_path``.

    The front is the checkpoint's. If the classes differ, the backbone is kept and the head is new.

    Raises `ModelError` if the backbone of the checkpoint differs.
    """
    path = cfg.train.load_ckpt_path
    if path is None:
        return build_recognizer(cfg.train, cfg.audio, len(classes))
    stored = load_checkpoint(path, without_classes=True)
    source = stored.recognizer
    if source.blueprint.model_type != cfg.train.model_type:
        raise ModelError(
            f"train.load_ckpt_path: {path} holds {source.blueprint.model_type}, but train.model_type is "
            f"{cfg.train.model_type}; make them equal"
        )
    if not stored.classes:
        _check_pretrained(stored, cfg)
    train = copy.copy(cfg.train)
    if train.front != source.blueprint.front:
        log.warning(
            "train.front %s is not used: training starts from %s, which has %s",
            train.front,
            path,
            source.blueprint.front or "none",
        )
        train.front = source.blueprint.front  # type: ignore[assignment]
    recognizer = build_recognizer(train, cfg.audio, len(classes))
    same_head = source.blueprint.head_type == cfg.train.head_type
    same_classes = [c.name for c in stored.classes] == [c.name for c in classes]
    if same_head and same_classes:
        load_weights(recognizer, source.state_dict(), path)
    else:
        _load_backbone(recognizer, source, path)
        if stored.classes:
            log.warning(
                "train.load_ckpt_path: the backbone is kept, the head is new (%s)",
                "other classes" if same_head else "another head",
            )
    if cfg.train.freeze_backbone:
        recognizer.freeze_backbone()
    return recognizer


def _check_pretrained(stored: StoredModel, cfg: BaseConfig) -> None:
    """Raise if a pre-trained backbone saw other spectrograms than those to train with."""
    made_with = {
        **to_dict(BaseConfig())["audio"],
        **with_channels(stored.training_cfg["audio"]),
        "front": stored.recognizer.blueprint.front,
    }
    wanted = {**to_dict(cfg)["audio"], "front": cfg.train.front}
    differing = [
        f"{'train' if name == 'front' else 'audio'}.{name} {made_with.get(name)} (now {value})"
        for name, value in wanted.items()
        if made_with.get(name) != value
    ]
    if differing:
        raise ModelError(
            f"train.load_ckpt_path: {stored.path} was pre-trained with {', '.join(differing)}; use those settings, or "
            "pre-train again"
        )


def _load_backbone(recognizer: Recognizer, source: Recognizer, path: str) -> None:
    if recognizer.front is not None and source.front is not None:
        load_weights(recognizer.front, source.front.state_dict(), path)
    own = recognizer.backbone.state_dict()
    given = source.backbone.state_dict()
    if getattr(recognizer.backbone, "keep_raw", False) or getattr(source.backbone, "keep_raw", False):
        # timm's own classifier is part of the backbone: weights that do not fit belong to the new head.
        given = {n: v for n, v in given.items() if n in own and own[n].shape == v.shape}
        given = {**own, **given}
    load_weights(recognizer.backbone, given, path)


def make_chain(cfg: BaseConfig) -> Chain | None:
    """Return the configured augmentations, or None with ``train.augment`` off."""
    train = cfg.train
    if not train.augment:
        return None
    steps = build_steps(train.augmentations, cfg.audio.spec_height, cfg.audio.spec_width)
    return Chain(steps, Fade(train.prob_fade1, train.min_fade1, train.max_fade1), train.max_augmentations)


def make_mixing(cfg: BaseConfig) -> MixSettings:
    """Return the configured chances of mixing; merging needs multi-label targets."""
    train = cfg.train
    if not train.augment:
        return MixSettings()
    merge = train.prob_simple_merge if train.multi_label else 0.0
    return MixSettings(merge, train.prob_mixup, train.prob_cutmix, train.mixup_alpha, train.mix_sources)


def loss_settings(cfg: BaseConfig) -> LossSettings:
    """Return the configured loss."""
    train = cfg.train
    return LossSettings(
        train.multi_label,
        train.pos_label_smoothing,
        train.neg_label_smoothing,
        train.frame_loss_weight,
        train.offpeak_weight,
        train.loss,
        train.focal_gamma,
        train.asymmetric_gamma,
        train.asymmetric_margin,
        train.soft_auc_weight,
    )


def make_average(recognizer: Recognizer, cfg: BaseConfig, epochs: int) -> WeightAverage | None:
    """Return the configured average of weights, or None."""
    train = cfg.train
    if train.ema_decay > 0:
        return WeightAverage(recognizer, train.ema_decay)
    if train.swa_portion > 0:
        return WeightAverage(recognizer, swa_from=min(epochs - 1, round((1.0 - train.swa_portion) * epochs)))
    return None


def make_confusion(cfg: BaseConfig, classes: int, device: torch.device) -> ConfusionSmoothing | None:
    """Return the configured smoothing by class confusion, or None."""
    if cfg.train.confusion_smoothing == 0:
        return None
    return ConfusionSmoothing(classes, cfg.train.confusion_smoothing, cfg.train.multi_label).to(device)


def make_order(samples: Any, members: np.ndarray, cfg: BaseConfig) -> np.ndarray | None:
    """Return how often each training sample is wanted relative to the others, as configured; None for all alike."""
    if cfg.train.sampling == "all":
        return None
    recordings = samples.group_ids if samples.recording_ids is None else samples.recording_ids
    return sample_shares(samples.labels[members], recordings[members], cfg.train.sampling)


def noise_index(classes: Sequence[ClassInfo], name: str) -> int | None:
    """Return the column of the noise class, or None."""
    return next((i for i, c in enumerate(classes) if c.name == name), None)


def make_sampler(cfg: BaseConfig, samples: Any, members: np.ndarray) -> PerRecording | None:
    """Return what chooses training spectrograms per recording in each epoch; None takes all."""
    train = cfg.train
    if train.max_per_recording is None:
        return None
    recordings = None if samples.recording_ids is None else samples.recording_ids[members]
    names = [info.name for info in samples.classes]
    return sample_per_recording(
        recordings, samples.labels[members], train.max_per_recording, train.max_per_recording_min_recordings, names
    )


def judged(cfg: BaseConfig, samples: Any, held_out: np.ndarray) -> np.ndarray:
    """Return the held-out spectrograms that are scored: all, or the first ones of each recording."""
    most = cfg.train.val_max_per_recording
    if most is None or not len(held_out):
        return held_out
    recordings = None if samples.recording_ids is None else samples.recording_ids[held_out]
    return held_out[first_per_recording(recordings, most)]


def as_index(values: np.ndarray) -> torch.Tensor:
    """Return indices as a tensor."""
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.int64))

"""`load_new_model` and `load_from_checkpoint`: a network by itself, for scripts."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.special import expit, softmax
from torch import nn

from britekit.annotations.classes import ClassInfo
from britekit.config import get_config
from britekit.config.audio import with_channels
from britekit.models.checkpoint import load_checkpoint
from britekit.models.recognizer import Recognizer, build_recognizer


class Model(nn.Module):
    """A network with its classes.

    Attributes
    ----------
    recognizer, backbone, head
        The network, whole and in parts.
    train_class_names, train_class_codes, train_class_alt_names, train_class_alt_codes
        Of the classes, in the order of the scores.
    multi_label
        Scores are a sigmoid; otherwise a softmax.
    training_cfg, identifier, training_date
        Of the checkpoint; empty for a new network.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        classes: Sequence[ClassInfo],
        multi_label: bool,
        num_train_specs: int = 0,
        training_cfg: dict[str, Any] | None = None,
        identifier: str = "",
        training_date: str | None = None,
    ) -> None:
        super().__init__()
        self.recognizer = recognizer
        self.train_class_names = [info.name for info in classes]
        self.train_class_codes = [info.code for info in classes]
        self.train_class_alt_names = [info.alt_name for info in classes]
        self.train_class_alt_codes = [info.alt_code for info in classes]
        self.num_classes, self.num_train_specs, self.multi_label = len(classes), num_train_specs, multi_label
        self.model_type, self.head_type = recognizer.blueprint.model_type, recognizer.blueprint.head_type
        self.training_cfg = training_cfg or {}
        self.identifier, self.training_date = identifier, training_date

    @property
    def backbone(self) -> nn.Module:
        """The part that makes features of a spectrogram."""
        return self.recognizer.backbone

    @property
    def head(self) -> nn.Module:
        """The part that makes scores of features."""
        return self.recognizer.head

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the logits of spectrograms (N, 1, H, W): (N, C), and (N, C, T) or None."""
        found: tuple[torch.Tensor, torch.Tensor | None] = self.recognizer(x)
        return found

    def predict(self, x: torch.Tensor | np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return scores of spectrograms (N, 1, H, W) as they are: (N, C), and (N, C, T) or None."""
        infer = get_config().infer
        with torch.inference_mode():
            segment, frames = self(torch.as_tensor(x))
        scaling = (infer.scaling_coefficient, infer.scaling_intercept)
        return self._scores(segment, scaling), None if frames is None else self._scores(frames, scaling)

    def _scores(self, logits: torch.Tensor, scaling: tuple[float, float]) -> np.ndarray:
        values = logits.numpy(force=True)
        scores: np.ndarray
        if self.multi_label:
            scores = expit(np.float32(scaling[0]) * values + np.float32(scaling[1]))
        else:
            scores = softmax(values, axis=1)
        return scores

    def get_embeddings(self, x: torch.Tensor | np.ndarray) -> np.ndarray:
        """Return the features of spectrograms (N, 1, H, W), averaged over frequency and time, (N, F)."""
        with torch.inference_mode():
            return self.recognizer.embed(torch.as_tensor(x)).numpy(force=True)

    def freeze_backbone(self) -> None:
        """Train the head only."""
        self.recognizer.freeze_backbone()


def load_new_model(
    train_class_names: Sequence[str],
    train_class_codes: Sequence[str],
    train_class_alt_names: Sequence[str],
    train_class_alt_codes: Sequence[str],
    num_train_specs: int,
) -> Model:
    """Return a network with fresh weights, as the settings of `get_config()` describe it.

    Raises
    ------
    ModelError
        Unknown model or head, or values that do not go together.
    """
    cfg = get_config()
    columns = zip(train_class_names, train_class_codes, train_class_alt_names, train_class_alt_codes, strict=True)
    classes = [ClassInfo(*(str(value or "") for value in row)) for row in columns]
    recognizer = build_recognizer(cfg.train, cfg.audio, len(classes))
    return Model(recognizer, classes, cfg.train.multi_label, num_train_specs)


def load_from_checkpoint(
    checkpoint_path: str | os.PathLike[str], multi_label: bool | None = None, apply_training_config: bool = True
) -> Model:
    """Return the network of a checkpoint, ours or one of public britekit, in evaluation mode.

    Parameters
    ----------
    multi_label
        Instead of what it was trained for.
    apply_training_config
        Also put its audio settings into `get_config()`, as there.

    Raises
    ------
    ModelError
        The checkpoint is missing, damaged, or does not fit the network it names.
    """
    stored = load_checkpoint(os.fspath(checkpoint_path))
    if apply_training_config:
        audio = get_config().audio
        known = {field.name for field in dataclasses.fields(audio)}
        for name, value in with_channels(stored.training_cfg.get("audio", {})).items():
            if name in known:
                setattr(audio, name, value)
    return Model(
        stored.recognizer,
        stored.classes,
        stored.multi_label if multi_label is None else multi_label,
        int(stored.hyper_parameters.get("num_train_specs", 0)),
        stored.training_cfg,
        stored.identifier,
        stored.training_date,
    )

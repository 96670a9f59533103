"""The network that `load_new_model` and `load_from_checkpoint` return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.special import expit, softmax
from torch import nn

from britekit.annotations.classes import ClassInfo
from britekit.config import get_config
from britekit.models.recognizer import Recognizer


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

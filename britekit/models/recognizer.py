"""A backbone with its head, built from plain values.

Legend: B batch, F feature channels, H rows, W columns, T frames, C classes.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from britekit.models.fronts import build_front
from britekit.models.options import Blueprint
from britekit.models.registry import find_backbone, find_head

if TYPE_CHECKING:
    from britekit.config import AudioConfig, TrainConfig


class Recognizer(nn.Module):
    """Backbone and head; weights are named ``backbone.*`` and ``head.*``, those of a learned layer before, ``front.*``.

    Attributes
    ----------
    blueprint
        The plain values it was built from.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module, blueprint: Blueprint, front: nn.Module | None = None):
        super().__init__()
        self.front = front
        self.backbone = backbone
        self.head = head
        self.blueprint = blueprint
        self.backbone_frozen = False

    def forward(self, x_B1HW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Segment logits (B, C) and frame logits (B, C, T), or None where the head gives none."""
        return self.head(self.features(x_B1HW))

    def features(self, x_B1HW: torch.Tensor) -> torch.Tensor:
        """Return the output of the backbone."""
        return self.backbone(x_B1HW if self.front is None else self.front(x_B1HW))

    def embed(self, x_B1HW: torch.Tensor) -> torch.Tensor:
        """Backbone features averaged over frequency and time, (B, F)."""
        return self._averaged(self.features(x_B1HW))

    def feature_map(self, x_B1HW: torch.Tensor) -> torch.Tensor:
        """Return the features as a map (B, F, h, t), whatever order the backbone has."""
        return self._as_map(self.features(x_B1HW))

    def forward_and_embed(self, x_B1HW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
        """Return the output of `forward` and the embedding, with one pass through the backbone."""
        features = self.features(x_B1HW)
        segment, frames = self.head(features)
        return segment, frames, self._averaged(features)

    def _averaged(self, features: torch.Tensor) -> torch.Tensor:
        return self._as_map(features).mean((2, 3))

    def _as_map(self, features: torch.Tensor) -> torch.Tensor:
        to_map = getattr(self.backbone, "to_map", None)
        if to_map is not None and getattr(self.backbone, "keep_raw", False):
            features = to_map(features)
        return features

    def freeze_backbone(self) -> None:
        """Train the head only; the backbone's batch-norm statistics stay as they are too."""
        self.backbone_frozen = True
        self.backbone.requires_grad_(False)
        if self.front is not None:
            self.front.requires_grad_(False)
        model = getattr(self.backbone, "model", None)
        if getattr(self.backbone, "keep_raw", False) and model is not None:
            model.get_classifier().requires_grad_(True)  # timm's own head lives in the backbone
        self.train(self.training)

    def train(self, mode: bool = True) -> "Recognizer":
        """Switch between training and evaluation; a frozen backbone stays in evaluation."""
        super().train(mode)
        if self.backbone_frozen:
            self.backbone.eval()
            if self.front is not None:
                self.front.eval()
        return self


def build(blueprint: Blueprint) -> Recognizer:
    """Network with fresh weights.

    Raises `ModelError` if unknown model, size or head, or values that do not go together.
    """
    module, size = find_backbone(blueprint.model_type)
    backbone = module.build(size, blueprint)
    front = None if blueprint.front is None else build_front(blueprint.front, blueprint.height)
    if not blueprint.num_classes:
        return Recognizer(backbone, nn.Identity(), blueprint, front)  # pre-trained: there is nothing to score yet
    head_type = blueprint.head_type or module.DEFAULT_HEAD
    if head_type is None:
        return Recognizer(backbone, module.own_head(backbone), blueprint, front)
    options = blueprint
    if blueprint.head_type is None and module.DEFAULT_HIDDEN is not None:
        options = replace(blueprint, hidden_channels=module.DEFAULT_HIDDEN)
    head = find_head(head_type).build(int(backbone.num_features), blueprint.num_classes, options)
    return Recognizer(backbone, head, blueprint, front)


def build_recognizer(train: "TrainConfig", audio: "AudioConfig", num_classes: int) -> Recognizer:
    """Network with fresh weights as configured; see `build`."""
    return build(
        Blueprint(
            model_type=train.model_type,
            head_type=train.head_type,
            num_classes=num_classes,
            height=audio.spec_height,
            width=audio.spec_width,
            frames=frame_count(train.sed_fps, audio.spec_duration),
            hidden_channels=train.hidden_channels,
            drop_rate=train.drop_rate,
            drop_path_rate=train.drop_path_rate,
            pretrained=train.pretrained,
            lse_temp=train.lse_temp,
            two_way=train.two_way,
            front=train.front,
        )
    )


def frame_count(sed_fps: int, duration_s: float) -> int:
    """T = round(sed_fps * duration), at least one."""
    return max(1, round(sed_fps * duration_s))

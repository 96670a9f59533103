"""Sound event detection with smooth maximum pooling over time.

The segment logit is the log-mean-exp of the frame logits at a temperature: between their mean (high
temperature) and their maximum (low); after Pinheiro and Collobert, CVPR 2015.
"""

import torch
from torch import nn

from britekit.errors import ModelError
from britekit.models.heads.basic_sed import stretch
from britekit.models.options import Blueprint

IS_SED = True


class TemporalSedHead(nn.Module):
    """Frame logits from a convolution in one or both time directions, pooled by log-mean-exp."""

    def __init__(self, num_features: int, num_classes: int, options: Blueprint):
        super().__init__()
        hidden = options.hidden_channels
        self.frames = options.frames
        self.temperature = options.lse_temp
        self.two_way = options.two_way
        self.reduce = nn.Sequential(
            nn.Conv1d(num_features, hidden, 1, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True)
        )
        width = hidden // 2 if self.two_way else hidden
        self.forward_conv = nn.Conv1d(hidden, width, 3, padding=1, bias=False)
        self.backward_conv: nn.Conv1d | None = None
        if self.two_way:
            self.backward_conv = nn.Conv1d(hidden, hidden - width, 3, padding=1, bias=False)
        self.after = nn.Sequential(nn.BatchNorm1d(hidden), nn.ReLU(inplace=True), nn.Dropout(options.drop_rate or 0.0))
        self.classify = nn.Conv1d(hidden, num_classes, 1)

    def forward(self, x_BFHT: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Segment logits (B, C) and frame logits (B, C, T)."""
        hidden = self.reduce(x_BFHT.mean(2))
        out = self.forward_conv(hidden)
        if self.backward_conv is not None:
            out = torch.cat([out, self.backward_conv(hidden.flip(2)).flip(2)], 1)
        frames = self.classify(self.after(out))
        # Not torch.logsumexp: PyTorch's exporter loses its axis.
        sharpened = frames / self.temperature
        top = sharpened.detach().amax(2, keepdim=True)
        pooled = (sharpened - top).exp().mean(2).log() + top.squeeze(2)
        return self.temperature * pooled, stretch(frames, self.frames)


def build(num_features: int, num_classes: int, options: Blueprint) -> nn.Module:
    """Head for features of ``num_features`` channels.

    Raises
    ------
    ModelError
        Too few hidden channels for two directions.
    """
    if options.two_way and options.hidden_channels < 2:
        raise ModelError(
            f"train.hidden_channels is {options.hidden_channels}; temporal_sed with train.two_way needs two"
        )
    return TemporalSedHead(num_features, num_classes, options)

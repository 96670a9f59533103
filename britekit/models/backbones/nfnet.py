"""Normalizer-free networks with channel attention, 0.1 to 5.3 million parameters.

Brock et al., "High-Performance Large-Scale Image Recognition Without Normalization", ICML 2021, scaled down; no batch
norm, so small batches train as large ones do. Blocks: timm's NormFreeNet. Output stride 32.
"""

from typing import NamedTuple

import torch
from timm.models.nfnet import NfCfg, NormFreeNet
from torch import nn

from britekit.models.options import Blueprint

DEFAULT_HEAD = "basic"
DEFAULT_HIDDEN: int | None = None


class Size(NamedTuple):
    """Blocks and channels of the four stages, channels of the stem and of the features."""

    depths: tuple[int, int, int, int]
    channels: tuple[int, int, int, int]
    stem: int
    features: int


SIZES = {
    "1": Size((1, 1, 2, 1), (40, 80, 120, 160), 32, 240),
    "2": Size((1, 2, 2, 1), (48, 96, 160, 224), 32, 336),
    "3": Size((1, 2, 3, 1), (64, 128, 224, 320), 40, 480),
    "4": Size((1, 2, 4, 1), (88, 176, 320, 464), 56, 640),
    "5": Size((1, 3, 5, 2), (96, 192, 384, 576), 56, 768),
    "6": Size((1, 3, 6, 2), (120, 240, 464, 688), 72, 896),
    "7": Size((1, 3, 7, 2), (136, 272, 528, 784), 80, 1024),
    "8": Size((1, 4, 8, 2), (144, 288, 576, 864), 88, 1152),
    "9": Size((1, 4, 9, 2), (160, 320, 640, 960), 96, 1280),
}


class _Features(nn.Module):
    """The network up to its features."""

    def __init__(self, network: nn.Module, num_features: int) -> None:
        super().__init__()
        self.stem, self.stages = network.stem, network.stages
        self.final_conv, self.final_act = network.final_conv, network.final_act
        self.num_features = num_features

    def forward(self, x_B1HW: torch.Tensor) -> torch.Tensor:
        """Features (B, F, h, T)."""
        return self.final_act(self.final_conv(self.stages(self.stem(x_B1HW))))


def build(size: str, options: Blueprint) -> nn.Module:
    """Backbone of one size; features (B, F, about H/32, about W/32)."""
    wanted = SIZES[size]
    settings = NfCfg(
        depths=wanted.depths,
        channels=wanted.channels,
        stem_type="3x3",
        stem_chs=wanted.stem,
        group_size=8,
        bottle_ratio=0.25,
        extra_conv=True,
        num_features=wanted.features,
        act_layer="silu",
        attn_layer="eca",
        attn_kwargs={},
    )
    whole = NormFreeNet(settings, in_chans=1, num_classes=0, drop_path_rate=options.drop_path_rate or 0.0)
    return _Features(whole, wanted.features)

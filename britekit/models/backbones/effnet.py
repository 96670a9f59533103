"""EfficientNetV2-S, scaled down to 0.4 to 8 million parameters.

Tan and Le, "EfficientNetV2: Smaller Models and Faster Training", ICML 2021, table 4.  Blocks: timm's
EfficientNet builder.  Output stride 32.
"""

from collections import OrderedDict
from functools import partial

from timm.layers import BatchNormAct2d
from timm.models._efficientnet_blocks import SqueezeExcite
from timm.models._efficientnet_builder import (
    EfficientNetBuilder,
    decode_arch_def,
    efficientnet_init_weights,
    round_channels,
)
from torch import nn

from britekit.models.options import Blueprint

DEFAULT_HEAD = "basic"
DEFAULT_HIDDEN: int | None = None

# timm's notation: r repeats, k kernel, s stride, e expansion, c channels.
_STAGES = [
    ["cn_r2_k3_s1_e1_c24_skip"],
    ["er_r4_k3_s2_e4_c48"],
    ["er_r4_k3_s2_e4_c64"],
    ["ir_r6_k3_s2_e4_c128_se0.25"],
    ["ir_r9_k3_s1_e6_c160_se0.25"],
    ["ir_r15_k3_s2_e6_c256_se0.25"],
]

# size: (channel multiplier, layer multiplier)
SIZES = {
    "1": (0.25, 0.26),
    "2": (0.30, 0.30),
    "3": (0.40, 0.40),
    "4": (0.42, 0.51),
    "5": (0.48, 0.58),
    "6": (0.54, 0.60),
    "7": (0.60, 0.60),
    "8": (0.65, 0.60),
    "9": (0.64, 0.70),
    "10": (0.70, 0.70),
    "11": (0.70, 0.80),
}


def build(size: str, options: Blueprint) -> nn.Module:
    """Backbone of one size; features (B, F, ceil(H/32), ceil(W/32))."""
    width_factor, depth_factor = SIZES[size]
    scaled = partial(round_channels, multiplier=width_factor)
    stem = scaled(24)
    builder = EfficientNetBuilder(
        round_chs_fn=scaled,
        act_layer=nn.SiLU,
        norm_layer=nn.BatchNorm2d,
        se_layer=SqueezeExcite,
        drop_path_rate=options.drop_path_rate or 0.0,
    )
    stages = builder(stem, decode_arch_def(_STAGES, depth_multiplier=depth_factor))
    features = scaled(1280)
    model = nn.Sequential(
        OrderedDict(
            stem=_conv(1, stem, kernel=3, stride=2),
            stages=nn.Sequential(*stages),
            final=_conv(builder.in_chs, features, kernel=1, stride=1),
        )
    )
    efficientnet_init_weights(model)
    model.num_features = features  # type: ignore[assignment]
    return model


def _conv(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        BatchNormAct2d(outputs, act_layer=nn.SiLU),
    )

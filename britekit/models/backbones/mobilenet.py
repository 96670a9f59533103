"""MobileNetV4, hybrid, scaled down to 1 to 6 million parameters.

Qin et al., "MobileNetV4: Universal Models for the Mobile Ecosystem", ECCV 2024: inverted bottlenecks with optional
depthwise convolutions before and inside, and attention over the map in the last stage; its medium hybrid with two of
the eight attention blocks. Blocks: timm's. Output stride 32.
"""

from functools import partial

from timm.models._efficientnet_builder import decode_arch_def, round_channels
from timm.models.mobilenetv3 import MobileNetV3
from torch import nn

from britekit.models.backbones.timm_ import TimmBackbone, own_head
from britekit.models.options import Blueprint

__all__ = ["build", "own_head"]

DEFAULT_HEAD = None
DEFAULT_HIDDEN: int | None = None

# timm's notation: a kernel of the first and k of the middle depthwise convolution, e expansion, c channels.
_ATTENTION = "mqa_r1_k3_h4_s1_d64_c256"
_STAGES = [
    ["er_r1_k3_s2_e4_c48"],
    ["uir_r1_a3_k5_s2_e4_c80", "uir_r1_a3_k3_s1_e2_c80"],
    [
        "uir_r1_a3_k5_s2_e6_c160", "uir_r1_a0_k0_s1_e2_c160", "uir_r1_a3_k3_s1_e4_c160", "uir_r1_a3_k5_s1_e4_c160",
        "uir_r1_a3_k3_s1_e4_c160", "uir_r1_a3_k0_s1_e4_c160", "uir_r1_a3_k3_s1_e4_c160", "uir_r1_a3_k0_s1_e4_c160",
    ],
    [
        "uir_r1_a5_k5_s2_e6_c256", "uir_r1_a5_k5_s1_e4_c256", "uir_r2_a3_k5_s1_e4_c256", "uir_r1_a0_k0_s1_e2_c256",
        "uir_r1_a3_k5_s1_e2_c256", "uir_r1_a0_k0_s1_e2_c256", "uir_r1_a0_k0_s1_e4_c256", "uir_r1_a3_k0_s1_e4_c256",
        "uir_r1_a5_k5_s1_e4_c256", _ATTENTION, "uir_r1_a5_k0_s1_e4_c256", _ATTENTION, "uir_r1_a5_k0_s1_e4_c256",
    ],
    ["cn_r1_k1_s1_c960"],
]  # fmt: skip

# size: channel multiplier; stem and features keep theirs
SIZES = {"1": 0.26, "2": 0.42, "3": 0.52, "4": 0.63, "5": 0.71, "6": 0.79}


def build(size: str, options: Blueprint) -> nn.Module:
    """Backbone of one size; features (B, 1280, ceil(H/32), ceil(W/32))."""
    own = options.head_type is None
    whole = MobileNetV3(
        decode_arch_def(_STAGES),
        num_classes=options.num_classes if own else 0,
        in_chans=1,
        stem_size=32,
        fix_stem=True,
        num_features=1280,
        head_bias=False,
        head_norm=True,
        act_layer=nn.ReLU,
        norm_layer=nn.BatchNorm2d,
        round_chs_fn=partial(round_channels, multiplier=SIZES[size]),
        drop_rate=options.drop_rate or 0.0,
        drop_path_rate=options.drop_path_rate or 0.0,
        layer_scale_init_value=1e-5,
        global_pool="avg" if own else "",
    )
    return TimmBackbone(whole, own, (options.height, options.width), through_head=not own)

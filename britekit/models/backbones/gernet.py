"""GENet-small, scaled to 0.3 to 6.3 million parameters.

Lin et al., "Neural Architecture Design for GPU-Efficient Networks", arXiv:2006.14090: full convolutions where
channels are few, bottlenecks in the middle, depthwise ones at the end. Blocks: timm's ByobNet. Output stride
32, except size 1 with 16.
"""

from collections import OrderedDict
from typing import NamedTuple

from timm.models.byobnet import ByoBlockCfg, ByobNet, ByoModelCfg
from torch import nn

from britekit.models.options import Blueprint

DEFAULT_HEAD = "basic"
DEFAULT_HIDDEN: int | None = None


class Size(NamedTuple):
    """Blocks and channels of stage A, channels of stage B (None: no such stage) and of stage E."""

    blocks_a: int
    channels_a: int
    channels_b: int | None
    channels_e: int


SIZES = {
    "1": Size(3, 64, None, 64),
    "2": Size(3, 64, 128, 64),
    "3": Size(3, 128, 128, 128),
    "4": Size(3, 128, 256, 128),
    "5": Size(3, 192, 344, 192),
    "6": Size(3, 256, 384, 256),
    "7": Size(7, 320, 440, 256),
    "8": Size(7, 348, 512, 256),
    "9": Size(7, 384, 560, 256),
}
_STEM, _BASIC, _FEATURES = 13, 48, 1920


def build(size: str, options: Blueprint) -> nn.Module:
    """Backbone of one size; features (B, 1920, ceil(H/32), ceil(W/32)), of size 1 H/16 and W/16."""
    wanted = SIZES[size]
    stages = [
        ByoBlockCfg("basic", d=1, c=_BASIC, s=2, gs=0, br=1.0),
        ByoBlockCfg("basic", d=3, c=_BASIC, s=2, gs=0, br=1.0),
        ByoBlockCfg("bottle", d=wanted.blocks_a, c=wanted.channels_a, s=2, gs=0, br=0.25),
    ]
    if wanted.channels_b is not None:
        stages.append(ByoBlockCfg("bottle", d=2, c=wanted.channels_b, s=2, gs=1, br=3.0))
    stages.append(ByoBlockCfg("bottle", d=1, c=wanted.channels_e, s=1, gs=1, br=3.0))
    whole = ByobNet(
        # timm's notation: a stem without a pool is the empty text.
        ByoModelCfg(blocks=tuple(stages), stem_chs=_STEM, stem_pool="", num_features=_FEATURES),
        in_chans=1,
        num_classes=0,
        drop_path_rate=options.drop_path_rate or 0.0,
    )
    model = nn.Sequential(OrderedDict(stem=whole.stem, stages=whole.stages, final=whole.final_conv))
    model.num_features = _FEATURES  # type: ignore[assignment]
    return model

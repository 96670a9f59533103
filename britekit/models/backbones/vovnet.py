"""VoVNetV2, scaled down to 0.2 to 8.6 million parameters.

Lee and Park, "CenterMask: Real-Time Anchor-Free Instance Segmentation", CVPR 2020, after Lee et al., "An
Energy and GPU-Computation Efficient Backbone Network", CVPRW 2019: each block joins the outputs of its layers
once. Blocks: timm's VovNet. Output stride 32.
"""

from collections import OrderedDict
from typing import NamedTuple

from timm.models.vovnet import OsaBlock, VovNet
from torch import nn

from britekit.models.options import Blueprint

DEFAULT_HEAD = "basic"
DEFAULT_HIDDEN: int | None = None


class Size(NamedTuple):
    """Channels of the stages' layers and outputs, layers per block, blocks per stage, and what varies."""

    layers: tuple[int, int, int, int]
    outputs: tuple[int, int, int, int]
    layers_per_block: int
    blocks: tuple[int, int, int, int]
    attention: str = "eca"
    stem_end: int = 48
    depthwise: bool = False


_LARGE = ((128, 160, 192, 224), (128, 208, 288, 368), 2)

SIZES = {
    "1": Size((64, 96, 128, 160), (64, 96, 128, 160), 1, (1, 1, 1, 1), stem_end=32, depthwise=True),
    "2": Size((96, 128, 160, 192), (96, 128, 160, 192), 1, (1, 2, 1, 1), stem_end=32, depthwise=True),
    "3": Size((72, 104, 136, 168), (80, 120, 168, 208), 1, (1, 2, 1, 1), stem_end=32),
    "4": Size((80, 112, 144, 176), (96, 144, 192, 224), 1, (1, 2, 1, 1)),
    "5": Size((64, 88, 120, 152), (80, 120, 168, 216), 2, (1, 2, 2, 1)),
    "6": Size((72, 104, 136, 168), (88, 136, 192, 248), 2, (1, 2, 2, 1)),
    "7": Size((80, 112, 144, 176), (96, 160, 224, 288), 2, (1, 2, 2, 1)),
    "8": Size((96, 128, 160, 192), (112, 176, 240, 304), 2, (1, 2, 2, 1)),
    "9": Size((112, 144, 176, 208), (112, 192, 272, 352), 2, (1, 2, 2, 1)),
    "10": Size(*_LARGE, (1, 2, 2, 1), "se"),
    "11": Size(*_LARGE, (1, 3, 2, 1), "se"),
    "12": Size(*_LARGE, (1, 2, 3, 1), "se"),
    "13": Size(*_LARGE, (1, 3, 3, 1), "se"),
    "14": Size(*_LARGE, (1, 2, 3, 2), "se"),
    "15": Size((144, 176, 208, 240), (144, 224, 320, 416), 2, (1, 2, 3, 2), "gc"),
}


def build(size: str, options: Blueprint) -> nn.Module:
    """Backbone of one size; features (B, F, about H/32, about W/32)."""
    wanted = SIZES[size]
    whole = VovNet(
        {
            "stem_chs": [32, 32, wanted.stem_end],
            "stage_conv_chs": list(wanted.layers),
            "stage_out_chs": list(wanted.outputs),
            "layer_per_block": wanted.layers_per_block,
            "block_per_stage": list(wanted.blocks),
            "residual": True,
            "depthwise": wanted.depthwise,
            "attn": wanted.attention,
        },
        in_chans=1,
        num_classes=0,
        drop_path_rate=options.drop_path_rate or 0.0,
    )
    model = nn.Sequential(OrderedDict(stem=whole.stem, stages=whole.stages))
    for module in model.modules():
        if isinstance(module, OsaBlock) and not module.residual:
            module.drop_path = None  # there is nothing beside this path: a sample without it would be zero
    _fit_pools(whole.stages, options.height, options.width)
    model.num_features = wanted.outputs[-1]  # type: ignore[assignment]
    return model


def _fit_pools(stages: nn.Sequential, height: int, width: int) -> None:
    """Let the pools between stages take maps of a single row or column, as small spectrograms leave them."""
    rows, columns = -(-height // 4), -(-width // 4)
    for stage in stages:
        if stage.pool is not None:
            stage.pool.kernel_size = (min(3, rows), min(3, columns))
            rows, columns = (max(1, (size - 2) // 2 + 1) for size in (rows, columns))

"""GENet of public britekit's proportions, 0.6 to 13.4 million parameters.

Lin et al., "Neural Architecture Design for GPU-Efficient Networks", arXiv:2006.14090, as ``gernet``, with wider
stages. Blocks: timm's ByobNet. Output stride 32.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

from timm.models import byobnet
from timm.models.byobnet import ByoBlockCfg, ByobNet, ByoModelCfg
from torch import nn

from britekit.models.options import Blueprint

DEFAULT_HEAD = "basic"
DEFAULT_HIDDEN: int | None = None


class Size(NamedTuple):
    """Channels of the stem, the basic stages, and inside and after bottlenecks; blocks per stage; features."""

    stem: int
    basic: int
    bottle: tuple[int, int]
    deep: tuple[int, int]
    last: tuple[int, int]
    features: int = 1920
    blocks: tuple[int, int, int] = (3, 3, 3)


SIZES = {
    "1": Size(13, 32, (32, 112), (704, 176), (352, 112), 1024, (2, 2, 1)),
    "2": Size(16, 40, (48, 176), (960, 256), (480, 160), 1536, (3, 3, 2)),
    "3": Size(13, 48, (64, 256), (1152, 384), (576, 224), blocks=(3, 3, 2)),
    "4": Size(20, 56, (72, 288), (1296, 432), (640, 256), blocks=(3, 3, 2)),
    "5": Size(24, 64, (96, 320), (1408, 448), (704, 272), blocks=(3, 3, 2)),
    "6": Size(24, 64, (96, 320), (1356, 452), (678, 272)),
    "7": Size(24, 64, (96, 320), (1392, 464), (696, 280)),
    "8": Size(24, 64, (96, 320), (1440, 480), (720, 288)),
    "9": Size(24, 64, (104, 352), (1488, 496), (744, 304), 2048),
    "10": Size(28, 72, (112, 384), (1584, 528), (792, 320), 2048),
    "11": Size(28, 72, (120, 416), (1680, 560), (840, 344), 2048),
    "12": Size(32, 80, (128, 448), (1776, 592), (888, 368), 2176),
    "13": Size(32, 80, (136, 480), (1872, 624), (936, 392), 2304),
    "14": Size(32, 88, (144, 512), (1968, 656), (984, 416), 2432),
    "15": Size(36, 96, (152, 544), (2064, 688), (1032, 440), 2560, (3, 4, 3)),
}


def build(size: str, options: Blueprint) -> nn.Module:
    """Backbone of one size; features (B, F, ceil(H/32), ceil(W/32))."""
    wanted = SIZES[size]
    second, third, fourth = wanted.blocks
    stages = (
        ByoBlockCfg("basic", d=1, c=wanted.basic, s=2, gs=0, br=1.0),
        ByoBlockCfg("basic", d=second, c=wanted.basic, s=2, gs=0, br=1.0),
        _bottle(third, wanted.bottle, 2, 0),
        _bottle(fourth, wanted.deep, 2, 1),
        _bottle(1, wanted.last, 1, 1),
    )
    model_cfg = ByoModelCfg(blocks=stages, stem_chs=wanted.stem, stem_pool="", num_features=wanted.features)
    with _exact_channels() if options.as_public else nullcontext():
        whole = ByobNet(model_cfg, in_chans=1, num_classes=0, drop_path_rate=options.drop_path_rate or 0.0)
    model = nn.Sequential(OrderedDict(stem=whole.stem, stages=whole.stages, final=whole.final_conv))
    model.num_features = wanted.features  # type: ignore[assignment]
    return model


@contextmanager
def _exact_channels() -> Iterator[None]:
    """Keep timm from rounding channels to multiples of 8: bknet.6 of public britekit has 452, 678 and 1356."""
    rounding = byobnet.make_divisible
    byobnet.make_divisible = lambda channels, *_: round(channels)
    try:
        yield
    finally:
        byobnet.make_divisible = rounding


def _bottle(blocks: int, channels: tuple[int, int], stride: int, group: int) -> ByoBlockCfg:
    inside, after = channels
    return ByoBlockCfg("bottle", d=blocks, c=after, s=stride, gs=group, br=inside / after)

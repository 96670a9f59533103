"""PP-HGNetV2, 0.1 to 7.5 million parameters and a head of 0.4 to 3.3 million.

PaddleClas, "PP-HGNetV2", https://github.com/PaddlePaddle/PaddleClas: blocks that join the outputs of all
their layers and squeeze them in two steps. Blocks: timm's HighPerfGpuNet. Output stride 32.
"""

from collections import OrderedDict
from typing import NamedTuple

from timm.models.hgnet import HighPerfGpuBlock, HighPerfGpuNet
from torch import nn

from britekit.models.options import Blueprint

DEFAULT_HEAD = "hgnet"
DEFAULT_HIDDEN: int | None = 2048

_Four = tuple[int, int, int, int]


class Size(NamedTuple):
    """Channels of the stem, channels in and after each stage, layers per block, and what varies."""

    stem: tuple[int, int]
    inside: _Four
    outputs: _Four
    layers: _Four
    kernels: _Four = (3, 3, 5, 5)
    blocks: _Four = (1, 1, 1, 1)
    # Stages whose layers are a 1x1 and a depthwise convolution; the others have full ones.
    light: tuple[bool, bool, bool, bool] = (True, True, True, True)


_HALF_LIGHT = (False, False, True, True)

SIZES = {
    "1": Size((16, 24), (24, 32, 48, 64), (48, 96, 96, 128), (2, 2, 2, 2)),
    "2": Size((24, 32), (32, 48, 80, 96), (64, 128, 160, 192), (2, 2, 3, 3)),
    "3": Size((24, 40), (48, 64, 96, 160), (96, 160, 256, 320), (2, 3, 3, 3)),
    "4": Size((32, 48), (64, 80, 128, 192), (128, 192, 320, 416), (2, 3, 3, 3)),
    "5": Size((32, 64), (72, 112, 176, 256), (144, 256, 416, 576), (2, 3, 3, 3)),
    "6": Size((24, 32), (72, 112, 176, 256), (160, 304, 480, 768), (2, 3, 3, 3)),
    "7": Size(
        (16, 16), (16, 32, 64, 128), (64, 256, 512, 1024), (3, 3, 3, 3),
        blocks=(1, 1, 2, 1), light=_HALF_LIGHT,
    ),
    "8": Size(
        (24, 32), (32, 48, 96, 192), (64, 256, 512, 1024), (3, 3, 3, 3),
        blocks=(1, 1, 2, 1), light=_HALF_LIGHT,
    ),
    "9": Size(
        (32, 40), (40, 64, 112, 224), (80, 288, 576, 1152), (3, 3, 4, 3),
        blocks=(1, 1, 2, 1), light=_HALF_LIGHT,
    ),
    "10": Size((32, 56), (72, 104, 168, 392), (136, 240, 672, 1152), (3, 3, 4, 4)),
    "11": Size((32, 56), (72, 112, 176, 416), (144, 256, 704, 1216), (3, 3, 4, 4), (5, 5, 5, 5)),
    "12": Size((32, 56), (72, 112, 176, 416), (144, 256, 704, 1216), (3, 3, 5, 5), light=_HALF_LIGHT),
    "13": Size((32, 60), (80, 128, 192, 448), (160, 272, 736, 1280), (4, 4, 5, 5), (5, 3, 3, 3)),
    "14": Size((32, 64), (80, 128, 192, 448), (160, 288, 768, 1344), (4, 4, 5, 5), (5, 3, 3, 3)),
    "15": Size((32, 56), (72, 112, 192, 480), (152, 288, 800, 1408), (4, 5, 5, 5), (5, 3, 5, 5)),
    "16": Size((32, 48), (64, 96, 192, 512), (144, 288, 832, 1472), (4, 5, 5, 5), (5, 3, 5, 5)),
    "17": Size((32, 56), (72, 112, 208, 544), (160, 320, 896, 1568), (4, 5, 5, 5), (5, 3, 5, 5)),
}  # fmt: skip


def build(size: str, options: Blueprint) -> nn.Module:
    """Backbone of one size; features (B, F, ceil(H/32), ceil(W/32)).

    Stochastic depth acts on residual blocks, which only sizes 7 to 9 have.
    """
    wanted = SIZES[size]
    inputs = (wanted.stem[1], *wanted.outputs[:3])
    settings: dict[str, object] = {"stem_type": "v2", "stem_chs": list(wanted.stem)}
    for k in range(4):
        # timm's order: channels in, inside, out; blocks, whether it halves, light, kernel, layers
        settings[f"stage{k + 1}"] = (
            inputs[k], wanted.inside[k], wanted.outputs[k], wanted.blocks[k], k > 0, wanted.light[k],
            wanted.kernels[k], wanted.layers[k],
        )  # fmt: skip
    whole = HighPerfGpuNet(settings, in_chans=1, num_classes=0, drop_path_rate=options.drop_path_rate or 0.0)
    model = nn.Sequential(OrderedDict(stem=whole.stem, stages=whole.stages))
    for module in model.modules():
        if isinstance(module, HighPerfGpuBlock) and not module.residual:
            module.drop_path = nn.Identity()  # timm has one there, and does not use it
        elif isinstance(module, nn.ReLU):
            module.inplace = True  # after a batch norm, which does not need its output: memory traffic
    model.num_features = wanted.outputs[-1]  # type: ignore[assignment]
    return model

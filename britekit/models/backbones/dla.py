"""Deep layer aggregation, 0.4 to 2.1 million parameters.

Yu et al., "Deep Layer Aggregation", CVPR 2018, figure 4: six levels, of which the last four are trees of two
residual blocks whose outputs a root convolution joins. Trees and roots: timm's DLA. Output stride 32.
"""

from collections import OrderedDict
from typing import Any

import torch
from timm.layers import DropPath
from timm.models.dla import DLA, DlaBasic
from torch import nn

from britekit.models.options import Blueprint

DEFAULT_HEAD = "basic"
DEFAULT_HIDDEN: int | None = None

# size: channels of the six levels, each one level deep
SIZES = {
    "1": (16, 32, 32, 32, 64, 64),
    "2": (16, 32, 64, 64, 64, 64),
    "3": (16, 32, 64, 64, 64, 128),
    "4": (16, 32, 64, 64, 128, 128),
    "5": (16, 32, 64, 96, 128, 160),
}
_DEPTHS = (1, 1, 1, 1, 1, 1)


class _Block(DlaBasic):
    """timm's basic block with stochastic depth, which timm's DLA does not have."""

    drop_path: nn.Module

    def __init__(self, inplanes: int, planes: int, stride: int = 1, dilation: int = 1, **more: Any):
        super().__init__(inplanes, planes, stride, dilation, **more)
        self.drop_path = nn.Identity()

    def forward(
        self, x: torch.Tensor, shortcut: torch.Tensor | None = None, children: list[torch.Tensor] | None = None
    ) -> torch.Tensor:
        """Block over (B, F, H, W)."""
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(self.drop_path(out) + (x if shortcut is None else shortcut))


def build(size: str, options: Blueprint) -> nn.Module:
    """Backbone of one size; features (B, F, ceil(H/32), ceil(W/32))."""
    channels = SIZES[size]
    whole = DLA(_DEPTHS, channels, in_chans=1, num_classes=0, block=_Block)
    names = ["base_layer", *(f"level{k}" for k in range(len(channels)))]
    model = nn.Sequential(OrderedDict((name, getattr(whole, name)) for name in names))
    for module in model.modules():
        if isinstance(module, nn.MaxPool2d):
            module.ceil_mode = True  # as the strided convolution beside it: sizes need not divide by 32
    if options.drop_path_rate:
        blocks = [module for module in model.modules() if isinstance(module, _Block)]
        for place, block in enumerate(blocks):
            block.drop_path = DropPath(options.drop_path_rate * place / (len(blocks) - 1))
    model.num_features = channels[-1]  # type: ignore[assignment]
    return model

"""RepViT, scaled down to 1 to 6 million parameters.

Wang et al., "RepViT: Revisiting Mobile CNN From ViT Perspective", CVPR 2024: a mobile network whose blocks mix
positions and channels apart, as transformers do. Blocks: timm's RepVit. Output stride 32.
"""

from timm.models.repvit import RepVit
from torch import nn

from britekit.models.backbones.timm_ import TimmBackbone, own_head
from britekit.models.options import Blueprint

__all__ = ["build", "own_head"]

DEFAULT_HEAD = None
DEFAULT_HIDDEN: int | None = None

# size: channels of the first stage, which double from stage to stage, and blocks of the third
SIZES = {"1": (24, 10), "2": (32, 12), "3": (40, 12), "4": (40, 20), "5": (48, 14), "6": (48, 16), "7": (48, 22)}


def build(size: str, options: Blueprint) -> nn.Module:
    """Backbone of one size; features (B, F, ceil(H/32), ceil(W/32))."""
    channels, blocks = SIZES[size]
    own = options.head_type is None
    whole = RepVit(
        in_chans=1,
        embed_dim=tuple(channels << stage for stage in range(4)),
        depth=(2, 2, blocks, 2),
        num_classes=options.num_classes if own else 0,
        drop_rate=options.drop_rate or 0.0,
    )
    return TimmBackbone(whole, own, (options.height, options.width))

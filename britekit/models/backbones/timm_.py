"""Any network of timm: ``timm.mobilenetv3_small_100``.

Wightman, "PyTorch Image Models", https://github.com/huggingface/pytorch-image-models. With a head of ours
the network's unpooled features feed it; without one, its own pooling and classifier are kept.
"""

from typing import Any

import timm
import torch
from torch import nn

from britekit.errors import ModelError, suggest
from britekit.models.options import Blueprint
from britekit.models.published_weights import check_published, patient_hub

SIZES = None
DEFAULT_HEAD = None
DEFAULT_HIDDEN: int | None = None


class TimmBackbone(nn.Module):
    """A timm network without its classifier.

    Parameters
    ----------
    model
        The network.
    keep_raw
        Return features as the network makes them, for its own classifier; else as a map (B, F, h, T).
    shape
        Rows and columns of a spectrogram.
    through_head
        Features are what the network's own head, which must neither pool nor classify, makes of them.
    """

    def __init__(self, model: nn.Module, keep_raw: bool, shape: tuple[int, int], through_head: bool = False):
        super().__init__()
        self.model = model
        self.through_head = through_head
        self.keep_raw = keep_raw
        self.num_prefix = int(getattr(model, "num_prefix_tokens", 0))
        self.channels_last = getattr(model, "output_fmt", "NCHW") == "NHWC"
        self.shape = shape
        model.eval()
        with torch.no_grad():
            self.num_features = int(self.to_map(self._features(torch.zeros(1, 1, *shape))).shape[1])
        model.train()

    def _features(self, x_B1HW: torch.Tensor) -> Any:
        return self.model(x_B1HW) if self.through_head else self.model.forward_features(x_B1HW)

    def to_map(self, features: torch.Tensor) -> torch.Tensor:
        """Features as (B, F, h, T), whatever order the network has."""
        if not isinstance(features, torch.Tensor):
            raise ModelError("train.model_type: this timm network gives several maps at once; choose another")
        if features.ndim == 4:
            return features.permute(0, 3, 1, 2) if self.channels_last else features
        if features.ndim == 3:
            tokens = features[:, self.num_prefix :]
            rows, columns = self._grid(tokens.shape[1])
            return tokens.transpose(1, 2).reshape(tokens.shape[0], -1, rows, columns)
        if features.ndim == 2:
            return features[:, :, None, None]
        raise ModelError(f"timm network gives features of {features.ndim} dimensions; 2 to 4 are understood")

    def _grid(self, tokens: int) -> tuple[int, int]:
        embed = getattr(self.model, "patch_embed", None)
        grid = getattr(embed, "grid_size", None)
        if grid is not None and grid[0] * grid[1] == tokens:
            return int(grid[0]), int(grid[1])
        return 1, tokens

    def forward(self, x_B1HW: torch.Tensor) -> torch.Tensor:
        """Features (B, F, h, T), or as the network makes them with ``keep_raw``."""
        features = self._features(x_B1HW)
        return features if self.keep_raw else self.to_map(features)


class OwnHead(nn.Module):
    """The network's own pooling and classifier; its weights stay registered in the backbone."""

    def __init__(self, backbone: TimmBackbone):
        super().__init__()
        self._backbone = [backbone]  # a list hides the module, so that no weight is saved twice

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Segment logits (B, C) and no frame logits."""
        return self._backbone[0].model.forward_head(features), None


def build(size: str, options: Blueprint) -> nn.Module:
    """Network of timm's list with one input channel.

    Raises `ModelError` if unknown name, a network that refuses one channel or this size, weights that cannot be
    fetched.
    """
    if not timm.is_model(size):
        raise ModelError(
            f'train.model_type: timm {timm.__version__} has no network "{size}"' + suggest(size, timm.list_models())
        )
    own = options.head_type is None
    shape = (options.height, options.width)
    wanted: dict[str, Any] = {"in_chans": 1, "num_classes": options.num_classes if own else 0}
    through_head = options.as_public and not own  # there, heads sit behind the network's last convolution
    if through_head:
        wanted["global_pool"] = ""
    if options.drop_rate is not None:
        wanted["drop_rate"] = options.drop_rate
    if options.drop_path_rate is not None:
        wanted["drop_path_rate"] = options.drop_path_rate
    try:
        network = (_pretrained if options.pretrained else _sized)(size, wanted, shape)
        return TimmBackbone(network, own, shape, through_head)
    except ModelError:
        raise
    except Exception as error:  # timm has a thousand networks, each with its own way to refuse a size
        raise ModelError(
            f'train.model_type: timm network "{size}" cannot take one channel of {shape[0]} x {shape[1]} '
            f"({_short(error)}); choose another network or spectrogram size"
        ) from error


def _sized(size: str, wanted: dict[str, Any], shape: tuple[int, int], **more: Any) -> nn.Module:
    """Networks made of patches need the image size at once; the others do not know the argument."""
    try:
        return timm.create_model(size, img_size=shape, **wanted, **more)
    except TypeError as error:
        if "img_size" not in str(error):
            raise
        return timm.create_model(size, **wanted, **more)


def _pretrained(size: str, wanted: dict[str, Any], shape: tuple[int, int]) -> nn.Module:
    check_published(size)
    try:
        with patient_hub(size):
            return _sized(size, wanted, shape, pretrained=True)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f'train.pretrained: weights of timm network "{size}" could not be had ({_short(error)}); '
            "connect to the network once, or set train.pretrained to false"
        ) from error


def _short(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return (text[0].rstrip(".") if text else type(error).__name__)[:160]


def own_head(backbone: nn.Module) -> nn.Module:
    """Head that uses the network's own classifier."""
    assert isinstance(backbone, TimmBackbone)
    return OwnHead(backbone)

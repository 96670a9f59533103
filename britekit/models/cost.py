"""Cost of a network: parameters and multiply-adds, counted on the built network.

Nothing is computed: the network is built and run on the ``meta`` device, where tensors have shapes alone, so
that the whole catalog takes seconds.
"""

from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from britekit.config.model_names import backbone_families
from britekit.models.options import Blueprint
from britekit.models.recognizer import build
from britekit.models.registry import find_backbone


@dataclass(frozen=True)
class Cost:
    """Cost of one network."""

    model: str
    """``family.size``."""
    parameters: int
    """Numbers that training adjusts."""
    multiply_adds: int
    """Of one spectrogram: convolutions, linear layers, matrix products and attention; additions, norms and activations
    are not counted, as is usual."""

    @property
    def gmacs(self) -> float:
        """Multiply-adds in billions."""
        return self.multiply_adds / 1e9


def model_names() -> list[str]:
    """Every family with every size, smallest first; ``timm``, which has a thousand, is left out."""
    names = []
    for family in backbone_families():
        sizes = None if family == "timm" else find_backbone(f"{family}.1")[0].SIZES
        names += [f"{family}.{size}" for size in sizes or ()]
    return names


def compute_cost(blueprint: Blueprint) -> Cost:
    """Cost of the network that the blueprint describes; raises `ModelError` as `build` does."""
    with torch.device("meta"):
        network = build(replace(blueprint, pretrained=False))
    return Cost(
        blueprint.model_type,
        sum(parameter.numel() for parameter in network.parameters()),
        count_multiply_adds(network, (1, 1, blueprint.height, blueprint.width)),
    )


def count_multiply_adds(network: nn.Module, shape: tuple[int, ...]) -> int:
    """Return the multiply-adds of one pass for an input of the given shape; the network is moved to ``meta``."""
    network.to("meta").eval()
    # PyTorch's counter sees each product as it is dispatched, also those outside of layers (attention), and
    # takes a multiplication and an addition as two.
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network(torch.empty(shape, device="meta"))
    return int(counter.get_total_flops()) // 2

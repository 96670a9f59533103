"""Small work that a step does layer by layer, done for all layers at once.

In mixed precision each convolution casts its weights to 16 bits and its gradient back, and each batch norm
counts its batches: a third of the 1,070 operations in a step of effnet.4, most of them on a few kilobytes. On
a GPU such an operation costs its launch, not its bytes; together they are three.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

# Layers that hand their weights to the operation itself, which mixed precision runs in 16 bits.
_CAST = (nn.Conv1d, nn.Conv2d, nn.Linear)


class AllLayers(nn.Module):
    """A network whose pass casts all weights together; results and gradients are the same to the bit.

    Parameters
    ----------
    network
        Any; its weights, buffers and mode stay its own.
    mixed
        Type of 16-bit mixed precision that the pass runs under, by autocast; None for 32 bits.
    """

    def __init__(self, network: nn.Module, mixed: torch.dtype | None):
        super().__init__()
        self.network = network
        self._mixed = mixed

    def forward(self, *inputs: torch.Tensor) -> Any:
        """What the network gives."""
        with _counted_together(self.network):
            return functional_call(self.network, self._cast_weights(), inputs)

    def _cast_weights(self) -> dict[str, torch.Tensor]:
        """The weights in 16 bits, by name."""
        if self._mixed is None:
            return {}
        # Layers derived from these may compute with their weights first, in 32 bits.
        layers = {path + "." if path else "": layer for path, layer in self.network.named_modules()}
        own = tuple(path for path, layer in layers.items() if type(layer) in _CAST)
        trained: dict[str, torch.Tensor] = {}
        fixed: dict[str, torch.Tensor] = {}
        for name, weight in self.network.named_parameters():  # each once, also where layers share it
            if weight.dtype == torch.float32 and name[: name.rfind(".") + 1] in own:
                (trained if weight.requires_grad else fixed)[name] = weight
        found: dict[str, torch.Tensor] = {}
        found.update(zip(trained, _Cast.apply(self._mixed, *trained.values()), strict=True))
        found.update(zip(fixed, _cast(self._mixed, list(fixed.values())), strict=True))
        return found


class _Cast(torch.autograd.Function):
    """Many tensors to another type in one launch, their gradients back in another."""

    @staticmethod
    def forward(ctx: Any, kind: torch.dtype, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        ctx.set_materialize_grads(False)
        return _cast(kind, tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        cast = iter(_cast(torch.float32, [gradient for gradient in gradients if gradient is not None]))
        return None, *(None if gradient is None else next(cast) for gradient in gradients)


def _cast(kind: torch.dtype, tensors: Any) -> tuple[torch.Tensor, ...]:
    found = tuple(torch.empty_like(tensor, dtype=kind) for tensor in tensors)
    if found:
        torch._foreach_copy_(found, tensors)
    return found


@contextmanager
def _counted_together(network: nn.Module) -> Iterator[None]:
    """Count a batch in all batch norms, instead of in each as it runs.

    Those without momentum need their own count for their statistics while they run, and keep it.
    """
    norms = [
        layer
        for layer in network.modules()
        if isinstance(layer, _BatchNorm)
        and not isinstance(layer, nn.SyncBatchNorm)
        and layer.training
        and layer.momentum is not None
    ]
    counts = {layer: layer.num_batches_tracked for layer in norms if layer.num_batches_tracked is not None}
    for layer in counts:
        layer.num_batches_tracked = None
    try:
        yield
    finally:
        for layer, count in counts.items():
            layer.num_batches_tracked = count
    if counts:
        torch._foreach_add_(list(counts.values()), 1)

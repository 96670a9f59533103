"""Run the network as CUDA graphs: a step takes two launches instead of hundreds.

The networks are small: a step of effnet.1 keeps an H100 busy for 11 ms in 730 kernels, and launching them one by one
took 33 ms of CPU. Recorded once and replayed, they run without gaps. Recording and replaying are
`torch.cuda.make_graphed_callables`.
"""

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from britekit.models.recognizer import Recognizer

log = logging.getLogger(__name__)


class GraphedNetwork:
    """Replays the network for batches of one size; batches of other sizes run as usual.

    Weights, buffers and random numbers are those of the recognizer itself, which can be saved, loaded and evaluated as
    usual. A network that cannot be recorded, for example because it reads a value from the device, logs a warning and
    runs as usual.

    Parameters
    ----------
    recognizer
        On a CUDA device, in training mode.
    mixed
        Type of 16-bit mixed precision; None for 32 bits.
    network
        Module that runs the recognizer and holds the trained parameters; None for the recognizer itself.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        shape: tuple[int, int, int, int],
        layout: torch.memory_format,
        mixed: torch.dtype | None,
        network: nn.Module | None = None,
    ):
        self._network = recognizer if network is None else network
        self._shape = torch.Size(shape)
        self._graphed: nn.Module | None = None
        try:
            self._graphed = _recorded(recognizer, self._network, shape, layout, mixed)
        except RuntimeError as error:  # raised by CUDA and torch, also for lack of memory
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            log.warning("the network is not replayed as a CUDA graph, which is slower (%s)", reason[:160])
            torch.cuda.empty_cache()

    @property
    def is_graphed(self) -> bool:
        """Whether the network was recorded."""
        return self._graphed is not None

    def __call__(self, x_B1HW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Run the network, see `Recognizer.forward`."""
        if self._graphed is None or x_B1HW.shape != self._shape:
            return self._network(x_B1HW)
        found = self._graphed(x_B1HW)
        return found[0], found[1] if len(found) > 1 else None


class _TensorsOnly(nn.Module):
    """The network without None outputs of heads without frames, since a graph holds only tensors."""

    def __init__(self, network: nn.Module, norms: list[_BatchNorm]):
        super().__init__()
        self.network = network
        self._norms = norms

    def forward(self, x_B1HW: torch.Tensor) -> tuple[torch.Tensor, ...]:
        with counted_together(self._norms):
            segment, frames = self.network(x_B1HW)
        return (segment,) if frames is None else (segment, frames)


@contextmanager
def counted_together(norms: list[_BatchNorm]) -> Iterator[None]:
    """Count a batch in all batch norms in one launch, instead of in each of them.

    Layers without momentum need the count for their statistics and keep their own.
    """
    counts = {
        norm: norm.num_batches_tracked
        for norm in norms
        if norm.training and norm.momentum is not None and norm.num_batches_tracked is not None
    }
    for norm in counts:
        norm.num_batches_tracked = None
    try:
        yield
    finally:
        for norm, count in counts.items():
            norm.num_batches_tracked = count
    if counts:
        torch._foreach_add_(list(counts.values()), 1)


def _recorded(
    recognizer: Recognizer,
    network: nn.Module,
    shape: tuple[int, int, int, int],
    layout: torch.memory_format,
    mixed: torch.dtype | None,
) -> nn.Module:
    # The CUDA graph of an earlier fold pins the memory of a step in a reference cycle; collect it first.
    gc.collect()
    device = next(recognizer.parameters()).device
    example = torch.zeros(shape, device=device).contiguous(memory_format=layout)
    # Warm-up and recording would change the statistics of batch norm.
    norms = [layer for layer in recognizer.modules() if isinstance(layer, _BatchNorm)]
    before = {name: value.clone() for name, value in recognizer.named_buffers()}
    try:
        # Cached casts of weights would be recorded with their current values.
        with torch.autocast("cuda", dtype=mixed, enabled=mixed is not None, cache_enabled=False):
            return torch.cuda.make_graphed_callables(_TensorsOnly(network, norms), (example,), allow_unused_input=True)
    finally:
        with torch.no_grad():
            for name, value in recognizer.named_buffers():
                value.copy_(before[name])

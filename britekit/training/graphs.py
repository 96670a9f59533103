"""The network as CUDA graphs: a step costs two launches instead of hundreds.

The networks trained here are small: a step of effnet.1 keeps an H100 busy for 11 ms in 730 kernels, and a
processor took 33 ms to start them one by one. Recorded once and replayed, they follow without a gap.
Recording and replaying are `torch.cuda.make_graphed_callables`.
"""

import logging

import torch
from torch import nn

from britekit.models.recognizer import Recognizer
from britekit.training.all_layers import AllLayers

log = logging.getLogger("britekit.training")


class GraphedNetwork:
    """The network for batches of one size; batches of other sizes run as usual.

    Weights, buffers and random numbers are those of the recognizer itself, which can be saved, loaded and
    evaluated as ever. Where a network cannot be recorded (it asks the device for a number while it runs,
    say), that is said once, and it runs as usual.

    Parameters
    ----------
    recognizer
        On a CUDA device, in training mode.
    shape
        (B, 1, H, W) of the batches that are replayed.
    layout
        Their memory format.
    mixed
        Type of 16-bit mixed precision; None for 32 bits.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        shape: tuple[int, int, int, int],
        layout: torch.memory_format,
        mixed: torch.dtype | None,
    ):
        self._recognizer = recognizer
        self._shape = torch.Size(shape)
        self._graphed: nn.Module | None = None
        try:
            self._graphed = _recorded(recognizer, shape, layout, mixed)
        except RuntimeError as error:  # what CUDA and torch raise, memory included
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            log.warning("the network is not replayed as a CUDA graph, which is slower (%s)", reason[:160])
            torch.cuda.empty_cache()

    @property
    def is_graphed(self) -> bool:
        """Whether the network could be recorded."""
        return self._graphed is not None

    def __call__(self, x_B1HW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """As `Recognizer.forward`."""
        if self._graphed is None or x_B1HW.shape != self._shape:
            return self._recognizer(x_B1HW)
        found = self._graphed(x_B1HW)
        return found[0], found[1] if len(found) > 1 else None


class _TensorsOnly(nn.Module):
    """The recognizer without the None of heads that give no frames: a recording holds tensors only."""

    def __init__(self, recognizer: nn.Module):
        super().__init__()
        self.recognizer = recognizer

    def forward(self, x_B1HW: torch.Tensor) -> tuple[torch.Tensor, ...]:
        segment, frames = self.recognizer(x_B1HW)
        return (segment,) if frames is None else (segment, frames)


def _recorded(
    recognizer: Recognizer,
    shape: tuple[int, int, int, int],
    layout: torch.memory_format,
    mixed: torch.dtype | None,
) -> nn.Module:
    device = next(recognizer.parameters()).device
    example = torch.zeros(shape, device=device).contiguous(memory_format=layout)
    # The passes that warm up and record would leave their mark on batch norm's statistics.
    before = {name: value.clone() for name, value in recognizer.named_buffers()}
    try:
        # Cached casts of weights would be recorded as they are now.
        with torch.autocast("cuda", dtype=mixed, enabled=mixed is not None, cache_enabled=False):
            return torch.cuda.make_graphed_callables(
                _TensorsOnly(AllLayers(recognizer, mixed)), (example,), allow_unused_input=True
            )
    finally:
        with torch.no_grad():
            for name, value in recognizer.named_buffers():
                value.copy_(before[name])

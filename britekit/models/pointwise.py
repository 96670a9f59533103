"""A way around a crash of oneDNN, with which torch computes convolutions on CPUs.

With torch 2.11 on AVX-512 processors the gradient of the weights of a 1×1 convolution of stride 2 with fewer
than 16 input channels, channels last, writes where it must not: the process dies, or goes on with damaged
memory. gernet has such a layer. The same sums without a stride, over every other row and column, take another
kernel.
"""

import torch
from torch import nn
from torch.nn import functional

_FEWEST_CHANNELS = 16


class _EveryOther(nn.Conv2d):
    """A 1×1 convolution that skips rows and columns before it, not in it."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return the output of the strided convolution."""
        down, right = self.stride
        return functional.conv2d(input[:, :, ::down, ::right], self.weight, self.bias, groups=self.groups)


def avoid_strided_pointwise(network: nn.Module) -> None:
    """Let the layers of a network that would crash on a CPU compute the same in another way."""
    for layer in network.modules():
        if (
            type(layer) is nn.Conv2d
            and layer.kernel_size == (1, 1)
            and layer.padding == (0, 0)
            and max(layer.stride) > 1
            and layer.in_channels // layer.groups < _FEWEST_CHANNELS
        ):
            layer.__class__ = _EveryOther

"""Batch norm over the batches of all processes.

torch supports this only on GPUs, and counts every sample of a process. On CPUs, and if a process has only padding, this
module exchanges the sums over the batch, so that several processes compute the same as one process with the whole
batch. Ioffe and Szegedy, ICML 2015.

Legend: B batch, F channels.
"""

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as exchange
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class OverProcesses(_BatchNorm):
    """Batch norm whose mean and variance in training are those of the samples of all processes.

    ``drop`` and ``act`` are the following operations in timm's fused layers, without weights.

    Attributes
    ----------
    weight_here
        1 if this process's samples count, 0 if they are padding.
    is_whole
        Whether the samples of every process belong to the batch.
    """

    weight_here = 1.0
    is_whole = True

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return the normalized input, in training with the statistics of all processes."""
        if not self.training or (input.is_cuda and self.is_whole):
            return self._after(super().forward(input))
        axes = [0, *range(2, input.dim())]
        x = input.float()
        count = x.new_full((1,), x.numel() / x.shape[1])
        # First the mean, then the deviations from it: the difference of two large sums would lose precision.
        sums = exchange.all_reduce(torch.cat([x.sum(axes), count]) * self.weight_here)
        total = sums[-1].detach()
        mean = sums[:-1] / total
        shape = [1, -1] + [1] * (x.dim() - 2)
        centered = x - mean.view(shape)
        variance = exchange.all_reduce((centered * centered).sum(axes) * self.weight_here) / total
        self._remember(mean.detach(), variance.detach(), float(total))
        out = centered * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            out = out * self.weight.view(shape) + self.bias.view(shape)
        return self._after(out.to(input.dtype))

    def _remember(self, mean: torch.Tensor, variance: torch.Tensor, total: float) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = self.momentum if self.momentum is not None else 1.0 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance * (total / max(1.0, total - 1.0)), share)

    def _after(self, out: torch.Tensor) -> torch.Tensor:
        for name in ("drop", "act"):
            layer = self._modules.get(name)
            if layer is not None:
                out = layer(out)
        return out


class SyncedBatchNorm(OverProcesses, nn.BatchNorm2d):
    """Batch norm over processes on a CPU."""

    def _check_input_dim(self, input: torch.Tensor) -> None:
        """Accept inputs of one- and two-dimensional batch norm."""


class SyncedBatchNormOnGpu(OverProcesses, nn.SyncBatchNorm):
    """Batch norm over processes on a GPU, with torch's kernels if every process has samples."""


def note_samples(network: nn.Module, here: bool, everywhere: bool) -> None:
    """Set whether the next batch has samples in this process, and in every process."""
    for layer in network.modules():
        if isinstance(layer, OverProcesses):
            layer.weight_here, layer.is_whole = float(here), everywhere


def synchronize_batch_norm(network: nn.Module, device: torch.device) -> None:
    """Replace batch norm inside a network, keeping weights and names, if processes share each batch."""
    if not dist.is_available() or not dist.is_initialized():
        return
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, _BatchNorm):
                setattr(parent, name, _synced(child, device))


def _synced(layer: _BatchNorm, device: torch.device) -> nn.Module:
    new = (SyncedBatchNormOnGpu if device.type == "cuda" else SyncedBatchNorm)(
        layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats
    )
    new.load_state_dict(layer.state_dict())
    if layer.affine:
        new.weight, new.bias = layer.weight, layer.bias
    for part in ("drop", "act"):
        if part in layer._modules:
            new.add_module(part, layer._modules[part])
    return new.train(layer.training)

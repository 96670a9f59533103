"""Run a loop on its device, and explain its failures."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.fabric import Fabric

from britekit.config import BaseConfig
from britekit.errors import TrainingError
from britekit.models.recognizer import Recognizer
from britekit.training.batch_size_hint import measured_on_gpu, out_of_memory
from britekit.training.devices import lightning_accelerator, lightning_precision, mixed_type
from britekit.training.flat_weights import FlatNetwork, can_be_flat
from britekit.training.graphs import GraphedNetwork
from britekit.training.loop import TrainingLoop, quiet_lightning
from britekit.training.optimizers import needs_second_derivatives
from britekit.training.ranks import ProcessGroup


def fit(loop: TrainingLoop, device: torch.device, mixed: bool | None, world: ProcessGroup) -> None:
    """Run a loop with Lightning's Fabric, over all processes of the run."""
    arguments: dict[str, Any] = {"devices": 1}
    if world.size > 1:
        arguments = {
            "devices": world.local_size,
            "num_nodes": world.size // world.local_size,
            "strategy": world.lightning_strategy(_some_unused(loop)),
        }
    with quiet_lightning():
        fabric = Fabric(
            accelerator=lightning_accelerator(device),
            precision=lightning_precision(mixed_type(device, mixed)),  # type: ignore[arg-type]
            **arguments,
        )
        fabric.launch()
        loop.run(fabric)


def _some_unused(loop: TrainingLoop) -> bool:
    """Return whether DDP must expect trained weights without a gradient."""
    bank = loop.batches.bank
    return bool(_unused(loop.batch_loss.recognizer, bank.height, bank.width))


def _unused(recognizer: Recognizer, height: int, width: int) -> list[str]:
    """Return the names of trained weights that get no gradient in a small step."""
    was_training = recognizer.training
    recognizer.eval()  # eval mode draws no random numbers and keeps batch-norm statistics
    device = next(recognizer.parameters()).device
    segment, frames = recognizer(torch.zeros(2, 1, height, width, device=device))
    (segment.sum() + (0.0 if frames is None else frames.sum())).backward()
    unused = [name for name, p in recognizer.named_parameters() if p.requires_grad and p.grad is None]
    recognizer.zero_grad(set_to_none=True)
    recognizer.train(was_training)
    return unused


def as_run(
    recognizer: Recognizer,
    optimizer: torch.optim.Optimizer,
    cfg: BaseConfig,
    batch_size: int,
    layout: torch.memory_format,
    world: ProcessGroup,
) -> Callable[..., Any]:
    """Return the network for training steps: compiled if configured, or replayed as graphs on a GPU.

    With ``train.flat_weights``, the replayed network has its weights in a few long parameters, which replace them in
    the optimizer. Graphs cannot contain the gradient hooks of processes that share a batch, and their output cannot be
    differentiated twice.
    """
    recognizer.train()
    if cfg.train.compile:
        return torch.compile(recognizer, dynamic=False)
    device = next(recognizer.parameters()).device
    if device.type != "cuda" or world.size > 1 or needs_second_derivatives(cfg.train.optimizer):
        return recognizer
    size = (cfg.audio.spec_height, cfg.audio.spec_width)
    mixed = mixed_type(device, cfg.train.mixed_precision)
    network: torch.nn.Module = recognizer
    if cfg.train.flat_weights and can_be_flat(optimizer):
        network = FlatNetwork(recognizer, optimizer, mixed, _unused(recognizer, *size))
    return GraphedNetwork(recognizer, (batch_size, 1, *size), layout, mixed, network)


@contextmanager
def explained(recognizer: Recognizer, cfg: BaseConfig, batch_size: int, layout: torch.memory_format) -> Iterator[None]:
    """Convert out-of-memory and compiler errors to one sentence.

    Raises `TrainingError` if memory or compiler failed; with the batch size that would fit, or the compiler's message.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TrainingError(_no_memory(recognizer, cfg, batch_size, layout)) from error
    except RuntimeError as error:
        if "allocate memory" in str(error) or "out of memory" in str(error):
            raise TrainingError(_no_memory(recognizer, cfg, batch_size, layout)) from error
        if cfg.train.compile and _from_the_compiler(error):
            raise TrainingError(_not_compiled(error)) from error
        raise


def _no_memory(recognizer: Recognizer, cfg: BaseConfig, batch_size: int, layout: torch.memory_format) -> str:
    device = next(recognizer.parameters()).device
    if device.type != "cuda":
        return out_of_memory(batch_size, None, measured=False)
    size = (cfg.audio.spec_height, cfg.audio.spec_width)
    fits = measured_on_gpu(recognizer, *size, layout, mixed_type(device, cfg.train.mixed_precision))
    return out_of_memory(batch_size, fits, measured=True)


def _from_the_compiler(error: RuntimeError) -> bool:
    return type(error).__module__.startswith(("torch._dynamo", "torch._inductor"))


def _not_compiled(error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[0] if lines else type(error).__name__
    return (
        f"train.compile: the network could not be compiled ({reason[:160].rstrip('.')}); set it to false, "
        "or install a C++ compiler that torch.compile can use"
    )

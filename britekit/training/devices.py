"""Choose the device for training, and the options that suit it."""

import platform

import torch
from torch import nn

from britekit.models.activations import give_own_outputs
from britekit.models.pointwise import avoid_strided_pointwise


def choose_device(force_cpu: bool = False) -> torch.device:
    """Return the GPU if there is one and the CPU is not forced, else the CPU."""
    if not force_cpu and torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if not force_cpu and torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def device_name(device: torch.device) -> str:
    """Return the name for metrics: the GPU's, or the CPU with its threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        return f"cpu ({platform.machine()}, {torch.get_num_threads()} threads)"
    return device.type


def memory_format(device: torch.device) -> torch.memory_format:
    """Return the layout for convolutions: channels last is faster on CPU and CUDA, and untested elsewhere."""
    return torch.channels_last if device.type in ("cpu", "cuda") else torch.contiguous_format


def place(network: nn.Module, device: torch.device) -> None:
    """Move a network to its device for training, with the layout and layers that suit it."""
    network.to(device, memory_format=memory_format(device))  # type: ignore[call-overload]
    give_own_outputs(network)
    if device.type == "cpu":
        avoid_strided_pointwise(network)


def lightning_accelerator(device: torch.device) -> str:
    """Return Lightning's name of the device type."""
    return {"cuda": "gpu", "mps": "mps"}.get(device.type, "cpu")


def mixed_type(device: torch.device, wanted: bool | None) -> torch.dtype | None:
    """Return the 16-bit type of mixed precision; None for 32 bits throughout.

    By default (None), GPUs use mixed precision and CPUs do not. bfloat16 has the range of float32, so that no loss
    scaling is needed; GPUs before Ampere have only float16.
    """
    if not (device.type == "cuda" if wanted is None else wanted):
        return None
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float16
    return torch.bfloat16


def lightning_precision(mixed: torch.dtype | None) -> str:
    """Return Lightning's name of a precision."""
    return {None: "32-true", torch.bfloat16: "bf16-mixed", torch.float16: "16-mixed"}[mixed]

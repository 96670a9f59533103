"""Where training runs, and what suits that place."""

import platform

import torch

# What 16-bit mixed precision is on a GPU.
AUTOCAST_GPU = torch.float16


def choose_device(force_cpu: bool = False) -> torch.device:
    """GPU if there is one and it is not forbidden, else the CPU."""
    if not force_cpu and torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if not force_cpu and torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def device_name(device: torch.device) -> str:
    """Name for the metrics: the GPU's, or the CPU with its threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        return f"cpu ({platform.machine()}, {torch.get_num_threads()} threads)"
    return device.type


def memory_format(device: torch.device) -> torch.memory_format:
    """Layout of convolutions: channels last is faster on CPU and CUDA, untried on others."""
    return torch.channels_last if device.type in ("cpu", "cuda") else torch.contiguous_format


def lightning_accelerator(device: torch.device) -> str:
    """Lightning's name of the device's kind."""
    return {"cuda": "gpu", "mps": "mps"}.get(device.type, "cpu")


def lightning_precision(device: torch.device, mixed: bool) -> str:
    """16-bit mixed where asked; CPUs have bfloat16 only."""
    if not mixed:
        return "32-true"
    return "16-mixed" if device.type == "cuda" else "bf16-mixed"

"""From the CPU to the device without waiting for it."""

import torch


def send(values: torch.Tensor, device: torch.device | str) -> torch.Tensor:
    """Return a CPU tensor on the device; on the CPU the tensor itself.

    CUDA copies ordinary memory only after all work before it is done, and then the device has nothing to do
    while the next step is prepared; from pinned memory the copy is one more piece of work in the queue.
    """
    device = torch.device(device)
    if device.type == "cpu":
        return values
    if device.type == "cuda" and values.numel():
        values = values.pin_memory()
    return values.to(device, non_blocking=True)

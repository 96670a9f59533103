"""Suggest a batch size when memory runs out.

A step needs a fixed amount of memory (weights, optimizer, spectrograms on the device) and an amount proportional to the
batch; two small steps determine both.
"""

from collections.abc import Callable

import torch

from britekit.models.recognizer import Recognizer

# Share of the memory that the estimate uses; the rest is lost to fragmentation.
_USABLE = 0.92
_SMALL, _LARGE = 2, 6


def fitting_batch_size(small: int, small_bytes: float, large: int, large_bytes: float, usable_bytes: float) -> int:
    """Return the largest batch whose step fits, from the memory of two smaller ones; 0 if none fits.

    Memory is a + b n for n spectrograms; n = (usable - a) / b.
    """
    each = max(1.0, (large_bytes - small_bytes) / (large - small))
    fixed = small_bytes - each * small
    return max(0, int((usable_bytes - fixed) / each))


def measured_on_gpu(
    recognizer: Recognizer, height: int, width: int, layout: torch.memory_format, mixed: torch.dtype | None
) -> int | None:
    """Return the batch size that fits on the recognizer's GPU, from two small steps; None if these do not fit."""
    device = next(recognizer.parameters()).device

    def step(size: int) -> float:
        torch.cuda.reset_peak_memory_stats(device)
        images = torch.rand(size, 1, height, width, device=device).contiguous(memory_format=layout)
        with torch.autocast("cuda", dtype=mixed, enabled=mixed is not None):
            segment, frames = recognizer(images)
            loss = segment.float().mean() + (0.0 if frames is None else frames.float().mean())
        loss.backward()
        return float(torch.cuda.max_memory_allocated(device))

    recognizer.zero_grad(set_to_none=True)
    torch.cuda.empty_cache()
    free, _total = torch.cuda.mem_get_info(device)
    usable = _USABLE * (free + torch.cuda.memory_reserved(device))
    return _measured(step, usable)


def _measured(step: Callable[[int], float], usable_bytes: float) -> int | None:
    try:
        step(_SMALL)  # the first step also allocates workspaces of kernels
        small, large = step(_SMALL), step(_LARGE)
    except torch.OutOfMemoryError:
        return None
    return fitting_batch_size(_SMALL, small, _LARGE, large, usable_bytes)


def out_of_memory(batch_size: int, fits: int | None, measured: bool) -> str:
    """Return the message for a step of ``batch_size`` that did not fit.

    Parameters
    ----------
    fits
        Estimated batch size that fits; None if not even the smallest step does.
    measured
        Whether there is an estimate; otherwise half the size is suggested.
    """
    told = f"the device ran out of memory with {batch_size} spectrograms per step"
    if not measured:
        return f"{told}; lower train.batch_size (try {max(1, batch_size // 2)}) or choose a smaller train.model_type"
    if not fits:
        return f"{told}, and not even one fits; choose a smaller train.model_type or audio.spec_width"
    # The estimate must be below the size that failed.
    size = min(fits, batch_size - 1)
    if size >= 8:
        size -= size % 8
    return f"{told}; about {size} would fit: set train.batch_size to {size}"

"""The learning rate of each step: linear warm-up, then half a cosine (Loshchilov and Hutter, ICLR 2017)."""

import math

_START = 1e-6


def rate_factor(step: int, total_steps: int, warmup_fraction: float) -> float:
    """Share of the peak rate at a zero-based step.

    From 1e-6 to 1 over the first ``warmup_fraction`` of all steps, then from 1 to 0 over the rest.
    """
    warmup = int(round(warmup_fraction * total_steps))
    if step < warmup:
        return _START + (1.0 - _START) * step / warmup
    done = (step - warmup) / max(1, total_steps - warmup)
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))

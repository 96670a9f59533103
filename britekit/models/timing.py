"""How fast a network runs here: spectrograms per second, forward and in training."""

import time
from collections.abc import Callable

import torch

from britekit.models.options import Blueprint
from britekit.models.pointwise import avoid_strided_pointwise
from britekit.models.recognizer import Recognizer, build


def measure_speed(
    blueprint: Blueprint,
    device: torch.device,
    layout: torch.memory_format = torch.channels_last,
    batch_size: int = 16,
    seconds: float = 0.5,
) -> tuple[float, float]:
    """Spectrograms per second through one network: forward alone, and forward with backward.

    Parameters
    ----------
    blueprint
        The network; weights are random.
    device, layout
        Where and how its tensors lie.
    seconds
        Least time measured for each figure, after one pass that is not counted; the fastest pass counts, so
        that other programs disturb less.

    Returns
    -------
    forward, training
        The training figure leaves out optimizer, data and augmentation.
    """
    network: Recognizer = build(blueprint).to(device).to(memory_format=layout)  # type: ignore[call-overload]
    if device.type == "cpu":
        avoid_strided_pointwise(network)
    shape = (batch_size, 1, blueprint.height, blueprint.width)
    images = torch.rand(shape, device=device).contiguous(memory_format=layout)

    def forward() -> None:
        with torch.inference_mode():
            network(images)

    def train() -> None:
        network.zero_grad(set_to_none=True)
        segment, frames = network(images)
        (segment.square().mean() + (0.0 if frames is None else frames.square().mean())).backward()

    network.eval()
    forward_s = _fastest(forward, device, seconds)
    network.train()
    return batch_size / forward_s, batch_size / _fastest(train, device, seconds)


def _fastest(work: Callable[[], None], device: torch.device, seconds: float) -> float:
    best, spent = float("inf"), 0.0
    _timed(work, device)
    while spent < seconds:
        taken = _timed(work, device)
        best, spent = min(best, taken), spent + taken
    return best


def _timed(work: Callable[[], None], device: torch.device) -> float:
    _wait(device)
    begin = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - begin


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()

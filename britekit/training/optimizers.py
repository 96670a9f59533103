"""Create optimizers by name with timm's factory."""

import inspect
from typing import Any

import torch
from timm.optim import create_optimizer_v2, get_optimizer_class, list_optimizers
from torch import nn

from britekit.errors import TrainingError, suggest


def check_optimizer(name: str) -> None:
    """Raise for a name that timm does not know, or an optimizer that cannot run here.

    Raises `TrainingError` if the optimizer is unknown, or needs a package or a GPU that is missing.
    """
    names = list_optimizers()
    if name.lower() not in names:
        raise TrainingError(
            f'train.optimizer: "{name}" is not an optimizer of timm (radam, adamw, sgd and others)'
            + suggest(name, names)
        )
    try:
        get_optimizer_class(name, bind_defaults=False)
    except (ImportError, AssertionError) as error:
        raise _unusable(name, error) from error


def build_optimizer(
    model: nn.Module,
    name: str,
    learning_rate: float,
    weight_decay: float | None,
    beta1: float | None,
    beta2: float | None,
) -> torch.optim.Optimizer:
    """Return an optimizer of the trained parameters.

    Biases and norms have no weight decay. None for ``weight_decay`` or the betas keeps the optimizer's defaults; betas
    are ignored for an optimizer without two of them.

    Raises `TrainingError` if the optimizer is unknown or cannot be used.
    """
    check_optimizer(name)
    kind = get_optimizer_class(name, bind_defaults=False)
    known = inspect.signature(kind.__init__).parameters
    if weight_decay is None:
        own = known["weight_decay"].default if "weight_decay" in known else 0.0
        weight_decay = float(own) if isinstance(own, (int, float)) else 0.0
    arguments: dict[str, Any] = {}
    if beta1 is not None and beta2 is not None and "betas" in known and _has_two(known["betas"].default):
        arguments["betas"] = (beta1, beta2)
    if flag := _together(kind, next(model.parameters()).device.type):
        arguments[flag] = True
    try:
        return create_optimizer_v2(
            model, opt=name, lr=learning_rate, weight_decay=weight_decay, filter_bias_and_bn=True, **arguments
        )
    except (ImportError, RuntimeError, AssertionError, TypeError, ValueError) as error:
        raise _unusable(name, error) from error


def _together(kind: Any, device: str) -> str | None:
    """Return the flag that makes an optimizer update many weights at once."""
    known = inspect.signature(kind.__init__).parameters
    # One launch for all weights. Torch's Adagrad supports that only on a CPU, and raises on a GPU.
    if device == "cuda" and "fused" in known and not issubclass(kind, torch.optim.Adagrad):
        return "fused"
    # This saves a quarter of the time per step on a CPU, where it is not torch's default.
    return "foreach" if "foreach" in known else None


def needs_second_derivatives(name: str) -> bool:
    """Return whether an optimizer needs second derivatives, as adahessian does."""
    return hasattr(get_optimizer_class(name, bind_defaults=False), "is_second_order")


def _has_two(betas: Any) -> bool:
    return betas is None or len(betas) == 2


def _unusable(name: str, error: Exception) -> TrainingError:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return TrainingError(f'train.optimizer: "{name}" cannot be used ({reason}); use another')

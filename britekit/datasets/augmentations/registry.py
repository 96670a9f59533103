"""Finding augmentations by name, checking their settings, applying a list of them.

``Chain`` is steps 2 to 4 of the training data's definition: the list in order, each entry with its own
probability, then division by the maximum, then the final fade.
"""

import importlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from britekit.config.augmentations import KNOWN
from britekit.datasets.augmentations.draws import Draws
from britekit.datasets.transfers import send
from britekit.errors import ConfigError, suggest

log = logging.getLogger(__name__)

Function = Callable[..., torch.Tensor]


class Entry(Protocol):
    """The parts of a ``train.augmentations`` entry that are used here."""

    name: str
    prob: float
    params: dict[str, Any]


def augmentation_names() -> list[str]:
    """Names of all augmentations: the files of this folder that have settings."""
    return sorted(KNOWN)


def find_augmentation(name: str) -> Function:
    """Return the function of one augmentation.

    Raises
    ------
    ConfigError
        Unknown name.
    """
    names = augmentation_names()
    if name not in names:
        raise ConfigError(
            f'train.augmentations: "{name}" is not an augmentation; there are {", ".join(names)}' + suggest(name, names)
        )
    return getattr(importlib.import_module(f"britekit.datasets.augmentations.{name}"), name)


def default_params(name: str) -> dict[str, Any]:
    """Parameters of an augmentation with their defaults."""
    return {param: default for param, (_, default, _) in KNOWN[name].params.items()}


@dataclass(frozen=True)
class Step:
    """One checked entry of the list."""

    name: str
    prob: float
    function: Function
    params: dict[str, Any]


def build_steps(entries: Sequence[Entry], height: int, width: int) -> list[Step]:
    """Return the checked entries with a probability above 0, in order.

    Raises
    ------
    ConfigError
        Unknown name or parameter, a mask or shift larger than the image.
    """
    steps = []
    for entry in entries:
        function = find_augmentation(entry.name)
        known = default_params(entry.name)
        for key in entry.params or {}:
            if key not in known:
                listed = ", ".join(known) or "none"
                raise ConfigError(
                    f'train.augmentations: "{entry.name}" has no parameter "{key}"; it has {listed}'
                    + suggest(key, list(known))
                )
        params = {**known, **(entry.params or {})}
        for key, side in KNOWN[entry.name].limits.items():
            limit = {"spec_height": height, "spec_width": width}[side]
            if not 0 <= params[key] <= limit:
                raise ConfigError(
                    f"train.augmentations: {entry.name}.{key} is {params[key]}; it must be 0 to {limit}, "
                    "the size of the spectrogram"
                )
        if entry.prob > 0:
            steps.append(Step(entry.name, float(entry.prob), function, params))
    return steps


@dataclass(frozen=True)
class Fade:
    """The final fade: probability and range of the factor."""

    prob: float = 0.0
    low: float = 0.1
    high: float = 1.0


class Chain:
    """A list of augmentations with their probabilities, the normalization and the final fade.

    Parameters
    ----------
    steps
        From `build_steps`.
    max_augmentations
        Most augmentations per spectrogram; None for no limit.
    """

    def __init__(self, steps: Sequence[Step], fade: Fade, max_augmentations: int | None = None):
        self.steps = list(steps)
        self.fade = fade
        self.max_augmentations = max_augmentations

    def without_noise(self) -> "Chain":
        """Return the same list without the entries that need spectrograms of the noise class."""
        kept = [step for step in self.steps if not _needs_noise(step)]
        return Chain(kept, self.fade, self.max_augmentations)

    @property
    def noise_steps(self) -> list[str]:
        """Names of the entries that need spectrograms of the noise class."""
        return [step.name for step in self.steps if _needs_noise(step)]

    @property
    def needs_noise(self) -> bool:
        """Whether the list needs spectrograms of the noise class."""
        return bool(self.noise_steps)

    def __call__(self, images_BHW: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Augmented images, scaled to [0, 1]; may change its input."""
        chosen_SB = draws.chances([step.prob for step in self.steps])
        if self.max_augmentations is not None:
            chosen_SB &= chosen_SB.cumsum(0) <= self.max_augmentations
        # All choices at once, on the CPU: the number of samples is known without waiting for the device.
        rows = send(chosen_SB.nonzero()[:, 1], images_BHW.device).split(chosen_SB.sum(1).tolist())
        for step, rows_K in zip(self.steps, rows, strict=True):
            images_BHW = apply_to(images_BHW, rows_K, draws, step)
        images_BHW = normalize(images_BHW)
        if self.fade.prob > 0:
            images_BHW *= draws.factors(self.fade.prob, self.fade.low, self.fade.high)[:, None, None]
        return images_BHW


def _needs_noise(step: Step) -> bool:
    return step.name in KNOWN and KNOWN[step.name].needs_noise


def apply_to(images_BHW: torch.Tensor, rows_K: torch.Tensor, draws: Draws, step: Step) -> torch.Tensor:
    """Apply one augmentation to the samples of these rows only."""
    if len(rows_K) == 0:
        return images_BHW
    if len(rows_K) == len(images_BHW):
        return step.function(images_BHW, draws, **step.params)
    part = step.function(images_BHW.index_select(0, rows_K), draws.subset(rows_K), **step.params)
    return images_BHW.index_copy_(0, rows_K, part)


def normalize(images_BHW: torch.Tensor) -> torch.Tensor:
    """Divide each image by its maximum where that is positive, and clip to [0, 1]."""
    top = images_BHW.amax((1, 2), keepdim=True)
    # Where none is positive, clipping leaves zeros whatever the divisor is.
    return images_BHW.div_(top.clamp_(min=torch.finfo(top.dtype).tiny)).clamp_(0.0, 1.0)

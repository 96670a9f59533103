"""Effect of each augmentation on some spectrograms, one at a time and all together."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from britekit.datasets.augmentations.registry import Chain, Entry, Fade, build_steps
from britekit.datasets.bank import Bank
from britekit.datasets.batches import TrainingBatches
from britekit.datasets.excerpt import Excerpt
from britekit.datasets.mixing import MixSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Example:
    """One way, with its effect."""

    name: str
    """Of the way; fit for a file."""
    title: str
    """Name, chance and parameters."""
    before: NDArray[np.float32]
    after: NDArray[np.float32]
    """(n, H, W) float32 in [0, 1]; after as the network sees it, divided by its maximum."""


@dataclass
class _Always:
    """An entry of the list that is applied to every spectrogram."""

    name: str
    params: dict[str, Any]
    prob: float = 1.0


def augmentation_examples(
    excerpt: Excerpt,
    entries: Sequence[Entry],
    mixing: MixSettings,
    fade: Fade,
    max_augmentations: int | None = None,
    seed: int = 0,
) -> Iterator[Example]:
    """Yield every way of mixing, every augmentation with its configured parameters, the fade, then all.

    Each is applied to every spectrogram whatever its chance; the last example, ``training``, is what training
    would make of them, chances and all. What cannot be shown (noise without noise, merging without another
    class) is left out with a warning.
    """
    bank = Bank(excerpt)
    before = bank.gather(torch.arange(excerpt.shown)).numpy()

    def example(name: str, title: str, chain: Chain, mix: MixSettings) -> Iterator[Example]:
        members = torch.arange(len(bank))
        batches = TrainingBatches(bank, members, excerpt.shown, seed, chain, mix, excerpt.noise_class, shuffle=False)
        # Skipped by training with a warning, so there is nothing to show.
        if name != "training" and chain.needs_noise and not len(batches.noise):
            return
        if name == "simple_merge" and batches.mixer.picker is None:
            return
        batches.begin_epoch(0)
        after = batches.make(torch.arange(excerpt.shown)).images[:, 0].numpy()
        yield Example(name, title, before, after)

    plain, no_mix, no_fade = Chain([], Fade()), MixSettings(), Fade()
    alpha = mixing.alpha
    yield from example(
        "simple_merge",
        f"simple merge (probability {mixing.prob_merge:g})",
        plain,
        replace(no_mix, prob_merge=1.0, sources=mixing.sources),
    )
    for way, chance in (("mixup", mixing.prob_mixup), ("cutmix", mixing.prob_cutmix)):
        mix = replace(no_mix, alpha=alpha, sources=mixing.sources)
        mix = replace(mix, prob_mixup=1.0) if way == "mixup" else replace(mix, prob_cutmix=1.0)
        yield from example(way, f"{way} (probability {chance:g}): mixup_alpha {alpha:g}", plain, mix)
    height, width = bank.height, bank.width
    for entry in entries:
        steps = build_steps([_Always(entry.name, dict(entry.params))], height, width)
        said = ", ".join(
            f"{key} {value:g}" for key, value in steps[0].params.items() if isinstance(value, (int, float))
        )
        title = f"{entry.name} (probability {entry.prob:g})" + (f": {said}" if said else "")
        yield from example(entry.name, title, Chain(steps, no_fade), no_mix)
    yield from example(
        "fade",
        f"fade (probability {fade.prob:g}): min_fade1 {fade.low:g}, max_fade1 {fade.high:g}",
        Chain([], replace(fade, prob=1.0)),
        no_mix,
    )
    everything = Chain(build_steps(entries, height, width), fade, max_augmentations)
    yield from example("training", "as in training: all of them, with their probabilities", everything, mixing)


class LikeTraining:
    """Mixes and augments spectrograms of one class as training would, for people to look at.

    Parameters
    ----------
    pool
        What they are mixed with: spectrograms of other classes and of noise.
    entries, mixing, fade, max_augmentations
        As configured.
    """

    def __init__(
        self,
        pool: Excerpt,
        class_name: str,
        entries: Sequence[Entry],
        mixing: MixSettings,
        fade: Fade,
        max_augmentations: int | None = None,
    ):
        self.pool = pool
        self.label = np.array([[info.name == class_name for info in pool.classes]], np.uint8)
        chain = Chain(build_steps(entries, *pool.images.shape[1:]), fade, max_augmentations)
        # Built once for its warnings, and without what these say is off.
        trial = self._batches(pool, chain, mixing)
        self.chain = trial.chain
        self.mixing = mixing if trial.mixer.picker is not None else replace(mixing, prob_merge=0.0)
        self._calls = 0

    def __call__(self, images_NHW: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (N, H, W) in [0, 1]: each spectrogram with its own random draws."""
        count = len(images_NHW)
        levels = np.rint(images_NHW * 255.0).astype(np.uint8)
        together = replace(
            self.pool,
            images=np.concatenate([levels, self.pool.images]),
            labels=np.concatenate([np.repeat(self.label, count, 0), self.pool.labels]),
        )
        batches = self._batches(together, self.chain, self.mixing)
        batches.begin_epoch(self._calls)
        self._calls += 1
        return batches.make(torch.arange(count)).images[:, 0].numpy()

    def _batches(self, samples: Excerpt, chain: Chain | None, mixing: MixSettings) -> TrainingBatches:
        members = torch.arange(len(samples.images))
        noise = samples.noise_class
        return TrainingBatches(Bank(samples), members, len(members), 0, chain, mixing, noise)

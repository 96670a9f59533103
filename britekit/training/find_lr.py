"""Find an initial learning rate in one short run with rising rates.

Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017: rates grow geometrically from far too small to
far too large; a good rate is where the loss falls fastest.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from britekit.config import BaseConfig
from britekit.datasets.bank import Bank
from britekit.datasets.batches import TrainingBatches, batch_size_for, derived_seed
from britekit.datasets.splits import make_splits
from britekit.errors import TrainingError
from britekit.progress import Meter
from britekit.training import configured
from britekit.training import preparation as prepare
from britekit.training.devices import choose_device, memory_format, place
from britekit.training.extras import read_extras, teaching_settings
from britekit.training.loop import BatchLoss
from britekit.training.optimizers import build_optimizer, needs_second_derivatives
from britekit.training.run_on_device import explained

LOWEST, HIGHEST = 1e-7, 10.0
FEWEST_BATCHES = 10
# Divergence: the running mean of the loss exceeds its minimum by this factor.
_DIVERGED = 4.0
_MEMORY = 0.9
# Width of the smoothing in decades of the rate on either side.
_SMOOTHING_DECADES = 0.25


@dataclass(frozen=True)
class RateSearch:
    """Result of a search."""

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    smoothed: NDArray[np.float64]
    """(n,) rate, loss and smoothed loss of each batch until the loss diverged."""
    suggestion: float
    """Rate of the steepest descent of the smoothed loss over the logarithm of the rate."""


def find_learning_rate(cfg: BaseConfig, num_batches: int = 100) -> RateSearch:
    """Train with rising rates on the configured data, and discard the weights.

    Raises `BriteKitError` if settings or data are unusable, or the loss never falls.

    Parameters
    ----------
    cfg
        Model, data, loss and optimizer as for training; a ``train.seed`` of null counts as 0.
    num_batches
        Steps from the lowest to the highest rate, at least 10.
    """
    if num_batches < FEWEST_BATCHES:
        raise TrainingError(
            f"{num_batches} batches are too few to see where the loss falls; expected at least {FEWEST_BATCHES}"
        )
    prepare.check_names(cfg)
    rates = np.geomspace(LOWEST, HIGHEST, num_batches)
    losses = _losses(cfg, rates)
    rates = rates[: len(losses)]
    smoothed = smooth_curve(rates, losses)
    return RateSearch(rates, losses, smoothed, steepest_descent(rates, smoothed))


def smooth_curve(rates: NDArray[np.float64], losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smooth losses over neighboring rates with a Gaussian of a quarter of a decade, without lag."""
    decades = np.log10(rates)
    weights = np.exp(-0.5 * ((decades[:, None] - decades) / _SMOOTHING_DECADES) ** 2)
    return (weights @ losses) / weights.sum(1)


def steepest_descent(rates: NDArray[np.float64], smoothed: NDArray[np.float64]) -> float:
    """Return the rate at which a smoothed loss falls fastest over the logarithm of the rate.

    Raises `TrainingError` if the loss never falls, or falls fastest at the lowest rate, at which nothing is learned.
    """
    # After the minimum the loss diverges.
    end = int(np.argmin(smoothed)) + 1
    if end < 3:
        raise TrainingError(
            f"the loss falls at no learning rate from {rates[0]:.3g} to {rates[-1]:.3g}; look at the "
            "training data, or try more batches (-n)"
        )
    slope = np.gradient(smoothed[:end], np.log10(rates[:end]))
    place = int(np.argmin(slope))
    if place == 0:
        raise TrainingError(
            f"the loss falls fastest at the lowest learning rate, {rates[0]:.3g}, which is random: the "
            "batches differ too much; try more of them (-n) or a larger train.batch_size"
        )
    return float(rates[place])


def _endless(batches: TrainingBatches) -> Iterator[torch.Tensor]:
    """Yield the sample indices of batches, one epoch after the other."""
    for epoch in itertools.count():
        batches.begin_epoch(epoch)
        yield from batches.indices(epoch)


def _losses(cfg: BaseConfig, rates: NDArray[np.float64]) -> NDArray[np.float64]:
    train = cfg.train
    seed = train.seed or 0
    samples = prepare.read_samples(train.train_pickle, cfg, "train.train_pickle")
    samples = prepare.without_rejections(samples, cfg)
    prepare.check_samples(samples, cfg)
    names = [info.name for info in samples.classes]
    members = make_splits(samples.labels, samples.group_ids, train.num_folds, train.val_portion, names)[0].train
    device = choose_device(cfg.misc.force_cpu)
    layout = memory_format(device)
    with torch.random.fork_rng(enabled=True):
        torch.manual_seed(derived_seed(seed, 0))
        recognizer = configured.make_recognizer(cfg, samples.classes)
        place(recognizer, device)
        recognizer.train()
        batches = TrainingBatches(
            Bank(samples, device, extras=read_extras(samples, cfg)),
            configured.as_index(members),
            batch_size_for(len(members), train.batch_size, train.min_steps),
            seed,
            configured.make_chain(cfg),
            configured.make_mixing(cfg),
            configured.noise_index(samples.classes, train.noise_class_name),
            train.shuffle,
        )
        optimizer = build_optimizer(
            recognizer, train.optimizer, float(rates[0]), train.opt_weight_decay, train.opt_beta1, train.opt_beta2
        )
        weights = None
        if train.use_class_weights:
            values = configured.make_class_weights(samples, members, train.weight_exponent)
            weights = torch.from_numpy(values).to(device, torch.float32)
        settings = configured.loss_settings(cfg)
        compute = BatchLoss(recognizer, recognizer, settings, weights, layout, teaching=teaching_settings(cfg))
        twice = needs_second_derivatives(train.optimizer)
        found: list[float] = []
        mean, best = 0.0, math.inf
        meter = Meter(len(rates), "find-lr")
        try:
            with explained(recognizer, cfg, batches.batch_size, layout):
                for rate, index in zip(rates, _endless(batches), strict=False):
                    for group in optimizer.param_groups:
                        group["lr"] = float(rate)
                    batch = batches.make(index)
                    optimizer.zero_grad(set_to_none=True)
                    loss = compute(batch)
                    value = float(loss.detach())
                    if not math.isfinite(value):
                        break
                    found.append(value)
                    mean = _MEMORY * mean + (1.0 - _MEMORY) * value
                    level = mean / (1.0 - _MEMORY ** len(found))
                    best = min(best, level)
                    if level > _DIVERGED * best:
                        break
                    loss.backward(create_graph=twice)  # type: ignore[no-untyped-call]
                    optimizer.step()
                    meter.advance()
            meter.finish()
        finally:
            meter.close()
    if len(found) < 3:
        raise TrainingError(
            f"the loss is not a number from batch {len(found) + 1} on, with a learning rate of {rates[0]:.3g}; "
            "look at the training data"
        )
    return np.array(found)

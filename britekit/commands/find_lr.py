"""Suggest a learning rate.

Trains for a few batches with growing rates, and suggests the rate at which the loss falls fastest
(train.learning_rate). Plots the loss in learning_rates.jpeg and discards the weights.

    britekit find-lr -c yaml/samples/train_effnet.yaml -n 200
"""

from typing import Annotated

from britekit.options import ConfigPath, opt


def find_lr(
    cfg_path: ConfigPath = None,
    num_batches: Annotated[int, opt("-n", "--num-batches", metavar="INT", help="batches (default: 100)")] = 100,
) -> float:
    """Suggest a learning rate; see `britekit.training.find_lr.find_learning_rate`.

    Returns
    -------
    The rate. ``learning_rates.jpeg`` is written to the working directory.
    """
    from britekit.config import resolve

    cfg = resolve(cfg_path)

    from britekit.plots.training import plot_learning_rates
    from britekit.training.find_lr import find_learning_rate

    search = find_learning_rate(cfg, num_batches)
    plot_learning_rates("learning_rates.jpeg", search.rates, search.losses, search.smoothed, search.suggestion)
    print(f"learning_rate = {search.suggestion:.6f}")
    return search.suggestion

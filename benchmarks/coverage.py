"""How often do the intervals of a test hold the truth? Simulates tests whose true figures are known.

    python benchmarks/coverage.py [--simulations 1000] [--recordings 200 20] [--quick]

A made world of recordings: each has its own length, its own share of segments in which a class is heard, and
a way of its own to shift scores, so that cells of a recording resemble each other. The truth is the figure
over many thousand recordings. Wanted: 93 to 97 % of the intervals of 200 recordings hold it; with 20
recordings it is only reported.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from numpy.typing import NDArray

from britekit.metrics.bootstrap import bin_ranks, resample
from britekit.metrics.ranking import average_precision, roc_auc

CLASSES = 5
EDGES = 512


def draw(recordings: int, rng: np.random.Generator) -> tuple[NDArray, NDArray, NDArray]:
    """Return truth and scores (N, C) and the recording of each row (N,) of a made test."""
    rows = rng.integers(8, 33, recordings)
    group = np.repeat(np.arange(recordings), rows)
    present = rng.random((recordings, CLASSES)) < 0.35
    share = rng.beta(1, 2, (recordings, CLASSES)) * present
    truth = rng.random((len(group), CLASSES)) < share[group]
    shift = rng.normal(0, 0.8, (recordings, CLASSES))
    clear = rng.normal(2.2, 0.8, (recordings, CLASSES))
    z = rng.normal(-2.5, 1.2, truth.shape) + shift[group] + clear[group] * truth
    return truth, (1 / (1 + np.exp(-z))).astype(np.float32), group


def true_figures(seed: int = 12345, recordings: int = 100_000) -> dict[str, float]:
    """Return the figures of the made world, from a sample so large that its own error does not matter."""
    truth, scores, _ = draw(recordings, np.random.default_rng(seed))
    return {"micro_pr": average_precision(truth, scores), "micro_roc": roc_auc(truth, scores)}


def coverage(simulations: int, recordings: int, truth: dict[str, float], seed: int = 0) -> dict[str, float]:
    """Return the share of intervals that hold the truth, by figure."""
    held: dict[str, int] = {}
    for k in range(simulations):
        cells, scores, group = draw(recordings, np.random.default_rng([seed, recordings, k]))
        sampling = resample(recordings, seed=k)
        areas = bin_ranks(cells, scores, group, recordings, EDGES).areas(sampling)
        exact = {"micro_pr": average_precision(cells, scores), "micro_roc": roc_auc(cells, scores)}
        for name, values in zip(("micro_pr", "micro_roc"), areas, strict=True):
            found = sampling.interval(values, exact[name])
            held[name] = held.get(name, 0) + (found.low <= truth[name] <= found.high)
    return {name: count / simulations for name, count in held.items()}


def main() -> None:
    """Print the coverage for each number of recordings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--recordings", type=int, nargs="+", default=[200, 20])
    parser.add_argument("--quick", action="store_true", help="100 simulations")
    options = parser.parse_args()
    truth = true_figures()
    for name, value in truth.items():
        print(f"true {name} = {value:.4f}")
    for recordings in options.recordings:
        start = time.perf_counter()
        found = coverage(100 if options.quick else options.simulations, recordings, truth)
        for name, share in found.items():
            print(f"{recordings} recordings, {name} = {share:.3f}", flush=True)
        print(f"{recordings} recordings, seconds = {time.perf_counter() - start:.0f}")


if __name__ == "__main__":
    main()

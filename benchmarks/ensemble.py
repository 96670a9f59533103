"""How long does the choice of 3 of 20 checkpoints take, all 1,140 combinations, after inference?

    python benchmarks/ensemble.py [--rows 50000] [--classes 100] [--members 20] [--metric micro_roc] [--quick]

Scores are made up: members of different skill that err partly together. All combinations are rated on all
rows (the command rates half of them and holds the rest out): bounds screen them, those that may be the best
are computed exactly. To compare, some are computed exactly one by one, and the time of all that way is told.
"""

from __future__ import annotations

import argparse
import math
import resource
import time

import numpy as np

from britekit.tuning.mean_scores import METRICS, MeanScores
from britekit.tuning.selection import choose


def make_scores(rows: int, classes: int, members: int) -> tuple[np.ndarray, np.ndarray]:
    """Return truth (rows, classes), 1 % true, and scores (members, rows, classes)."""
    rng = np.random.default_rng(0)
    truth = rng.random((rows, classes)) < 0.01
    common = rng.normal(0, 1.2, (rows, classes)).astype(np.float32)
    scores = np.empty((members, rows, classes), np.float32)
    for member in range(members):
        logits = common + rng.normal(0, 1.2, (rows, classes)).astype(np.float32) - 4
        logits += np.float32(3 + rng.random()) * truth
        scores[member] = 1 / (1 + np.exp(-logits))
    return truth, scores


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--members", type=int, default=20)
    parser.add_argument("--size", type=int, default=3)
    parser.add_argument("--metric", choices=METRICS, action="append")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="5,000 rows, 8 members")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.members = 5_000, 8
    truth, scores = make_scores(options.rows, options.classes, options.members)
    number = math.comb(options.members, options.size)
    print(f"rows = {options.rows}, classes = {options.classes}, combinations = {number}")
    for metric in options.metric or METRICS:
        began = time.perf_counter()
        rated = MeanScores(truth, scores, metric)
        found = choose(rated, options.size, number, threads=options.threads)
        seconds = time.perf_counter() - began
        began = time.perf_counter()
        samples = found.rated[:: max(1, number // 8)]
        values = [rated.exact(each.combination) for each in samples]
        each = (time.perf_counter() - began) / len(samples)
        assert max(values) <= found.best.score, "a combination that was ruled out is better"
        exact = sum(one.is_exact for one in found.rated)
        print(
            f"{metric}: seconds = {seconds:.1f} ({exact} of {number} computed exactly), "
            f"one by one and one thread = {each * number:.1f}, ratio = {each * number / seconds:.1f}"
        )
        del rated
    print(f"peak_mb = {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}")


if __name__ == "__main__":
    main()

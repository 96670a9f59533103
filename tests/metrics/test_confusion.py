"""What was detected instead of missed classes, counted unit by unit."""

import numpy as np

from britekit.metrics import confusion
from britekit.metrics.confusion import count_missed_for


def test_equals_counting_unit_by_unit(monkeypatch):
    monkeypatch.setattr(confusion, "_ROWS_AT_ONCE", 7)
    rng = np.random.default_rng(1)
    for _ in range(100):
        shape = int(rng.integers(1, 30)), int(rng.integers(1, 5))
        truth, found = rng.random(shape) < 0.4, rng.random(shape) < 0.3
        got = count_missed_for(truth, found)
        wrong, right = np.zeros((shape[1],) * 2, int), np.zeros((shape[1],) * 2, int)
        misses, nothing = np.zeros(shape[1], int), np.zeros(shape[1], int)
        for true, said in zip(truth, found, strict=True):
            for c in np.flatnonzero(true & ~said):
                misses[c] += 1
                nothing[c] += not said.any()
                for d in np.flatnonzero(said):
                    (right if true[d] else wrong)[c, d] += 1
        for left, expected in zip(
            (got.misses_C, got.wrong_CC, got.right_CC, got.nothing_C), (misses, wrong, right, nothing), strict=True
        ):
            np.testing.assert_array_equal(left, expected)

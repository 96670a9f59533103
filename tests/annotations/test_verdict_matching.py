"""The detections that a verdict is about, by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from britekit.annotations.verdict_matching import detections_about
from britekit.annotations.verdicts import Judged, Verdict

ROWS = [  # recording, name, start, end
    ("a/r1", "Wren", 0, 5), ("a/r1", "Wren", 5, 10), ("a/r1", "Wren", 10, 15),
    ("a/r1", "Owl", 5, 10), ("b/r1", "Wren", 5, 10), ("a/r1", "Wren", 12, 20),
]  # fmt: skip


def table(rows=ROWS):
    recordings, names = sorted({row[0] for row in rows}), sorted({row[1] for row in rows})
    return SimpleNamespace(
        recordings=recordings,
        names=names,
        recording_M=np.array([recordings.index(row[0]) for row in rows], np.int32),
        name_M=np.array([names.index(row[1]) for row in rows], np.int32),
        start_M=np.array([row[2] for row in rows], np.float32),
        end_M=np.array([row[3] for row in rows], np.float32),
    )


def judged(answer, detection, bounds=None, name="Wren", recording="a/r1"):
    start, end = bounds or detection
    verdict = Verdict(
        id="v1", recording=recording, start=start, end=end, detection_start=detection[0], detection_end=detection[1],
        name=name, verdict=answer,
    )  # fmt: skip
    return Judged(verdict, answer, 1)


@pytest.mark.parametrize(
    ("item", "rows"),
    [
        (judged("yes", (5, 10)), [1]),
        (judged("yes", (5.01, 9.99)), [1]),  # tables round to hundredths
        (judged("yes", (0, 10)), [0, 1]),  # joined by a review
        (judged("yes", (4, 13)), [1, 2]),  # of 0-5 it has 1 s; of 10-15 3 s, at least half
        (judged("yes", (0, 15), (6, 8)), [1]),  # corrected: the call alone counts
        (judged("no", (0, 15), (6, 8)), [0, 1, 2]),  # rejected: the whole stretch that was heard
        (judged("no", (0.4, 10)), [1, 0]),  # 0-5 lies within it by 0.92
        (judged("no", (0.6, 10)), [1]),  # by 0.88
        (judged("no", (10, 15)), [2]),  # 12-20 lies within it by 3 of 8 s
        (judged("yes", (12, 15)), [2, 5]),  # equal overlap: in the order of the rows
        (judged("yes", (12, 20)), [5, 2]),  # the same stretch first
        (judged("unsure", (5, 10)), [1]),
        (judged("yes", (5, 10), name="Owl"), [3]),
        (judged("yes", (5, 10), name="Finch"), []),
        (judged("yes", (5, 10), recording="b/r1"), [4]),
        (judged("yes", (5, 10), recording="c/r1"), []),
        (judged("yes", (20, 25)), []),  # touches 12-20
    ],
)
def test_the_closest_comes_first(item, rows):
    assert list(detections_about([item], table())) == [(item, rows)]


def test_some_rows_and_other_names():
    items = [judged("yes", (0, 15), name="wren of the list"), judged("yes", (0, 15))]
    found = detections_about(items, table(), np.array([5, 2, 3]), {"wren of the list": [1, 0]})
    assert [rows for _, rows in found] == [[2, 3], []]  # of 12-20 it has 3 s, less than half


def test_equal_to_a_comparison_with_every_row():
    rng = np.random.default_rng(4)
    rows = [("r", "Wren", *sorted(rng.uniform(0, 30, 2).round(2))) for _ in range(60)]
    for _ in range(200):
        start, end = sorted(rng.uniform(0, 30, 2).round(2))
        item = judged(rng.choice(["yes", "no"]), (start, end), recording="r")
        wanted = set()
        for number, (_, _, low, high) in enumerate(rows):
            overlap = min(end, high) - max(start, low)
            part = 0.5 * min(high - low, end - start) if item.answer == "yes" else 0.9 * (high - low)
            if overlap > 0 and overlap >= part or max(abs(low - start), abs(high - end)) < 0.011:
                wanted.add(number)
        ((_, found),) = detections_about([item], table([(a, b, float(c), float(d)) for a, b, c, d in rows]))
        assert set(found) == wanted

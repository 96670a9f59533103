"""Samples of detections: sizes, shares and orders counted by hand, uniformity by a chi-square test."""

from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pytest
import soundfile
from scipy import stats

from britekit.annotations.label_table import LabelTable
from britekit.errors import InputError
from britekit.results.candidates import Candidates, Place, read_candidates
from britekit.results.queues import find_queue, queue_names
from britekit.results.queues.strata import spread
from britekit.results.review_queue import build_review


def table(*rows: tuple[str, str, float, float, float]) -> LabelTable:
    recordings = list(dict.fromkeys(row[0] for row in rows))
    names = list(dict.fromkeys(row[1] for row in rows))
    return LabelTable(
        recordings, names,
        np.array([recordings.index(row[0]) for row in rows], np.int32),
        np.array([names.index(row[1]) for row in rows], np.int32),
        np.array([row[2] for row in rows]), np.array([row[3] for row in rows]),
        np.array([row[4] for row in rows], np.float32),
    )  # fmt: skip


def many(counts: dict[str, int], seed: int = 0) -> Candidates:
    """Detections of several classes in recordings of three sites and four days."""
    rng = np.random.default_rng(seed)
    rows, places = [], {}
    for name, count in counts.items():
        for number in range(count):
            day, site = rng.integers(1, 5), "abc"[rng.integers(3)]
            recording = f"{site}/{day}-{number}-{name}"
            places[recording] = Place(site, datetime(2026, 5, day, int(rng.integers(24)), tzinfo=UTC))
            rows.append((recording, name, 10.0, 15.0, round(float(rng.uniform(0.2, 1)), 3)))
    return read_candidates(table(*rows), places.__getitem__)


def names_of(candidates: Candidates, drawn) -> Counter[str]:
    return Counter(candidates.names[candidates.name_M[item.index]] for item in drawn)


def test_touching_detections_of_a_class_become_one() -> None:
    found = read_candidates(
        table(
            ("r", "A", 0, 5, 0.4), ("r", "A", 5, 10, 0.9), ("r", "A", 8, 9, 0.2), ("r", "A", 20, 25, 0.5),
            ("r", "B", 10, 15, 0.7), ("s", "A", 10, 15, 0.6), ("r", "A", 10, 12, 0.3),
        ),
        lambda name: Place(),
    )  # fmt: skip
    rows = [
        (found.recordings[r], found.names[n], s, e, round(p, 3))
        for r, n, s, e, p in zip(
            found.recording_M, found.name_M, found.start_M, found.end_M, found.score_M, strict=True
        )
    ]
    assert rows == [
        ("r", "A", 0, 12, 0.9), ("r", "A", 20, 25, 0.5), ("r", "B", 10, 15, 0.7), ("s", "A", 10, 15, 0.6),
    ]  # fmt: skip


def test_merging_equals_a_loop() -> None:
    rng = np.random.default_rng(4)
    rows = []
    for _ in range(400):
        start = round(float(rng.uniform(0, 300)), 1)
        end = start + round(float(rng.uniform(0.1, 6)), 1)
        rows.append((f"r{rng.integers(3)}", "AB"[rng.integers(2)], start, end, float(rng.integers(1, 100)) / 100))
    expected = []
    for key in sorted({row[:2] for row in rows}):
        open_: list[float] | None = None
        for _, _, start, end, score in sorted(row for row in rows if row[:2] == key):
            if open_ is not None and start <= open_[1] + 1e-6:
                open_ = [open_[0], max(open_[1], end), max(open_[2], score)]
            else:
                if open_ is not None:
                    expected.append((*key, *open_))
                open_ = [start, end, score]
        assert open_ is not None
        expected.append((*key, *open_))
    found = read_candidates(table(*rows), lambda name: Place())
    got = sorted(
        (found.recordings[r], found.names[n], float(s), float(e), float(p))
        for r, n, s, e, p in zip(
            found.recording_M, found.name_M, found.start_M, found.end_M, found.score_M, strict=True
        )
    )
    assert [row[:2] for row in got] == [row[:2] for row in sorted(expected)]
    np.testing.assert_allclose([row[2:] for row in got], [row[2:] for row in sorted(expected)], atol=1e-6)


def test_only_wanted_classes_and_scores() -> None:
    rows = table(("r", "A", 0, 5, 0.4), ("r", "A", 20, 25, 0.6), ("r", "B", 0, 5, 0.9))
    assert len(read_candidates(rows, lambda name: Place(), ["A"], 0.6)) == 1
    with pytest.raises(InputError, match='"C"; there are A, B'):
        read_candidates(rows, lambda name: Place(), ["C"])


@pytest.mark.parametrize("way", ["random", "strata", "top", "uncertain"])
def test_each_class_gives_its_number_or_all_it_has(way: str) -> None:
    candidates = many({"A": 300, "B": 7})
    drawn = find_queue(way).draw(candidates, 20, np.random.default_rng(1))
    assert names_of(candidates, drawn) == {"A": 20, "B": 7}
    assert len({item.index for item in drawn}) == 27


@pytest.mark.parametrize("way", [name for name in queue_names() if not hasattr(find_queue(name), "NEEDS_ARCHIVE")])
def test_a_seed_repeats_a_sample(way: str) -> None:
    candidates = many({"A": 100, "B": 30})
    draw = find_queue(way).draw
    first = draw(candidates, 10, np.random.default_rng(3))
    assert first == draw(candidates, 10, np.random.default_rng(3))
    assert len(first) == len({item.index for item in first})


@pytest.mark.parametrize("way", ["random", "strata", "hours", "site-day"])
def test_shares_are_drawn_over_available(way: str) -> None:
    candidates = many({"A": 300, "B": 40})
    drawn = find_queue(way).draw(candidates, 12, np.random.default_rng(2))
    # The weights of what was drawn from a stratum add up to its size, so those of a class to its detections.
    weights = Counter[str]()
    for item in drawn:
        assert item.share is not None
        weights[candidates.names[candidates.name_M[item.index]]] += 1 / item.share
    assert weights == pytest.approx({"A": 300, "B": 40})


def test_random_is_uniform() -> None:
    candidates = many({"A": 40})
    draw = find_queue("random").draw
    counts = Counter(item.index for seed in range(2000) for item in draw(candidates, 5, np.random.default_rng(seed)))
    assert stats.chisquare([counts[index] for index in range(40)]).pvalue > 0.001


def test_strata_take_the_same_number_from_each_band() -> None:
    candidates = many({"A": 1000})
    drawn = find_queue("strata").draw(candidates, 50, np.random.default_rng(2))
    assert Counter(item.stratum for item in drawn) == dict.fromkeys({item.stratum for item in drawn}, 10)
    for item in drawn:
        low, _, high = item.stratum.partition("-")
        assert float(low) - 6e-4 <= candidates.score_M[item.index] <= float(high) + 6e-4


def test_top_and_uncertain_are_sorted() -> None:
    candidates = many({"A": 200})
    top = [candidates.score_M[item.index] for item in find_queue("top").draw(candidates, 15, None)]
    assert top == sorted(candidates.score_M, reverse=True)[:15]
    near = [abs(candidates.score_M[item.index] - 0.5) for item in find_queue("uncertain").draw(candidates, 15, None)]
    assert near == sorted(abs(candidates.score_M - 0.5))[:15]


def test_uncertain_takes_one_of_each_recording_first() -> None:
    scores = {"r": (0.5, 0.51, 0.52), "s": (0.7, 0.56), "t": (0.95,)}
    rows = [(name, "A", 10.0 * n, 10.0 * n + 5, p) for name, own in scores.items() for n, p in enumerate(own)]
    found = read_candidates(table(*rows), lambda name: Place())
    drawn = find_queue("uncertain").draw(found, 5, None)
    assert [round(float(found.score_M[item.index]), 2) for item in drawn] == [0.5, 0.56, 0.95, 0.51, 0.7]


@pytest.mark.parametrize(("queue", "stretches"), [("uncertain", [(0, 5), (5, 10)]), ("top", [(0, 10)])])
def test_queues_to_learn_from_play_single_detections(queue, stretches, tmp_path, monkeypatch) -> None:
    """A yes to a joined stretch does not say in which of its windows the class is heard."""
    monkeypatch.chdir(tmp_path)
    for folder in ("rec", "l"):
        (tmp_path / folder).mkdir()
    soundfile.write("rec/r.wav", np.zeros(1600), 100)
    (tmp_path / "l" / "r.txt").write_text("0\t5\tWren;0.5\n5\t10\tWren;0.7\n")
    review, _ = build_review("rec", "l", queue, reviewer="Jo")
    assert [(item.start, item.end) for item in review.items] == stretches


def test_site_day_gives_a_number_of_each() -> None:
    candidates = many({"A": 300})
    drawn = find_queue("site-day").draw(candidates, 2, np.random.default_rng(2))
    assert Counter(item.stratum for item in drawn) == {
        f"{site} 2026-05-{day:02d}": 2 for site in "abc" for day in range(1, 5)
    }


def test_presence_begins_with_the_best_of_each_site_and_day() -> None:
    candidates = many({"A": 300})
    drawn = find_queue("presence").draw(candidates, None, np.random.default_rng(2))
    assert len(drawn) == 300
    firsts = drawn[:12]
    assert len({item.stratum for item in firsts}) == 12
    for item in firsts:
        best = max(candidates.score_M[other.index] for other in drawn if other.stratum == item.stratum)
        assert candidates.score_M[item.index] == best


def test_a_day_that_is_not_known_is_refused() -> None:
    candidates = read_candidates(table(("x", "A", 0, 5, 0.4)), lambda name: Place("pond"))
    for way in ("site-day", "presence", "hours"):
        with pytest.raises(InputError, match="x: it is not known when this was recorded"):
            find_queue(way).draw(candidates, 5, np.random.default_rng(1))


@pytest.mark.parametrize(
    ("available", "num", "expected"),
    [([5, 5, 5], 9, [3, 3, 3]), ([1, 9, 9], 11, [1, 5, 5]), ([0, 2, 9], 20, [0, 2, 9]), ([4, 4, 0], 1, [1, 1, 0])],
)
def test_spread(available: list[int], num: int, expected: list[int]) -> None:
    assert spread(np.array(available), num).tolist() == expected


def test_an_unknown_way_is_named() -> None:
    with pytest.raises(InputError, match='"rnadom" is not a way .* did you mean "random"'):
        find_queue("rnadom")

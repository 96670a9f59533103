"""The grid of segments against a twin that walks the definition cell by cell, in exact fractions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from britekit.audio.window_grid import WindowGrid
from britekit.evaluation.grid import build_grid, count_marked, find_step, mark_truth, place_labels, place_windows


def seconds(low, high):
    """Return times in whole milliseconds, as exact fractions."""
    return st.integers(int(low * 1000), int(high * 1000)).map(lambda ms: Fraction(ms, 1000))


lengths = seconds(0.5, 6)
steps = seconds(0.5, 6)


@st.composite
def cases(draw):
    length = draw(lengths)
    step = min(draw(steps), length)
    durations = draw(st.lists(seconds(0.1, 40), min_size=1, max_size=4))
    annotations = draw(
        st.lists(
            st.tuples(st.integers(0, len(durations) - 1), st.integers(0, 2), seconds(0, 45), seconds(0.001, 12)),
            max_size=12,
        )
    )
    # also the borders themselves: starts and ends that lie exactly where a row begins or ends to count
    edges = draw(st.lists(st.tuples(st.integers(0, 8), st.booleans()), max_size=4))
    for k, early in edges:
        at = k * step + (length - Fraction(3, 10) if early else Fraction(3, 10))
        annotations.append((0, 0, at, Fraction(1, 2)) if early else (0, 1, max(at - 1, Fraction(0)), min(at, 1)))
    return length, step, durations, [(r, c, a, a + d) for r, c, a, d in annotations if d > 0]


def walk_rows(length, step, duration):
    rows = []
    k = 0
    while k * step < duration - length + 1 or (k == 0 and duration >= min(1, length)):
        rows.append(k * step)
        k += 1
    return rows


def holds(row, length, start, end):
    """Walk the rule: a row holds the smallest of 0.3 s, half the sound and half the row."""
    inside = min(end, row + length) - max(start, row)
    return inside >= min(Fraction(3, 10), (end - start) / 2, length / 2)


@settings(max_examples=250)
@given(cases())
def test_truth_equals_the_definition_walked_cell_by_cell(case):
    length, step, durations, annotations = case
    grid = build_grid([float(d) for d in durations], float(length), float(step))
    truth = mark_truth(
        grid,
        [a[0] for a in annotations],
        [a[1] for a in annotations],
        [float(a[2]) for a in annotations],
        [float(a[3]) for a in annotations],
        3,
    )
    expected = []
    for recording, duration in enumerate(durations):
        for row in walk_rows(length, step, duration):
            cells = [False] * 3
            for r, c, start, end in annotations:
                if r == recording and holds(row, length, start, end):
                    cells[c] = True
            expected.append(cells)
    assert grid.rows_R.tolist() == [len(walk_rows(length, step, d)) for d in durations]
    assert truth.tolist() == expected


@settings(max_examples=200)
@given(
    lengths,
    steps,
    st.lists(seconds(0.1, 40), min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 2), seconds(0, 50), st.integers(0, 100)), max_size=15),
)
def test_scores_equal_the_definition_walked_cell_by_cell(length, step, durations, windows):
    step = min(step, length)
    windows = [(r % len(durations), start, score / 100) for r, start, score in windows]
    grid = build_grid([float(d) for d in durations], float(length), float(step))
    scores = np.array([[w[2], 1 - w[2]] for w in windows], dtype=np.float32).reshape(-1, 2)
    found = place_windows(grid, [w[0] for w in windows], [float(w[1]) for w in windows], scores)
    expected = np.zeros((grid.rows, 2), dtype=np.float32)
    n = 0
    for recording, duration in enumerate(durations):
        for k, row in enumerate(walk_rows(length, step, duration)):
            for (r, start, _), values in zip(windows, scores, strict=True):
                # the definition forgives a millionth of a row
                if r == recording and row - step / 10**6 <= start < row + step - step / 10**6:
                    expected[n] = np.maximum(expected[n], values)
            assert grid.row_recording_N[n] == recording and grid.row_index_N[n] == k
            n += 1
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("overlap", [0.0, 1.0, 1.5, 1.667, 2.1])
@pytest.mark.parametrize("decimals", [2, 6])
def test_rounded_labels_find_the_row_of_exact_windows(overlap, decimals):
    step, length, rows = 3 - overlap, 3.0, 3000
    starts = np.arange(rows) * step
    rounded = np.round(starts, decimals)
    found = find_step(np.zeros(rows, dtype=int), rounded, length)
    assert found == pytest.approx(step, abs=1e-5)
    grid = build_grid([rows * step + 1], length, found)
    scores = np.zeros((grid.rows, 1), np.float32)
    place_labels(grid, np.zeros(rows, int), np.zeros(rows, int), rounded, np.ones(rows), scores)
    assert scores[:rows].all()


def test_step_is_taken_from_the_recording_with_most_labels():
    assert find_step([0, 0, 1, 1, 1], [0, 0.5, 0, 2, 4], 3.0) == 2
    assert find_step([0, 0, 0], [1, 1, 1], 3.0) == 3.0
    assert find_step([], [], 3.0) == 3.0
    assert find_step([0, 0], [0, 30], 3.0) == 3.0  # labels are missing between them


def test_window_beyond_the_last_row_is_left_out():
    grid = build_grid([6.0], 3.0, 3.0)
    assert grid.rows == 2
    scores = place_windows(grid, [0, 0, 0], [0.0, 3.0, 6.0], np.ones((3, 1), np.float32))
    assert scores.tolist() == [[1], [1]]


def test_highest_score_of_a_row_counts():
    grid = build_grid([6.0], 3.0, 3.0)
    scores = place_windows(grid, [0, 0], [0.0, 1.0], np.array([[0.2, 0.9], [0.7, 0.1]], np.float32))
    np.testing.assert_allclose(scores[0], [0.7, 0.9])


@pytest.mark.parametrize("scored", ["windows", "frames"])
@settings(max_examples=250)
@given(cases())
def test_rows_reach_every_annotation_that_inference_can_hear(scored, case):
    length, step, durations, annotations = case
    if scored == "frames":
        step = length
    grid = build_grid([float(d) for d in durations], float(length), float(step), scored)
    shortest = min(Fraction(1), length)
    for r, duration in enumerate(durations):
        starts = grid.starts_N[grid.row_recording_N == r]
        windows = WindowGrid.for_overlap(float(length), float(length - step)).starts(float(duration))
        if duration < shortest:
            assert not len(starts)
            continue
        if scored == "windows":
            # Every row is a window that inference scores, and none is missing before the last.
            assert all(np.abs(np.array(windows) - start).min() < 1e-6 for start in starts)
        assert np.all(np.diff(starts) <= float(step) + 1e-6)
        assert float(duration) - (starts[-1] + float(length)) <= max(0.01 * float(length), 0.001) + 1e-6
    truth = mark_truth(
        grid, [a[0] for a in annotations], [a[1] for a in annotations],
        [float(a[2]) for a in annotations], [float(a[3]) for a in annotations], 3,
    )  # fmt: skip
    expected = np.zeros_like(truth)
    for n, (start, r) in enumerate(zip(grid.starts_N, grid.row_recording_N)):
        for recording, c, a, e in annotations:
            near = min(float(e), start + float(length)) - max(float(a), start)
            least = float(min(Fraction(3, 10), (e - a) / 2, length / 2))
            if abs(near - least) < 1e-6:
                expected[n, c] |= truth[n, c]  # on the border: the test above decides it, in fractions
            elif recording == r and near > least:
                expected[n, c] = True
    np.testing.assert_array_equal(truth, expected)


def test_the_window_that_ends_with_the_recording_has_a_row():
    """60.5 s in windows of 5 s: 12 on the grid, and one from 55.5 s on that is heard where no other is."""
    windows = WindowGrid.for_overlap(5.0, 0.0).starts(60.5)
    grid = build_grid([60.5, 12.0], 5.0, 5.0, "windows")
    assert grid.rows_R.tolist() == [13, 3] and grid.starts_N.tolist() == [*windows, 0.0, 5.0, 10.0]
    truth = mark_truth(grid, [0, 0], [0, 1], [60.1, 58.0], [60.4, 58.5], 2)
    assert np.argwhere(truth).tolist() == [[11, 1], [12, 0], [12, 1]]
    assert count_marked(grid, [0, 0], [60.1, 58.0], [60.4, 58.5]).tolist() == [1, 2]
    scores = np.arange(1, 14, dtype=np.float32)[:, None] / 16
    placed = place_windows(grid, [0] * 13, windows, scores)
    np.testing.assert_array_equal(placed[:13], scores)
    # Labels, rounded, find the same rows.
    labels = np.zeros((grid.rows, 1), np.float32)
    place_labels(grid, [0] * 13, [0] * 13, np.round(windows, 2), scores[:, 0], labels)
    np.testing.assert_array_equal(labels, placed)


@pytest.mark.parametrize("call", [(2.0, 2.16), (5.1, 5.26), (14.8, 14.96), (4.92, 5.08)])
def test_a_short_call_marks_every_row_that_holds_half_of_it(call):
    """Ducks of 0.16 s, anywhere in segments of 5 s; the last one lies half in each of two."""
    truth = mark_truth(build_grid([15.0], 5.0, 5.0), [0], [0], [call[0]], [call[1]], 1)[:, 0]
    expected = [min(call[1], k + 5) - max(call[0], k) >= 0.08 - 1e-9 for k in (0, 5, 10)]
    assert truth.tolist() == expected and any(expected)


def test_bats_mark_windows_of_fifty_milliseconds():
    calls = np.arange(0.003, 0.95, 0.061)
    grid = build_grid([1.0], 0.05, 0.05, "windows")
    marked = count_marked(grid, [0] * len(calls), calls, calls + 0.008)
    assert (marked > 0).all()


def test_no_annotation_marks_nothing():
    assert not mark_truth(build_grid([6.0], 3.0, 3.0), [], [], [], [], 2).any()

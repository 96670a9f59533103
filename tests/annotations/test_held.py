"""Which windows hold a sound, against the rule in exact fractions; sounds in none; boxes over two files."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from britekit.annotations.held import Unheard, is_held, least_held, split_at_ends
from britekit.annotations.segments import Annotation

times = st.integers(0, 20_000).map(lambda ms: Fraction(ms, 1000))
lengths = st.integers(1, 6_000).map(lambda ms: Fraction(ms, 1000))


@given(times, lengths, times, st.sampled_from(["0.05", "0.3", "1", "5"]).map(Fraction))
def test_a_window_holds_the_smallest_of_three(start, length, window_start, window):
    item = Annotation("a", "WREN", float(start), float(start + length))
    inside = min(start + length, window_start + window) - max(start, window_start)
    least = min(Fraction(3, 10), length / 2, window / 2)
    assert is_held(item, float(window_start), float(window)) == (inside >= least)
    assert abs(least_held([float(length)], float(window))[0] - float(least)) < 1e-12


def test_what_no_window_holds_is_named_with_its_reason():
    found = Unheard()
    items = [
        Annotation("a", "WREN", *stretch, row, "x/annotations.csv")
        for row, stretch in enumerate([(1, 2), (7.1, 7.2), (11, 12), (9, 14), (4.9, 5.1)], start=2)
    ]
    found.judge(items, 10.0, [0.0, 5.0][:1], 5.0)
    found.judge(items[3:4], 10.0, [5.0], 5.0)
    assert [x.row for x in found.unmarked] == [3, 5] and [x.row for x in found.beyond_end] == [4]
    first, second, third = found.sentences()
    assert first == ("1 annotation left out that begins after the end of the recording (row 4 of x/annotations.csv)")
    assert "2 annotations left out that mark no segment" in second and "3 of x/annotations.csv" in second
    assert "1 annotation ends more than 1 s after the recording" in third


def test_boxes_are_split_where_their_recording_ends():
    items = [
        Annotation("A", "WREN", 57.0, 64.0, 2, "t.txt", "B"),
        Annotation("A", "WREN", 50.0, 61.0, 3, "t.txt"),  # no other file: it stays as it is
        Annotation("A", "WREN", 61.5, 64.0, 4, "t.txt", "B"),  # begins behind the end by rounding or a gap
        Annotation("C", "WREN", 57.0, 64.0, 5, "t.txt", "B"),  # of unknown length
        Annotation("A", "WREN", 50.0, 60.0005, 6, "t.txt", "B"),
    ]
    found = [(x.recording, x.start, x.end, x.row) for x in split_at_ends(items, {"A": 60.0, "B": 60.0}.get)]
    assert found == [
        ("A", 57.0, 60.0, 2), ("B", 0.0, 4.0, 2), ("A", 50.0, 61.0, 3), ("B", 1.5, 4.0, 4),
        ("C", 57.0, 64.0, 5), ("A", 50.0, 60.0005, 6),
    ]  # fmt: skip

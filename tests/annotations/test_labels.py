from operator import attrgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from britekit.annotations.labels import Label, read_label_text, read_labels, recording_of
from britekit.errors import InputError
from tests.label_files import write_label_csv, write_label_text


def test_text_is_sorted_and_rounded(tmp_path):
    labels = [Label("r", "B", 0, 5, 0.5), Label("r", "A", 5, 10, 0.98765), Label("r", "A", 0, 5, 1.0)]
    write_label_text(tmp_path / "r_scores.txt", labels)
    text = (tmp_path / "r_scores.txt").read_bytes()
    assert text == b"0.00\t5.00\tA;1.000\n5.00\t10.00\tA;0.988\n0.00\t5.00\tB;0.500\n"


def test_no_labels_give_an_empty_file(tmp_path):
    write_label_text(tmp_path / "r_scores.txt", [])
    assert (tmp_path / "r_scores.txt").read_bytes() == b""
    assert read_labels(tmp_path) == []


def test_csv_is_sorted_and_preferred(tmp_path):
    labels = [Label("s", "A", 1 / 3, 5, 0.5), Label("0123", "x,y", 0, 5, 1 / 3)]
    write_label_csv(tmp_path / "scores.csv", labels)
    assert (tmp_path / "scores.csv").read_text() == (
        'recording,name,start_time,end_time,score\n0123,"x,y",0.0,5.0,0.333333\ns,A,0.333333,5.0,0.500000\n'
    )
    (tmp_path / "other_scores.txt").write_text("0\t1\tZ;0.1\n")
    assert [label.recording for label in read_labels(tmp_path)] == ["0123", "s"]


def test_the_only_csv_with_the_columns_is_taken(tmp_path):
    write_label_csv(tmp_path / "mine.csv", [Label("r", "A", 0, 5, 0.5)])
    (tmp_path / "annotations.csv").write_text("recording,class\nr,A\n")
    assert read_labels(tmp_path) == [Label("r", "A", 0.0, 5.0, 0.5)]
    write_label_csv(tmp_path / "yours.csv", [])
    with pytest.raises(InputError, match=r"several label tables \(mine.csv, yours.csv\)"):
        read_labels(tmp_path)


@pytest.mark.parametrize(
    "name, recording",
    [("a_b_scores.txt", "a_b"), ("X.BirdNET.results.txt", "X"), ("plain.txt", "plain"), ("_x.txt", "_x")],
)
def test_recording_of(name, recording):
    assert recording_of(name) == recording


@pytest.mark.parametrize(
    "text, expected",
    [
        ("0.0\t5.0\tA;B;0.25\n", [("A;B", 0.25)]),
        ("0\t3\tTurdus merula, Blackbird, Common\t0.5\n", [("Blackbird, Common", 0.5)]),
        ("0\t3\tSP\n\\\t6441.06\t12296.5\n\r\n1\t1\tCR;x\n", [("SP", 0.0), ("CR;x", 0.0)]),
        ("\ufeff0\t3\tA;1.000\r\n3\t6\tB;0.500\r\n", [("A", 1.0), ("B", 0.5)]),
    ],
)
def test_forms_of_text(tmp_path, text, expected):
    path = tmp_path / "r_x.txt"
    path.write_bytes(text.encode())
    assert [(label.name, label.score) for label in read_label_text(path, "r")] == expected


@pytest.mark.parametrize(
    "text, line",
    [
        ("0\t5\n", 1),
        ("0 5 A;1\n", 1),
        ("0\t5\tA;0.5\n5\t10\tB\n", 2),
        ("0\t5\tA\n5\t10\tB;0.5\n", 2),
        ("0\t5\tA, B\t0.5\n5\t10\tB;0.5\n", 2),
        ("0\t5\tA;0.5\n\n9\t5\tB;0.5\n", 3),
        ("0\tnan\tA;0.5\n", 1),
        ("0\t5\tA;1.5\n", 1),
        ("0\t5\t;0.5\n", 1),
        ("-1\t5\tA;0.5\n", 1),
    ],
)
def test_bad_lines_are_named(tmp_path, text, line):
    (tmp_path / "r_x.txt").write_text(text)
    with pytest.raises(InputError, match=rf"r_x.txt, line {line}:"):
        read_labels(tmp_path)


@pytest.mark.parametrize("row", ["r,A,0,5,2", "r,A,5,0,.5", "r,A,0,x,.5", ",A,0,5,.5", "r,,0,5,.5"])
def test_bad_rows_are_named(tmp_path, row):
    (tmp_path / "scores.csv").write_text(f"recording,name,start_time,end_time,score\n{row}\n")
    with pytest.raises(InputError, match=r"scores.csv, row 2:"):
        read_labels(tmp_path)


def test_two_files_of_one_recording(tmp_path):
    for name in ("r_a.txt", "r_b.txt"):
        (tmp_path / name).write_text("")
    with pytest.raises(InputError, match='r_a.txt and .*r_b.txt both hold labels of the recording "r"'):
        read_labels(tmp_path)


def test_nothing_to_read(tmp_path):
    with pytest.raises(InputError, match="contains no labels"):
        read_labels(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        read_labels(tmp_path / "none")


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Z")), min_size=1)


@given(st.lists(st.tuples(NAMES, st.integers(0, 10**6), st.integers(1, 500), st.integers(0, 1000)), min_size=1))
def test_text_round_trip(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("l") / "r_scores.txt"
    labels = [Label("r", name, at / 100, (at + length) / 100, score / 1000) for name, at, length, score in rows]
    write_label_text(path, labels)
    key = attrgetter("name", "start", "end", "score")
    assert sorted(read_label_text(path, "r"), key=key) == sorted(labels, key=key)

"""Labels by columns against the careful reader, row by row."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from britekit.annotations import label_bytes
from britekit.annotations.label_table import read_label_table
from britekit.annotations.labels import Label, read_labels
from britekit.audio.files import composed
from britekit.errors import InputError
from tests.label_files import write_label_csv, write_label_text

HEADER = "recording,name,start_time,end_time,score\n"


def same(folder):
    table, labels = read_label_table(folder), read_labels(folder)
    assert [table.recordings[k] for k in table.recording_M] == [composed(x.recording) for x in labels]
    assert [table.names[k] for k in table.name_M] == [x.name for x in labels]
    assert table.start_M.tolist() == [x.start for x in labels]
    assert table.end_M.tolist() == [x.end for x in labels]
    np.testing.assert_array_equal(table.score_M, np.array([x.score for x in labels], np.float32))
    return table


texts = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=70)
rows = st.lists(
    st.builds(
        lambda recording, name, start, length, score: Label(recording, name, start, start + length, score),
        texts, texts, st.floats(0, 1e6, width=32), st.floats(0, 100, width=32), st.floats(0, 1),
    ),
    max_size=30,
)  # fmt: skip


@settings(max_examples=200)
@given(rows)
def test_any_table_reads_as_the_careful_reader_reads_it(tmp_path_factory, labels):
    folder = tmp_path_factory.mktemp("labels")
    write_label_csv(folder / "scores.csv", labels)
    same(folder)


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_spreadsheets_change_nothing(tmp_path, ends, mark):
    text = mark + HEADER + "a,X,0,3,0.5\na,X,3.25,6.25,1\nb,Y,0,3,0\n"
    (tmp_path / "scores.csv").write_bytes(text.replace("\n", ends).encode())
    assert same(tmp_path).recordings == ["a", "b"]


def test_columns_in_another_order_and_more_of_them(tmp_path):
    (tmp_path / "scores.csv").write_text("x,score,end_time,name,start_time,recording\n1,.5,3,N,0.,r\n")
    assert same(tmp_path).score_M.tolist() == [0.5]


def test_a_file_longer_than_a_block(tmp_path, monkeypatch):
    monkeypatch.setattr(label_bytes, "_BLOCK_BYTES", 64)
    lines = [f"rec{k // 7},class {k % 3},{k * 1.5},{k * 1.5 + 3},{k / 100:.6f}\n" for k in range(100)]
    (tmp_path / "scores.csv").write_text(HEADER + "".join(lines))
    assert len(same(tmp_path)) == 100


def test_no_line_end_at_the_end(tmp_path):
    (tmp_path / "scores.csv").write_text(HEADER + "a,X,0,3,0.5")
    same(tmp_path)


def test_label_files_of_every_form(tmp_path):
    write_label_text(tmp_path / "plain_scores.txt", [Label("plain", "X", k, k + 3, 0.25) for k in range(5)])
    write_label_text(tmp_path / "odd_scores.txt", [Label("odd", "a;b", 0, 3, 0.25)])
    (tmp_path / "silent_scores.txt").write_text("")
    (tmp_path / "hand_scores.txt").write_text("0\t3\tX\n\\\t100\t200\n")
    (tmp_path / "bird.BirdNET.results.txt").write_text("0\t3\tVireo, Red-eyed Vireo\t0.9\n")
    assert "silent" in same(tmp_path).recordings


def test_neighbors_of_equal_length_that_differ_in_one_letter(tmp_path):
    names = ["abc", "abd", "abd", "bbd", "abd", "ab", "abd"]
    (tmp_path / "scores.csv").write_text(HEADER + "".join(f"r,{name},0,3,0.5\n" for name in names))
    same(tmp_path)


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("a,X,0,3,nan", "row 3"), ("a,X,0,3,1.1", "row 3"), ("a,X,-1,3,0.5", "row 3"),
        ("a,X,4,3,0.5", "row 3"),
        ("a,X,0,3,", "row 3"), (",X,0,3,0.5", "row 3"), ("a,,0,3,0.5", "row 3"), ("a,X,0,3,0.5,7", "row 3"),
        ("a,X,0,1_0,0.5", "row 3"), ("a,X,0,3,1.2.3", "row 3"), ("a,X,0,.,0.5", "row 3"),
    ],
)  # fmt: skip
def test_bad_rows_are_named_and_nothing_of_them_is_kept(tmp_path, line, place):
    (tmp_path / "scores.csv").write_text(f"{HEADER}a,X,0,3,0.5\n{line}\n")
    with pytest.raises(InputError, match=place):
        read_label_table(tmp_path)


def test_bad_lines_of_label_files_are_named(tmp_path):
    (tmp_path / "a_scores.txt").write_text("0\t3\tX;0.5\n0\t3\tX;7\n")
    with pytest.raises(InputError, match="line 2"):
        read_label_table(tmp_path)


def test_recordings_of_directories_below(tmp_path):
    """As analyze --recursive -r audacity leaves them."""
    for name in ("a_scores.txt", "day 1/b_c_scores.txt", "day 1/night/d_scores.txt"):
        write_label_text(tmp_path / name, [Label("", "X", 0.0, 3.0, 0.5)])
    (tmp_path / "day 1" / "notes.txt").write_text("not labels")
    assert same(tmp_path).recordings == ["a", "day 1/b_c", "day 1/night/d"]
    (tmp_path / "day 1" / "manifest.yaml").write_text("")  # the output of a run of its own
    assert same(tmp_path).recordings == ["a"]


def test_recordings_in_which_nothing_was_detected(tmp_path):
    write_label_csv(tmp_path / "scores.csv", [Label("b", "X", 0.0, 3.0, 0.5)])
    for name in ("a_scores.txt", "b_scores.txt", "c/d_scores.txt", "notes.txt"):
        write_label_text(tmp_path / name, [])
    table = same(tmp_path)
    assert table.recordings == ["b", "a", "c/d"] and len(table) == 1

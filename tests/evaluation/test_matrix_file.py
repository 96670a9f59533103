"""Matrices as CSV: every text is what formatting each number would give."""

import csv

import numpy as np

from britekit.evaluation.matrix_file import write_score_matrix, write_truth_matrix


def test_scores_are_formatted_with_three_decimals(tmp_path):
    rng = np.random.default_rng(1)
    values = rng.random((5000, 3)).astype(np.float32)
    values[0] = 0, 1, 0.9996
    write_score_matrix(tmp_path / "m.csv", [f"r-{k}" for k in range(5000)], ["a", "b", "c"], values)
    lines = (tmp_path / "m.csv").read_text().splitlines()
    assert lines[0] == ",a,b,c" and lines[1] == "r-0,0.000,1.000,1.000"
    assert lines[1:] == [
        f"r-{k}," + ",".join(f"{v:.3f}" for v in np.rint(row * 1000) / 1000) for k, row in enumerate(values)
    ]


def test_names_with_commas_and_quotes_are_quoted(tmp_path):
    names = ['a,b"c-0', "plain-1"]
    write_truth_matrix(tmp_path / "m.csv", names, ["x,y", "z"], np.array([[1, 0], [0, 1]], dtype=bool))
    with open(tmp_path / "m.csv", newline="") as file:
        assert list(csv.reader(file)) == [["", "x,y", "z"], [names[0], "1", "0"], [names[1], "0", "1"]]


def test_no_rows_give_a_header(tmp_path):
    write_score_matrix(tmp_path / "m.csv", [], ["a"], np.zeros((0, 1), np.float32))
    assert (tmp_path / "m.csv").read_text() == ",a\n"

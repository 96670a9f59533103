"""Text answers say what the files of ``analyze`` say."""

import csv
import io

from britekit.annotations.labels import Label, read_label_text, write_label_csv, write_label_text
from britekit.service.answers import as_audacity, as_csv, as_raven

LABELS = [
    Label("dawn, chorus", "OVEN", 10.0, 13.0, 0.9234567),
    Label("dawn, chorus", "AMRO", 2.25, 5.25, 0.5),
    Label("dawn, chorus", "OVEN", 0.0, 1 / 3, 1.0),
]


def test_audacity_and_csv_equal_the_files(tmp_path):
    write_label_text(tmp_path / "x.txt", LABELS)
    assert as_audacity(LABELS, 100, 8000) == (tmp_path / "x.txt").read_text()
    write_label_csv(tmp_path / "x.csv", LABELS)
    assert as_csv(LABELS, 100, 8000) == (tmp_path / "x.csv").read_text()
    assert len(read_label_text(tmp_path / "x.txt", "x")) == 3


def test_raven_is_a_table_by_time():
    rows = list(csv.DictReader(io.StringIO(as_raven(LABELS, 100, 8000)), delimiter="\t"))
    assert [row["Selection"] for row in rows] == ["1", "2", "3"]
    assert [float(row["Begin Time (s)"]) for row in rows] == [0.0, 2.25, 10.0]
    assert {(row["Low Freq (Hz)"], row["High Freq (Hz)"]) for row in rows} == {("100", "8000")}
    assert rows[2]["Annotation"] == "OVEN" and rows[2]["Score"] == "0.923457"


def test_nothing_heard():
    assert as_audacity([], 0, 1) == ""
    assert as_csv([], 0, 1) == "recording,name,start_time,end_time,score\n"
    assert as_raven([], 0, 1).count("\n") == 1


def test_a_name_cannot_break_a_line():
    odd = [Label("x", "a\tb\nc", 0.0, 1.0, 0.5)]
    assert as_audacity(odd, 0, 1) == "0.00\t1.00\ta b c;0.500\n"
    assert as_raven(odd, 0, 1).count("\n") == 2

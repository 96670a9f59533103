import csv
import threading

import pytest

from britekit.collect.csv_log import CsvLog
from britekit.errors import InputError

COLUMNS = ("recording", "author")


def rows_of(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def test_rows_are_added_once(tmp_path):
    path = tmp_path / "t.csv"
    log = CsvLog(path, COLUMNS, ("recording",))
    log.add({"recording": "a", "author": 'An "n", A.\r\nB'})
    log.add({"recording": "b", "author": "="})
    before = path.read_bytes()
    log.add({"recording": "a", "author": 'An "n", A. B'})
    again = CsvLog(path, COLUMNS, ("recording",))
    again.add({"recording": "b", "author": "="})
    assert path.read_bytes() == before and ("a",) in again
    assert rows_of(path) == [{"recording": "a", "author": 'An "n", A. B'}, {"recording": "b", "author": "="}]


def test_other_columns_and_rows_stay(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("mine,recording\n1,a\n2,b")
    log = CsvLog(path, COLUMNS, ("recording",))
    log.add({"recording": "b", "author": "x"})
    log.add({"recording": "c", "author": "y"})
    assert [tuple(row.values()) for row in rows_of(path)] == [("1", "a", ""), ("2", "b", "x"), ("", "c", "y")]


def test_an_open_last_line_is_closed(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("recording,author\na,x")
    CsvLog(path, COLUMNS, ("recording",)).add({"recording": "b", "author": "y"})
    assert path.read_text() == "recording,author\na,x\nb,y\n"


@pytest.mark.parametrize("text", ["author\nx\n", "recording,recording\na,b\n", "\xff"])
def test_what_is_no_such_table(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="t.csv"):
        CsvLog(path, COLUMNS, ("recording",))
    assert path.read_bytes() == text.encode("latin-1")


def test_many_threads(tmp_path):
    log = CsvLog(tmp_path / "t.csv", COLUMNS, ("recording",))
    work = [
        threading.Thread(target=lambda: [log.add({"recording": str(n), "author": "x"}) for n in range(100)])
        for _ in range(4)
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert sorted(int(row["recording"]) for row in rows_of(tmp_path / "t.csv")) == list(range(100))

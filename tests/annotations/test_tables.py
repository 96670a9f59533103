import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from britekit.annotations.tables import has_columns, iter_rows, parse_number
from britekit.errors import InputError


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_marks_line_ends_blank_rows_and_column_order(tmp_path, line_end, mark):
    path = tmp_path / "t.csv"
    lines = ["b, a ,extra", "1,0123,x", "", " , ,", '"two, three",é,']
    path.write_bytes(mark + line_end.join(lines).encode())
    assert list(iter_rows(path, ["a", "b"], ["c"])) == [
        (2, {"a": "0123", "b": "1", "c": ""}),
        (5, {"a": "é", "b": "two, three", "c": ""}),
    ]


def test_row_numbers_are_where_the_record_begins(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('a\n"one\ntwo"\nthree\n')
    assert [row for row, _ in iter_rows(path, ["a"])] == [2, 4]


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "is empty"),
        (b"a,bb\n", 'no column "b" .* did you mean "bb"'),
        (b"a,b,a\n", "column a more than once"),
        (b"a,b\n1,2,3\n", "row 2: 3 cells"),
        (b'a,b\n1,2\n"x,y\n', "row 3.*not valid CSV"),
        (b"a,b\n1,\xe9\xe9\xe9\n", "not UTF-8"),
        (b"a,b\n1,2\n1,2\0\n", "line 3: not text"),
    ],
)
def test_bad_tables_name_the_file_and_the_place(tmp_path, content, message):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"(?s)table.csv.*{message}"):
        list(iter_rows(path, ["a", "b"]))


@pytest.mark.parametrize(
    "content, note",
    [
        (b"a;b\n1;2,5\n", "semicolons"),
        (b"a\tb\n1\t2,5\n", "tabs"),
        (b'By JD\nsep=,\na,b\n1,"2,5"\n', 'row 1 is a heading: "By JD"; row 2 is a heading: "sep=,"'),
        ("a,b\n1,é\n".encode("cp1252"), "Windows-1252"),
        ("a,b\n1,é\n".encode("utf-16"), "UTF-16"),
        ("a,b\n1,é\n".encode("utf-16-be"), "UTF-16-BE"),
    ],
)
def test_what_is_read_though_it_is_no_plain_csv(tmp_path, caplog, content, note):
    caplog.set_level("INFO", "britekit")
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    ((row, cells),) = iter_rows(path, ["a", "b"])
    assert cells == {"a": "1", "b": "é" if "a,b\n1,é" in content.decode("latin-1") else cells["b"]}
    assert has_columns(path, ["a", "b"])
    assert len(caplog.records) == 1 and note in caplog.text
    assert row == content.count(b"\n")


def test_missing_file_and_directory(tmp_path):
    with pytest.raises(InputError, match="none.csv does not exist"):
        list(iter_rows(tmp_path / "none.csv", ["a"]))
    with pytest.raises(InputError, match="cannot be read"):
        list(iter_rows(tmp_path, ["a"]))


def test_closed_tables_refuse_unknown_columns(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,limits\n")
    with pytest.raises(InputError, match='"limits".*did you mean "limit"'):
        list(iter_rows(path, ["a"], ["limit"], closed=True))


@given(st.lists(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00")), min_size=2, max_size=2)))
def test_reads_back_what_csv_writes(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("t") / "t.csv"
    with open(path, "w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([["a", "b"], *rows])
    expected = [{"a": a.strip(), "b": b.strip()} for a, b in rows if a.strip() or b.strip()]
    assert [cells for _, cells in iter_rows(path, ["a", "b"])] == expected


def test_has_columns(tmp_path):
    (tmp_path / "yes.csv").write_text("\ufeffb,a,c\n", encoding="utf-8")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    assert has_columns(tmp_path / "yes.csv", ["a", "b"])
    assert not has_columns(tmp_path / "yes.csv", ["a", "d"])
    assert not has_columns(tmp_path / "bytes.csv", ["a"])


@pytest.mark.parametrize("text", ["nan", "inf", "-Infinity", "1_0", "1,5", "", "x"])
def test_what_is_not_a_number(text):
    with pytest.raises(ValueError):
        parse_number(text)

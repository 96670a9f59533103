import pytest

from britekit.annotations.classes import ClassInfo, find_class, map_name, read_classes, read_ignore_list
from britekit.errors import InputError


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_in_order(tmp_path):
    path = write(tmp_path / "c.csv", "\ufeffCode,Name,AltName\nB,Bee,Apis\n,Ant,\n")
    assert read_classes(path) == [ClassInfo("Bee", "B", "Apis"), ClassInfo("Ant")]


@pytest.mark.parametrize(
    "rows, message",
    [
        ("", "lists no class"),
        (",X\n", "row 2: the class has no Name"),
        ("A,X\nA,Y\n", 'row 3: class "A" is already in row 2'),
        ("A,X\nB,X\n", 'row 3: code "X" is already taken in row 2'),
        ("A,\nB,A\n", 'code "A" is already taken'),
        ('"A\tB",X\n', "line break or tab"),
    ],
)
def test_bad_class_lists(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        read_classes(write(tmp_path / "c.csv", "Name,Code\n" + rows))


@pytest.mark.parametrize(
    "info, expected",
    [
        (ClassInfo("n", "c", "an", "ac"), ["n", "c", "an", "ac"]),
        (ClassInfo("n"), ["n", "n", "n", "n"]),
        (ClassInfo("n", "c"), ["n", "c", "n", "c"]),
    ],
)
def test_label_falls_back(info, expected):
    assert [info.label(field) for field in ("names", "codes", "alt_names", "alt_codes")] == expected


def test_unknown_label_field():
    with pytest.raises(InputError, match='did you mean "codes"'):
        ClassInfo("n").label("code")


def test_ignore_list(tmp_path):
    path = write(tmp_path / "i.txt", "\ufeff# comment\n\nNoise \r\nOther\n")
    assert read_ignore_list(path, required=True) == {"Noise", "Other"}
    assert read_ignore_list(None, required=True) == set()
    assert read_ignore_list(tmp_path / "no.txt", required=False) == set()
    with pytest.raises(InputError, match="no.txt does not exist"):
        read_ignore_list(tmp_path / "no.txt", required=True)


def test_map_name():
    assert map_name("old", {"old": "new"}) == "new"
    assert map_name("other", {"old": "new"}) == "other"
    assert map_name("old", None) == "old"


def test_find_class_tries_name_code_then_alternates():
    bee, ant = ClassInfo("Bee", "ANT", "Apis"), ClassInfo("Ant", "A", "Formica", "ants")
    twin = ClassInfo("Twin", "T", "Apis")
    classes = [bee, ant, twin]
    assert find_class("ANT", classes) is bee
    assert find_class("Ant", classes) is ant
    assert find_class("ants", classes) is ant
    with pytest.raises(InputError, match='could be any of "Bee", "Twin"'):
        find_class("Apis", classes)
    with pytest.raises(InputError, match='^row 3: class "Formca" is not known; did you mean "Formica"'):
        find_class("Formca", classes, "row 3: ")

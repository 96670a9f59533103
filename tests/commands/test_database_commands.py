"""The database commands as typed, on SQLite and PostgreSQL; and that none reads more than it needs."""

import contextlib
import importlib
import shutil
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from britekit import commands
from britekit.cli import main
from britekit.errors import DatabaseError, InputError
from tests.commands.test_extract import SETTINGS
from tests.database.contents import contents, problems
from tests.datasets.conftest import write_recording

ADDING = ["add-cat", "add-src", "add-stype"]
REMOVING = ["del-cat", "del-class", "del-src", "del-rec", "del-sgroup", "del-stype"]

# The server and the two kinds of target are fixtures of the database's tests.
_shared = importlib.import_module("tests.database.conftest")
postgres_server, postgres_url, target = _shared.postgres_server, _shared.postgres_url, _shared.target


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    Path("params.yaml").write_text(SETTINGS)
    for name in ("Robin", "Wren"):
        for number in range(3):
            write_recording(Path(f"in/{name}/XC{ord(name[0])}{number}.wav"), 4.0, seed=number)
    return tmp_path


def typed(*arguments):
    return main([str(argument) for argument in arguments])


def test_a_day_of_curation(project, target, capsys):
    assert typed("add-cat", "-d", target, "--name", "birds") == 0
    options = ["--cat", "birds", "--name", "Robin", "--code", "ROB", "--alt_name", "Erithacus", "--alt-code", "E"]
    assert typed("add-class", "-d", target, *options) == 0
    assert typed("add-src", "-d", target, "--name", "Wood") == typed("add-stype", "-d", target, "--name", "song") == 0
    assert capsys.readouterr().out.splitlines() == [
        'Added category "birds"', 'Added class "Robin"', 'Added source "Wood"', 'Added sound type "song"',
    ]  # fmt: skip
    for name, code in (("Robin", "ROB"), ("Wren", "WREN")):
        assert typed("extract-all", "-d", target, "--name", name, "--code", code, "--dir", f"in/{name}") == 0
    found = contents(target)
    assert found["classes"] == [("birds", "Robin", "ROB", "Erithacus", "E"), ("default", "Wren", "WREN", None, None)]
    assert {name for (name,) in found["sources"]} == {"Wood", "Xeno-Canto", "default"}
    assert len(found["spectrograms"]) == 24 and problems(target) == []
    capsys.readouterr()

    Path("images").mkdir()
    for name in ("XC820-1.00.jpeg", "3~XC821-2.00~0.123.png", "XC820-1.50.jpeg", "XC99-0.00.jpeg", "notes.txt"):
        Path("images", name).touch()
    assert typed("del-seg", "-d", target, "--class", "Robin", "--dir", "images") == 0
    said = capsys.readouterr()
    assert said.out == "Deleted 2 segments\n"
    assert "XC820-1.50.jpeg" in said.err and "XC99-0.00.jpeg" in said.err and "notes" not in said.err
    Path("rows.csv").write_text("offset,recording\n3,XC820\n0.05,XC822.wav\n")
    assert typed("del-seg", "-d", target, "--name", "Robin", "--csv", "rows.csv") == 0
    assert typed("del-rec", "-d", target, "--name", "XC872.wav") == 0
    assert capsys.readouterr().out.splitlines() == [
        "Deleted 2 segments", "Recording = 1", "Segment = 4", "SegmentClass = 4", "SpecValue = 4",
    ]  # fmt: skip
    left = {(row[1], row[2]) for row in contents(target)["segments"]}
    every = {(f"XC{letter}{number}.wav", float(k)) for letter in (82, 87) for number in range(3) for k in range(4)}
    gone = {("XC820.wav", 1.0), ("XC821.wav", 2.0), ("XC820.wav", 3.0), ("XC822.wav", 0.0)}
    assert left == {place for place in every - gone if place[0] != "XC872.wav"}

    assert typed("rpt-db", "-d", target, "-o", "report") == 0
    assert "segments = 16\n" in capsys.readouterr().out
    assert Path("report/class_summary.csv").read_text().splitlines()[1:] == ["Robin,ROB,3,8", "Wren,WREN,2,8"]
    assert typed("pickle", "-d", target, "-o", "out.pkl") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "spectrograms = 16"
    assert typed("copy-class", "--src-db", target, "--dest-db", "copy.db", "--name", "Wren") == 0
    assert typed("del-cat", "-d", target, "--name", "birds") == 0
    assert contents(target)["links"] == contents("copy.db")["links"]
    assert typed("del-stype", "-d", target, "--name", "song") == 0
    assert typed("del-sgroup", "-d", target, "--name", "default") == 0
    assert typed("del-src", "-d", target, "--name", "Xeno-Canto") == 0
    found = contents(target)
    assert not found["recordings"] and not found["spectrograms"] and not found["sound types"]
    assert [name for (name,) in found["sources"]] == ["Wood", "default"]


@pytest.mark.parametrize("command", REMOVING)
def test_removing_needs_a_database_and_a_name_that_exists(project, command, capsys):
    assert typed(command, "-d", "gone.db", "--name", "x") == 1
    assert "gone.db does not exist" in capsys.readouterr().err and not Path("gone.db").exists()
    typed("add-cat", "-d", "t.db", "--name", "birds")
    assert typed(command, "-d", "t.db", "--name", "birdz") == 1
    said = capsys.readouterr().err
    assert said.startswith("Error: ") and '"birdz" is not in t.db' in said and len(said.splitlines()) == 1
    assert typed(command, "-d", "t.db") == 2


@pytest.mark.parametrize("command", [*REMOVING, "del-seg"])
def test_a_name_that_does_not_exist_changes_no_byte(project, command):
    """DVC would take a database with another header for another database, and build it anew."""
    assert typed("extract", "--dir", "in", "--classes", _class_list(project), "-d", "a.db") == 0
    before = Path("a.db").read_bytes()
    more = ["--csv", "none.csv"] if command == "del-seg" else []
    assert typed(command, "-d", "a.db", "--name", "Robbin", *more) == 1
    assert Path("a.db").read_bytes() == before


def test_what_a_killed_command_left_is_mended_though_the_name_does_not_exist(project):
    """Its changes lie in a log beside the file, and only the next writer puts them into it."""
    assert typed("extract", "--dir", "in", "--classes", _class_list(project), "-d", "a.db") == 0
    writer = sqlite3.connect("a.db")
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("PRAGMA wal_autocheckpoint=0")
    writer.execute("UPDATE Class SET Code = 'NEW' WHERE Name = 'Wren'")
    writer.commit()
    for side in ("", "-wal", "-shm"):
        shutil.copy(f"a.db{side}", f"killed.db{side}")
    writer.close()
    assert typed("del-class", "-d", "killed.db", "--name", "Robbin") == 1
    assert not [*Path().glob("killed.db-*")]
    with contextlib.closing(sqlite3.connect("killed.db")) as found:
        assert found.execute("SELECT Code FROM Class WHERE Name = 'Wren'").fetchone() == ("NEW",)


def _class_list(project):
    path = project / "classes.csv"
    path.write_text("Name,Code\nRobin,ROB\nWren,WRE\n")
    return path


@pytest.mark.parametrize("command", ADDING)
def test_adding_twice_or_nothing(project, command, capsys):
    assert typed(command, "--name", "it's 100 %") == 0
    assert Path("data/training.db").exists()  # of the settings
    assert typed(command, "--name", "it's 100 %") == 1
    assert "is already in" in capsys.readouterr().err
    assert typed(command, "--name", " ") == 1
    assert "needs a name" in capsys.readouterr().err


def test_adding_a_class_that_cannot_be(project, capsys):
    assert typed("add-class", "-d", "t.db", "--name", "Robin", "--code", "ROB") == 0
    before = contents("t.db")
    for options, said in (
        (["--name", "Robin", "--code", "R"], 'class "Robin" is already in t.db'),
        (["--name", "Wren", "--code", "ROB"], 'already used by class "Robin"'),
        (["--name", "Wren", "--code", "W", "--cat", "defualt"], 'did you mean "default"'),
        (["--name", "Wren", "--code", ""], "needs a code"),
        (["--name", "", "--code", "W"], "needs a name"),
    ):
        assert typed("add-class", "-d", "t.db", *options) == 1
        assert said in capsys.readouterr().err
    assert contents("t.db") == before


def test_pointing_out_segments_wrongly(project):
    commands.extract_all(class_name="Robin", class_code="ROB", dir_path="in/Robin")
    Path("empty").mkdir()
    Path("bad.csv").write_text("recording,offset\nXC820,one\n")
    for options, said in (
        ({}, "exactly one"),
        ({"dir_path": "empty", "csv_path": "bad.csv"}, "exactly one"),
        ({"dir_path": "empty"}, "contains no image"),
        ({"dir_path": "gone"}, "is not a directory"),
        ({"csv_path": "bad.csv"}, 'row 2: offset "one"'),
        ({"csv_path": "gone.csv"}, "gone.csv does not exist"),
    ):
        with pytest.raises(InputError, match=said):
            commands.del_seg(class_name="Robin", **options)
    with pytest.raises(DatabaseError, match='mean "Robin"'):
        commands.del_seg(class_name="Robbin", dir_path="in/Robin")
    assert len(contents("data/training.db")["segments"]) == 12


def test_a_segment_of_two_classes_only_loses_a_link(project, capsys):
    commands.extract_all(class_name="Robin", class_code="ROB", dir_path="in/Robin")
    commands.extract_all(class_name="Wren", class_code="WREN", dir_path="in/Robin", include_existing=True)
    Path("rows.csv").write_text("recording,offset\nXC820,0\nXC821,1\n")
    capsys.readouterr()
    assert commands.del_seg(class_name="Wren", csv_path="rows.csv") == 0
    assert "Unlinked 2 segments" in capsys.readouterr().out
    found = contents("data/training.db")
    assert len(found["segments"]) == 12 and len(found["links"]) == 22


def test_an_image_that_fits_two_recordings_is_not_guessed(project, capsys):
    for source in ("Wood", "Field"):
        commands.extract_all(class_name="Robin", class_code="ROB", dir_path="in/Robin", src_name=source)
    Path("rows.csv").write_text("recording,offset\nXC820,0\n")
    assert typed("del-seg", "--name", "Robin", "--csv", "rows.csv") == 0
    said = capsys.readouterr()
    assert "Deleted 0 segments" in said.out and "fits several recordings" in said.err


# Tables that may hold millions of rows. What names a single thing must not read them from end to end.
LARGE = {"Recording", "Segment", "SegmentClass", "SpecValue"}
NAMES = ["SELECT", '"Recording"."FileName",', '"Recording"."ID"']


@pytest.mark.parametrize(
    "command",
    [
        ["add-cat", "--name", "x"],
        ["add-class", "--name", "Jay", "--code", "JAY"],
        ["del-rec", "--name", "XC820.wav"],
        ["del-seg", "--name", "Robin", "--csv", "rows.csv"],
        ["del-class", "--name", "Robin"],
        ["del-cat", "--name", "birds"],
        ["copy-class", "--name", "Wren"],
        ["extract-all", "--name", "Robin", "--dir", "in/Wren"],
    ],
    ids=lambda command: command[0],
)
def test_no_query_reads_a_large_table_whole(project, command):
    """SQLite's own plan of every statement a command makes.

    Rows of a table name recordings by the one rule for names, which needs all names, read once: 0.6 s for 100,000.
    """
    for name, code in (("Robin", "ROB"), ("Wren", "WREN")):
        commands.extract_all(
            class_name=name, class_code=code, cat_name="birds" if name == "Robin" else "default", dir_path=f"in/{name}"
        )
    Path("rows.csv").write_text("recording,offset\nXC820,0\n")
    made = {}

    def note(_connection, _cursor, statement, parameters, _context, many):
        made.setdefault(statement, parameters[0] if many else parameters)

    place = ["-d", "data/training.db"]
    if command[0] == "copy-class":
        place = ["--src-db", "data/training.db", "--dest-db", "copy.db"]
    event.listen(Engine, "before_cursor_execute", note)
    try:
        assert typed(*command, *place) == 0
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    connection = sqlite3.connect("data/training.db")
    checked = 0
    for statement, parameters in made.items():
        if statement.split()[0] not in ("SELECT", "DELETE", "UPDATE"):
            continue
        if command[0] == "del-seg" and statement.split("FROM")[0].split() == NAMES:
            continue
        checked += 1
        for _id, _parent, _zero, detail in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters):
            words = detail.split()
            assert not (words[0] == "SCAN" and words[1].strip('"') in LARGE), f"{detail}\n{statement}"
    assert checked
    connection.close()


def test_labels_lose_the_spaces_around_them(project):
    # data/curation.csv and class lists are read so: a rebuilt database must have the same names.
    commands.add_cat("n.db", "birds")
    commands.add_class("n.db", "birds", "Robin ", " ROB", "Erithacus ", " E")
    with pytest.raises(DatabaseError, match='class "Robin" is already'):
        commands.add_class("n.db", name="Robin", code="R")
    connection = sqlite3.connect("n.db")
    rows = connection.execute("SELECT Name, Code, AltName, AltCode FROM Class").fetchall()
    connection.close()
    assert rows == [("Robin", "ROB", "Erithacus", "E")]
    for option in ("name", "code", "alt_name", "alt_code"):
        labels = {"name": "Wren", "code": "WREN", option: "a\nb"}
        with pytest.raises(InputError, match=f"--{option.replace('_', '-')} .* line break or tab"):
            commands.add_class("n.db", **labels)

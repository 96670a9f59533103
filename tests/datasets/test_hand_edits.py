"""Edits by hand outlive a rebuild: the rebuilt database equals the edited one, also after a kill."""

import logging
import os
import shutil
from pathlib import Path

import pytest

from britekit import commands
from britekit.datasets.curation_rows import Decision, appended, drop, read_decisions
from britekit.errors import DatabaseError, InputError
from tests.database.contents import contents, problems
from tests.datasets.conftest import DB, HEADER, LOCK, TABLE, do, rebuilt, write_recording

EDITS = {
    "segment": [("del_seg", "Wren", "W0-1-1.00", "W0-1-3.00", "O0-1-2.00")],
    "all segments": [("del_seg", "Owl", *(f"O1-1-{n}.00" for n in range(4)))],
    "class": [("del_class", "Wren")],
    "other class": [("del_class", "Owl")],
    "recording": [("del_rec", "R0-1.wav")],
    "every recording of a source": [("del_rec", "O1-1.wav")],
    "source": [("del_src", "Wood")],
    "source and back": [("del_src", "Wood"), ("add_src", "Wood")],
    "category": [("add_cat", "birds"), ("add_class", "birds", "Jay", "JAY"), ("del_cat", "birds")],
    "category with recordings": [("del_cat", "default")],
    "names": [
        ("add_cat", 'it\'s 100 %, "quoted" 🦉'),
        ("add_class", 'it\'s 100 %, "quoted" 🦉', "x" * 10_000, "a,b"),
        ("add_src", "one\ntwo"),
        ("add_stype", "song"),
        ("add_stype", "call"),
        ("del_stype", "song"),
    ],
    "class and back": [("del_class", "Robin"), ("add_class", "default", "Robin", "ROBI")],
    "group": [("del_sgroup", "default")],
    "many": [
        ("del_seg", "Robin", "R1-1-0.00"),
        ("del_rec", "W1-1.wav"),
        ("del_seg", "Owl", "O0-1-2.00"),
        ("del_class", "Wren"),
        ("add_class", "default", "Wren", "W"),
        ("del_src", "Field"),
    ],
}


@pytest.mark.parametrize("edits", EDITS.values(), ids=EDITS.keys())
def test_rebuilt_equals_edited(pipeline, edits, caplog):
    for edit in edits:
        do(*edit)
    edited = contents(DB)
    assert len(read_decisions(TABLE)) >= len(edits)
    assert not [text for text in problems(DB) if edits != EDITS["group"]]
    with caplog.at_level(logging.WARNING):
        again = rebuilt(strict=True)
    for name, rows in edited.items():
        assert again[name] == rows, name
    assert not list(Path("data").glob(".*"))


def test_decisions_of_several_days(pipeline):
    """Edits, rebuild, edits, rebuild: the table grows and the state stays."""
    for edits in (EDITS["segment"], EDITS["recording"], EDITS["class"]):
        for edit in edits:
            do(*edit)
        commands.extract()
        assert rebuilt() == contents(DB)
    assert len(read_decisions(TABLE)) == 5


def test_a_failed_command_decides_nothing(pipeline):
    before = contents(DB)
    for edit in (("del_class", "Wrenn"), ("del_cat", "x"), ("del_rec", "R0"), ("add_src", "Wood")):
        with pytest.raises(DatabaseError):
            do(*edit)
    with pytest.raises(InputError, match="begins or ends with a space"):
        do("add_src", " Wood")
    assert TABLE.read_text() == HEADER and contents(DB) == before
    TABLE.unlink()
    TABLE.mkdir()
    with pytest.raises(InputError, match=r"curation\.csv"):
        do("del_class", "Wren")
    assert contents(DB) == before


def test_other_databases_keep_no_decisions(pipeline):
    shutil.copy(DB, "own.db")
    commands.del_class("own.db", "Wren")
    assert TABLE.read_text() == HEADER


def test_missing_output_is_not_made(pipeline):
    DB.unlink()
    for edit in (("add_cat", "birds"), ("del_class", "Wren")):
        with pytest.raises(DatabaseError, match="dvc checkout or dvc repro"):
            do(*edit)
    assert not DB.exists()


def test_linked_cache_stays_as_it_is(pipeline):
    cache = Path("cache")
    for link in (os.link, os.symlink):
        cache.unlink(missing_ok=True)
        shutil.copy(DB, cache)
        os.chmod(cache, 0o444)
        DB.unlink()
        link(cache.absolute(), DB)
        before = cache.read_bytes()
        do("add_cat", link.__name__)
        assert cache.read_bytes() == before and not DB.is_symlink() and DB.stat().st_nlink == 1
    assert {("link",), ("symlink",)} <= set(contents(DB)["categories"])


def test_contradictions_and_dangling_rows(pipeline, caplog):
    TABLE.write_text(
        HEADER + "W0-1,1,Wren,drop,\nW0-1,1,Wren,keep,\ngone,,*,drop,\nR0-1,,Wrenn,drop,\nR0-1,2,Robin,drop,\n"
        "R0-1,2,Robin,drop,\n"
    )
    with caplog.at_level(logging.WARNING):
        rebuilt()
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert "row 3 (keep" in said and "contradicts row 2" in said
    for number in (4, 5):
        assert f"row {number} (drop" in said
    assert "row 6" not in said and "row 7" not in said
    with pytest.raises(InputError, match=r"row 4 .*row 5 .*row 3 .* contradicts row 2"):
        rebuilt(strict=True)


@pytest.mark.parametrize(
    "rows, message",
    [
        ([",,Jay,add-class,,"], None),
        ([",,,add-class,,"], "row 2: add-class needs a name in the column class"),
        ([",,,del-cat,,"], "row 2: del-cat needs a name in the column name"),
        ([",,x,del-cat,,y"], "nothing from class"),
        (["W0-1,,*,keep,,"], 'the class "\\*" belongs to drop'),
        ([',,Jay,add-class,,,"{""colour"": ""blue""}"'], 'details has "colour"'),
        ([",,Jay,add-class,,,blue"], "not a JSON object"),
        ([',,Jay,add-class,,,"{""code"": ""ROB""}"'], 'code "ROB" is already used by class "Robin"'),
        ([',,Jay,add-class,,,"{""category"": ""x""}"'], 'category "x" does not exist'),
        ([",,Owl,del-class,,", "W0-1,,Wren,move,Owl,"], 'row 3: new_class "Owl" was removed by row 2'),
        ([",,Jay,add-class,,", "W0-1,,Wren,move,Jay,"], None),
    ],
)
def test_rows_about_names(pipeline, rows, message):
    TABLE.write_text(HEADER.strip() + ",name,details\n" + "\n".join(rows) + "\n")
    if message is None:
        assert ("default", "Jay", None, None, None) in rebuilt(strict=True)["classes"]
    else:
        with pytest.raises(InputError, match=message):
            rebuilt()


def test_deleting_everything_but_names(pipeline):
    for name in ("Wren", "Robin", "Owl"):
        do("del_class", name)
    assert rebuilt() == contents(DB)


def test_one_of_two_equal_file_names(pipeline):
    """A row that the program writes for one of two recordings of a file name says which."""
    write_recording(Path("data/recordings/Owl/R0-1.wav"), 3.2, seed=77)
    Path("data/recordings/recordings.csv").write_text("recording,class,source\nR0-1,Owl,Wood\n")
    Path("dvc.lock").unlink()
    commands.extract()
    Path("dvc.lock").write_text(LOCK)
    do("del_seg", "Owl", "R0-1-1.00")
    do("del_seg", "Robin", "R0-1-2.00")
    assert rebuilt(strict=True) == contents(DB)


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEADER,
        HEADER.rstrip("\n"),
        "\ufeff" + HEADER.replace("\n", "\r\n") + 'a,"1",C,drop,\r\n',
        'who,decision,class,offset,recording,new_class\nme,drop,C,1,a,\nme,drop,C,2,"b\nc",',
        "recording,offset,class,decision\na,1,C,drop\n",
    ],
)
def test_rows_are_appended_to_any_table(text, tmp_path):
    before = text.lstrip("\ufeff").count("drop")
    rows = [
        drop("x,y.wav", 1.25, 'say "hi"', source="Wood"),
        Decision(0, "", None, "🦉" * 9000, "add-class", details={"code": "a;b\nc"}),
        Decision(0, "", None, "", "del-cat", name="100%"),
        Decision(0, "a", 0.1 + 0.2, "C", "move", "D"),
    ]
    new = appended(text, rows)
    path = tmp_path / "t.csv"
    path.write_text(new, encoding="utf-8", newline="")
    found = read_decisions(path)
    assert len(found) == before + 4
    for row, read in zip(rows, found[-4:]):
        assert Decision(read.row, *list(vars(row).values())[1:]) == read

"""Edits by hand outlive a rebuild: the rebuilt database equals the edited one, also after a kill."""

import logging
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from britekit import commands
from britekit.datasets.curation_rows import Decision, appended, drop, read_decisions
from britekit.errors import DatabaseError, InputError
from tests.database.contents import contents, problems
from tests.datasets.conftest import write_recording

DB, TABLE = Path("data/training.db"), Path("data/curation.csv")
HEADER = "recording,offset,class,decision,new_class\n"
LOCK = """schema: '2.0'
stages:
  extract:
    cmd: python -m britekit extract
    deps:
    - path: data/curation.csv
    outs:
    - path: data/training.db
"""
PARAMS = """audio:
  spec_duration: 1.0
  spec_height: 32
  spec_width: 32
  sampling_rate: 8000
  max_freq: 3600
  win_length: 0.03
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Three classes of two recordings, one recording of two classes, built once as the stage does."""
    root = tmp_path_factory.mktemp("built")
    for number, name in enumerate(["Robin", "Wren", "Owl"]):
        for take in range(2):
            path = root / f"data/recordings/{name}/{name[0]}{take}-1.wav"
            write_recording(path, 4.2, seed=10 * number + take)
    shutil.copy(root / "data/recordings/Owl/O0-1.wav", root / "data/recordings/Wren/O0-1.wav")
    (root / "data/classes.csv").write_text("Name,Code\nWren,WREN\nRobin,ROB\nOwl,OWL\n")
    (root / "data/recordings/recordings.csv").write_text(
        "recording,class,source,licence\nO1-1,Owl,Wood,CC0\nR0-1,Robin,Field,CC-BY\n"
    )
    (root / "params.yaml").write_text(PARAMS)
    (root / TABLE).write_text(HEADER)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("WANDB_MODE", "disabled")
        commands.extract()
    (root / "dvc.lock").write_text(LOCK)
    return root


@pytest.fixture
def pipeline(built, tmp_path, monkeypatch):
    """A copy of the project, as working directory."""
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    return tmp_path


def rebuilt(**options):
    """Build anew in another place and return what that holds."""
    commands.extract(db_path="again.db", **options)
    return contents("again.db")


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


def do(action, *arguments):
    command = getattr(commands, action)
    if action == "del_seg":
        folder = Path("images")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name in arguments[1:]:
            (folder / f"{name}.jpeg").write_bytes(b"")
        command(class_name=arguments[0], dir_path=str(folder))
    elif action == "add_class":
        command(category=arguments[0], name=arguments[1], code=arguments[2], alt_name="Alt")
    else:
        command(None, arguments[0])


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
    for edit in (("del_class", "Wrenn"), ("del_cat", "x"), ("del_rec", "R0-1"), ("add_src", "Wood")):
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
        HEADER
        + "W0-1,1,Wren,drop,\nW0-1,1,Wren,keep,\ngone,,*,drop,\nR0-1,,Wrenn,drop,\nR0-1,2,Robin,drop,\n"
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
    new, tail = appended(text, rows)
    path = tmp_path / "t.csv"
    path.write_text(new, encoding="utf-8", newline="")
    found = read_decisions(path)
    assert len(found) == before + 4 and new.endswith(tail)
    for row, read in zip(rows, found[-4:]):
        assert Decision(read.row, *list(vars(row).values())[1:]) == read


KILLED = """
import os, random, sys
import britekit.datasets.hand_edits as h
steps = ["write_text", "copy2", "atomic_path", "commit", "committed"]
at = steps[int(sys.argv[1])]
def dying(function, after=False):
    def call(*arguments, **named):
        if not after:
            os.kill(os.getpid(), 9)
        result = function(*arguments, **named)
        os.kill(os.getpid(), 9)
        return result
    return call
if at == "write_text": h.write_text = dying(h.write_text)
if at == "copy2": h.shutil.copy2 = dying(h.shutil.copy2)
if at == "atomic_path": h.atomic_path = dying(h.atomic_path)
if at.startswith("commit"):
    from sqlalchemy.orm import Session
    class Dying(Session):
        def commit(self):
            if self.info.get("edited"): dying(super().commit, at == "committed")()
            super().commit()
    import britekit.database.session as s
    s.Session = Dying
    both = h._commit_both
    def marked(session, *rest):
        session.info["edited"] = True
        both(session, *rest)
    h._commit_both = marked
from britekit import commands
commands.del_class(None, "Wren")
"""


@pytest.mark.parametrize("step", range(5))
def test_killed_between_database_and_table(pipeline, step):
    """Wherever it is killed: the decision stands in both or in none, once anybody looks."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", KILLED, str(step)], check=False, env=environment)
    assert done.returncode == -9
    decided = len(read_decisions(TABLE))
    assert decided == (1 if step >= 3 else 0)
    do("add_cat", "birds")  # whatever is done next
    edited = contents(DB)
    assert ("Wren" in {row[1] for row in edited["classes"]}) == (not decided)
    assert len(read_decisions(TABLE)) == decided + 1
    assert not list(Path("data").glob(".*pending*"))
    assert rebuilt() == edited


def test_database_that_refuses_the_commit_takes_the_rows_back(pipeline, monkeypatch):
    from sqlalchemy.exc import OperationalError
    from sqlalchemy.orm import Session

    real = Session.commit

    def commit(session):
        if session.new or session.info.get("edited"):
            raise OperationalError("COMMIT", {}, Exception("database or disk is full"))
        real(session)

    import britekit.datasets.hand_edits as hand_edits

    both = hand_edits._commit_both

    def marked(session, *rest):
        session.info["edited"] = True
        both(session, *rest)

    monkeypatch.setattr(hand_edits, "_commit_both", marked)
    monkeypatch.setattr(Session, "commit", commit)
    before = contents(DB)
    with pytest.raises(DatabaseError, match="no space left"):
        do("del_class", "Wren")
    assert TABLE.read_text() == HEADER and contents(DB) == before
    assert not list(Path("data").glob(".*"))


def test_two_processes_at_once(pipeline):
    """Each decision of two writers is in the database and, whole, in the table."""
    code = (
        "import sys\nfrom britekit import commands\n"
        "for n in range(6): commands.add_cat(None, sys.argv[1] + str(n))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    both = [subprocess.Popen([sys.executable, "-c", code, name], env=environment) for name in "ab"]
    assert [process.wait(60) for process in both] == [0, 0]
    expected = {f"{name}{n}" for name in "ab" for n in range(6)}
    assert {row.name for row in read_decisions(TABLE)} == expected
    assert {name for (name,) in contents(DB)["categories"]} == expected | {"default"}
    assert rebuilt() == contents(DB)


@pytest.mark.soak
def test_random_edits(pipeline):
    rng = random.Random(1)
    names = ["Wren", "Robin", "Owl"]
    for _time in range(60):
        kind = rng.choice(["del_seg", "del_rec", "del_class", "add_class", "del_src", "add_src"])
        name = rng.choice(names)
        stem = f"{name[0]}{rng.randrange(2)}-1"
        arguments = {
            "del_seg": (name, f"{stem}-{rng.randrange(4)}.00"),
            "del_rec": (f"{stem}.wav",),
            "del_class": (name,),
            "add_class": ("default", name, name),
            "del_src": (rng.choice(["Wood", "Field"]),),
            "add_src": (rng.choice(["Wood", "Field"]),),
        }[kind]
        try:
            do(kind, *arguments)
        except DatabaseError:
            continue
        assert rebuilt() == contents(DB)


@pytest.mark.parametrize("room", [0, 4096, 16384, 40960])
def test_full_disk(pipeline, room):
    """With hardly any space left a command is done in database and table, or in neither."""
    disk = pipeline / "disk"
    disk.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mounting, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a small tmpfs here")
    try:
        shutil.copytree("data", disk / "data", ignore=shutil.ignore_patterns("recordings"))
        shutil.copy("dvc.lock", disk)
        before = contents(disk / DB)
        left = os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize
        (disk / "filler").write_bytes(bytes(left - room))
        try:
            commands.del_class(str(disk / DB), "Wren")
            done = True
        except (DatabaseError, InputError) as error:
            done = False
            assert "no space left" in str(error) or "input/output" in str(error)
        (disk / "filler").unlink()
        assert len(read_decisions(disk / TABLE)) == done
        assert (contents(disk / DB) == before) == (not done)
        assert problems(disk / DB) == []
        assert not list((disk / "data").glob(".*"))
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)

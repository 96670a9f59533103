"""Edits by hand that are killed, refused or made by two at once: database and table never part."""

import contextlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from britekit import commands
from britekit.datasets.curation_rows import read_decisions
from britekit.errors import DatabaseError, InputError
from tests.database.contents import contents, problems
from tests.datasets.conftest import DB, HEADER, TABLE, do, rebuilt

KILLED = """
import os, random, sys
import britekit.datasets.hand_edits as h
steps = ["create", "copy2", "write_text", "commit", "committed"]
at = steps[int(sys.argv[1])]
def dying(function, after=False):
    def call(*arguments, **named):
        if not after:
            os.kill(os.getpid(), 9)
        result = function(*arguments, **named)
        os.kill(os.getpid(), 9)
        return result
    return call
if at == "create": h.create = dying(h.create)
if at == "copy2": h.shutil.copy2 = dying(h.shutil.copy2)
if at == "write_text": h.write_text = dying(h.write_text)
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
    assert not list(Path("data").glob(".*")), "nothing is left of the killed one"
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
    code = "import sys\nfrom britekit import commands\nfor n in range(6): commands.add_cat(None, sys.argv[1] + str(n))"
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


def noted(number=None, path=DB):
    """Return the number of rows that the database's header says it has, plus 1; with ``number``, set it."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        if number is not None:
            connection.execute(f"PRAGMA user_version = {number}")
        return connection.execute("PRAGMA user_version").fetchone()[0]


def test_only_missing_rows_are_applied(pipeline):
    do("del_seg", "Wren", "W0-1-1.00")
    assert noted() == 2
    before = contents(DB)
    TABLE.write_text(TABLE.read_text() + "W0-1,1,Wren,keep,\nW0-1,2,Wren,drop,\n")
    noted(0)  # a database of which nothing is known is left as it is
    do("add_cat", "birds")
    assert noted() == 5 and contents(DB)["segments"] == before["segments"]
    TABLE.write_text("".join(TABLE.read_text().splitlines(keepends=True)[:2]))
    do("add_cat", "frogs")  # rows that a person has removed
    assert noted() == 3 and contents(DB)["segments"] == before["segments"]
    TABLE.write_text(TABLE.read_text() + "W0-1,2,Wren,drop,\n")
    do("add_cat", "bats")
    assert noted() == 5 and len(contents(DB)["segments"]) == len(before["segments"]) - 1
    rebuilt()
    assert noted(path="again.db") == 5

"""Opening and publishing: what is refused, with which sentence, and what survives."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text

from britekit.database.classes import add_class, find_class, require_class
from britekit.database.schema import Category, Class
from britekit.database.session import open_database, publish_database
from britekit.database.targets import describe, is_url, sqlite_path
from britekit.errors import DatabaseError, InputError


def names(path):
    with open_database(path) as session:
        return sorted(session.scalars(select(Class.name)))


def test_commit_and_rollback(tmp_path):
    path = tmp_path / "deep" / "t.db"
    with open_database(path, "create") as session:
        add_class(session, "Robin")
    with pytest.raises(ValueError), open_database(path, "write") as session:
        add_class(session, "Wren")
        raise ValueError
    assert names(path) == ["Robin"]
    assert os.listdir(path.parent) == ["t.db"]
    assert path.read_bytes()[18:20] == b"\x01\x01"  # the header does not say WAL


def test_foreign_keys_hold_on_every_connection(tmp_path):
    for _time in range(2):
        with pytest.raises(DatabaseError, match="FOREIGN KEY"), open_database(tmp_path / "t.db", "create") as session:
            session.execute(insert(Class).values(name="x", category_id=77))
            session.commit()


def test_missing_database_is_not_created(tmp_path):
    for mode in ("read", "write"):
        with pytest.raises(DatabaseError, match=r"gone\.db does not exist"), open_database(tmp_path / "gone.db", mode):
            pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", ["read", "write", "create"])
def test_no_database(tmp_path, mode):
    path = tmp_path / "t.db"
    path.write_text("Name,Code\nRobin,ROB\n")
    with pytest.raises(DatabaseError, match="is not a SQLite database"), open_database(path, mode):
        pass
    path.write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 8)
    with pytest.raises(DatabaseError, match=r"is not a SQLite database|is damaged"), open_database(path, mode):
        pass
    with pytest.raises(DatabaseError, match="is a directory"), open_database(tmp_path, mode):
        pass


def test_other_kinds_of_sqlite_file(tmp_path):
    path = tmp_path / "t.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE Photo (ID INTEGER)")
    with pytest.raises(DatabaseError, match="is not a training database"), open_database(path, "create"):
        pass
    connection.execute("CREATE TABLE Recording (ID INTEGER)")
    with pytest.raises(DatabaseError, match="lacks Category, Class, SchemaVersion"), open_database(path, "create"):
        pass
    connection.execute("CREATE TABLE Subcategory (ID INTEGER)")
    connection.close()
    with pytest.raises(DatabaseError, match="schema that is not known"), open_database(path):
        pass
    path.write_bytes(b"")
    with pytest.raises(DatabaseError, match="is not a training database"), open_database(path):
        pass
    with open_database(path, "create"):
        pass
    assert names(path) == []


def test_newer_version(tmp_path):
    path = tmp_path / "t.db"
    with open_database(path, "create"):
        pass
    connection = sqlite3.connect(path)
    connection.execute("UPDATE SchemaVersion SET Version = 2")
    connection.commit()
    connection.close()
    with pytest.raises(DatabaseError, match="schema version 2, this program knows 1; upgrade"), open_database(path):
        pass


@pytest.mark.parametrize("name", ["it's", 'say "hi"', "100%", "a; DROP TABLE Class", "🦉", "x" * 10_000, "_%"])
def test_odd_names(tmp_path, name):
    with open_database(tmp_path / "a b%20?#.db", "create") as session:
        add_class(session, name, code=name)
        assert find_class(session, name).code == name
        assert find_class(session, name[:-1]) is None
    assert os.listdir(tmp_path) == ["a b%20?#.db"]


def test_unknown_class_is_suggested(tmp_path):
    with open_database(tmp_path / "t.db", "create") as session:
        add_class(session, "American Crow")
        with pytest.raises(DatabaseError, match='class "Amercan Crow" .*; did you mean "American Crow"'):
            require_class(session, "Amercan Crow")


def test_readers_while_a_writer_works(tmp_path):
    path = tmp_path / "t.db"
    with open_database(path, "create") as writer:
        add_class(writer, "Robin")
        writer.commit()
        writer.execute(insert(Category), [{"name": "x" * 1000 + str(n)} for n in range(5000)])  # spills the cache
        assert names(path) == ["Robin"]
    assert names(path) == ["Robin"]


def test_killed_writer_leaves_the_last_commit(tmp_path):
    path = tmp_path / "t.db"
    code = f"""
import os
from britekit.database.session import open_database
from britekit.database.classes import add_class
with open_database({str(path)!r}, "create") as session:
    add_class(session, "Robin")
    session.commit()
    add_class(session, "Wren")
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert names(path) == ["Robin"]
    with open_database(path, "write") as session:
        add_class(session, "Owl")
    assert names(path) == ["Owl", "Robin"]
    assert os.listdir(tmp_path) == ["t.db"]


def test_publishing_is_all_or_nothing(tmp_path):
    path = tmp_path / "t.db"
    with publish_database(path) as session:
        add_class(session, "Robin")
    before = path.read_bytes()
    with pytest.raises(ValueError), publish_database(path) as session:
        add_class(session, "Wren")
        session.commit()
        raise ValueError
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["t.db"]
    with open_database(path) as session:
        assert session.execute(text("PRAGMA integrity_check")).scalar() == "ok"


def test_equal_bytes_from_another_process(tmp_path):
    """Nothing in the file depends on hashes, which differ from process to process."""
    code = """
import sys
from britekit.database.session import publish_database
from britekit.database.classes import add_class
with publish_database(sys.argv[1]) as session:
    add_class(session, "Robin")
"""
    found = set()
    for seed in "12":
        path = tmp_path / seed
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", code, str(path)], check=True, env=environment)
        found.add(path.read_bytes())
    assert len(found) == 1


def test_targets():
    assert sqlite_path("sqlite:////tmp/x.db") == Path("/tmp/x.db")
    assert sqlite_path("data/t.db") == Path("data/t.db") and not is_url("data/t.db")
    assert sqlite_path("postgresql://me:secret@host/birds") is None
    assert "secret" not in describe("postgresql://me:secret@host/birds")
    with pytest.raises(DatabaseError) as caught:
        describe("://me:secret@host")
    assert "secret" not in str(caught.value)
    with pytest.raises(DatabaseError, match="names no file"):
        sqlite_path("sqlite://")


def test_server_that_is_not_there():
    with pytest.raises(DatabaseError) as caught, open_database("postgresql://me:secret@127.0.0.1:1/birds"):
        pass
    assert "secret" not in str(caught.value) and "127.0.0.1" in str(caught.value)


@pytest.fixture
def small_disk(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("no right to mount a small tmpfs here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False)


@pytest.mark.parametrize("how", ["publish", "write"])
def test_full_disk(small_disk, how):
    path = small_disk / "t.db"
    with publish_database(path) as session:
        add_class(session, "Robin")
    opened = publish_database(path) if how == "publish" else open_database(path, "write")
    with pytest.raises((DatabaseError, InputError), match=r"t\.db .*no space left"), opened as session:
        session.execute(insert(Category), [{"name": "x" * 1000 + str(n)} for n in range(2000)])
    assert names(path) == ["Robin"]
    assert not [name for name in os.listdir(small_disk) if "partial" in name]


def test_read_only_disk(small_disk):
    path = small_disk / "t.db"
    with open_database(path, "create") as session:
        add_class(session, "Robin")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert names(path) == ["Robin"]
    for mode in ("write", "create"):
        with pytest.raises(DatabaseError, match="read-only"), open_database(path, mode):
            pass
    with pytest.raises(DatabaseError, match="read-only"), open_database(small_disk / "new" / "t.db", "create"):
        pass
    with pytest.raises((DatabaseError, InputError, OSError), match="(?i)read-only|writable"), publish_database(path):
        pass

"""What a server shares with a file: one writer at a time, readers meanwhile, no password in a message."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text

import britekit.database.session as session_module
from britekit.api.database import TrainingDatabase
from britekit.database.classes import add_class
from britekit.database.schema import Category, Class
from britekit.database.session import open_database, optimize
from britekit.errors import DatabaseError


def names(target):
    with open_database(target) as session:
        return sorted(session.scalars(select(Class.name)))


def test_commit_and_rollback(target):
    with open_database(target, "create") as session:
        add_class(session, "Robin")
    with pytest.raises(ValueError), open_database(target, "write") as session:
        add_class(session, "Wren")
        raise ValueError
    assert names(target) == ["Robin"]


def test_readers_while_a_writer_works(target):
    with open_database(target, "create") as writer:
        add_class(writer, "Robin")
        writer.commit()
        with open_database(target) as reader:
            assert reader.scalars(select(Class.name)).all() == ["Robin"]
            writer.execute(insert(Category), [{"name": f"{n}" * 50} for n in range(3000)])
            add_class(writer, "Wren")
            assert names(target) == ["Robin"]
            writer.commit()
            # What one reader sees stays one state, and a new one sees the next.
            assert reader.scalars(select(Class.name)).all() == ["Robin"]
            assert names(target) == ["Robin", "Wren"]


def test_the_second_writer_waits(target):
    with open_database(target, "create") as session:
        add_class(session, "Robin")
    order = []

    def second():
        with open_database(target, "write") as session:
            add_class(session, "Wren")
            order.append("second")

    with open_database(target, "write") as session:
        add_class(session, "Owl")
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.7)
        order.append("first")
        session.commit()
    thread.join(20)
    assert order == ["first", "second"]
    assert names(target) == ["Owl", "Robin", "Wren"]


def test_a_writer_that_waits_too_long_is_told_so(target, monkeypatch):
    with open_database(target, "create") as session:
        add_class(session, "Robin")
    monkeypatch.setattr(session_module, "_BUSY_SECONDS", 0.3)
    with (
        open_database(target, "write") as first,
        pytest.raises(DatabaseError, match="is being written by another process; try again"),
    ):
        add_class(first, "Owl")
        with open_database(target, "write") as second:
            add_class(second, "Wren")


def test_many_processes_at_once(target):
    """Eight processes add to one database that is not there when they start; nothing is lost or doubled."""
    code = """
import sys
from britekit import commands
for number in range(3):
    commands.add_cat(sys.argv[1], f"{sys.argv[2]}-{number}")
"""
    root = Path(__file__).parents[2]
    running = [
        subprocess.Popen([sys.executable, "-c", code, target, str(n)], cwd=root, stdout=subprocess.DEVNULL)
        for n in range(4)
    ]
    assert [process.wait(120) for process in running] == [0] * 4
    with open_database(target) as session:
        found = sorted(session.scalars(select(Category.name)))
    assert found == sorted(["default", *(f"{a}-{b}" for a in range(4) for b in range(3))])


def test_reading_does_not_write(target):
    with open_database(target, "create") as session:
        add_class(session, "Robin")
        optimize(session)
    with TrainingDatabase(target, mode="read") as db, pytest.raises(DatabaseError, match="read-only|reading only"):
        db.insert_class(1, "Jay")
    assert names(target) == ["Robin"]


@pytest.mark.parametrize("name", ["it's", 'say "hi"', "100%", "a; DROP TABLE Class", "🦉", "x" * 10_000, ":y"])
def test_odd_names(target, name):
    with TrainingDatabase(target) as db:
        db.insert_class(1, name, code=name)
        assert [row.code for row in db.get_class({"Name": name})] == [name]
        assert db.update_class(db.get_class({"Code": name})[0].id, "AltName", name) == 1
        assert db.delete_class({"AltName": name}) == 1


def test_reading_a_server_makes_no_table(postgres_url):
    for mode in ("read", "write"):
        with pytest.raises(DatabaseError, match="is not a training database"), open_database(postgres_url, mode):
            pass
    with pytest.raises(DatabaseError, match="does not exist"), open_database(postgres_url.replace("birds", "x")):
        pass


def test_other_tables_of_a_server_stay(postgres_url):
    """A database that serves others too is none to make tables in."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(postgres_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE mine (a int)"))
    with pytest.raises(DatabaseError, match="not a training database"), open_database(postgres_url, "create"):
        pass
    engine.dispose()


def test_wrong_password_is_not_repeated(postgres_url):
    wrong = postgres_url.replace("britekit@", "nobody:secret@")
    with pytest.raises(DatabaseError) as caught, open_database(wrong):
        pass
    assert "secret" not in str(caught.value) and "nobody" in str(caught.value)

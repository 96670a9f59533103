"""Databases of other programs and times: public britekit 1.8.4, the oldest schema, logs left by the dead."""

import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from britekit.api.database import TrainingDatabase
from britekit.database.classes import add_class
from britekit.database.session import open_database, publish_database
from britekit.errors import DatabaseError
from tests.database.contents import contents, problems

OLD = """
CREATE TABLE Category (ID INTEGER PRIMARY KEY AUTOINCREMENT, Name TEXT NOT NULL);
CREATE TABLE Subcategory (ID INTEGER PRIMARY KEY AUTOINCREMENT, CategoryID INTEGER NOT NULL,
  Name TEXT NOT NULL, Synonym TEXT, Code TEXT);
CREATE TABLE Source (ID INTEGER PRIMARY KEY AUTOINCREMENT, Name TEXT NOT NULL);
CREATE TABLE Recording (ID INTEGER PRIMARY KEY AUTOINCREMENT, SourceID INTEGER, SubcategoryID INTEGER,
  FileName TEXT NOT NULL, Path TEXT, Seconds INTEGER);
CREATE TABLE Spectrogram (ID INTEGER PRIMARY KEY AUTOINCREMENT, RecordingID INTEGER, Value BLOB NOT NULL,
  Offset REAL, Embedding BLOB, Audio BLOB, SamplingRate INTEGER);
INSERT INTO Category VALUES (3, 'bird'), (5, 'it''s 100 %');
INSERT INTO Subcategory VALUES (7, 3, 'Robin', 'Erithacus rubecula', 'ROB'), (9, 5, 'Wren 🐦', NULL, NULL);
INSERT INTO Source VALUES (2, 'Xeno-Canto');
INSERT INTO Recording VALUES (11, 2, 7, 'XC1.mp3', '/in/XC1.mp3', 12),
  (13, 2, 9, 'XC2.mp3', '/in/XC2.mp3', NULL);
INSERT INTO Spectrogram VALUES (21, 11, X'01', 0, X'0A', NULL, NULL), (23, 11, X'02', 1.5, NULL, X'0B', 8000),
  (29, 13, X'03', NULL, NULL, NULL, NULL);
"""


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "old.db"
    connection = sqlite3.connect(path)
    connection.executescript(OLD)
    connection.close()
    return path


@pytest.mark.parametrize("mode", ["read", "write", "create"])
def test_oldest_schema(old, mode, caplog):
    with caplog.at_level(logging.WARNING), open_database(old, mode):
        pass
    assert "is converted" in caplog.text
    assert os.listdir(old.parent) == ["old.db"]
    connection = sqlite3.connect(old)

    def rows(query):
        return connection.execute(query).fetchall()

    assert rows("SELECT ID, CategoryID, Name, Code, AltName FROM Class ORDER BY ID") == [
        (7, 3, "Robin", "ROB", "Erithacus rubecula"), (9, 5, "Wren 🐦", None, None),
    ]  # fmt: skip
    assert rows("SELECT ID, SourceID, FileName, Path, Seconds FROM Recording") == [
        (11, 2, "XC1.mp3", "/in/XC1.mp3", 12.0), (13, 2, "XC2.mp3", "/in/XC2.mp3", None),
    ]  # fmt: skip
    assert rows("SELECT ID, RecordingID, Offset, Audio, SamplingRate FROM Segment") == [
        (21, 11, 0.0, None, None), (23, 11, 1.5, b"\x0b", 8000), (29, 13, 0.0, None, None),
    ]  # fmt: skip
    assert rows(
        "SELECT SpecValue.ID, SegmentID, Value, Embedding, Name FROM SpecValue "
        "JOIN SpecGroup ON SpecGroup.ID = SpecGroupID ORDER BY 1"
    ) == [
        (21, 21, b"\x01", b"\x0a", "default"), (23, 23, b"\x02", None, "default"),
        (29, 29, b"\x03", None, "default"),
    ]  # fmt: skip
    assert rows("SELECT SegmentID, ClassID FROM SegmentClass") == [(21, 7), (23, 7), (29, 9)]
    assert {name for (name,) in rows("SELECT Name FROM Category")} == {"bird", "it's 100 %", "default"}
    assert {name for (name,) in rows("SELECT Name FROM Source")} == {"Xeno-Canto", "default"}
    connection.close()
    assert problems(old) == []
    caplog.clear()
    with open_database(old):
        pass
    assert not caplog.text


@pytest.mark.parametrize(
    "change, message",
    [
        ("ALTER TABLE Spectrogram DROP COLUMN Value", "Spectrogram lacks Value"),
        ("ALTER TABLE Recording DROP COLUMN SubcategoryID", "SubcategoryID"),
        ("DROP TABLE Source", "Source"),
        ("UPDATE Subcategory SET Name = 'Robin'", 'two subcategories are called "Robin"'),
        ("UPDATE Recording SET SubcategoryID = 99", "FOREIGN KEY"),
    ],
)
def test_oldest_schema_that_cannot_be_converted_stays(old, change, message):
    connection = sqlite3.connect(old)
    connection.execute(change)
    connection.commit()
    connection.close()
    before = old.read_bytes()
    with pytest.raises(DatabaseError, match=message), open_database(old):
        pass
    assert old.read_bytes() == before and os.listdir(old.parent) == ["old.db"]


def test_doubled_spectrograms_of_the_oldest_schema(old, caplog):
    connection = sqlite3.connect(old)
    connection.execute("INSERT INTO Spectrogram (RecordingID, Value, Offset) VALUES (11, X'09', 1.5)")
    connection.commit()
    connection.close()
    with caplog.at_level(logging.WARNING), TrainingDatabase(str(old), "read") as db:
        assert db.get_specvalue_count() == 3 and db.get_specvalue({"SegmentID": 23})[0].value == b"\x02"
    assert "1 spectrograms had the recording and offset of another" in caplog.text


def killed_writer(path):
    """Leave a log beside a database, with one commit in it, as a killed process does."""
    code = f"""
import os
from britekit.database.session import open_database
from britekit.database.classes import add_class
with open_database({str(path)!r}, "write") as session:
    for number in range(300):
        add_class(session, f"left {{number}}")
    session.commit()
    os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == -9 and path.with_name(path.name + "-wal").stat().st_size


@pytest.mark.parametrize("how", ["publish", "delete and publish", "another file"])
def test_a_log_of_the_dead_does_not_reach_the_next_file(tmp_path, how):
    path = tmp_path / "t.db"
    other = tmp_path / "other.db"
    for place, name in ((path, "Robin"), (other, "Wren")):
        with publish_database(place) as session:
            for number in range(500):
                add_class(session, f"{name} {number}")
    killed_writer(path)
    if how == "another file":  # as dvc checkout does
        shutil.copy(other, tmp_path / "new")
        os.replace(tmp_path / "new", path)
    else:
        if how != "publish":
            path.unlink()
        with publish_database(path) as session:
            for number in range(500):
                add_class(session, f"Wren {number}")
    assert contents(path) == contents(other) and problems(path) == []
    with open_database(path, "write") as session:
        add_class(session, "Owl")
    assert len(contents(path)["classes"]) == 501 and problems(path) == []
    assert sorted(os.listdir(tmp_path)) == ["other.db", "t.db"]


def test_the_log_of_this_file_is_picked_up(tmp_path):
    path = tmp_path / "t.db"
    with publish_database(path) as session:
        add_class(session, "Robin")
    killed_writer(path)
    assert len(contents(path)["classes"]) == 301


def test_a_journal_of_the_dead_is_rolled_back_by_readers(tmp_path):
    """Killed in the middle of writing pages: the next who opens it, a reader, sees the state before."""
    path = tmp_path / "t.db"
    with publish_database(path) as session:
        for number in range(500):
            add_class(session, f"Robin {number}")
    code = f"""
import os, sqlite3
connection = sqlite3.connect({str(path)!r}, isolation_level=None)
connection.execute("PRAGMA cache_size = 2")
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE Class SET Name = Name || 'x', AltName = Name")
os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert (tmp_path / "t.db-journal").stat().st_size
    assert ("default", "Robin 7", None, None, None) in contents(path)["classes"]
    assert problems(path) == [] and os.listdir(tmp_path) == ["t.db"]


PUBLIC = os.environ.get("BRITEKIT_PUBLIC")


@pytest.mark.skipif(not PUBLIC, reason="BRITEKIT_PUBLIC names no Python with public britekit 1.8.4")
def test_public_britekit_reads_ours_and_we_read_its(tmp_path):
    """Both ways: its commands on our file, ours on its."""
    program = Path(PUBLIC).parent / "britekit"
    ours, theirs = tmp_path / "ours.db", tmp_path / "theirs.db"
    value = zlib.compress(bytes(128 * 480))
    with TrainingDatabase(str(ours)) as db:
        name = db.insert_class(1, "Robin", "ROB")
        segment = db.insert_segment(db.insert_recording(1, "a.wav", "/in/a.wav", 5.0), 0.0)
        db.insert_segment_class(segment_id=segment, class_id=name)
        db.insert_specvalue(value, 1, segment)
    code = """
import sys, britekit
db = britekit.TrainingDatabase(sys.argv[1])
name = db.insert_class(1, "Wren", None, "WREN")
segment = db.insert_segment(db.insert_recording(1, "b.wav", "/in/b.wav", 5), 1.5)
db.insert_segment_class(segment, name)
db.insert_specvalue(bytes.fromhex(sys.argv[2]), 1, segment)
"""
    for path in (ours, theirs):
        subprocess.run([PUBLIC, "-c", code, str(path), value.hex()], check=True, cwd=tmp_path)
        subprocess.run([program, "rpt-db", "-d", path, "-o", tmp_path / "rpt"], check=True, cwd=tmp_path)
        assert "Wren,WREN,1,1" in (tmp_path / "rpt/class_summary.csv").read_text()
        assert problems(path) == []
    subprocess.run([program, "del-class", "-d", ours, "--name", "Robin"], check=True, cwd=tmp_path, input=b"y\n")
    found = contents(ours)
    assert [row[1] for row in found["classes"]] == ["Wren"] and all(
        rows == contents(theirs).get(name, rows) for name, rows in found.items()
    )

"""Files of other programs: what is read of them, what is refused, and that they stay as they are."""

import sqlite3

import pytest
from sqlalchemy import select

from britekit.database.classes import add_class
from britekit.database.recordings import add_recording, group_ids
from britekit.database.schema import Recording, Segment, SpecGroup
from britekit.database.session import open_database, publish_database
from britekit.database.spectrograms import get_or_add_group, group_settings
from britekit.errors import DatabaseError

# What a program that knows nothing of our additions writes.
OTHER_PROGRAM = """
CREATE TABLE SchemaVersion (Version INTEGER NOT NULL);
INSERT INTO SchemaVersion VALUES (1);
CREATE TABLE Category (ID INTEGER PRIMARY KEY AUTOINCREMENT, Name TEXT NOT NULL, InsertedDate TEXT,
  UNIQUE (Name));
CREATE TABLE Class (ID INTEGER PRIMARY KEY AUTOINCREMENT, CategoryID INTEGER, Name TEXT NOT NULL, Code TEXT,
  AltName TEXT, AltCode TEXT, InsertedDate TEXT, UNIQUE (Name),
  FOREIGN KEY (CategoryID) REFERENCES Category (ID) ON DELETE CASCADE);
CREATE TABLE Source (ID INTEGER PRIMARY KEY AUTOINCREMENT, Name TEXT NOT NULL, InsertedDate TEXT,
  UNIQUE (Name));
CREATE TABLE Recording (ID INTEGER PRIMARY KEY AUTOINCREMENT, SourceID INTEGER, FileName TEXT NOT NULL,
  Path TEXT, Seconds REAL, InsertedDate TEXT,
  FOREIGN KEY (SourceID) REFERENCES Source (ID) ON DELETE CASCADE);
CREATE TABLE Segment (ID INTEGER PRIMARY KEY AUTOINCREMENT, RecordingID INTEGER,
  Offset REAL NOT NULL, Audio BLOB, SamplingRate INTEGER, InsertedDate TEXT, UNIQUE (RecordingID, Offset));
CREATE TABLE SoundType (ID INTEGER PRIMARY KEY AUTOINCREMENT, Name TEXT NOT NULL, Description TEXT,
  InsertedDate TEXT, UNIQUE (Name));
CREATE TABLE SegmentClass (ID INTEGER PRIMARY KEY AUTOINCREMENT, SoundTypeID INTEGER, SegmentID INTEGER,
  ClassID INTEGER, UNIQUE (SegmentID, ClassID));
CREATE TABLE SpecGroup (ID INTEGER PRIMARY KEY AUTOINCREMENT, Name TEXT NOT NULL, InsertedDate TEXT,
  UNIQUE (Name));
CREATE TABLE SpecValue (ID INTEGER PRIMARY KEY AUTOINCREMENT, Value BLOB NOT NULL, Embedding BLOB,
  SpecGroupID INTEGER, SegmentID INTEGER, UNIQUE (SpecGroupID, SegmentID));
INSERT INTO Category (Name) VALUES ('default');
INSERT INTO Source (Name) VALUES ('default');
INSERT INTO SpecGroup (Name) VALUES ('default');
"""


@pytest.fixture
def other(tmp_path):
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.executescript(OTHER_PROGRAM)
    connection.close()
    return path


def test_database_of_another_program(other):
    before = other.read_bytes()
    with open_database(other) as session:
        assert not session.info["has_recording_info"] and not session.info["has_group_config"]
        assert session.scalars(select(SpecGroup)).one().name == "default"
        assert (group_ids(session), group_settings(session, 1)) == ({}, {})
    assert other.read_bytes() == before
    with open_database(other, "write") as session:
        add_recording(session, 1, "a.wav", "/a.wav", 3.0)
        group = get_or_add_group(session, "default", {"max_freq": 1})
        assert group_settings(session, group) == {"max_freq": 1}
    connection = sqlite3.connect(other)  # and that program still finds everything it knows
    connection.execute("INSERT INTO SpecGroup (Name, InsertedDate) VALUES ('g', '2024-01-01')")
    assert connection.execute("SELECT FileName FROM Recording").fetchall() == [("a.wav",)]
    connection.close()


@pytest.mark.parametrize("mode", ["write", "create"])
@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_a_refused_file_keeps_its_bytes(tmp_path, mode, journal):
    path = tmp_path / "notes.db"
    connection = sqlite3.connect(path)
    connection.executescript(f"PRAGMA journal_mode = {journal}; CREATE TABLE Notes (Text)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(DatabaseError, match="not a training database"), open_database(path, mode):
        pass
    with pytest.raises(DatabaseError, match="database of another program"), publish_database(path):
        pass
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_not_replaced(tmp_path):
    path = tmp_path / "recordings.csv"
    path.write_text("recording,class\n")
    with pytest.raises(DatabaseError, match="not a SQLite database"), publish_database(path):
        pass
    assert path.read_text() == "recording,class\n"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("UPDATE SchemaVersion SET Version = 'one'", "schema version is 'one'"),
        ("ALTER TABLE Recording RENAME COLUMN FileName TO Name", "it lacks Recording.FileName"),
        ("UPDATE Segment SET Offset = 'abc'", "holds 'abc' where a number is expected"),
        ("UPDATE Segment SET Offset = 9e999", "holds inf where a number"),
        ("UPDATE Recording SET FileName = x'622e'", "holds b'b.' where a text is expected"),
        ("UPDATE Recording SET Seconds = x'00'", "holds b'\\\\x00' where a number is expected"),
    ],
)
def test_values_that_a_column_cannot_mean(other, damage, said):
    connection = sqlite3.connect(other)
    connection.executescript(
        "INSERT INTO Recording (FileName, Seconds) VALUES ('a.wav', 3);"
        f"INSERT INTO Segment (RecordingID, Offset) VALUES (1, 0); {damage}"
    )
    connection.close()
    with pytest.raises(DatabaseError, match=said), open_database(other) as session:
        session.execute(select(Segment.offset, Recording.seconds, Recording.filename).join(Recording)).all()


def test_damage_in_the_names_of_tables(other):
    data = other.read_bytes()
    other.write_bytes(data.replace(b"CREATE TABLE Class ", b"CREATE TAB\xff\xff Class "))
    with pytest.raises(DatabaseError, match="is damaged; restore it"), open_database(other, "write"):
        pass


def test_a_name_that_is_no_text_is_refused(other):
    with pytest.raises(DatabaseError, match="is not valid UTF-8"), open_database(other, "write") as session:
        add_class(session, "\udcdcb", "UB")

"""Tables, columns, keys and indexes as other programs know them, read back by PRAGMA."""

import sqlite3

import pytest

from britekit.database.session import open_database

# The page on formats, column by column: name, type, NOT NULL.
COLUMNS = {
    "SchemaVersion": [("Version", "INTEGER", 1)],
    "Category": [("Name", "TEXT", 1), ("InsertedDate", "TEXT", 0)],
    "Class": [
        ("CategoryID", "INTEGER", 0), ("Name", "TEXT", 1), ("Code", "TEXT", 0), ("AltName", "TEXT", 0),
        ("AltCode", "TEXT", 0), ("InsertedDate", "TEXT", 0),
    ],
    "Source": [("Name", "TEXT", 1), ("InsertedDate", "TEXT", 0)],
    "Recording": [
        ("SourceID", "INTEGER", 0), ("FileName", "TEXT", 1), ("Path", "TEXT", 0), ("Seconds", "REAL", 0),
        ("InsertedDate", "TEXT", 0),
    ],
    "Segment": [
        ("RecordingID", "INTEGER", 0), ("Offset", "REAL", 1), ("Audio", "BLOB", 0),
        ("SamplingRate", "INTEGER", 0),
        ("InsertedDate", "TEXT", 0),
    ],
    "SoundType": [("Name", "TEXT", 1), ("Description", "TEXT", 0), ("InsertedDate", "TEXT", 0)],
    "SegmentClass": [("SoundTypeID", "INTEGER", 0), ("SegmentID", "INTEGER", 0), ("ClassID", "INTEGER", 0)],
    "SpecGroup": [("Name", "TEXT", 1), ("InsertedDate", "TEXT", 0), ("Config", "TEXT", 0)],
    "SpecValue": [
        ("Value", "BLOB", 1), ("Embedding", "BLOB", 0), ("SpecGroupID", "INTEGER", 0),
        ("SegmentID", "INTEGER", 0),
    ],
}  # fmt: skip
FOREIGN = {
    "Class": {("CategoryID", "Category", "CASCADE")},
    "Recording": {("SourceID", "Source", "CASCADE")},
    "Segment": {("RecordingID", "Recording", "CASCADE")},
    "SegmentClass": {
        ("SoundTypeID", "SoundType", "SET NULL"),
        ("SegmentID", "Segment", "CASCADE"),
        ("ClassID", "Class", "CASCADE"),
    },
    "SpecValue": {("SpecGroupID", "SpecGroup", "CASCADE"), ("SegmentID", "Segment", "CASCADE")},
    "RecordingInfo": {("RecordingID", "Recording", "CASCADE")},
}
UNIQUE = {
    "Category": {("Name",)}, "Class": {("Name",)}, "Source": {("Name",)}, "SoundType": {("Name",)},
    "SpecGroup": {("Name",)}, "Segment": {("RecordingID", "Offset")},
    "SegmentClass": {("SegmentID", "ClassID")},
    "SpecValue": {("SpecGroupID", "SegmentID")},
}  # fmt: skip
INDEXES = {
    "Recording": {("FileName",), ("Path",)},
    "Segment": {("RecordingID",)},
    "SegmentClass": {("SoundTypeID",), ("SegmentID",), ("ClassID",)},
    "SpecValue": {("SpecGroupID",), ("SegmentID",)},
}


@pytest.fixture
def connection(tmp_path):
    with open_database(tmp_path / "t.db", "create"):
        pass
    connection = sqlite3.connect(tmp_path / "t.db")
    yield connection
    connection.close()


@pytest.mark.parametrize("table", COLUMNS)
def test_columns(connection, table):
    found = connection.execute(f'PRAGMA table_info("{table}")').fetchall()
    if table != "SchemaVersion":
        assert found[0][1:3] == ("ID", "INTEGER") and found[0][5] == 1
        found = found[1:]
        sql = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
        assert "AUTOINCREMENT" in sql
    assert [(row[1], row[2], row[3]) for row in found] == COLUMNS[table]


def test_keys_and_indexes(connection):
    for table in [*COLUMNS, "RecordingInfo"]:
        foreign = {
            tuple(row[i] for i in (3, 2, 6)) for row in connection.execute(f'PRAGMA foreign_key_list("{table}")')
        }
        assert foreign == FOREIGN.get(table, set())
        unique, plain = set(), set()
        for _number, name, is_unique, origin, _partial in connection.execute(f'PRAGMA index_list("{table}")'):
            columns = tuple(row[2] for row in connection.execute(f'PRAGMA index_info("{name}")'))
            if origin != "pk":
                (unique if is_unique else plain).add(columns)
        assert (unique, plain) == (UNIQUE.get(table, set()), INDEXES.get(table, set()))


def test_default_rows(connection):
    assert connection.execute("SELECT Version FROM SchemaVersion").fetchall() == [(1,)]
    for table in ("Category", "Source", "SpecGroup"):
        (row,) = connection.execute(f"SELECT ID, Name, length(InsertedDate) FROM {table}").fetchall()
        assert row == (1, "default", 10)


def test_recording_info_columns(connection):
    names = [row[1] for row in connection.execute("PRAGMA table_info(RecordingInfo)")]
    assert names == ["RecordingID", "GroupName", "Licence", "Author", "URL", "Time", "Latitude", "Longitude"]

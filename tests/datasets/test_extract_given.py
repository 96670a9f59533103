"""Segments that images and tables name: which are found, stored once, and told of when they cannot be."""

import logging
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from britekit import commands
from britekit.database.session import open_database
from britekit.database.spectrograms import decode
from britekit.datasets.adding import extract_given
from britekit.datasets.plans import wanted_by_csv, wanted_by_images
from britekit.errors import InputError
from tests.commands.test_extract import SETTINGS
from tests.datasets.conftest import small_config, write_recording


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(SETTINGS)
    for number, stem in enumerate(["XC1", "12345678", "a-b"]):
        write_recording(Path(f"in/{stem}.wav"), 6.0, seed=number)
    Path("images").mkdir()
    return tmp_path


def images(*names):
    for name in names:
        Path("images", name).touch()


def rows(query, db="t.db"):
    connection = sqlite3.connect(db)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


STORED = "SELECT FileName, Offset FROM Segment JOIN Recording ON Recording.ID = RecordingID ORDER BY FileName, Offset"


def test_images_of_every_form(place, caplog):
    images(
        "XC1-0.00.jpeg", "3~XC1-2.50~0.123.jpeg", "12345678-3.00.png", "7-a-b-1.25-0.987.jpg",
        "XC1-2.50.jpeg", "notes.txt", "whole.jpeg", "gone-1.00.jpeg", ".XC1-5.00.jpeg",
    )  # fmt: skip
    wanted = wanted_by_images("in", "images")
    assert {path.stem: offsets for path, offsets in wanted.offsets.items()} == {
        "XC1": [0.0, 2.5], "12345678": [3.0], "a-b": [1.25],
    }  # fmt: skip
    assert (wanted.unreadable, wanted.absent) == (["whole.jpeg"], {"gone": ["gone-1.00.jpeg"]})
    assert (
        commands.extract_by_image(db_path="t.db", class_name="Wren", class_code="W", rec_dir="in", spec_dir="images")
        == 4
    )
    assert rows(STORED, "t.db") == [
        ("12345678.wav", 3.0), ("XC1.wav", 0.0), ("XC1.wav", 2.5), ("a-b.wav", 1.25),
    ]  # fmt: skip
    assert rows("SELECT DISTINCT Name, Code FROM Class JOIN SegmentClass ON ClassID = Class.ID") == [("Wren", "W")]
    sources = "SELECT FileName, Source.Name FROM Recording JOIN Source ON Source.ID = SourceID ORDER BY 1"
    assert rows(sources) == [
        ("12345678.wav", "Macaulay Library"), ("XC1.wav", "Xeno-Canto"), ("a-b.wav", "default"),
    ]  # fmt: skip


def test_values_equal_those_of_a_whole_extraction_and_repeating_adds_nothing(place):
    images("XC1-0.00.jpeg", "XC1-2.00.jpeg", "XC1-5.00.jpeg")
    options = {"class_name": "Wren", "rec_dir": "in", "spec_dir": "images"}
    assert commands.extract_by_image(db_path="t.db", **options) == 3
    before = rows("SELECT * FROM SpecValue")
    assert commands.extract_by_image(db_path="t.db", **options) == 0
    assert rows("SELECT * FROM SpecValue") == before
    commands.extract_all(db_path="all.db", class_name="Wren", dir_path="in")
    query = (
        "SELECT Offset, Value FROM SpecValue JOIN Segment ON Segment.ID = SegmentID JOIN Recording"
        " ON Recording.ID = RecordingID WHERE FileName = 'XC1.wav' AND Offset IN (0, 2, 5) ORDER BY 1"
    )
    assert rows(query, "t.db") == rows(query, "all.db")
    # A second class shares the segments.
    assert commands.extract_by_image(db_path="all.db", **{**options, "class_name": "Owl"}) == 0
    assert rows("SELECT count(*) FROM SegmentClass", "all.db") == [(18 + 3,)]
    assert rows("SELECT count(*) FROM Segment", "all.db") == [(18,)]


def test_offsets_past_the_end_and_near_each_other(place, caplog):
    Path("chosen.csv").write_text("recording,offset\nXC1,5.5\nXC1.wav,1\nXC1,1.2\nXC1,2\n")
    with open_database("t.db", "create") as session:
        result = extract_given(session, small_config(), wanted_by_csv("in", "chosen.csv"), "Wren")
    assert (result.recordings, result.spectrograms) == (1, 2)
    assert rows(STORED) == [("XC1.wav", 1.0), ("XC1.wav", 2.0)]
    assert "5.5 s" in caplog.text


def test_copies_are_what_the_database_names(place):
    images("XC1-0.00.jpeg", "a-b-1.00.jpeg")
    options = {"class_name": "Wren", "rec_dir": "in", "spec_dir": "images", "dest_dir": "kept/wren"}
    assert commands.extract_by_image(db_path="t.db", **options) == 2
    assert rows("SELECT Path FROM Recording ORDER BY FileName") == [
        (str(place / "kept/wren/XC1.wav"),), (str(place / "kept/wren/a-b.wav"),),
    ]  # fmt: skip
    assert Path("kept/wren/XC1.wav").read_bytes() == Path("in/XC1.wav").read_bytes()
    # Another file of the name is not overwritten; the other recording is stored all the same.
    Path("kept/wren/XC1.wav").write_bytes(b"mine")
    with pytest.raises(InputError, match="1 of 2 recordings"):
        commands.extract_by_image(db_path="new.db", **options)
    assert Path("kept/wren/XC1.wav").read_bytes() == b"mine"
    assert rows(STORED, "new.db") == [("a-b.wav", 1.0)]


def test_table(place, caplog):
    caplog.set_level(logging.WARNING)
    Path("chosen.csv").write_text("note,offset,recording\nx,0,12345678\ny,1.5,a-b.wav\nz,1,XC11\n")
    assert commands.extract_by_csv(db_path="t.db", class_name="W", rec_dir="in", csv_path="chosen.csv") == 2
    assert rows(STORED) == [("12345678.wav", 0.0), ("a-b.wav", 1.5)]
    assert 'recording "XC11" is not in in (chosen.csv, row 4; did you mean "XC1"?)' in caplog.text


@pytest.mark.parametrize(
    "text, message",
    [
        ("recording,offset\n,1\nXC1,-1\nXC1,x\n", "row 2: the recording is not named; row 3: offset"),
        ("recording,start\nXC1,1\n", 'no column "offset"'),
        ("recording,offset\nXC9,1\n", "names no segment"),
        ("recording,offset\n", "names no segment"),
    ],
)
def test_bad_tables_make_no_database(place, text, message):
    Path("chosen.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        commands.extract_by_csv(db_path="t.db", class_name="W", rec_dir="in", csv_path="chosen.csv")
    assert not Path("t.db").exists()


def test_bad_folders_make_no_database(place):
    options = {"db_path": "t.db", "class_name": "W"}
    for rec_dir, spec_dir, message in (
        ("gone", "images", "gone does not exist"), ("in", "gone", "gone is not a directory"),
        ("in", "images", "no images"),
    ):  # fmt: skip
        if rec_dir == "gone":
            images("XC1-0.00.jpeg")
        else:
            for image in Path("images").glob("*"):
                image.unlink()
        with pytest.raises(InputError, match=message):
            commands.extract_by_image(rec_dir=rec_dir, spec_dir=spec_dir, **options)
    assert not Path("t.db").exists()


def test_a_name_that_could_be_two_recordings_fails_alone(place, caplog):
    write_recording(Path("in/XC1.flac"), 2.0)
    images("XC1-0.00.jpeg", "a-b-0.00.jpeg")
    with pytest.raises(InputError, match="2 of 3 recordings"):
        commands.extract_by_image(db_path="t.db", class_name="W", rec_dir="in", spec_dir="images")
    assert rows(STORED) == [("a-b.wav", 0.0)]
    assert "XC1.flac fails: XC1.wav beside it has the same name without extension" in caplog.text
    # A table can name the file with its extension.
    Path("rows.csv").write_text("recording,offset\nXC1.flac,0\n")
    commands.extract_by_csv(db_path="t.db", class_name="W", rec_dir="in", csv_path="rows.csv")
    assert ("XC1.flac", 0.0) in rows(STORED)


def test_unreadable_recording_is_left_out(place):
    images("XC1-0.00.jpeg", "a-b-0.00.jpeg")
    Path("in/XC1.wav").write_bytes(b"?")
    with pytest.raises(InputError, match="1 of 2 recordings"):
        commands.extract_by_image(db_path="t.db", class_name="W", rec_dir="in", spec_dir="images")
    assert rows(STORED) == [("a-b.wav", 0.0)]


def test_stored_values_decode(place):
    images("a-b-1.25.jpeg")
    commands.extract_by_image(db_path="t.db", class_name="W", rec_dir="in", spec_dir="images")
    ((value,),) = rows("SELECT Value FROM SpecValue")
    assert np.ptp(decode(value, 32, 32)) == 255

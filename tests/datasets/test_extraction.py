"""From a tree of recordings to a database: what is stored, curation, bad input, equal bytes."""

import logging
import os
import sqlite3
import zlib
from pathlib import Path

import numpy as np
import pytest

from britekit import commands
from britekit.api.audio import Audio
from britekit.datasets.extraction import build_training_database
from britekit.errors import DatabaseError, InputError
from tests.datasets.conftest import small_config, write_recording

DB = Path("data/training.db")
CURATION = Path("data/curation.csv")


def build(cfg=None, curation=None, **options):
    if curation is not None:
        CURATION.write_text("recording,offset,class,decision,new_class\n" + "\n".join(curation) + "\n")
    return build_training_database(
        cfg or small_config(),
        Path("data/recordings"),
        Path("data/classes.csv"),
        CURATION if curation is not None else None,
        DB,
        **options,
    )


def rows(query, *values):
    connection = sqlite3.connect(DB)
    try:
        return connection.execute(query, values).fetchall()
    finally:
        connection.close()


def links():
    """Return {(file name, offset): set of classes}."""
    found = {}
    for filename, offset, name in rows(
        "SELECT FileName, Offset, Class.Name FROM SegmentClass JOIN Segment ON Segment.ID = SegmentID "
        "JOIN Recording ON Recording.ID = RecordingID JOIN Class ON Class.ID = ClassID"
    ):
        found.setdefault((filename, offset), set()).add(name)
    return found


def test_tree_becomes_database(project):
    result = build()
    assert (result.recordings, result.segments, result.failures) == (6, 24, [])
    assert result.per_class == {"Wren": 8, "Robin": 8, "Owl": 8}
    # Classes in the order of the list, recordings by class and name, offsets as long as 1 s remains.
    assert rows("SELECT Name, Code FROM Class ORDER BY ID") == [("Wren", "WREN"), ("Robin", "ROB"), ("Owl", "OWL")]
    assert [name for (name,) in rows("SELECT FileName FROM Recording ORDER BY ID")] == [
        "W0-1.wav", "W1-1.wav", "R0-1.wav", "R1-1.wav", "O0-1.wav", "O1-1.wav",
    ]  # fmt: skip
    assert {offset for _name, offset in links()} == {0.0, 1.0, 2.0, 3.0}
    assert rows("SELECT DISTINCT InsertedDate FROM Recording UNION SELECT InsertedDate FROM Class") == [(None,)]
    assert rows("SELECT Path, Seconds FROM Recording WHERE FileName = 'R0-1.wav'") == [
        ("data/recordings/Robin/R0-1.wav", 4.2)
    ]


def test_stored_spectrogram_is_that_of_the_whole_recording(project, cfg):
    build()
    ((value,),) = rows(
        "SELECT Value FROM SpecValue JOIN Segment ON Segment.ID = SegmentID JOIN Recording ON "
        "Recording.ID = RecordingID WHERE FileName = 'O1-1.wav' AND Offset = 2"
    )
    audio = Audio(cfg=cfg)
    audio.load("data/recordings/Owl/O1-1.wav")
    (image,), _raw = audio.get_spectrograms([2.0])
    levels = np.frombuffer(zlib.decompress(value), np.uint8).reshape(32, 32)
    assert np.abs(levels - 255.0 * image).max() <= 0.51


def test_equal_input_gives_equal_bytes_anywhere(project, monkeypatch):
    build()
    first = DB.read_bytes()
    build()
    assert DB.read_bytes() == first
    elsewhere = project.parent / f"{project.name}-elsewhere"
    elsewhere.mkdir()
    os.rename(project / "data", elsewhere / "data")
    monkeypatch.chdir(elsewhere)
    DB.unlink()
    build()
    assert DB.read_bytes() == first
    assert sorted(path.name for path in Path("data").iterdir()) == ["classes.csv", "recordings", "training.db"]


def test_overlap_sets_the_grid(project):
    build(small_config(pipeline={"extract_overlap": 0.4}))
    # q = 0.6; at least max(1, q/2) = 1 s must be left of 4.2 s
    assert sorted({offset for _name, offset in links()}) == [0.0, 0.6, 1.2, 1.8, 2.4, 3.0]


def test_same_file_in_two_classes_is_one_recording_of_both(project):
    shared = Path("data/recordings/Robin/both.wav")
    write_recording(shared, 2.0, seed=99)
    Path("data/recordings/Owl/both.wav").write_bytes(shared.read_bytes())
    build()
    assert rows("SELECT count(*) FROM Recording WHERE FileName = 'both.wav'") == [(1,)]
    assert links()["both.wav", 1.0] == {"Robin", "Owl"}


def test_different_files_of_one_name_are_refused(project):
    write_recording(Path("data/recordings/Robin/x.wav"), 2.0, seed=1)
    write_recording(Path("data/recordings/Owl/x.wav"), 2.0, seed=2)
    failed = dict(build().failures)
    assert set(failed) == {Path("data/recordings/Robin/x.wav"), Path("data/recordings/Owl/x.wav")}
    assert "Owl/x.wav is another recording of that name" in failed[Path("data/recordings/Robin/x.wav")]
    assert rows("SELECT count(*) FROM Recording WHERE FileName = 'x.wav'") == [(0,)]
    assert rows("SELECT count(*) > 0 FROM Recording") == [(1,)]
    table = "recording,class,source\nx,Robin,Field A\nx,Owl,Field B\n"
    Path("data/recordings/recordings.csv").write_text(table)
    build()
    assert rows("SELECT count(*) FROM Recording WHERE FileName = 'x.wav'") == [(2,)]


@pytest.mark.parametrize("other", ["o\u0308.wav", "\u00f6.flac", "\u00f6 .wav"])
def test_names_that_nothing_can_tell_apart_fail_alone(project, other, caplog):
    folder = Path("data/recordings/Robin")
    pair = [folder / "\u00f6.wav", folder / other]
    for path in pair:
        write_recording(path, 2.0)
    build()
    stored = {name for (name,) in rows("SELECT FileName FROM Recording")}
    assert stored and not stored & {path.name for path in pair}
    with pytest.raises(InputError, match="2 of"):
        commands.extract()
    for path in pair:
        assert f"{path} is left out" in caplog.text


def test_information_about_recordings(project):
    Path("data/recordings/recordings.csv").write_text(
        "recording,class,group,source,licence,author,url,time,latitude,longitude\n"
        "W0-1,Wren,marsh,,CC BY,A. Person,https://example.org/1,2024-05-01,48.5,-3.25\n"
        "R0-1.wav,Robin,,Field,,,,,,\n"
    )
    build(small_config(misc={"group_regex": r"^.(\d)-", "source_regexes": [["W", "Wood"]]}))
    query = "SELECT FileName, I.* FROM Recording LEFT JOIN RecordingInfo I ON RecordingID = Recording.ID"
    info = {row[0]: row[1:] for row in rows(query)}
    assert info["W0-1.wav"][1:] == ("marsh", "CC BY", "A. Person", "https://example.org/1", "2024-05-01", 48.5, -3.25)
    assert info["O1-1.wav"][1] == "1"
    sources = dict(rows("SELECT FileName, Name FROM Recording JOIN Source ON Source.ID = SourceID"))
    assert (sources["W1-1.wav"], sources["R0-1.wav"], sources["O0-1.wav"]) == ("Wood", "Field", "default")


@pytest.mark.parametrize(
    "decisions, expected",
    [
        (["W0-1,1.0,Wren,drop,"], {1.0: None}),
        (["W0-1.wav,1.04,Wren,drop,"], {1.0: None}),
        (["W0-1,2,Wren,keep,", "W0-1,3,Wren,keep,"], {0.0: None, 1.0: None}),
        (["W0-1,2,Wren,keep,", "W0-1,2,Wren,drop,"], {0.0: None, 1.0: None, 2.0: None, 3.0: None}),
        (["W0-1,2,Wren,drop,", "W0-1,2,Wren,keep,"], {0.0: None, 1.0: None, 3.0: None}),
        (["W0-1,1,Wren,move,Owl"], {1.0: {"Owl"}}),
        (["W0-1,1,Wren,move,Owl", "W0-1,1,Owl,drop,"], {1.0: None}),
        (["W0-1,,Wren,drop,"], {0.0: None, 1.0: None, 2.0: None, 3.0: None}),
    ],
)
def test_curation_is_replayed(project, decisions, expected):
    build(curation=decisions)
    found = {offset: names for (filename, offset), names in links().items() if filename == "W0-1.wav"}
    for offset in (0.0, 1.0, 2.0, 3.0):
        assert found.get(offset) == expected.get(offset, {"Wren"})


def test_rows_that_match_nothing_are_reported(project, caplog):
    decisions = ["W0-1,1.5,Wren,drop,", "gone,0,Wren,drop,", "W0-1,1,Owl,drop,", "W0-1,1,Wren,drop,"]
    with caplog.at_level(logging.WARNING):
        build(curation=decisions)
    said = [record.getMessage() for record in caplog.records]
    assert [text.partition(" matched")[0].rpartition("row ")[2][0] for text in said] == ["2", "3", "4"]
    before = DB.read_bytes()
    with pytest.raises(InputError, match=r"row 2 .*row 3 .*row 4 .* matched no segment"):
        build(curation=decisions, strict=True)
    assert DB.read_bytes() == before


@pytest.mark.parametrize(
    "row, message",
    [
        ("W0-1,1,Wren,delete,", 'row 2: decision "delete" is not one of keep, drop, move'),
        ("W0-1,one,Wren,drop,", 'offset "one" is not a number'),
        ("W0-1,1,Wren,move,Robbin", 'new_class "Robbin" is not in the class list; did you mean "Robin"?'),
        ("W0-1,1,Wren,move,", "a move needs a new_class"),
        (",1,Wren,drop,", "the recording is not named"),
    ],
)
def test_rows_that_cannot_be_understood(project, row, message):
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        build(curation=[row])
    assert not DB.exists()


def test_unknown_class_folder_and_class_without_recordings(project):
    os.rename("data/recordings/Robin", "data/recordings/Robbin")
    with pytest.raises(InputError, match='Robbin is not a class of the class list; did you mean "Robin"'):
        build()
    os.rename("data/recordings/Robbin", "data/recordings/.hidden")
    with pytest.raises(InputError, match='no recordings of "Robin"'):
        build()
    assert not DB.exists()


def test_damaged_recording_is_reported_and_the_others_are_stored(project, caplog):
    Path("data/recordings/Owl/bad.wav").write_bytes(b"RIFF, or so it says")
    with caplog.at_level(logging.WARNING):
        result = build()
    assert [path.name for path, _reason in result.failures] == ["bad.wav"]
    assert "bad.wav is left out" in caplog.text
    assert rows("SELECT count(*) FROM Recording") == [(6,)]
    with pytest.raises(InputError, match=r"1 of 7 recordings could not be read"):
        result.raise_for_failures()


def test_nothing_readable_keeps_what_was_there(project):
    build()
    before = DB.read_bytes()
    for path in Path("data/recordings").rglob("*.wav"):
        path.write_bytes(b"no audio")
    with pytest.raises(InputError, match="6 of 6 recordings"):
        build()
    assert DB.read_bytes() == before


def test_odd_class_names(project):
    names = ["O'Brien's \"Owl\"", "100 % Wren", "Eule 🦉", "semi;colon"]
    for number, name in enumerate(names):
        write_recording(Path("data/recordings") / name / f"n{number}.wav", 1.0, seed=number)
    quoted = "".join('"' + name.replace('"', '""') + f'",N{number}\n' for number, name in enumerate(names))
    with open("data/classes.csv", "a") as file:
        file.write(quoted)
    assert {name: count for name, count in build().per_class.items() if name in names} == dict.fromkeys(names, 1)


def test_target_on_a_server_is_refused(project):
    with pytest.raises(DatabaseError, match=r"user:\*\*\*@host/x is on a server") as caught:
        build_training_database(
            small_config(), Path("data/recordings"), Path("data/classes.csv"), None, "postgresql://user:secret@host/x"
        )
    assert "secret" not in str(caught.value)


def test_long_recording_passes_the_bounded_queue(project, monkeypatch):
    monkeypatch.setattr("britekit.datasets.window_streams._BATCHES_HELD", 1)
    monkeypatch.setattr("britekit.datasets.window_streams._WINDOWS_PER_BATCH", 4)
    write_recording(Path("data/recordings/Owl/long.wav"), 60.0)
    build()
    assert len([1 for name, _offset in links() if name == "long.wav"]) == 60


def test_a_link_to_nothing_is_a_recording_that_is_missing(project, caplog):
    os.symlink("nowhere.wav", "data/recordings/Wren/W2-1.wav")
    # In a second folder it is not compared with what is missing.
    write_recording(Path("data/recordings/Owl/W2-1.wav"), 2.2)
    result = build()
    assert [path.as_posix() for path, _reason in result.failures] == ["data/recordings/Wren/W2-1.wav"]
    assert "W2-1.wav is left out" in caplog.text

"""One folder under one class: identity of recordings, offsets that are the same segment, transactions."""

import sqlite3
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest

from britekit.api.audio import Audio
from britekit.audio.files import find_recordings
from britekit.database.segments import nearest
from britekit.database.session import open_database
from britekit.datasets.adding import extract_folder
from britekit.errors import DatabaseError, InputError
from tests.datasets.conftest import small_config, write_recording


@pytest.fixture
def folder(tmp_path):
    for number in range(3):
        write_recording(tmp_path / "in" / f"XC{number}.wav", 3.0, seed=number)
    return tmp_path / "in"


@pytest.fixture
def db(tmp_path):
    return tmp_path / "new" / "t.db"


def extract(db, folder, name="Robin", cfg=None, **options):
    with open_database(db, "create") as session:
        return extract_folder(session, cfg or small_config(), find_recordings(folder), name, **options)


def one(db, query):
    connection = sqlite3.connect(db)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_new_recordings(db, folder):
    seen = []
    result = extract(db, folder, code="ROB", category="Birds", on_recording=lambda path, n: seen.append((path.name, n)))
    assert (result.recordings, result.spectrograms) == (3, 9)
    assert seen == [("XC0.wav", 3), ("XC1.wav", 3), ("XC2.wav", 3)]
    assert one(db, "SELECT Class.Name, Code, Category.Name FROM Class JOIN Category ON Category.ID = CategoryID") == [
        ("Robin", "ROB", "Birds")
    ]
    assert one(db, "SELECT DISTINCT Source.Name FROM Recording JOIN Source ON Source.ID = SourceID") == [
        ("Xeno-Canto",)
    ]
    assert one(db, "SELECT Path FROM Recording WHERE FileName = 'XC1.wav'") == [(str(folder / "XC1.wav"),)]
    assert len(one(db, "SELECT InsertedDate FROM Segment WHERE InsertedDate IS NOT NULL")) == 9


def test_the_table_beside_the_recordings_is_read(db, folder):
    rows = ["recording,class,group,source,licence,author,url,time,latitude,longitude"]
    rows += ["XC0.wav,Robin,walk 1,Partner,CC BY 4.0,Ann,,2024-05-01T06:00:00,12.5,-7"]
    rows += ["XC1,Erithacus,walk 2,,CC0,,,,,"]  # of another class, but alone
    (folder / "recordings.csv").write_text("\n".join(rows) + "\n")
    extract(db, folder)
    found = one(
        db, "SELECT FileName, Source.Name, GroupName, Licence, Author, Time, Latitude, Longitude"
        " FROM Recording"
        " JOIN Source ON Source.ID = SourceID LEFT JOIN RecordingInfo ON RecordingID = Recording.ID"
        " ORDER BY FileName"
    )  # fmt: skip
    assert found[0] == ("XC0.wav", "Partner", "walk 1", "CC BY 4.0", "Ann", "2024-05-01T06:00:00", 12.5, -7.0)
    assert found[1][1:4] == ("Xeno-Canto", "walk 2", "CC0")
    assert found[2][1] == "Xeno-Canto" and found[2][3] in (None, "")
    assert extract(db, folder).recordings == 0
    assert one(db, "SELECT count(*) FROM Recording") == [(3,)]


def test_recordings_of_the_class_are_skipped(db, folder):
    extract(db, folder)
    assert extract(db, folder).recordings == 0
    write_recording(folder / "XC7.wav", 1.0)
    assert extract(db, folder).recordings == 1


def test_second_class_shares_segments(db, folder):
    extract(db, folder)
    assert extract(db, folder, "Wren").spectrograms == 0
    assert one(db, "SELECT count(*) FROM Segment") == [(9,)]
    assert one(db, "SELECT count(*) FROM SegmentClass") == [(18,)]


def test_close_offsets_are_one_segment_and_missing_spectrograms_are_added(db, folder):
    extract(db, folder)
    # q = 0.6, tolerance 0.3: of 0, 0.6, 1.2, 1.8 only 0.6 is far from 0, 1, 2
    result = extract(db, folder, overlap=0.4, group="fine", include_existing=True)
    assert result.segments == 3
    offsets = [offset for (offset,) in one(db, "SELECT Offset FROM Segment WHERE RecordingID = 1 ORDER BY 1")]
    assert offsets == [0.0, 0.6, 1.0, 2.0]
    assert one(db, "SELECT count(*) FROM SpecValue WHERE SpecGroupID = 2") == [(12,)]
    # The spectrogram of the segment at 1.0 s is that of 1.0 s, although the grid had 1.2 s.
    ((value,),) = one(
        db, "SELECT Value FROM SpecValue JOIN Segment ON Segment.ID = SegmentID WHERE Offset = 1"
        " AND SpecGroupID = 2 AND RecordingID = 1"
    )  # fmt: skip
    audio = Audio(cfg=small_config())
    audio.load(folder / "XC0.wav")
    (image,), _raw = audio.get_spectrograms([1.0])
    assert np.abs(np.frombuffer(zlib.decompress(value), np.uint8).reshape(32, 32) - 255.0 * image).max() <= 0.51
    assert extract(db, folder, overlap=0.4, group="fine", include_existing=True).spectrograms == 0


def test_other_recording_of_the_same_name_is_not_mixed_in(db, folder, tmp_path):
    extract(db, folder)
    other = tmp_path / "other"
    write_recording(other / "XC1.wav", 8.0, seed=5)
    result = extract(db, other, "Wren")
    assert "lasts 8 s" in result.failures[0][1]
    assert one(db, "SELECT count(*) FROM Segment") == [(9,)]
    assert extract(db, other, "Wren", source="Garden").spectrograms == 8


def test_damaged_recording_leaves_nothing_of_itself(db, folder):
    (folder / "XC1.wav").write_bytes(b"RIFF")
    result = extract(db, folder)
    assert (result.recordings, len(result.failures)) == (2, 1)
    assert one(db, "SELECT FileName FROM Recording") == [("XC0.wav",), ("XC2.wav",)]


def test_database_for_nothing_is_not_left_behind(db, folder):
    for path in folder.iterdir():
        path.write_bytes(b"")
    with pytest.raises(InputError), open_database(db, "create") as session:
        extract_folder(session, small_config(), find_recordings(folder), "Robin").raise_for_failures()
    assert not list(db.parent.iterdir())


def test_codes(db, folder):
    extract(db, folder, code="ROB")
    with pytest.raises(DatabaseError, match='code "ROB" is already used by class "Robin"'):
        extract(db, folder, "Wren", code="ROB")
    with pytest.raises(DatabaseError, match='already has the code "ROB", not "RBN"'):
        extract(db, folder, code="RBN")
    assert one(db, "SELECT Name FROM Class") == [("Robin",)]


def test_other_settings_are_pointed_out(db, folder, caplog):
    extract(db, folder)
    extract(db, folder, "Wren", cfg=small_config(audio={"max_freq": 3000}))
    assert "max_freq 3600, now 3000" in caplog.text


def test_overlap_must_be_less_than_the_duration(db, folder):
    with pytest.raises(InputError, match="overlap is 1 s"):
        extract(db, folder, overlap=1.0)
    assert not db.exists()


def test_two_commands_write_at_once(db, folder, tmp_path):
    import threading

    for number in range(6):
        write_recording(tmp_path / "more" / f"N{number}.wav", 3.0, seed=20 + number)
    extract(db, folder)
    failures = []

    def work(name, where):
        try:
            extract(db, where, name)
        except Exception as error:
            failures.append(error)

    threads = [
        threading.Thread(target=work, args=("Wren", tmp_path / "more")),
        threading.Thread(target=work, args=("Owl", tmp_path / "more")),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert one(db, "SELECT count(*) FROM Segment") == [(9 + 18,)]
    assert one(db, "SELECT count(*) FROM SegmentClass") == [(9 + 36,)]
    assert one(db, "PRAGMA integrity_check") == [("ok",)]
    assert Path(db).parent.joinpath("t.db-wal").exists() is False


def test_at_most_so_many_evenly_spaced(db, tmp_path):
    for number in range(5):
        write_recording(tmp_path / "long" / f"{number}.wav", 9.0, seed=number)
    extract(db, tmp_path / "long", max_per_recording=3, max_recordings=2)
    # Of recordings 0 to 4 the middles of two parts, of seconds 0 to 8 the middles of three.
    assert one(db, "SELECT FileName, Seconds FROM Recording") == [("1.wav", 9.0), ("3.wav", 9.0)]
    assert one(db, "SELECT DISTINCT Offset FROM Segment") == [(1.0,), (4.0,), (7.0,)]
    # Repeated, as after an interruption, it adds nothing.
    assert extract(db, tmp_path / "long", max_per_recording=3, max_recordings=2).spectrograms == 0
    whole = tmp_path / "whole.db"
    extract(whole, tmp_path / "long")
    query = (
        "SELECT FileName, Offset, Value FROM SpecValue JOIN Segment ON Segment.ID = SegmentID"
        " JOIN Recording ON Recording.ID = RecordingID"
    )
    assert set(one(db, query)) <= set(one(whole, query))


def test_a_lot_that_repeats(db, tmp_path):
    for number in range(5):
        write_recording(tmp_path / "long" / f"{number}.wav", 9.0, seed=number)
    options = {"max_per_recording": 3, "max_recordings": 2, "at_random": True}
    assert extract(db, tmp_path / "long", **options).spectrograms == 6
    assert extract(db, tmp_path / "long", **options).spectrograms == 0
    drawn = one(db, "SELECT RecordingID, Offset FROM Segment ORDER BY 1, 2")
    assert [offset for _, offset in drawn] != [1.0, 4.0, 7.0] * 2
    extract(db, tmp_path / "long", "Wren", max_per_recording=100, at_random=True)
    assert one(db, "SELECT count(*) FROM Segment") == [(45,)]


def test_memory_does_not_grow_with_a_recording_that_has_segments_elsewhere(db, tmp_path):
    write_recording(tmp_path / "long" / "a.wav", 300.0)
    extract(db, tmp_path / "long", max_per_recording=4)
    tracemalloc.start()
    options = {"group": "other", "overlap": 0.3, "include_existing": True, "max_per_recording": 4}
    assert extract(db, tmp_path / "long", **options).spectrograms > 0
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6  # the whole recording takes 9.6 MB


def test_skipped_recordings_are_counted(db, folder):
    assert extract(db, folder).skipped == 0
    assert extract(db, folder, group="other").skipped == 3
    again = extract(db, folder, group="other", include_existing=True)
    assert (again.skipped, again.spectrograms) == (0, 9)


def test_category_of_a_class_that_is_there(db, folder, caplog):
    extract(db, folder, category="Birds")
    extract(db, folder, category="Birds")
    extract(db, folder)
    assert not caplog.records
    extract(db, folder, category="Frogs")
    assert 'in category "Birds", and stays' in caplog.text
    assert one(db, "SELECT Name FROM Category ORDER BY ID") == [("default",), ("Birds",)]


@pytest.mark.parametrize("stored", [[], [2.0], [0.0, 0.5, 1.5, 4.0]])
def test_nearest_against_a_loop(stored):
    for offset in np.arange(-1.0, 5.0, 0.125).tolist():
        within = [(abs(known - offset), known) for known in stored if abs(known - offset) < 0.5]
        assert nearest(offset, stored, 0.5) == (min(within)[1] if within else None)

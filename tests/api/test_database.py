"""The facade: the old method names, filters, transactions."""

import zlib

import pytest

from britekit.api.database import TrainingDatabase
from britekit.database.schema import Source
from britekit.errors import DatabaseError

VALUE = zlib.compress(bytes(100))
TABLES = ["category", "class", "recording", "segment", "segment_class", "soundtype", "source"]
TABLES += ["specgroup", "specvalue"]


@pytest.fixture
def db(tmp_path):
    with TrainingDatabase(str(tmp_path / "t.db")) as db:
        yield db


@pytest.fixture
def filled(db):
    robin = db.insert_class(1, "Robin", "Erithacus", "ROB")
    wren = db.insert_class(category_id=1, name="Wren")
    first = db.insert_recording(1, "a.wav", "/in/a.wav", 10.0)
    second = db.insert_recording(1, "b.wav")
    for recording, name in ((first, robin), (first, wren), (second, wren)):
        segment = db.insert_segment(recording, float(name))
        db.insert_segment_class(segment_id=segment, class_id=name)
        db.insert_specvalue(VALUE, 1, segment, b"embedding")
    return db


@pytest.mark.parametrize("word", TABLES)
def test_every_table_has_every_verb(db, word):
    for name in (f"insert_{word}", f"get_{word}", f"get_{word}_count", f"update_{word}", f"delete_{word}"):
        assert callable(getattr(db, name))
    expected = 1 if word in ("category", "source", "specgroup") else 0
    assert getattr(db, f"get_{word}_count")() == len(getattr(db, f"get_{word}")()) == expected


def test_rows_have_lower_case_attributes(filled):
    (row,) = filled.get_class({"Name": "Robin"})
    assert (row.id, row.category_id, row.code, row.alt_name, row.alt_code) == (1, 1, "ROB", "Erithacus", None)
    assert len(row.inserted_date) == 10
    assert [row.filename for row in filled.get_recording({"Seconds": 0})] == ["b.wav"]
    assert filled.get_specvalue({"SegmentID": 1})[0].value == VALUE


def test_joined_filters(filled):
    assert [row.filename for row in filled.get_recording({"ClassName": "Wren"})] == ["a.wav", "b.wav"]
    assert filled.get_segment_count({"FileName": "a.wav", "ClassName": "Wren"}) == 1
    assert filled.get_segment_class_count({"RecordingID": 1}) == 2
    assert filled.get_specvalue_count({"ClassName": "Robin"}) == 1
    assert filled.get_class_count({"CategoryName": "default"}) == 2
    assert filled.get_recording_count({"SourceName": "default"}) == 2


def test_unknown_columns_are_refused(filled):
    with pytest.raises(DatabaseError, match='Class has no column "Nmae"; did you mean "Name"'):
        filled.get_class({"Nmae": "x"})
    with pytest.raises(DatabaseError, match="no column"):
        filled.get_class({"Name = 'x' OR 1=1 --": "x"})
    with pytest.raises(DatabaseError, match='no attribute "nmae"'):
        filled.insert(Source, nmae="x")


def test_values_are_bound(filled):
    assert filled.get_class({"Name": "x' OR '1'='1"}) == []
    filled.insert_source("Robert'); DROP TABLE Source; --")
    assert filled.get_source_count() == 2


def test_update_and_delete(filled):
    assert filled.update_class(1, "Code", "ROBI") == 1
    assert filled.update_class(99, "Code", "ROBI") == 0
    assert filled.get_class({"Code": "ROBI"})[0].name == "Robin"
    assert filled.delete_recording({"FileName": "a.wav"}) == 1
    assert (filled.get_segment_count(), filled.get_specvalue_count(), filled.get_segment_class_count()) == (1, 1, 1)
    assert filled.delete_class({"Name": "Wren"}) == 1
    assert (filled.get_segment_count(), filled.get_segment_class_count()) == (1, 0)


def test_by_class(filled):
    assert [row.filename for row in filled.get_recording_by_class("Robin")] == ["a.wav"]
    assert [row.offset for row in filled.get_segment_by_class("Wren")] == [2.0, 2.0]
    assert filled.get_segment_by_class("Wren")[0].audio is None
    assert filled.get_segment_by_class("Wren", include_audio=True)[0].audio is None
    assert [(x.class_name, x.count) for x in filled.get_all_segment_counts()] == [("Robin", 1), ("Wren", 2)]
    (row,) = filled.get_spectrogram_by_class("Wren", include_embedding=True, limit=1)
    assert (row.value, row.embedding, row.filename, row.segment_id) == (VALUE, b"embedding", "a.wav", 2)
    assert filled.get_spectrogram_by_class("Wren", spec_group="other") == []


def test_transaction(filled, tmp_path):
    with pytest.raises(DatabaseError, match="UNIQUE"), filled.transaction():
        filled.insert_class(1, "Owl")
        filled.insert_class(1, "Robin")
    assert filled.get_class_count({"Name": "Owl"}) == 0
    with filled.transaction():
        filled.insert_class(1, "Owl")
    filled.optimize()
    with TrainingDatabase(str(tmp_path / "t.db"), mode="read") as other:
        assert other.get_class_count({"Name": "Owl"}) == 1
        with pytest.raises(DatabaseError, match="read-only"):
            other.insert_class(1, "Jay")


def test_deleting_without_a_filter_empties_and_defaults_return(filled, tmp_path):
    for word in TABLES:
        held = getattr(filled, f"get_{word}_count")()
        assert getattr(filled, f"delete_{word}")() == held
        assert getattr(filled, f"get_{word}_count")() == 0
    filled.close()
    with TrainingDatabase(str(tmp_path / "t.db")) as db:
        for word in ("category", "source", "specgroup"):
            assert [row.name for row in getattr(db, f"get_{word}")()] == ["default"]


@pytest.mark.parametrize("value", ["text", 5, 3.5, b"", b"abc"])
def test_any_value_is_kept_as_a_spectrogram_with_a_warning(filled, value):
    segment = filled.insert_segment(1, 40.0)
    with pytest.warns(UserWarning, match=f"segment {segment} .*compress_spectrogram"):
        row = filled.insert_specvalue(value, 1, segment)
    assert filled.get_specvalue({"ID": row})[0].value == value


@pytest.mark.parametrize("call", [("segment", 99, 0.0), ("segment_class", 1, 99), ("specvalue", VALUE, 99, 1)])
def test_rows_of_others_that_do_not_exist_are_refused(filled, call):
    with pytest.raises(DatabaseError, match="FOREIGN KEY"):
        getattr(filled, f"insert_{call[0]}")(*call[1:])


def test_audio_of_a_segment_comes_only_when_asked_for(filled):
    filled.update_segment(1, "Audio", b"ab")
    assert (filled.get_segment()[0].audio, filled.get_segment({"ID": 1}, True)[0].audio) == (None, b"ab")

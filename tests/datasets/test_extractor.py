"""`Extractor` and `TrainingDataProvider`, as a person at a prompt uses them."""

from pathlib import Path

import pytest

import britekit
from britekit.errors import DatabaseError, InputError
from tests.datasets.conftest import small_config, write_recording

PATTERNS = [[r"^XC\d+$", "Xeno-Canto"]]


@pytest.fixture
def folder(tmp_path):
    for number in range(2):
        write_recording(tmp_path / "in" / f"XC{number}.wav", 3.0, seed=number)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "XC1-1.00.jpeg").touch()
    (tmp_path / "chosen.csv").write_text("recording,offset\nXC0,2\n")
    return tmp_path


def test_extractor_on_an_open_database_and_on_a_path(folder):
    with britekit.TrainingDatabase(str(folder / "t.db")) as db:
        extractor = britekit.Extractor(db, "Wren", "W", "Birds", overlap=0.0, cfg=small_config())
        assert extractor.extract_by_image(folder / "in", folder / "images") == 1
        assert extractor.extract_by_csv(folder / "in", folder / "chosen.csv") == 1
        assert extractor.insert_spectrograms(folder / "in" / "XC0.wav", [0, 2.0, 0.0]) == 1
        assert db.get_segment_count() == 3
    again = britekit.Extractor(folder / "t.db", "Wren", cfg=small_config())
    assert again.extract_all(folder / "in") == 0  # both recordings are there
    other = britekit.Extractor(folder / "t.db", "Owl", src_name="mine", cfg=small_config())
    assert other.extract_all(folder / "in") == 6
    with pytest.raises(InputError):
        other.insert_spectrograms(folder / "in" / "gone.wav", [0])


def test_provider(folder):
    with britekit.TrainingDatabase(str(folder / "t.db")) as db:
        provider = britekit.TrainingDataProvider(db, PATTERNS)
        birds = provider.category_id("Birds")
        assert provider.category_id("Birds") == birds
        wren = provider.class_id("Wren", "W", birds)
        assert provider.class_id("Wren") == wren
        assert db.get_class({"ID": wren})[0].category_id == birds
        source = provider.source_id("XC7.mp3")
        assert db.get_source({"ID": source})[0].name == "Xeno-Canto"
        assert provider.source_id("XC7.mp3", "mine") != source
        group = provider.specgroup_id("fine")
        assert provider.specgroup_id("fine") == group
        recording = provider.recording_id("Wren", "XC7.mp3", "/x/XC7.mp3", source, 12.5)
        assert provider.recording_id("Owl", "XC7.mp3", "elsewhere", source, 1.0) == recording
        assert db.get_recording({"ID": recording})[0].seconds == 12.5
        with pytest.raises(DatabaseError, match="no category with ID 99"):
            provider.class_id("Owl", "O", 99)
        provider.class_id("Owl", "O")
        for offset in (0.0, 1.0):
            segment = db.insert_segment(recording, offset)
            db.insert_segment_class(segment, wren)
            with pytest.warns(UserWarning, match="compress_spectrogram"):
                db.insert_specvalue(b"x", group, segment)
        assert tuple(frame.to_dict("records") for frame in provider.class_info()) == (
            [
                {"name": "Owl", "code": "O", "recordings": 0, "segments": 0},
                {"name": "Wren", "code": "W", "recordings": 1, "segments": 2},
            ],
            [{"name": "Wren", "code": "W", "recording": "XC7.mp3", "segments": 2}],
        )
        assert provider.spec_group_info().to_dict("records") == [
            {"name": "default", "spectrograms": 0}, {"name": "fine", "spectrograms": 2},
        ]  # fmt: skip
        assert list(provider.segment_class_dict().values()) == [{"Wren"}, {"Wren"}]


def test_pickle_train_is_pickle(tmp_path, monkeypatch):
    import importlib

    aliased = importlib.import_module("britekit.commands.pickle_train")
    assert aliased.pickle_train.__wrapped__ is britekit.commands.pickle
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatabaseError, match="does not exist"):
        britekit.commands.pickle_train(db_path="none.db", output_path="x.pkl")
    assert britekit.TrainingPickler is britekit.Pickler
    assert not Path("x.pkl").exists()

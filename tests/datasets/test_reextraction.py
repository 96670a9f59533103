"""Spectrograms computed anew: only those chosen, each on its segment, a recording at a time."""

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from britekit import commands
from britekit.api.audio import Audio
from britekit.api.reextractor import Reextractor
from britekit.audio.files import find_recordings
from britekit.config.audio import AudioConfig
from britekit.database.session import open_database
from britekit.database.spectrograms import decode
from britekit.datasets.adding import extract_folder
from britekit.datasets.reextraction import reextract_segments
from britekit.errors import DatabaseError, InputError
from tests.datasets.conftest import small_config, write_recording

FINE = small_config(audio={"spec_height": 48, "freq_scale": "linear"})


@pytest.fixture
def db(tmp_path):
    """Two classes of two recordings of three segments, and settings 32 × 32."""
    for number, stem in enumerate(["w0", "w1"]):
        write_recording(tmp_path / "Wren" / f"{stem}.wav", 3.3, seed=number)
        write_recording(tmp_path / "Owl" / f"o{number}.wav", 3.3, seed=number + 5)
    with open_database(tmp_path / "t.db", "create") as session:
        for name in ("Wren", "Owl"):
            extract_folder(session, small_config(), find_recordings(tmp_path / name), name)
    return tmp_path / "t.db"


def one(db, query):
    connection = sqlite3.connect(db)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def values(db, group="default"):
    query = (
        "SELECT Path, Offset, Value FROM SpecValue JOIN Segment ON Segment.ID = SegmentID"
        " JOIN Recording ON Recording.ID = RecordingID JOIN SpecGroup ON SpecGroup.ID = SpecGroupID"
        f" WHERE SpecGroup.Name = '{group}'"
    )
    return {(path, offset): value for path, offset, value in one(db, query)}


def expected(path, offset, cfg):
    audio = Audio(cfg=cfg)
    audio.load(path)
    (image,), _raw = audio.get_spectrograms([offset])
    return image


def settings(db, group="default"):
    ((text,),) = one(db, f"SELECT Config FROM SpecGroup WHERE Name = '{group}'")
    return None if text is None else json.loads(text)


def test_all_classes_with_other_settings(db):
    result = Reextractor(db, cfg=FINE).run()
    assert (result.recordings, result.spectrograms, result.failures) == (4, 12, [])
    found = values(db)
    assert len(found) == 12
    for (path, offset), value in found.items():
        np.testing.assert_allclose(decode(value, 48, 32) / 255.0, expected(path, offset, FINE), atol=0.51 / 255)
    assert settings(db)["spec_height"] == 48
    assert one(db, "SELECT count(*) FROM Segment") == [(12,)]


def test_only_the_chosen_class_changes(db, tmp_path, caplog):
    before = values(db)
    Path(tmp_path / "classes.csv").write_text("Name\nWren\n")
    result = Reextractor(db, classes_path=str(tmp_path / "classes.csv"), cfg=FINE).run()
    assert (result.recordings, result.spectrograms) == (2, 6)
    after = values(db)
    for key, value in before.items():
        assert (after[key] == value) == ("Owl" in key[0])
    # The group now holds spectrograms of two kinds, so that nobody can say which settings it has.
    assert settings(db) is None
    assert "keeps 6 spectrograms" in caplog.text
    Reextractor(db, class_name="Owl", cfg=FINE).run()
    assert {len(decode(value, 48, 32)) for value in values(db).values()} == {48}


def test_new_group_leaves_the_others(db):
    before = values(db)
    Reextractor(db, class_name="Wren", spec_group="fine", cfg=FINE).run()
    assert values(db) == before
    assert len(values(db, "fine")) == 6
    assert settings(db, "fine")["spec_height"] == 48
    assert settings(db)["spec_height"] == 32


def test_offset_is_added_and_the_spectrogram_stays_with_its_segment(db, caplog):
    before = values(db)
    result = Reextractor(db, offset=1.3, cfg=small_config()).run()
    # Of 0, 1, 2 (and 3.3 s): those of 2 begin at 3.3 and have nothing left.
    assert result.spectrograms == 8
    assert sorted(start for _, start in result.too_late) == [pytest.approx(3.3)] * 4
    assert "ends before a spectrogram at 3.3 s; left out" in caplog.text
    for (path, offset), value in values(db).items():
        if offset == 2.0:
            assert value == before[path, offset]  # same settings: what was there stays
        else:
            image = expected(path, offset + 1.3, small_config())
            np.testing.assert_allclose(decode(value, 32, 32) / 255.0, image, atol=0.51 / 255)
    assert Reextractor(db, offset=-10, cfg=small_config()).run().spectrograms == 12
    first = values(db)
    for (path, _offset), value in first.items():
        assert value == first[path, 0.0]


def test_missing_files_are_all_listed_and_nothing_changes(db, caplog):
    content = db.read_bytes()
    folder = db.parent
    (folder / "Wren" / "w0.wav").unlink()
    (folder / "Owl" / "o1.wav").write_bytes(b"?")
    for check in (True, False):
        caplog.clear()
        with pytest.raises(InputError, match="2 of 4 recordings are missing or cannot be read"):
            Reextractor(db, check=check, cfg=FINE).run()
        assert "w0.wav: does not exist" in caplog.text
        assert "o1.wav" in caplog.text
    assert values(db).keys() and db.read_bytes()[100:] == content[100:]


def test_check_changes_nothing(db, capsys):
    content = db.read_bytes()
    result = Reextractor(db, check=True, cfg=FINE).run(quiet=False)
    assert (result.recordings, result.spectrograms) == (4, 12)
    assert db.read_bytes() == content
    assert capsys.readouterr().out.splitlines()[:2] == ["recordings = 4", "spectrograms = 12"]


def test_interrupted_between_recordings_it_is_whole_and_finishes_when_repeated(db, monkeypatch):
    import britekit.datasets.reextraction as module

    original, calls = module.add_values, []

    def third_fails(session, group_id, rows):
        calls.append(len(rows))
        original(session, group_id, rows)
        if len(calls) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "add_values", third_fails)
    with pytest.raises(KeyboardInterrupt):
        Reextractor(db, cfg=FINE).run()
    found = values(db)
    sizes = {path: set() for path, _ in found}
    for (path, _offset), value in found.items():
        for size in (32, 48):
            try:
                decode(value, size, 32)
            except ValueError:
                continue
            sizes[path].add(size)
    assert len(found) == 12
    assert sorted(map(tuple, sizes.values())) == [(32,), (32,), (48,), (48,)]
    assert settings(db) is None
    monkeypatch.setattr(module, "add_values", original)
    Reextractor(db, cfg=FINE).run()
    fresh = db.with_name("fresh.db")
    with open_database(fresh, "create") as session:
        for name in ("Wren", "Owl"):
            extract_folder(session, FINE, find_recordings(db.parent / name), name)
    assert values(db) == values(fresh)
    assert settings(db) == settings(fresh)


def test_unknown_class_and_nothing_to_do(db):
    with pytest.raises(DatabaseError, match='did you mean "Wren"'):
        Reextractor(db, class_name="Wern", cfg=FINE).run()
    with pytest.raises(InputError, match="--name and --classes"):
        Reextractor(db, class_name="Wren", classes_path="x", cfg=FINE)
    with pytest.raises(DatabaseError, match="does not exist"):
        Reextractor(db.with_name("none.db"), cfg=FINE).run()
    assert not db.with_name("none.db").exists()
    with (
        open_database(db.with_name("empty.db"), "create") as session,
        pytest.raises(DatabaseError, match="nothing to extract again"),
    ):
        reextract_segments(session, FINE)


def test_what_a_rebuild_would_lose_is_refused(db, monkeypatch):
    monkeypatch.chdir(db.parent)
    Path("dvc.lock").write_text("stages: {extract: {outs: [{path: t.db}]}}\n")
    audio = small_config().audio
    lines = [f"  {key}: {value}\n" for key, value in vars(audio).items() if value != getattr(AudioConfig(), key)]
    Path("params.yaml").write_text("audio:\n" + "".join(lines))
    before = values(db)
    lost = [
        ({"spec_group": "fine"}, small_config(), 'a new group "fine"'),
        ({"offset": 0.5}, small_config(), "an --offset or other audio settings"),
        ({}, FINE, "an --offset or other audio settings"),
    ]
    for options, cfg, message in lost:
        with pytest.raises(DatabaseError, match=f"t.db is built by the pipeline.*{message}.*copy"):
            Reextractor(db, cfg=cfg, **options).run()
    assert values(db) == before and one(db, "SELECT Name FROM SpecGroup") == [("default",)]
    assert Reextractor(db, cfg=small_config()).run().spectrograms == 12
    Path("t.db").rename("copy.db")
    assert Reextractor("copy.db", spec_group="fine", cfg=FINE).run().spectrograms == 12


def test_nothing_that_could_be_computed_fails_the_command(db):
    before = values(db)
    settings_file = db.with_name("c.yaml")
    audio = "spec_duration: 1.0, spec_height: 32, spec_width: 32, sampling_rate: 8000, max_freq: 3600"
    settings_file.write_text(f"audio: {{{audio}}}\n")
    with pytest.raises(InputError, match="with --offset 99"):
        commands.reextract(str(settings_file), str(db), spec_group="late", offset=99.0)
    assert values(db) == before

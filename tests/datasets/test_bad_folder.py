"""A folder as it comes from the field: what is good is stored, everything else is named."""

import os
import shutil
import sqlite3
import subprocess
import sys

import numpy as np
import pytest
import soundfile


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "field"
    place.mkdir()
    noise = np.random.default_rng(0).standard_normal(32000 * 10) * 0.1
    soundfile.write(place / "a.wav", noise, 32000)
    soundfile.write(place / "a.flac", noise, 32000)  # the same stem
    for name in ('it\'s "q".wav', "two\nlines.wav", "鸟 ñ.wav"):
        shutil.copy(place / "a.wav", place / name)
    whole = (place / "a.flac").read_bytes()
    (place / "cut.flac").write_bytes(whole[: len(whole) * 2 // 3])
    (place / "empty.wav").touch()
    (place / "random.mp3").write_bytes(np.random.default_rng(1).bytes(9999))
    (place / "x.wav").mkdir()
    os.mkfifo(place / "pipe.wav")
    (place / "gone.wav").symlink_to("nowhere.wav")
    return place


def extract(folder, database):
    command = [sys.executable, "-m", "britekit", "extract-all", "--name", "Any", "--code", "ANY"]
    command += ["--dir", str(folder), "-d", str(database), "--overlap", "0"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def stored(database):
    connection = sqlite3.connect(database)
    query = """SELECT FileName, count(*) FROM Recording JOIN Segment ON Segment.RecordingID = Recording.ID
               JOIN SpecValue ON SpecValue.SegmentID = Segment.ID GROUP BY Recording.ID"""
    rows = dict(connection.execute(query).fetchall())
    connection.close()
    return rows


def test_good_ones_are_stored_and_the_others_named(folder, tmp_path):
    run = extract(folder, tmp_path / "t.db")
    assert run.returncode == 1 and "Traceback" not in run.stderr
    whole = dict.fromkeys(("a.wav", "a.flac", 'it\'s "q".wav', "two\nlines.wav", "鸟 ñ.wav"), 2)
    assert stored(tmp_path / "t.db") == whole | {"cut.flac": 2}
    assert "Inserted 12 spectrograms" in run.stdout and "two\\nlines.wav: 2" in run.stdout
    assert "cut.flac is damaged at 6." in run.stderr
    assert "empty.wav is left out" in run.stderr and "random.mp3 is left out" in run.stderr
    assert "gone.wav is left out" in run.stderr
    assert "Error: 3 of 9 recordings could not be read" in run.stderr
    again = extract(folder, tmp_path / "t.db")
    assert again.returncode == 1 and "Inserted 0 spectrograms" in again.stdout
    assert stored(tmp_path / "t.db") == whole | {"cut.flac": 2}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow no such name")
def test_a_name_that_is_no_text(tmp_path):
    place = tmp_path / "bytes"
    place.mkdir()
    soundfile.write(place / "a.wav", np.random.default_rng(0).standard_normal(64000) * 0.1, 32000)
    shutil.copy(place / "a.wav", os.fsencode(place) + b"/bad\xff.wav")
    run = extract(place, tmp_path / "t.db")
    assert run.returncode == 1 and "Traceback" not in run.stderr
    assert "bad\\udcff.wav is left out: has bytes in its name that are not valid UTF-8" in run.stderr
    assert list(stored(tmp_path / "t.db")) == ["a.wav"]


def test_everything_of_the_field_folder(tmp_path):
    data = os.environ.get("BRITEKIT_DATA") or os.path.join(
        os.path.dirname(__file__), "..", "..", "..", "shared", "data"
    )
    if not os.path.isdir(os.path.join(data, "field")):
        pytest.skip("the folder of real recordings is not there")
    run = extract(os.path.join(data, "field"), tmp_path / "t.db")
    assert run.returncode == 1 and "Error: 1 of 15 recordings" in run.stderr and "empty_2c.wav" in run.stderr
    rows = stored(tmp_path / "t.db")
    assert rows["1min.wav"] == 12 and rows["silence_10s.mp3"] == 2 and rows["spinetail.wav"] == 4
    # Too short for a segment: said, not stored.
    for name in ("veryshort.wav", "stereo.wav", "20180530_213516-EPTSER-LR_0_0.5.wav"):
        assert name not in rows and name in run.stderr

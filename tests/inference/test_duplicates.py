"""find-dup, dedup-rec and dedup-seg: what sounds alike, found by embeddings."""

import csv
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sqlalchemy import select

from britekit import commands
from britekit.audio.files import find_recordings
from britekit.config import BaseConfig
from britekit.database.classes import require_class
from britekit.database.embeddings import encode_embedding, read_embeddings, write_embeddings
from britekit.database.schema import SpecValue
from britekit.database.session import open_database
from britekit.database.spectrograms import require_group
from britekit.datasets.adding import extract_folder
from britekit.datasets.duplicate_report import compare_sounds
from britekit.datasets.duplicates import find_duplicate_recordings
from britekit.errors import DatabaseError, InputError
from tests.inference.conftest import CFG, stored

ROOT = Path(__file__).parents[2]
ESC10 = Path(os.environ.get("BRITEKIT_DATA") or ROOT.parent / "shared/data") / "esc10/recordings"
# One original under two numbers: their waveforms correlate by 0.967 (scipy.signal.correlate).
FIRE = ("2-28314-A.ogg", "2-30322-A.ogg")


def test_find_dup_and_delete(project, capsys):
    Path("Wren/copy.wav").write_bytes(Path("Wren/w0.wav").read_bytes())
    with open_database("t.db", "write") as session:
        extract_folder(session, CFG, find_recordings("Wren"), "Wren")
        extract_folder(session, CFG, find_recordings("Wren/copy.wav"), "Thrush")
    with pytest.raises(InputError, match="4 recordings.*run embed"):
        commands.find_dup(class_name="Wren")
    commands.embed()
    capsys.readouterr()
    assert commands.dedup_rec(class_name="Wren", max_dist=1e-6) == 1
    out = capsys.readouterr().out.splitlines()
    assert out == ["w0.wav (2 segments) = copy.wav (2 segments), distance 0.0000, sound 0.00", "pairs = 1"]
    assert commands.find_dup(class_name="Wren", delete=True, max_dist=1e-6) == 1
    assert "removed = copy.wav (like w0.wav)" in capsys.readouterr().out
    assert commands.find_dup(class_name="Wren", max_dist=1e-6) == 0
    # What it is besides a duplicate of this class stays.
    assert stored("SELECT count(*) FROM Recording WHERE FileName = 'copy.wav'") == [(1,)]
    assert stored("SELECT Name FROM Class JOIN SegmentClass ON ClassID = Class.ID JOIN Segment ON SegmentID ="
                  " Segment.ID JOIN Recording ON RecordingID = Recording.ID WHERE FileName = 'copy.wav'"
                  ) == [("Thrush",)] * 2  # fmt: skip


def test_dedup_seg(project, capsys):
    Path("Wren/copy.wav").write_bytes(Path("Wren/w0.wav").read_bytes())
    with open_database("t.db", "write") as session:
        extract_folder(session, CFG, find_recordings("Wren"), "Wren")
    with pytest.raises(DatabaseError, match="no embeddings"):
        commands.dedup_seg(class_name="Wren", output_path="dup")
    commands.embed()
    assert commands.dedup_seg(class_name="Wren", output_path="dup", threshold=0.999999) == 2
    with open("dup/duplicates.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["pair", "recording1", "offset1", "recording2", "offset2", "similarity"]
    assert [(row["recording1"], row["recording2"], row["offset1"] == row["offset2"]) for row in rows] == [
        ("w0.wav", "copy.wav", True)
    ] * 2
    assert {path.name for path in Path("dup").glob("*.jpeg")} == {
        f"{pair}-{name}-{offset}.jpeg" for pair, offset in ((1, "0.00"), (2, "3.00")) for name in ("w0.wav", "copy.wav")
    }
    assert commands.dedup_seg(class_name="Wren", output_path="none", threshold=0.999999, no_plot=True, delete=True) == 2
    assert not list(Path("none").glob("*.jpeg"))
    assert stored("SELECT count(*) FROM Recording WHERE FileName = 'copy.wav'") == [(0,)]
    assert stored("SELECT count(*) FROM Segment") == [(12,)]
    for threshold in (0, 1.5):
        with pytest.raises(InputError, match="--threshold"):
            commands.dedup_seg(class_name="Wren", output_path="dup", threshold=threshold)


def test_decisions_about_duplicates_are_kept_for_the_rebuild(project):
    Path("Wren/copy.wav").write_bytes(Path("Wren/w0.wav").read_bytes())
    with open_database("t.db", "write") as session:
        extract_folder(session, CFG, find_recordings("Wren"), "Wren")
    commands.embed()
    Path("dvc.lock").write_text("schema: '2.0'\nstages:\n  extract:\n    outs:\n    - path: t.db\n")
    Path("data").mkdir()
    commands.find_dup(class_name="Wren", delete=True, max_dist=1e-6)
    with open("data/curation.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["recording"], row["class"], row["decision"], row["offset"]) == ("copy.wav", "Wren", "drop", "")


def test_what_only_the_network_takes_for_the_same_is_kept(project, capsys):
    """Near by their embeddings at any distance asked for: only a recording's own copies are removed."""
    rate = CFG.audio.sampling_rate
    rng = np.random.default_rng(5)
    first, other = rng.normal(size=(2, 6 * rate)) * np.repeat(rng.random((2, 60)), rate // 10, axis=1)
    changed = np.concatenate([first[: 3 * rate], other[: 3 * rate]])  # equal in the first of two segments
    later = np.concatenate([np.zeros(rate // 20), 0.3 * first[: -rate // 20]])  # 50 ms, a third as loud
    for name, samples in (("first", first), ("other", other), ("changed", changed), ("later", later)):
        soundfile.write(f"Wren/{name}.wav", 0.1 * samples, rate, subtype="FLOAT")
    with open_database("t.db", "create") as session:
        extract_folder(session, CFG, find_recordings("Wren"), "Wren")
    for number in range(3):
        Path(f"Wren/w{number}.wav").unlink()
    commands.embed()
    capsys.readouterr()
    commands.find_dup(class_name="Wren", delete=True, max_dist=2.0)
    out = capsys.readouterr().out
    assert "removed = later.wav (like first.wav)" in out and "near, but of other sound" in out
    left = {name for (name,) in stored("SELECT FileName FROM Recording")}
    assert {"first.wav", "other.wav", "changed.wav"} <= left and "later.wav" not in left


def test_a_recording_of_which_a_segment_was_not_compared_stays(project):
    Path("Wren/copy.wav").write_bytes(Path("Wren/w0.wav").read_bytes())
    with open_database("t.db", "write") as session:
        extract_folder(session, CFG, find_recordings("Wren"), "Wren")
    commands.embed()
    with closing(sqlite3.connect("t.db")) as connection, connection:
        connection.execute(
            "UPDATE SpecValue SET Embedding = NULL WHERE SegmentID = (SELECT max(Segment.ID) FROM Segment JOIN "
            "Recording ON RecordingID = Recording.ID WHERE FileName = 'copy.wav')"
        )
    with pytest.raises(InputError, match="1 recordings .* segments without embeddings .*copy.wav"):
        commands.find_dup(class_name="Wren", delete=True)
    assert stored("SELECT count(*) FROM Recording WHERE FileName = 'copy.wav'") == [(1,)]


@pytest.mark.skipif(not ESC10.is_dir(), reason="the recordings are not here")
@pytest.mark.parametrize(("name", "same"), [("Rooster", []), ("Person sneeze", []), ("Fire crackling", [FIRE])])
def test_different_recordings_are_different_whatever_the_network_says(name, same, place):
    """ESC-10 numbers its originals; all embeddings are equal here, so that only the sound decides."""
    cfg = BaseConfig()
    with open_database("t.db", "create") as session:
        extract_folder(session, cfg, find_recordings(ESC10 / name), name)
        ids = session.scalars(select(SpecValue.id)).all()
        write_embeddings(session, [(key, encode_embedding(np.ones(4))) for key in ids])
        class_id, group_id = require_class(session, name).id, require_group(session, "default")
        segments = read_embeddings(session, group_id, class_id)
        found = find_duplicate_recordings(segments, compare_sounds(session, group_id, cfg.audio))
    count = len(segments.recordings)
    pairs = len(found.matches) + len(found.others)  # some fire clips have other lengths
    assert count > 18 and 0.8 * count * (count - 1) / 2 < pairs <= count * (count - 1) / 2
    assert [tuple(segments.recordings[k].filename for k in (x.first, x.second)) for x in found.matches] == same

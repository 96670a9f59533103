"""find-dup, dedup-rec and dedup-seg: what sounds alike, found by embeddings."""

import csv
from pathlib import Path

import pytest

from britekit import commands
from britekit.audio.files import find_recordings
from britekit.database.session import open_database
from britekit.datasets.extract_folder import extract_folder
from britekit.errors import DatabaseError, InputError
from tests.inference.conftest import CFG, stored


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
    assert out == ["w0.wav (2 segments) = copy.wav (2 segments)", "pairs = 1"]
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
        f"{pair}-{name}-{offset}.jpeg"
        for pair, offset in ((1, "0.00"), (2, "3.00"))
        for name in ("w0.wav", "copy.wav")
    }
    assert (
        commands.dedup_seg(
            class_name="Wren", output_path="none", threshold=0.999999, no_plot=True, delete=True
        )
        == 2
    )
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
    assert (row["recording"], row["class"], row["decision"], row["offset"]) == (
        "copy.wav",
        "Wren",
        "drop",
        "",
    )

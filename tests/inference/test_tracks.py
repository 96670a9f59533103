"""Channels analyzed one by one: each equals the same sound in a file of its own."""

from __future__ import annotations

import csv
import logging
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from britekit.annotations.scores import ScoreTable
from britekit.annotations.verdicts import read_verdicts
from britekit.cli import main
from britekit.results.review_queue import build_review
from britekit.service.review import Sounds
from tests.inference.conftest import CLASSES, write_recording
from tests.inference.fakes import SMALL_AUDIO, make_fake_member

EACH = "audio: {channels: each}\ninfer: {min_score: 0.3}\n"


@pytest.fixture(autouse=True)
def stereo(place: Path) -> None:
    """A recording of two channels, one of one, and each channel alone in another folder."""
    make_fake_member(Path("models/ckpt"), CLASSES)
    for name in ("left", "right", "mono"):
        write_recording(Path(f"alone/{name}.wav"), 7.0, seed=len(name))
    both = [soundfile.read(f"alone/{name}.wav", dtype="float32")[0] for name in ("left", "right")]
    Path("rec").mkdir()
    soundfile.write("rec/two.wav", np.stack(both, axis=1), SMALL_AUDIO.sampling_rate, subtype="FLOAT")
    soundfile.write("rec/mono.wav", soundfile.read("alone/mono.wav")[0], SMALL_AUDIO.sampling_rate, subtype="FLOAT")
    Path("each.yaml").write_text(EACH)


def rows(path: str) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def analyze(folder: str, *more: str) -> int:
    return main(["analyze", "-i", "rec", "-o", folder, "-c", "each.yaml", *more])


def test_each_channel_has_the_labels_of_a_file_of_its_own():
    assert main(["analyze", "-i", "alone", "-o", "a", "-r", "csv,detections,audacity", "-m", "0.3"]) == 0
    assert analyze("out", "-r", "csv,detections,detections-parquet,audacity,kaleidoscope") == 0
    names = {"left": ("two", "1"), "right": ("two", "2"), "mono": ("mono", "1")}
    alone = rows("a/detections.csv")
    assert len({row["recording"] for row in alone}) == 3
    expected = sorted((*names[row["recording"]], row["class"], row["start"], row["score"]) for row in alone)
    found = rows("out/detections.csv")
    assert sorted((x["recording"], x["channel"], x["class"], x["start"], x["score"]) for x in found) == expected
    for channel, own in (("1", ("left", "mono")), ("2", ("right",))):
        wanted = sorted(
            (names[x["recording"]][0], x["name"], x["start_time"], x["score"])
            for x in rows("a/scores.csv") if x["recording"] in own
        )  # fmt: skip
        listed = rows(f"out/scores.ch{channel}.csv")
        assert sorted((x["recording"], x["name"], x["start_time"], x["score"]) for x in listed) == wanted
        assert Path(f"out/kaleidoscope.ch{channel}.csv").is_file()
        assert Path(f"out/two.ch{channel}_scores.txt").read_bytes() == Path(f"a/{own[0]}_scores.txt").read_bytes()
    assert not Path("out/scores.csv").exists() and not Path("out/mono.ch2_scores.txt").exists()
    assert [(x["recording"], x["seconds"]) for x in rows("out/analyzed.csv")] == [("mono", "7.0"), ("two", "7.0")]
    assert all(x["channel"] == "" for x in alone)


def test_scores_of_a_test_are_per_channel_and_not_taken_by_one(capsys):
    assert analyze("out", "-m", "0") == 0
    table = ScoreTable.load("out/scores.ch2.npz")
    assert table.recordings == ["two"] and ScoreTable.load("out/scores.ch1.npz").recordings == ["mono", "two"]
    Path("test.csv").write_text("recording,class,start_time,end_time\ntwo,Wren,0,3\n")
    assert main(["rpt-test", "-a", "test.csv", "-l", "out", "-o", "report"]) == 1
    assert "audio.channels was each" in capsys.readouterr().err


def test_output_of_other_channels_is_replaced():
    assert analyze("out", "-r", "csv,audacity") == 0
    assert main(["analyze", "-i", "rec", "-o", "out", "-m", "0.3", "-r", "csv,audacity"]) == 0
    plain = ["analyzed.csv", "manifest.yaml", "mono_scores.txt", "scores.csv", "two_scores.txt"]
    assert sorted(path.name for path in Path("out").iterdir()) == plain
    assert analyze("out", "-r", "csv,audacity") == 0
    tracks = ["mono.ch1_scores.txt", "scores.ch1.csv", "scores.ch2.csv", "two.ch1_scores.txt", "two.ch2_scores.txt"]
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(["analyzed.csv", "manifest.yaml", *tracks])


def test_a_failed_recording_is_named_once(capsys):
    Path("rec/bad.wav").write_bytes(b"no sound")
    assert analyze("out") == 1
    assert [row["recording"] for row in rows("out/failed.csv")] == ["bad"]
    printed = capsys.readouterr()
    assert "recordings = 2\nfailed = 1\n" in printed.out and "1 of 3 recordings" in printed.err


def test_an_interrupted_run_goes_on_with_the_channel_that_is_left(capsys):
    Path("rec/bad.wav").write_bytes(b"no sound")
    assert analyze("out") == 1
    write_recording(Path("rec/bad.wav"), 3.0)
    assert analyze("out") == 0
    assert "recordings_of_the_interrupted_run = 2" in capsys.readouterr().out
    assert analyze("again", "--no-resume") == 0
    for name in ("scores.ch1.csv", "scores.ch2.csv"):
        assert Path("out", name).read_bytes() == Path("again", name).read_bytes()


def test_a_channel_is_reviewed_heard_and_cut():
    assert analyze("out", "-r", "detections") == 0
    review, there = build_review("rec", "out", "all", None, verdicts="v.csv", reviewer="Jo")
    keys = {(item.recording, item.channel) for item in review.items}
    assert keys == {("two", "1"), ("two", "2"), ("mono", "1")}
    item = next(item for item in review.items if item.channel == "2")
    wav, first = Sounds(there, review).get(item.number)
    assert review.judge(item.number, "yes").channel == "2"
    assert [row.channel for row in read_verdicts("v.csv")] == ["2"]
    import io

    heard, rate = soundfile.read(io.BytesIO(wav))
    right, _ = soundfile.read("alone/right.wav")
    begin = round(first * rate)
    np.testing.assert_allclose(heard, np.clip(right[begin : begin + len(heard)], -1, 1), atol=2 / 32768)
    # The same stretch of the other channel was not judged.
    assert sum(review.verdict_of(other.number) is not None for other in review.items) == 1
    assert main(["clips", "-i", "rec", "-l", "out", "-o", "clips"]) == 0
    for row in rows("clips/clips.csv"):
        cut, rate = soundfile.read(Path("clips", row["file"]), dtype="float32", always_2d=True)
        name = {("two", "1"): "left", ("two", "2"): "right", ("mono", "1"): "mono"}[row["recording"], row["channel"]]
        whole, _ = soundfile.read(f"alone/{name}.wav", dtype="float32")
        begin = round(float(row["start"]) * rate)
        np.testing.assert_array_equal(cut, whole[begin : begin + len(cut), None])
        assert f".ch{row['channel']}_" in row["file"]


@pytest.mark.parametrize("command", ["watch", "embed"])
def test_commands_that_cannot_do_it_say_so(command, capsys):
    options = {"watch": ["-o", "out", "--once"], "embed": ["--archive", "arc", "--model", "models/ckpt"]}[command]
    assert main([command, "-i", "rec", "-c", "each.yaml", *options]) == 1
    assert "audio.channels is each" in capsys.readouterr().err


def test_extraction_stores_each_channel_as_a_recording(monkeypatch, caplog):
    settings = {"audio": {**SMALL_AUDIO.stored(), "channels": "each"}}
    settings["audio"].pop("choose_channel")
    Path("c.yaml").write_text(yaml.safe_dump(settings))
    shared = ["--code", "WREN", "--name", "Wren"]
    assert main(["extract-all", "-c", "c.yaml", "-d", "each.db", "--dir", "rec", *shared]) == 0
    assert main(["extract-all", "-c", "c.yaml", "-d", "alone.db", "--dir", "alone", *shared]) == 0

    def stored(name: str) -> dict[str, list[tuple[float, bytes]]]:
        with sqlite3.connect(name) as db:
            found: dict[str, list[tuple[float, bytes]]] = {}
            for file, offset, value in db.execute(
                "SELECT FileName, Offset, Value FROM SpecValue JOIN Segment ON Segment.ID = SegmentID "
                "JOIN Recording ON Recording.ID = RecordingID ORDER BY FileName, Offset"
            ):
                found.setdefault(file, []).append((offset, value))
        return found

    each, alone = stored("each.db"), stored("alone.db")
    names = {"mono.wav": "mono.wav", "two.ch1.wav": "left.wav", "two.ch2.wav": "right.wav"}
    assert each.keys() == names.keys()
    assert all(each[track] == alone[file] for track, file in names.items())
    with sqlite3.connect("each.db") as db:
        groups = dict(
            db.execute("SELECT FileName, GroupName FROM Recording LEFT JOIN RecordingInfo ON ID = RecordingID")
        )
        assert groups == {"mono.wav": None, "two.ch1.wav": "two", "two.ch2.wav": "two"}
        db.execute("UPDATE SpecValue SET Value = x''")
        db.commit()
    caplog.set_level(logging.WARNING)
    assert main(["reextract", "-c", "c.yaml", "-d", "each.db"]) == 0
    assert stored("each.db") == each

"""Judged stretches of an archive: what comes, what is refused, and that samples are unchanged."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from britekit.annotations.verdicts import Verdict, append_verdict, new_id, read_verdicts
from britekit.commands.collect import collect
from britekit.errors import InputError

from .conftest import make_recording

TABLE = "data/verdicts.csv"
ROW = "*,verdicts,nights,,train"
JUDGED = Path("data/recordings/verdicts")


def say(recording, start, end, answer="yes", name="Bee", **more):
    append_verdict(
        TABLE,
        Verdict(
            id=new_id(), recording=recording, start=start, end=end, detection_start=start, detection_end=end,
            name=name, verdict=answer, reviewer="Ann", note="a note", **more,
        ),
    )  # fmt: skip


@pytest.fixture
def nights(project):
    """Two recordings of an archive, of 60 s each."""
    for number, name in enumerate(("pond/night1", "night2")):
        make_recording(project / f"nights/{name}.wav", 60.0, seed=40 + number)
    return project


def test_judged_stretches_come_with_a_window_on_both_sides_bit_by_bit(nights, sources, capsys):
    say("pond/night1", 20.0, 25.0)
    say("pond/night1", 33.0, 38.0, "no", "Ant")
    say("pond/night1", 50.0, 55.0, others=("Ant",))
    say("night2", 1.0, 6.0, "no")
    sources(ROW)
    assert collect() == 4 + 3
    # 20 - 5 to 25 + 5 touches 33 - 5 to 38 + 5; 50 - 5 to 55 + 5; 1 - 5 to 6 + 5. Windows of 5 s.
    clips = {"pond_night1_15s": (15, 43), "pond_night1_45s": (45, 60), "night2_0s": (0, 11)}
    assert sorted(path.stem for path in JUDGED.glob("*.flac")) == sorted(clips)
    for name, (first, until) in clips.items():
        original = nights / "nights" / ("pond/night1.wav" if "pond" in name else "night2.wav")
        whole, _ = soundfile.read(original, dtype="int16")
        assert np.array_equal(
            soundfile.read(JUDGED / f"{name}.flac", dtype="int16")[0], whole[first * 8000 : until * 8000]
        )
    rows = {(row.recording, row.start): row for row in read_verdicts(JUDGED / "verdicts.csv")}
    assert {key: (row.end, row.name, row.verdict, row.others) for key, row in rows.items()} == {
        ("pond_night1_15s", 5.0): (10.0, "Bee", "yes", ()),
        ("pond_night1_15s", 18.0): (23.0, "Ant", "no", ()),
        ("pond_night1_45s", 5.0): (10.0, "Bee", "yes", ("Ant",)),
        ("night2_0s", 1.0): (6.0, "Bee", "no", ()),
    }
    assert not any(row.reviewer or row.note or row.time for row in rows.values())
    with open("data/recordings/recordings.csv", newline="") as file:
        groups = {row["recording"]: row["group"] for row in csv.DictReader(file) if row["class"] == "verdicts"}
    assert groups == {"pond_night1_15s": "night1", "pond_night1_45s": "night1", "night2_0s": "night2"}


def test_verdicts_on_recordings_of_the_test_or_of_their_groups_are_refused_named_and_counted(nights, sources, caplog):
    make_recording(nights / "field/night2.wav", 2.0, seed=5)  # the name of a test recording
    make_recording(nights / "field/S1_dusk.wav", 2.0, seed=6)
    make_recording(nights / "nights/S1_dawn.wav", 20.0, seed=7)  # of a test recording's group
    copy = nights / "nights/renamed.wav"
    make_recording(nights / "field/T.wav", 20.0, seed=8)
    copy.write_bytes((nights / "field/T.wav").read_bytes())  # a test recording under another name
    (nights / "params.yaml").write_text('misc: {group_regex: "(S[0-9])_"}\n')
    for recording in ("night2", "night2", "S1_dawn", "renamed", "pond/night1"):
        say(recording, 5.0 + len(caplog.records), 9.0 + len(caplog.records))
    say("night2", 30.0, 35.0)
    sources(ROW, "Bee,folder,field,,test")
    collect()
    assert [path.stem for path in JUDGED.glob("*.flac")] == ["pond_night1_0s"]
    for sentence in (
        "2 verdicts are left out, since their recording is a test recording: night2.wav (2)",
        "1 verdicts are left out, since their recording is of the group S1 of a test recording: S1_dawn.wav (1)",
        "1 verdicts are left out, since their recording is the test recording T.wav: renamed.wav (1)",
    ):
        assert sentence in caplog.text


def test_recordings_that_are_gone_changed_or_broken_are_named(nights, sources, caplog):
    say("gone", 1.0, 2.0)
    say("night2", 58.0, 63.0)
    say("night2", 10.0, 15.0)
    say("broken", 1.0, 2.0)
    (nights / "nights/broken.wav").write_bytes(b"no sound")
    sources(ROW)
    collect()
    assert [path.stem for path in JUDGED.glob("*.flac")] == ["night2_5s"]
    assert "1 verdicts are left out, since their recording was not found below" in caplog.text
    assert "recording ends before the stretch, so it has changed since: night2.wav (1)" in caplog.text
    assert "broken.wav (1)" in caplog.text


def test_undone_and_unsure_verdicts_bring_nothing_and_a_heading_alone_changes_nothing(nights, sources):
    sources()
    collect()
    before = {path: path.read_bytes() for path in Path("data").rglob("*") if path.is_file() and path.suffix != ".csv"}
    say("night2", 10.0, 15.0, "unsure")
    sources(ROW)
    collect()
    assert not JUDGED.exists()
    assert before == {path: path.read_bytes() for path in before}


def test_a_second_run_replaces_what_was_said(nights, sources):
    say("night2", 10.0, 15.0)
    sources(ROW)
    collect()
    row = read_verdicts(TABLE)[0]
    say("night2", 10.0, 15.0, "no", replaces=row.id)
    collect()
    assert [row.verdict for row in read_verdicts(JUDGED / "verdicts.csv")] == ["no"]


def test_floating_point_samples_stay_what_they_are(nights, sources):
    samples = np.random.default_rng(1).normal(0, 0.1, 8000 * 12).astype(np.float32)
    soundfile.write("nights/float.wav", samples, 8000, subtype="FLOAT")
    say("float", 6.0, 7.0)
    sources(ROW)
    collect()
    assert np.array_equal(soundfile.read(JUDGED / "float_1s.wav", dtype="float32")[0], samples[8000:])


@pytest.mark.parametrize(
    "row, sentence",
    [
        ("*,verdicts,nights,,test", "verdicts are about single detections, so they cannot test"),
        ("*,verdicts,,,train", "the query is empty; expected the folder of recordings that were reviewed"),
        ("*,verdicts,elsewhere,,train", "does not exist; expected the recordings that were reviewed"),
        ("*,verdicts,data,,train", "holds the project's own data/recordings"),
    ],
)
def test_rows_that_cannot_be_meant(nights, sources, row, sentence):
    say("night2", 10.0, 15.0)
    sources(row)
    with pytest.raises(InputError, match=sentence):
        collect()


def test_verdicts_that_no_row_asks_for_are_mentioned(nights, sources, caplog):
    caplog.set_level("INFO")
    say("night2", 10.0, 15.0)
    sources()
    collect()
    assert "holds 1 verdicts that are not trained with; a row *,verdicts,FOLDER,,train in" in caplog.text


def test_stretches_of_other_species_are_neither_positive_nor_negative(nights, sources):
    """misc.other_species: what is left out of a training recording's annotations is labeled with ``?``."""
    (nights / "archive/Bee/Bee1.txt").write_text("0.0\t0.4\tBee\n0.5\t0.9\tHornet\n")
    (nights / "params.yaml").write_text('misc: {other_species: ["Hornet"]}\n')
    sources()
    collect()
    assert Path("data/recordings/Bee/Bee1.txt").read_text() == "0.000000\t0.400000\tBee\n0.500000\t0.900000\t?\n"


def test_verdicts_about_a_channel_bring_that_channel_alone(nights, sources):
    samples = np.random.default_rng(1).integers(-9000, 9000, (8000 * 60, 2)).astype(np.int16)
    soundfile.write("nights/two.wav", samples, 8000)
    say("two", 20.0, 25.0, channel="2")
    say("two", 21.0, 24.0, "no", "Ant", channel="1")
    sources(ROW)
    collect()
    assert sorted(path.stem for path in JUDGED.glob("two*")) == ["two.ch1_16s", "two.ch2_15s"]
    for name, channel, (first, until) in (("two.ch1_16s", 0, (16, 29)), ("two.ch2_15s", 1, (15, 30))):
        cut = soundfile.read(JUDGED / f"{name}.flac", dtype="int16", always_2d=True)[0]
        assert np.array_equal(cut, samples[first * 8000 : until * 8000, channel, None])
    said = {(row.recording, row.name, row.channel) for row in read_verdicts(JUDGED / "verdicts.csv")}
    assert said == {("two.ch1_16s", "Ant", ""), ("two.ch2_15s", "Bee", "")}


def test_clips_of_a_time_expanded_recording_have_its_true_rate(nights, sources):
    samples = np.random.default_rng(1).integers(-9000, 9000, 80_000 * 12).astype(np.int16)
    soundfile.write("nights/bat.wav", samples, 8000)
    Path("nights/recordings.csv").write_text("recording,class,time_expansion\nbat,,10\n")
    say("bat", 6.0, 7.0)
    sources(ROW)
    collect()
    cut, rate = soundfile.read(JUDGED / "bat_1s.flac", dtype="int16")
    assert rate == 80_000 and np.array_equal(cut, samples[80_000 : 80_000 * 12])
    with open("data/recordings/recordings.csv", newline="") as file:
        assert not any(row.get("time_expansion") for row in csv.DictReader(file))

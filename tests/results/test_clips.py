"""Clips: samples against another read of the recording, names, times and what cannot be cut."""

import csv
import resource
from collections import Counter
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile

from britekit.audio.decoding import read_audio
from britekit.audio.metadata import read_metadata
from britekit.errors import InputError
from britekit.results.clips import safe_name
from britekit.results.cutting import cut_detections

RATE = 8000


def labels(folder: Path, *rows: tuple[str, str, float, float, float]) -> Path:
    folder.mkdir(exist_ok=True)
    with open(folder / "scores.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("recording", "name", "start_time", "end_time", "score"))
        writer.writerows(rows)
    return folder


def index(folder: Path, name: str = "clips.csv") -> list[dict[str, str]]:
    with open(folder / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("subtype", "kind", "out"),
    [
        ("PCM_16", "wav", "wav"), ("PCM_24", "wav", "wav"), ("PCM_32", "wav", "wav"), ("FLOAT", "wav", "wav"),
        ("DOUBLE", "wav", "wav"), ("PCM_U8", "wav", "wav"), ("PCM_16", "flac", "wav"),
        ("PCM_24", "flac", "flac"), ("PCM_16", "wav", "flac"), ("PCM_U8", "wav", "flac"),
        ("PCM_S8", "aiff", "wav"), ("PCM_24", "w64", "wav"),
    ],
)  # fmt: skip
def test_samples_equal_the_recordings(tmp_path: Path, subtype: str, kind: str, out: str) -> None:
    recordings = tmp_path / "in"
    recordings.mkdir()
    noise = np.random.default_rng(1).uniform(-1, 1, (RATE * 10, 2))
    soundfile.write(recordings / f"a.{kind}", noise, RATE, subtype=subtype)
    where = labels(tmp_path / "l", ("a", "Wren", 1.25, 2.5, 0.9), ("a", "Wren", 9.0, 10.0, 0.8))
    cuts = cut_detections(recordings, where, tmp_path / "out", pad_s=0.5, file_format=out)
    whole, _ = soundfile.read(recordings / f"a.{kind}", dtype="float64", always_2d=True)
    rows = index(tmp_path / "out")
    assert [(row["start"], row["end"]) for row in rows] == [("0.750", "3.000"), ("8.500", "10.000")]
    for row, cut in zip(rows, cuts, strict=True):
        samples, rate = soundfile.read(tmp_path / "out" / row["file"], dtype="float64", always_2d=True)
        assert rate == RATE and cut.file is not None
        a, b = round(float(row["start"]) * RATE), round(float(row["end"]) * RATE)
        np.testing.assert_array_equal(samples, whole[a:b])
        info = soundfile.info(cut.file)
        if subtype not in ("PCM_S8", "PCM_U8"):  # WAV has only the one, FLAC only the other
            assert info.subtype == subtype


@pytest.mark.parametrize("kind", ["ogg", "mp3"])
def test_compressed_recordings_are_decoded_once_and_cut_to_16_bits(tmp_path: Path, kind: str) -> None:
    recordings = tmp_path / "in"
    recordings.mkdir()
    tone = 0.5 * np.sin(np.arange(44100 * 30) * 0.05)
    soundfile.write(recordings / f"a.{kind}", tone, 44100)
    where = labels(tmp_path / "l", ("a", "B", 3.0, 8.0, 0.7), ("a", "A", 4.0, 5.0, 0.9), ("a", "A", 25.0, 26.0, 0.5))
    cut_detections(recordings, where, tmp_path / "out")
    whole = read_audio(recordings / f"a.{kind}").samples[0]
    rows = index(tmp_path / "out")
    assert len(rows) == 3
    for row in rows:
        samples, _ = soundfile.read(tmp_path / "out" / row["file"], dtype="int16")
        part = whole[round(float(row["start"]) * 44100) : round(float(row["end"]) * 44100)]
        np.testing.assert_array_equal(samples, np.clip(np.rint(part * 32768), -32768, 32767))


def test_flac_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    recordings = tmp_path / "in"
    recordings.mkdir()
    soundfile.write(recordings / "f.wav", np.zeros(RATE * 5), RATE, subtype="FLOAT")
    soundfile.write(recordings / "i.wav", np.zeros(RATE * 5), RATE, subtype="PCM_16")
    where = labels(tmp_path / "l", ("f", "A", 1, 2, 0.9), ("i", "A", 1, 2, 0.9))
    cuts = cut_detections(recordings, where, tmp_path / "out", file_format="flac")
    assert [cut.file is None for cut in cuts] == [True, False]
    (failed,) = index(tmp_path / "out", "not_cut.csv")
    assert failed["recording"] == "f" and "FLAC cannot hold" in failed["reason"]


def test_what_cannot_be_cut_is_listed(tmp_path: Path) -> None:
    recordings = tmp_path / "in"
    recordings.mkdir()
    soundfile.write(recordings / "a.wav", np.zeros(RATE * 5), RATE)
    (recordings / "broken.wav").write_bytes(b"RIFF" + b"x" * 100)
    where = labels(
        tmp_path / "l", ("a", "A", 1, 2, 0.9), ("a", "A", 4, 7, 0.9), ("a", "A", 9, 10, 0.9),
        ("gone", "A", 0, 5, 0.9), ("broken", "A", 0, 5, 0.9),
    )  # fmt: skip
    cuts = cut_detections(recordings, where, tmp_path / "out")
    assert len(cuts) == 5 and len(index(tmp_path / "out")) == 1
    reasons = {(row["recording"], row["start"]): row["reason"] for row in index(tmp_path / "out", "not_cut.csv")}
    assert reasons[("a", "4.000")] == "the recording ends at 5.000 s, before the detection does"
    assert reasons[("a", "9.000")].startswith("the recording ends at 5.000 s")
    assert reasons[("gone", "0.000")] == "the recording was not found"
    assert "cannot be decoded" in reasons[("broken", "0.000")]


def test_a_last_detection_may_be_rounded_up(tmp_path: Path) -> None:
    recordings = tmp_path / "in"
    recordings.mkdir()
    soundfile.write(recordings / "a.wav", np.zeros(RATE * 5 - 30), RATE)  # 4.99625 s, written as 5.00
    where = labels(tmp_path / "l", ("a", "A", 4, 5.0, 0.9))
    (cut,) = cut_detections(recordings, where, tmp_path / "out")
    assert cut.file is not None and cut.end == pytest.approx(4.99625)


def test_names_times_and_places(tmp_path: Path) -> None:
    recordings = tmp_path / "in"
    (recordings / "pond").mkdir(parents=True)
    path = recordings / "pond" / "20260501T235950+1000_x.wav"
    soundfile.write(path, np.zeros(RATE * 30), RATE)
    where = labels(tmp_path / "l", ("pond/20260501T235950+1000_x", "Wren", 15.25, 20, 0.9))
    (cut,) = cut_detections(recordings, where, tmp_path / "out")
    assert cut.file is not None
    assert cut.file.name == "Wren_0.900_pond-20260501T235950+1000_x_15.250s_20260502T000005.wav"
    assert cut.file.parent == tmp_path / "out" / "Wren"
    (row,) = index(tmp_path / "out")
    assert datetime.fromisoformat(row["time"]) == datetime.fromisoformat("2026-05-02T00:00:05.250+10:00")
    found = read_metadata(cut.file)
    assert found.time_source == "GUANO" and found.time == datetime.fromisoformat(row["time"])


@pytest.mark.parametrize("file_format", ["wav", "flac"])
def test_place_and_device_stay_in_the_file(tmp_path: Path, file_format: str) -> None:
    source = Path(__file__).parents[3] / "shared" / "data" / "field" / "audiomoth_gps.wav"
    if not source.exists():
        pytest.skip("the recordings are not here")
    recordings = tmp_path / "in"
    recordings.mkdir()
    (recordings / "a.wav").write_bytes(source.read_bytes())
    known = read_metadata(source)
    where = labels(tmp_path / "l", ("a", "Wren", 1, 2, 0.9))
    (cut,) = cut_detections(recordings, where, tmp_path / "out", file_format=file_format)
    assert cut.file is not None, cut.reason
    found = read_metadata(cut.file)
    assert known.device and found.device == known.device
    assert (found.latitude, found.longitude) == (known.latitude, known.longitude)
    assert known.time is not None and found.time is not None
    assert (found.time - known.time).total_seconds() == 1.0


def test_odd_names_stay_apart(tmp_path: Path) -> None:
    recordings = tmp_path / "in"
    recordings.mkdir()
    soundfile.write(recordings / "a.wav", np.zeros(RATE * 5), RATE)
    long = "x" * 240
    rows = [("a", name, 1, 2, 0.9) for name in ("A/B", "A:B", "../up", "=cmd()", long + "1", long + "2", "con. ")]
    cuts = cut_detections(recordings, labels(tmp_path / "l", *rows), tmp_path / "out")
    files = [cut.file for cut in cuts if cut.file is not None]
    assert len(set(files)) == 7
    for file in files:
        assert file.resolve().is_relative_to((tmp_path / "out").resolve())
        assert len(file.name.encode()) <= 255


def test_safe_names() -> None:
    assert safe_name("Küken, junge (2)") == "Küken, junge (2)"
    assert safe_name("a/b").startswith("a_b~") and safe_name("a/b") != safe_name("a:b")
    assert len(safe_name("ü" * 300).encode()) <= 200


def test_a_number_per_class_by_score_bands(tmp_path: Path) -> None:
    recordings = tmp_path / "in"
    recordings.mkdir()
    soundfile.write(recordings / "a.wav", np.zeros(RATE * 400), RATE)
    rows = [("a", "AB"[n % 2], n * 2, n * 2 + 1, 0.2 + 0.004 * n) for n in range(200)]
    cuts = cut_detections(recordings, labels(tmp_path / "l", *rows), tmp_path / "out", by="strata", num=10)
    assert Counter(cut.clip.name for cut in cuts) == {"A": 10, "B": 10}
    edges = np.linspace(0.2, 0.992, 6)  # of class A, whose best score is 0.992
    scores = [cut.clip.score for cut in cuts if cut.clip.name == "A"]
    assert np.histogram(scores, edges)[0].tolist() == [2] * 5


def test_an_output_that_holds_something_is_refused(tmp_path: Path) -> None:
    recordings = tmp_path / "in"
    recordings.mkdir()
    soundfile.write(recordings / "a.wav", np.zeros(RATE * 5), RATE)
    where = labels(tmp_path / "l", ("a", "A", 1, 2, 0.9))
    cut_detections(recordings, where, tmp_path / "out")
    with pytest.raises(InputError, match="not an empty folder"):
        cut_detections(recordings, where, tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "best"}, "is not a way"), ({"num": 0}, "at least 1"), ({"pad_s": -1.0}, "--pad"),
        ({"file_format": "mp3"}, "wav or flac"), ({"min_score": 0.95}, "no detection reaches"),
    ],
)  # fmt: skip
def test_bad_options(tmp_path: Path, options: dict, message: str) -> None:
    recordings = tmp_path / "in"
    recordings.mkdir()
    soundfile.write(recordings / "a.wav", np.zeros(RATE * 5), RATE)
    with pytest.raises(InputError, match=message):
        cut_detections(recordings, labels(tmp_path / "l", ("a", "A", 1, 2, 0.9)), tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_an_hours_long_recording_takes_little_memory(tmp_path: Path) -> None:
    recordings = tmp_path / "in"
    recordings.mkdir()
    with soundfile.SoundFile(recordings / "day.flac", "w", RATE, 1) as file:
        for _ in range(4 * 60):
            file.write(np.zeros(RATE * 60, np.int16))
    rows = [("day", "A", n * 14.0, n * 14.0 + 3, 0.9) for n in range(1000)]
    where = labels(tmp_path / "l", *rows)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cuts = cut_detections(recordings, where, tmp_path / "out")
    assert sum(cut.file is not None for cut in cuts) == 1000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB; the samples take 460 MB


def test_site_and_zone_come_from_deployments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from britekit.results.recordings import Recordings

    monkeypatch.chdir(tmp_path)
    (tmp_path / "in" / "A1").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "deployments.csv").write_text(
        "site,folder,latitude,longitude,time_zone\nold pond,A1,52.5,13.25,Europe/Berlin\n"
    )
    soundfile.write(tmp_path / "in" / "A1" / "20260501_233000.wav", np.zeros(RATE * 60), RATE)
    place = Recordings("in").place("A1/20260501_233000")
    assert place.site == "old pond" and place.start is not None
    assert place.start == datetime.fromisoformat("2026-05-01T23:30:00+02:00")  # summer time
    where = labels(tmp_path / "l", ("A1/20260501_233000.WAV", "Wren", 45, 50, 0.9))
    (cut,) = cut_detections("in", where, tmp_path / "out")
    assert cut.file is not None
    found = read_metadata(cut.file)
    assert found.time == datetime.fromisoformat("2026-05-01T23:30:45+02:00")
    assert (found.latitude, found.longitude) == (52.5, 13.25)
    assert Recordings("in").place("elsewhere/x").site == "elsewhere"

"""Time-expanded recordings: the same samples as of a true recording, so all that is made of them must be equal."""

from __future__ import annotations

import csv
import sqlite3
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from britekit.annotations.classes import ClassInfo
from britekit.audio import time_expansion
from britekit.audio.conversion import replace_by_mp3
from britekit.audio.decoding import AudioReader, duration_of
from britekit.audio.file_check import inspect_recording, stated_seconds
from britekit.audio.metadata import guano_text, parse_guano
from britekit.audio.overview import recording_overview
from britekit.audio.riff import read_chunks
from britekit.audio.time_expansion import assumed, factor_of
from britekit.audio.windows import Windows
from britekit.cli import main
from britekit.collect.recordings_table import read_recordings_table, write_recordings_table
from britekit.config.audio import AudioConfig
from britekit.errors import InputError
from britekit.service.review import read_stretch
from tests.inference.fakes import make_fake_member

RATE = 400_000
BATS = AudioConfig(
    spec_duration=0.256, spec_height=128, spec_width=256, sampling_rate=256_000, win_length=0.002, n_fft=1024,
    min_freq=10_000, max_freq=122_000, freq_scale="linear",
)  # fmt: skip
HOP_S, ROW_HZ = 0.256 / 256, 112_000 / 128
CALLS = ((0.100, 20_000.0, 120_000.0), (0.400, 120_000.0, 20_000.0), (0.700, 70_000.0, 50_000.0))
CALL_S = 0.04


def sound() -> np.ndarray:
    """A second with three linear sweeps of 40 ms."""
    samples = 1e-4 * np.random.default_rng(1).standard_normal(RATE)
    time = np.arange(round(CALL_S * RATE)) / RATE
    for at, low, high in CALLS:
        phase = 2 * np.pi * (low * time + (high - low) / CALL_S * time**2 / 2)
        samples[round(at * RATE) :][: len(time)] += 0.5 * np.sin(phase) * np.hanning(len(time)) ** 0.25
    return samples.astype(np.float32)


def write(folder: Path, factor: float, how: str = "guano", name: str = "bat.wav") -> Path:
    """Store the sound as a detector with such a factor does."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound(), round(RATE / factor), subtype="PCM_16")
    if how == "guano" and factor != 1:
        add_guano(path, f"GUANO|Version: 1.0\nTE: {factor:g}\nTimestamp: 2026-06-01T22:00:00+02:00\n")
    elif how == "table" and factor != 1:
        (folder / "recordings.csv").write_text(f"recording,class,time_expansion\nbat,,{factor:g}\n")
    return path


def add_guano(path: Path, text: str) -> None:
    body = text.encode() + b" " * (len(text) % 2)
    content = path.read_bytes() + b"guan" + struct.pack("<I", len(body)) + body
    path.write_bytes(content[:4] + struct.pack("<I", len(content) - 8) + content[8:])


@pytest.mark.parametrize("factor", [1, 8, 10])
@pytest.mark.parametrize("how", ["guano", "table", "option"])
def test_times_and_frequencies_are_true_within_a_frame(tmp_path, factor, how):
    path = write(tmp_path, factor, how)
    with assumed(factor if how == "option" else factor_of(path)):
        for start in (0.0, 0.3, 0.6):
            ((_, image_FT),) = list(Windows(path, BATS, [start], read_on=False))
            for at, low, high in CALLS:
                for part in (0.1, 0.3, 0.5, 0.7, 0.9):
                    column = round((at + part * CALL_S - start) / HOP_S)
                    if not 2 < column < 253:
                        continue
                    heard_hz = 10_000 + (int(image_FT[:, column].argmax()) + 0.5) * ROW_HZ
                    # A frame later or earlier the sweep is elsewhere.
                    off = abs(high - low) / CALL_S * HOP_S
                    assert abs(heard_hz - (low + part * (high - low))) <= off + 1.5 * ROW_HZ


@pytest.mark.parametrize("factor", [8, 10])
def test_all_that_is_read_equals_a_true_recording(tmp_path, factor):
    plain, expanded = write(tmp_path / "a", 1), write(tmp_path / "b", factor)
    with AudioReader(expanded) as reader:
        assert (reader.rate, reader.time_expansion, reader.stated_seconds) == (RATE, factor, 1.0)
        assert np.concatenate(list(reader.blocks()), axis=1).shape == (1, RATE) and reader.seconds_read == 1.0
    assert duration_of(expanded) == 1.0 == stated_seconds(expanded) == inspect_recording(expanded).seconds
    for each in (0.0, 0.5):
        images = [next(iter(Windows(path, BATS, [each])))[1] for path in (plain, expanded)]
        np.testing.assert_array_equal(*images)
        stretches = [read_stretch(path, each, each + 0.2) for path in (plain, expanded)]
        np.testing.assert_array_equal(stretches[0][0], stretches[1][0])
        assert stretches[1][1] == RATE
    views = [recording_overview(path, BATS, 500) for path in (plain, expanded)]
    np.testing.assert_array_equal(views[0].image_FT, views[1].image_FT)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A model of two classes, high and low, and the same sound stored in four ways."""
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_STAGE", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    rows = np.arange(128)
    weights = np.stack([np.where(rows > 64, 40.0, 0.0), np.where(rows <= 64, 40.0, 0.0)]) / 64
    make_fake_member(
        Path("models/ckpt"), [ClassInfo("High", "HIGH"), ClassInfo("Low", "LOW")], BATS, weights_CH=weights,
        bias_C=np.array([-1.0, -1.0]),
    )  # fmt: skip
    write(Path("x1"), 1)
    write(Path("x8"), 8)
    write(Path("x10"), 10)
    write(Path("option"), 10, "option")
    return tmp_path


def content(folder: str) -> dict[str, bytes]:
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()
    }
    return {name: data for name, data in found.items() if name not in ("analyzed.csv", "manifest.yaml")}


FOLDERS = {"x1": (), "x8": (), "x10": (), "option": ("--time-expansion", "10")}


def test_labels_of_every_format_are_equal(project):
    outputs = {}
    for folder, more in FOLDERS.items():
        kinds = "audacity,csv,raven,jsonl,parquet"
        assert main(["analyze", "-i", folder, "-o", "out", "-r", kinds, "-m", "0.1", "--overlap", "0.128", *more]) == 0
        outputs[folder] = content("out")
        with open("out/analyzed.csv", newline="", encoding="utf-8") as file:
            assert [row["seconds"] for row in csv.DictReader(file)] == ["1.0"]
    assert len(outputs["x1"]["scores.csv"].splitlines()) > 3
    assert outputs["x8"] == outputs["x1"] == outputs["x10"] == outputs["option"]


def test_spectrograms_in_a_database_and_pictures_are_equal(project):
    Path("c.yaml").write_text(yaml.safe_dump({"audio": BATS.stored()}))
    stored, pictures = {}, {}
    for folder, more in FOLDERS.items():
        options = ["-c", "c.yaml", "--dir", folder, "--name", "Bat", "--code", "BAT"]
        assert main(["extract-all", "-d", f"{folder}.db", *options, *more]) == 0
        with sqlite3.connect(f"{folder}.db") as db:
            stored[folder] = db.execute(
                "SELECT Offset, Value FROM SpecValue JOIN Segment ON Segment.ID = SegmentID"
            ).fetchall()
        assert main(["plot-dir", "-c", "c.yaml", "-i", folder, "-o", f"{folder}-pictures", *more]) == 0
        pictures[folder] = content(f"{folder}-pictures")
    assert len(stored["x1"]) >= 3 and pictures["x1"]
    assert all(stored[folder] == stored["x1"] and pictures[folder] == pictures["x1"] for folder in FOLDERS)


@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_clips_have_the_true_rate_and_say_so(project, kind):
    Path("l").mkdir()
    Path("l/scores.csv").write_text("recording,name,start_time,end_time,score\nbat,High,0.39,0.45,0.9\n")
    whole = sound()
    for folder, more in FOLDERS.items():
        out = f"clips-{folder}-{kind}"
        assert main(["clips", "-i", folder, "-l", "l", "-o", out, "--format", kind, *more]) == 0
        (clip,) = Path(out, "High").glob(f"*.{kind}")
        samples, rate = soundfile.read(clip, dtype="float32")
        assert rate == RATE and len(samples) == round(0.06 * RATE)
        np.testing.assert_allclose(samples, whole[156_000:180_000], atol=1 / 32768)
        text = read_chunks(clip, frozenset({b"guan"})).get(b"guan", b"").decode() or soundfile.SoundFile(clip).comment
        assert ("TE: 1" in text) == (folder != "x1") and parse_guano(text).time_expansion in (None, 1.0)
        assert factor_of(clip) == 1.0
        if folder in ("x8", "x10"):  # the clock of the recorder, plus true seconds
            assert parse_guano(text).time.isoformat() == "2026-06-01T22:00:00.390000+02:00"


def test_metadata_are_read_once_until_the_file_changes(tmp_path, monkeypatch):
    path, read = write(tmp_path, 10), []
    monkeypatch.setattr(time_expansion, "guano_text", lambda path: (read.append(path), guano_text(path))[1])
    for _ in range(3):
        with AudioReader(path) as reader:
            assert reader.rate == RATE
    assert read == [path]
    write(tmp_path, 8)
    assert factor_of(path) == 8 and read == [path, path]


def test_the_option_goes_before_the_table_and_the_table_before_the_file(tmp_path):
    path = write(tmp_path / "site/night", 10)
    assert factor_of(path) == 10
    table = tmp_path / "recordings.csv"
    for text, factor in (("site/night/bat.wav,8", 8), ("bat,5", 5), ("bat,", 10), ("other,5", 10), ("bat,1", 1)):
        table.write_text(f"recording,time_expansion\n{text}\n")
        assert factor_of(path) == factor
        with assumed(3):
            assert factor_of(path) == 3
    table.write_text("recording,class\nbat,Bat\n")
    assert factor_of(path) == 10


@pytest.mark.parametrize("text", ["ten", "0", "-10", "inf", "5000"])
def test_an_impossible_factor_names_its_row(tmp_path, text):
    path = write(tmp_path, 1)
    (tmp_path / "recordings.csv").write_text(f"recording,time_expansion\nowl,\nbat,{text}\n")
    with pytest.raises(InputError, match=rf'recordings.csv, row 3: time_expansion "{text}" is not a'):
        duration_of(path)
    (tmp_path / "recordings.csv").write_text("recording,time_expansion\nbat,8\nbat,10\n")
    with pytest.raises(InputError, match='row 3: .* another row of "bat" states 8'):
        duration_of(path)


def test_a_damaged_field_is_reported(tmp_path, caplog):
    path = write(tmp_path, 1)
    add_guano(path, "GUANO|Version: 1.0\nTE: fast\n")
    assert factor_of(path) == 1.0 and 'bat.wav: TE "fast" in its GUANO metadata is not a factor' in caplog.text


@pytest.mark.parametrize(
    ("factor", "what"), [(1, "400000 samples per second, and"), (10, "second, stored 10 times slower")]
)
def test_mp3_is_refused_and_the_original_stays(tmp_path, factor, what):
    path = write(tmp_path, factor)
    before = path.read_bytes()
    with pytest.raises(InputError, match=f"{what}"):
        replace_by_mp3(path, 32000)
    assert [entry.name for entry in tmp_path.iterdir()] == ["bat.wav"] and path.read_bytes() == before


def test_collect_keeps_the_column(tmp_path):
    source = tmp_path / "recordings.csv"
    source.write_text("recording,class,licence,time_expansion\nbat,Bat,CC0,10\n")
    rows = read_recordings_table(source)
    write_recordings_table(tmp_path / "copy.csv", rows)
    with open(tmp_path / "copy.csv", newline="", encoding="utf-8") as file:
        assert [row["time_expansion"] for row in csv.DictReader(file)] == ["10"]
    source.write_text("recording,class,licence\nbat,Bat,CC0\n")
    write_recordings_table(tmp_path / "copy.csv", read_recordings_table(source))
    assert "time_expansion" not in (tmp_path / "copy.csv").read_text()

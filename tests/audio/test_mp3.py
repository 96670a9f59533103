"""MP3s in place of originals: nothing goes before its replacement was decoded."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import britekit as bk
from britekit.audio import conversion
from britekit.audio.conversion import convert_originals, existing_mp3, find_originals, replace_by_mp3
from britekit.audio.decoding import read_audio
from britekit.audio.metadata import read_metadata
from britekit.audio.mp3 import write_mp3
from britekit.cli import main
from britekit.errors import InputError


def tone(seconds=2.0, rate=44100, hz=1000.0, channels=1):
    wave = 0.5 * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)
    return np.stack([wave] * channels, axis=1).astype(np.float32)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 384000])
@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("target", [32000, 16000])
def test_sound_stays_what_it_was(rate, channels, target, tmp_path):
    soundfile.write(tmp_path / "x.wav", tone(2.0, rate, channels=channels), rate)
    assert write_mp3(tmp_path / "x.wav", tmp_path / "x.mp3", target) == 2.0
    found = read_audio(tmp_path / "x.mp3")
    assert found.rate == target and found.samples.shape[0] == (channels if channels <= 2 else 1)
    assert abs(found.seconds - 2.0) < 0.002 and found.damaged_at is None
    # The tone is there, as loud as before and at its place in time: compare with the tone computed anew.
    middle = found.samples[:, target // 2 : -target // 2]
    wanted = tone(2.0, target).T[:, target // 2 : -target // 2]
    assert np.abs(middle - wanted).max() < 0.05


def test_bit_rate_is_192(tmp_path):
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, 32000 * 10)
    soundfile.write(tmp_path / "x.wav", noise, 32000)
    write_mp3(tmp_path / "x.wav", tmp_path / "x.mp3", 32000)
    assert 190_000 < (tmp_path / "x.mp3").stat().st_size * 8 / 10 < 196_000


@pytest.mark.parametrize("suffix", ["wav", "WAV", "flac", "aiff", "aif"])
def test_original_gives_way_to_its_mp3(suffix, tmp_path):
    soundfile.write(
        tmp_path / f"дрозд.2 x.{suffix}",
        tone(),
        44100,
        format={"wav": "WAV", "flac": "FLAC"}.get(suffix.lower(), "AIFF"),
    )
    assert replace_by_mp3(tmp_path / f"дрозд.2 x.{suffix}", 32000) == tmp_path / "дрозд.2 x.mp3"
    assert names(tmp_path) == {"дрозд.2 x.mp3"}


def test_time_and_place_stay(tmp_path):
    guano = b"GUANO|Version:1.0\nTimestamp:2024-05-01T06:30:00+02:00\nLoc Position:52.5 -13.4\nMake:A\nModel:B"
    comment = (
        b"Recorded at 04:30:00 01/05/2024 (UTC) by AudioMoth 24526B065D325963 at low gain while battery was "
        b"3.8V and temperature was 12.8C."
    )
    path = tmp_path / "x.wav"
    soundfile.write(path, tone(), 44100)
    for name, body in ((b"guan", guano), (b"LIST", b"INFOICMT" + len(comment).to_bytes(4, "little") + comment)):
        body += b"\n" * (len(body) % 2)
        with path.open("ab") as file:
            file.write(name + len(body).to_bytes(4, "little") + body)
    before = read_metadata(path)
    assert before.latitude == 52.5 and before.temperature_c == 12.8
    after = read_metadata(replace_by_mp3(path, 32000))
    assert replace(after, comment=None, time_source=None) == replace(before, comment=None, time_source=None)


def cut_short(source, target, rate, on_read=None):
    write_mp3(source, target, rate, on_read)
    target.write_bytes(target.read_bytes()[: target.stat().st_size // 2])
    return 2.0


def truncated_quietly(source, target, rate, on_read=None):
    soundfile.write(target, tone(1.7, 32000), 32000, format="MP3")
    return 2.0


def no_mp3(source, target, rate, on_read=None):
    target.write_bytes(b"no sound")
    return 2.0


@pytest.mark.parametrize("wrong", [cut_short, truncated_quietly, no_mp3], ids=lambda wrong: wrong.__name__)
def test_original_stays_where_the_mp3_is_not_its_equal(wrong, tmp_path, monkeypatch):
    soundfile.write(tmp_path / "x.wav", tone(), 44100)
    before = (tmp_path / "x.wav").read_bytes()
    genuine = conversion.write_mp3
    monkeypatch.setattr(conversion, "write_mp3", lambda *given: wrong(*given))
    monkeypatch.setitem(cut_short.__globals__, "write_mp3", genuine)
    with pytest.raises(InputError):
        replace_by_mp3(tmp_path / "x.wav", 32000)
    assert names(tmp_path) == {"x.wav"} and (tmp_path / "x.wav").read_bytes() == before


def test_damaged_and_changed_originals_stay(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "x.wav", tone(), 44100)
    whole = (tmp_path / "x.wav").read_bytes()
    (tmp_path / "x.wav").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged at 1"):
        replace_by_mp3(tmp_path / "x.wav", 32000)
    (tmp_path / "x.wav").write_bytes(whole)

    def grow(_):
        with (tmp_path / "x.wav").open("ab") as file:
            file.write(b"more")

    with pytest.raises(InputError, match="changed"):
        replace_by_mp3(tmp_path / "x.wav", 32000, grow)
    with pytest.raises(InputError, match="appeared"):
        replace_by_mp3(tmp_path / "x.wav", 32000, lambda _: (tmp_path / "x.MP3").write_text("another's"))
    assert (tmp_path / "x.MP3").read_text() == "another's"
    assert names(tmp_path) == {"x.wav", "x.MP3"}


def test_a_whole_directory(tmp_path, capsys):
    soundfile.write(tmp_path / "a.wav", tone(), 44100)
    soundfile.write(tmp_path / "b 'q'.FLAC", tone(channels=2), 44100)
    soundfile.write(tmp_path / "there.wav", tone(), 44100)
    (tmp_path / "there.Mp3").write_text("mine")
    soundfile.write(tmp_path / "twin.wav", tone(), 44100)
    soundfile.write(tmp_path / "TWIN.flac", tone(), 44100)
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "x.wav").mkdir()
    (tmp_path / "notes.txt").write_text("kept")
    (tmp_path / ".hidden.wav").write_bytes(b"kept")
    assert main(["wav2mp3", "--dir", str(tmp_path)]) == 1
    out, errors = capsys.readouterr()
    assert names(tmp_path) == {
        "a.mp3", "b 'q'.mp3", "there.wav", "there.Mp3", "twin.wav", "TWIN.flac", "empty.wav", "x.wav",
        "notes.txt", ".hidden.wav",
    }  # fmt: skip
    assert (tmp_path / "there.Mp3").read_text() == "mine"
    assert "there.wav: left alone, its MP3 exists" in out
    assert "twin.wav: stays, TWIN.flac would give" in out and "TWIN.flac: stays, twin.wav would give" in out
    assert "converted = 2\nleft_alone = 1\nfailed = 3\n" in out
    assert errors.startswith("Error: 3 of 6 recordings") and errors.count("\n") == 1
    # Again, without those: nothing is left to do.
    for name in ("there.wav", "twin.wav", "TWIN.flac", "empty.wav"):
        (tmp_path / name).unlink()
    assert bk.commands.wav2mp3(str(tmp_path)) == 0


@pytest.mark.parametrize("rate", ["18000", "0", "-1", "96000"])
def test_rates_that_are_none_of_mp3(rate, tmp_path, capsys):
    soundfile.write(tmp_path / "a.wav", tone(), 44100)
    assert main(["wav2mp3", "--dir", str(tmp_path), "--sr", rate]) == 1
    assert "which MP3 does not support; choose one of 8000" in capsys.readouterr().err
    assert names(tmp_path) == {"a.wav"}


def test_directories_without_recordings(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("x")
    for wrong in (tmp_path, tmp_path / "none", tmp_path / "notes.txt"):
        assert main(["wav2mp3", "--dir", str(wrong)]) == 1
        assert capsys.readouterr().err.count("\n") == 1


def test_read_only_directories_keep_everything(tmp_path, monkeypatch):
    """A full disk: the write fails half-way, the original stays, and the sentence says why."""
    soundfile.write(tmp_path / "a.wav", tone(), 44100)
    genuine = conversion.write_mp3

    def full(source, target, rate, on_read=None):
        genuine(source, target, rate, on_read)
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(conversion, "write_mp3", full)
    result = convert_originals(find_originals(tmp_path), 32000, 2)
    assert names(tmp_path) == {"a.wav"} and "no space left" in result.failures[0][1]


def test_existing_mp3_is_found_in_any_case(tmp_path):
    (tmp_path / "A.MP3").write_bytes(b"")
    assert existing_mp3(tmp_path / "a.wav") == tmp_path / "A.MP3" and existing_mp3(tmp_path / "b.wav") is None


def test_originals_are_converted_side_by_side(tmp_path, monkeypatch):
    for name in "ab":
        soundfile.write(tmp_path / f"{name}.wav", tone(0.5), 44100)
    meeting, genuine = threading.Barrier(2, timeout=20), conversion.write_mp3

    def wait_for_the_other(*given):
        meeting.wait()
        return genuine(*given)

    monkeypatch.setattr(conversion, "write_mp3", wait_for_the_other)
    assert len(convert_originals(find_originals(tmp_path), 32000, 2).converted) == 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_run_leaves_no_half_of_anything(kind, tmp_path):
    rng = np.random.default_rng(1)
    noise = rng.uniform(-0.5, 0.5, (44100 * 30, 1)).astype(np.float32)
    for k in range(6):
        soundfile.write(tmp_path / f"{k}.wav", noise, 44100)
    before = (tmp_path / "0.wav").read_bytes()
    run = subprocess.Popen(
        [sys.executable, "-m", "britekit", "wav2mp3", "--dir", str(tmp_path)], stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(bk.__file__).parents[1])},
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("*.mp3")) and time.monotonic() < deadline:
        time.sleep(0.01)
    run.send_signal(kind)
    errors = run.communicate(timeout=60)[1].decode()
    for k in range(6):
        original, made = tmp_path / f"{k}.wav", tmp_path / f"{k}.mp3"
        assert original.exists() or made.exists()
        if original.exists():
            assert original.read_bytes() == before
        if made.exists():
            assert abs(read_audio(made).seconds - 30.0) < 0.2
    if kind == signal.SIGINT:
        assert run.returncode == 130 and "Traceback" not in errors
        assert not [name for name in names(tmp_path) if name.startswith(".")]
    # The next run goes on and tidies up.
    assert bk.commands.wav2mp3(str(tmp_path)) + len(list(tmp_path.glob("*.wav"))) <= 6

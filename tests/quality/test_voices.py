"""Voices: stretches from probabilities, muted copies, the command, and clips without voices."""

import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import lfilter

from britekit.audio.decoding import AudioReader
from britekit.cli import main
from britekit.errors import InputError
from britekit.quality import voices
from britekit.quality.muting import write_muted
from britekit.quality.voices import Heard, Voice, VoiceSettings, stretches_of

RATE = 8000
installed = pytest.mark.skipif(importlib.util.find_spec("silero_vad") is None, reason="Silero VAD is not installed")
NOISE = np.random.default_rng(1).integers(-9000, 9000, (3 * RATE, 2)).astype(np.int16)


def test_stretches_join_drop_pad_and_stay_inside():
    probability = np.zeros(300)
    probability[0:20], probability[30:50], probability[100:110], probability[200:230], probability[230:240] = (
        0.9, 0.8, 1.0, 0.6, 0.4,
    )  # fmt: skip
    found = stretches_of(probability, VoiceSettings(0.5, 0.5, 0.5, 0.3), 9.0)
    # 10 frames of 32 ms lie between the first two; 10 frames alone are too short; 0.4 holds on to 0.6.
    assert [(v.start, v.end) for v in found] == [(0, pytest.approx(1.9)), (pytest.approx(6.1), pytest.approx(7.98))]
    assert [v.probability for v in found] == pytest.approx([0.85, 0.6])
    assert stretches_of(np.ones(100), VoiceSettings(), 3.0) == [Voice(0, 3.0, 1.0)]
    assert stretches_of(np.zeros(0), VoiceSettings(), 0.0) == []
    with pytest.raises(InputError, match="--threshold 2"):
        VoiceSettings(2)


@pytest.mark.parametrize(
    "kind", [("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "PCM_U8"), ("wav", "FLOAT"), ("flac", "PCM_16")]
)
def test_a_muted_copy_differs_only_in_the_stretch(tmp_path, kind):
    source, target = tmp_path / f"a.{kind[0]}", tmp_path / "muted" / f"a.{kind[0]}"
    with soundfile.SoundFile(source, "w", RATE, 2, subtype=kind[1]) as file:
        file.comment = "a comment"
        file.write(NOISE)
    before = source.read_bytes()
    write_muted(source, target, [(0.5, 1.25), (2.9, 9.0)])
    assert source.read_bytes() == before
    old, new = (soundfile.read(path, dtype="int32")[0] for path in (source, target))
    silent = np.zeros(3 * RATE, bool)
    silent[4000:10_000] = silent[23_200:] = True
    assert not new[silent].any() and np.array_equal(new[~silent], old[~silent]) and old[silent].any()
    one, other = soundfile.SoundFile(source), soundfile.SoundFile(target)
    assert (one.format, one.subtype, one.comment) == (other.format, other.subtype, other.comment)
    with pytest.raises(InputError, match="exists"):
        write_muted(source, target, [(0, 1)])


def test_lossy_recordings_are_refused_and_nothing_is_left(tmp_path):
    soundfile.write(tmp_path / "a.ogg", NOISE, RATE)
    with pytest.raises(InputError, match="cannot be muted without changing other samples"):
        write_muted(tmp_path / "a.ogg", tmp_path / "b.ogg", [(0, 1)])
    assert [path.name for path in tmp_path.iterdir()] == ["a.ogg"]


def test_command_and_clips_without_voices(tmp_path, monkeypatch, capsys):
    recordings, labels = tmp_path / "recordings", tmp_path / "labels"
    recordings.mkdir()
    labels.mkdir()
    for name in ("a.wav", "b.wav"):
        soundfile.write(recordings / name, NOISE, RATE)
    (labels / "labels.csv").write_text(
        "recording,name,start_time,end_time,score\na,Wren,0,1,0.9\na,Wren,2,3,0.8\nb,Wren,1,2,0.7\n"
    )
    monkeypatch.setattr(voices, "check_installed", lambda: None)
    monkeypatch.setattr(
        voices, "find_voices", lambda path, _: Heard(3.0, [Voice(0.5, 1.25, 0.9)] if path.stem == "a" else [])
    )
    out = tmp_path / "voices"
    assert main(["voices", "-i", str(recordings), "-o", str(out), "--mute"]) == 0
    assert "a.wav: 1 stretches with voices, muted/a.wav\n" in capsys.readouterr().out
    assert (out / "voices.csv").read_text() == "recording,start,end,probability\na.wav,0.500,1.250,0.900\n"
    assert main(["voices", "-i", str(recordings), "-o", str(recordings / "x"), "--mute"]) == 1
    assert "lies in the folder of recordings" in capsys.readouterr().err and len(list(recordings.iterdir())) == 2
    assert main(["review", "-i", str(recordings), "--queue", str(out / "queue.csv"), "--dry-run"]) == 0
    clips = tmp_path / "clips"
    typed = ["clips", "-i", str(recordings), "-l", str(labels), "--no-voices", str(out), "-o"]
    assert main([*typed, str(clips)]) == 0
    shown = capsys.readouterr()
    assert "clips = 2\n" in shown.out and "1 of 3 detections hold voices" in shown.err
    with open(clips / "with_voices.csv", encoding="utf-8") as stream:
        assert [row["start"] for row in csv.DictReader(stream)] == ["0.000"]
    text = (out / "recordings.csv").read_text().splitlines()
    (out / "recordings.csv").write_text("\n".join(line for line in text if not line.startswith("b.wav")) + "\n")
    assert main([*typed, str(tmp_path / "other")]) == 1
    assert "1 recordings were not heard to their end for voices (b)" in capsys.readouterr().err
    (out / "recordings.csv").write_text("\n".join(text) + "\n")
    assert main([*typed, str(tmp_path / "none"), "--pad", "1"]) == 0
    with open(out / "voices.csv", "a", encoding="utf-8") as stream:
        stream.write("a.wav,2.500,2.600,0.9\nb.wav,0.000,3.000,0.9\n")
    capsys.readouterr()
    assert main([*typed, str(tmp_path / "all")]) == 1
    assert "all 3 detections hold voices" in capsys.readouterr().err and not (tmp_path / "all").exists()


def test_muted_seconds_are_true_ones_in_slowed_recordings_and_joined_files_are_refused(tmp_path):
    source = tmp_path / "a.wav"
    soundfile.write(source, NOISE, RATE)
    (tmp_path / "recordings.csv").write_text("recording,time_expansion\na.wav,10\n")
    write_muted(source, tmp_path / "b.wav", [(0.1, 0.2)])  # of 0.3 s
    silent = ~soundfile.read(tmp_path / "b.wav", dtype="int16")[0].any(axis=1)
    assert silent[8000:16_000].all() and not silent[:7990].all() and silent.sum() < 8100
    soundfile.write(tmp_path / "c.flac", NOISE, RATE)
    (tmp_path / "d.flac").write_bytes((tmp_path / "c.flac").read_bytes() * 2)
    with AudioReader(tmp_path / "d.flac", warn=False) as reader:
        assert sum(block.shape[1] for block in reader.blocks()) == 6 * RATE
    with pytest.raises(InputError, match="cannot be muted"):
        write_muted(tmp_path / "d.flac", tmp_path / "e.flac", [(4, 5)])
    assert not (tmp_path / "e.flac").exists()


def spoken(rate: int, seconds: float) -> np.ndarray:
    """Return vowels: a buzz of 120 Hz through resonators at the formants of Peterson and Barney (1952)."""
    time = np.arange(int(rate * seconds)) / rate
    pitch = np.cumsum(120 + 15 * np.sin(4 * np.pi * time) + 5 * np.sin(33.3 * time)) / rate
    buzz = np.diff(np.floor(pitch), prepend=0) + 0.01 * np.random.default_rng(0).standard_normal(len(time))
    buzz, found, size = lfilter([1], [1, -0.95], buzz), np.zeros(len(time)), int(0.18 * rate)
    vowels = ((730, 1090, 2440), (270, 2290, 3010), (530, 1840, 2480), (300, 870, 2240), (570, 840, 2410))
    for at in range(0, len(time), size):
        part = buzz[at : at + size]
        for formant in vowels[at // size % 5]:
            width = np.exp(-np.pi * 80 / rate)
            turn = 2 * width * np.cos(2 * np.pi * formant / rate)
            part = lfilter([1 - width], [1, -turn, width * width], part)
        found[at : at + size] = part * np.sqrt(np.hanning(len(part)))
    return (found * 0.3 / np.abs(found).max()).astype(np.float32)


@installed
def test_vowels_are_a_voice_and_noise_is_none(tmp_path):
    sound = np.concatenate([NOISE[:, 0] / 2**18, spoken(RATE, 2.0), NOISE[:, 0] / 2**18]).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", np.stack([NOISE[0, 0] * 0 * sound, sound], 1), RATE)  # in one channel only
    heard = voices.find_voices(tmp_path / "a.wav", VoiceSettings())
    assert heard.seconds == 8 and heard.damage is None
    assert heard.voices[0].start == pytest.approx(2.9, abs=0.5) and heard.voices[-1].end == pytest.approx(5.2, abs=0.4)
    assert sum(voice.end - voice.start for voice in heard.voices) > 1.2
    soundfile.write(tmp_path / "b.wav", NOISE, RATE)
    assert voices.find_voices(tmp_path / "b.wav", VoiceSettings()).voices == []


@installed
@pytest.mark.parametrize("size", [999, 24_000])
def test_probabilities_equal_those_of_the_network_run_frame_by_frame(size):
    """The package's other file takes one frame at a time, with the 64 samples before it and a state."""
    sound = np.concatenate([spoken(16_000, 1.0), NOISE[:16_100, 0] / 2**15]).astype(np.float32)
    stream = voices.VoiceStream(16_000)
    found = np.concatenate([*(stream.push(sound[i : i + size]) for i in range(0, len(sound), size)), stream.finish()])
    path = Path(importlib.util.find_spec("silero_vad").origin).parent / "data" / "silero_vad.onnx"
    network = pytest.importorskip("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    padded = np.concatenate([np.zeros(64, np.float32), sound, np.zeros(-len(sound) % 512, np.float32)])
    state, expected = np.zeros((2, 1, 128), np.float32), []
    for at in range(0, len(padded) - 64, 512):
        given = {"input": padded[None, at : at + 576], "state": state, "sr": np.array(16_000, np.int64)}
        out, state = network.run(None, given)
        expected.append(out.item())
    assert max(expected) > 0.5 and found == pytest.approx(expected, abs=1e-3)


def test_without_the_package_the_line_that_installs_it(tmp_path, monkeypatch, capsys):
    voices._session.cache_clear()
    monkeypatch.setattr(voices.importlib.util, "find_spec", lambda name: None)
    assert main(["voices", "-i", str(tmp_path), "-o", str(tmp_path / "o")]) == 1
    assert 'pip install "britekit[voices]"' in capsys.readouterr().err
    voices._session.cache_clear()

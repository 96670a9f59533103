"""Windows of a file equal those of the signal in memory, seam by seam, in constant memory, to the end."""

import gc
import logging
import math
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

import britekit.audio.windows as windows_module
from britekit.api.audio import Audio
from britekit.audio.signal import load_signal
from britekit.audio.spectrogram import compute_spectrograms
from britekit.audio.window_grid import WindowGrid
from britekit.audio.windows import Windows
from britekit.config.audio import AudioConfig
from britekit.errors import InputError

CFG = AudioConfig(spec_height=32, spec_width=96, spec_duration=3.0, sampling_rate=8000, max_freq=3800)


def noise(seconds, rate=8000, seed=1):
    rng = np.random.default_rng(seed)
    samples = rng.standard_normal(int(seconds * rate)).astype(np.float32) * 0.1
    return samples * np.repeat(rng.uniform(0, 1, len(samples) // 400 + 1), 400)[: len(samples)].astype(np.float32)


def collected(windows):
    starts, images = [], []
    for batch in windows:
        starts += batch.starts
        images.append(batch.spectrograms)
    return starts, np.concatenate(images) if images else np.empty((0, 128, 480), np.float32)


def assert_like_whole_file(path, cfg, step, start_seconds=0.0, tail_s=1.0, batch_size=64):
    grid = WindowGrid(cfg.spec_duration, step, tail_s, start_seconds)
    windows = Windows(path, cfg, grid)
    starts, images = collected(windows.batches(batch_size))
    signal, seconds = load_signal(path, cfg)
    assert windows.seconds == pytest.approx(seconds)
    wanted = grid.starts(seconds)
    normalized, _, present = compute_spectrograms(signal, wanted, cfg)
    assert starts == [start for start, there in zip(wanted, present, strict=True) if there]
    np.testing.assert_array_equal(images, normalized[present])


@pytest.mark.parametrize("step", [0.9, 1.37, 5.0, 9.0])
@pytest.mark.parametrize("start_seconds", [0.0, 0.7, -1.5])
@pytest.mark.parametrize("block_s", [0.31, 10.0])
def test_stream_equals_whole_file(song_file, monkeypatch, step, start_seconds, block_s):
    monkeypatch.setattr(windows_module, "BLOCK_SECONDS", block_s)
    assert_like_whole_file(song_file, AudioConfig(), step, start_seconds=start_seconds, batch_size=3)


@pytest.mark.parametrize("tail_s", [0.3, 1.0, 2.5, 6.0])
@pytest.mark.parametrize("duration", [0.4, 3.0, 5.0])
def test_tails(song_file, monkeypatch, tail_s, duration):
    monkeypatch.setattr(windows_module, "BLOCK_SECONDS", 0.9)
    assert_like_whole_file(song_file, AudioConfig(spec_duration=duration, win_length=0.02), 0.7, tail_s=tail_s)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_formats_and_channels(tmp_path, song, suffix, channels):
    if channels == 3 and suffix == "mp3":
        pytest.skip("MP3 has two channels at most")
    path = tmp_path / f"song.{suffix}"
    noise = np.random.default_rng(1).standard_normal(song.shape).astype(np.float32)
    soundfile.write(path, np.stack([song, 0.5 * song + 0.1 * noise, noise * 0.1], axis=1)[:, :channels], 44100)
    assert_like_whole_file(path, AudioConfig(), 2.5)


def test_real_recordings(data_dir):
    for name in ("great_plains_toad.wav", "RuffedGrouse.mp3", "20230322_172000_selec2.wav", "birds_10s.wav"):
        assert_like_whole_file(data_dir / "field" / name, AudioConfig(), 2.5)
    assert_like_whole_file(next((data_dir / "esc10" / "recordings").rglob("*.ogg")), AudioConfig(), 2.5)


def starts_by_the_rule(seconds, duration, step, tail):
    """Walk the rule in exact fractions: on the grid while the tail is left, then one that ends with it all."""
    if seconds <= duration:
        return [0]
    starts, k = [], 0
    while k * step <= seconds - tail:
        starts.append(k * step)
        k += 1
    if seconds - (starts[-1] + duration) > max(duration / 100, Fraction(1, 1000)):
        parts = 100 if duration >= 1 else 1000
        starts.append(Fraction(math.floor((seconds - duration) * parts), parts))
    return starts


@given(
    st.integers(10, 40_000).map(lambda ms: Fraction(ms, 1000)),
    st.sampled_from(["0.05", "0.3", "0.5", "2.5", "3", "5"]).map(Fraction),
    st.sampled_from([0, Fraction(1, 5), Fraction(1, 2), Fraction(9, 10)]),
)
@settings(max_examples=300)
def test_window_starts_by_the_rule(seconds, duration, shared):
    overlap = duration * shared
    starts = WindowGrid.for_overlap(float(duration), float(overlap)).starts(float(seconds))
    expected = starts_by_the_rule(seconds, duration, duration - overlap, min(1, duration))
    assert starts == pytest.approx([float(start) for start in expected], abs=1e-6)
    # Whatever the settings, no more than a hundredth of a window is in no window.
    edges = [0.0, *(start + float(duration) for start in starts)]
    assert all(start <= edge + 1e-6 for start, edge in zip(starts, edges))
    assert edges[-1] >= float(seconds) - max(0.01 * float(duration), 0.001) - 1e-6


@pytest.mark.parametrize("overlap, step", [(0.0, 0.3), (0.1, 0.2), (0.15, 0.15), (0.25, 0.05)])
def test_short_windows_follow_each_other_as_the_overlap_says(overlap, step):
    starts = WindowGrid.for_overlap(0.3, overlap).starts(6.0)
    assert np.diff(starts[:-1]) == pytest.approx(step) and starts[-1] - starts[-2] <= step + 1e-9
    assert starts[-1] + 0.3 == pytest.approx(6.0)


def test_the_last_second_of_a_recording_is_heard():
    assert WindowGrid.for_overlap(5.0, 0.0).starts(60.5)[-2:] == [55.0, 55.5]
    assert WindowGrid.for_extraction(5.0, 0.0).starts(62.0)[-2:] == [55.0, 57.0]
    # Where nobody annotated the last 0.2 s, the window would be nearly the same again.
    assert WindowGrid.for_extraction(5.0, 0.0).starts(60.2)[-1] == 55.0
    assert WindowGrid.for_extraction(5.0, 0.0, annotated=True).starts(60.2)[-1] == 55.2
    # 3 s are more than half a step: they are a window of their own, as they always were.
    assert WindowGrid.for_extraction(5.0, 0.0).starts(63.0)[-2:] == [55.0, 60.0]
    assert WindowGrid.for_overlap(5.0, 0.0).starts(60.026)[-1] == 55.0  # what an MP3 encoder pads


def test_short_windows_of_a_short_file(tmp_path):
    cfg = replace(CFG, spec_duration=0.05, win_length=0.01)
    soundfile.write(tmp_path / "x.wav", np.random.default_rng(0).normal(0, 0.1, 8000 * 2 // 5), 8000)
    starts, images = collected(Windows(tmp_path / "x.wav", cfg, WindowGrid.for_overlap(0.05, 0.0)).batches())
    assert starts == pytest.approx([k * 0.05 for k in range(8)]) and images.any(axis=(1, 2)).all()


@pytest.mark.parametrize("overlap", [-0.1, 0.3, 5.0, float("nan")])
def test_no_overlap_of_a_whole_window(overlap):
    with pytest.raises(InputError, match="less than audio.spec_duration"):
        WindowGrid.for_overlap(0.3, overlap)


def test_batches_are_full_but_the_last(song_file):
    windows = Windows(song_file, AudioConfig(), WindowGrid(5.0, 0.5, 1.0))
    sizes = [len(batch.starts) for batch in windows.batches(4)]
    assert sizes == [4, 4, 4, 3]  # 0, 0.5, …, 7 s of an eight-second recording


def test_a_batch_stays_when_the_next_is_computed(song_file):
    stream = Windows(song_file, AudioConfig(), WindowGrid(5.0, 0.5, 1.0)).batches(4)
    first = next(stream)
    kept = first.spectrograms.copy()
    next(stream)
    np.testing.assert_array_equal(first.spectrograms, kept)


def test_too_short_says_so(tmp_path, caplog):
    path = tmp_path / "short.wav"
    soundfile.write(path, np.ones(2) * 0.5, 44100)
    with caplog.at_level(logging.WARNING):
        windows = Windows(path, AudioConfig(), WindowGrid.for_overlap(5.0, 2.5))
        assert list(windows.batches()) == []
    assert windows.seconds == pytest.approx(2 / 44100)
    assert "short.wav" in caplog.text and "no spectrogram" in caplog.text


def test_steps_must_be_positive(song_file):
    for step, size in ((0.0, 1), (-1.0, 1), (float("nan"), 1), (1.0, 0)):
        with pytest.raises(InputError, match="more than 0|1 or more"):
            next(Windows(song_file, AudioConfig(), WindowGrid(5.0, step, 1.0)).batches(size))


def test_memory_does_not_grow_with_length(tmp_path):
    code = (
        "import sys, resource; from britekit.audio.windows import WindowGrid, Windows;"
        "from britekit.config.audio import AudioConfig;"
        "windows = Windows(sys.argv[1], AudioConfig(), WindowGrid(5.0, 30.0, 1.0));"
        "n = sum(len(b.starts) for b in windows.batches());"
        "print(n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    minute = (np.random.default_rng(0).standard_normal(16000 * 60) * 3000).astype(np.int16)
    for minutes in (3, 20):
        path = tmp_path / f"{minutes}.wav"
        with soundfile.SoundFile(path, "w", 16000, 1) as file:
            for _ in range(minutes):
                file.write(minute)
        run = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
        count, peak = map(int, run.stdout.split())
        assert count == 2 * minutes + 1  # and one that ends with the recording
        peaks.append(peak)
    # Twenty minutes as float32 at 18 kHz are 86 MB, a third of the whole process.
    assert peaks[1] < 1.1 * peaks[0]


@pytest.fixture
def long_file(tmp_path):
    """Ninety seconds, more than a few blocks of the decoder."""
    samples = np.random.default_rng(1).standard_normal(90 * 8000).astype(np.float32) * 0.1
    soundfile.write(tmp_path / "long.flac", samples, 8000)
    return tmp_path / "long.flac"


def test_equal_those_of_the_signal_in_memory(long_file):
    cfg = AudioConfig(spec_duration=3.0, spec_height=32, spec_width=64, sampling_rate=8000, max_freq=3600)
    starts = [-1.5, 0.0, 0.0, 0.31, 17.7, 17.8, 61.0, 86.9, 88.5, 89.5, 400.0]
    windows = Windows(long_file, cfg, starts)
    found = list(windows)
    signal, seconds = load_signal(long_file, cfg)
    images, _raw, present = compute_spectrograms(signal, starts, cfg)
    assert [start for start, _ in found] == starts
    assert [image is not None for _, image in found] == present.tolist()
    assert present.tolist() == [True] * 9 + [False] * 2
    for (_start, image), expected in zip(found, images):
        if image is not None:
            np.testing.assert_array_equal(image, expected)
    assert windows.seconds == pytest.approx(seconds) == pytest.approx(90.0)


def test_nothing_asked_tells_the_length(long_file):
    windows = Windows(long_file, AudioConfig(), [])
    assert list(windows) == []
    assert windows.seconds == pytest.approx(90.0)


def test_bad_file(tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"?")
    with pytest.raises(InputError, match="bad.wav"):
        list(Windows(tmp_path / "bad.wav", AudioConfig(), [0.0]))


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
@pytest.mark.parametrize("duration", [3.0, 0.3])
def test_listed_windows_are_those_of_the_recording_in_memory(rate, duration, tmp_path):
    cfg = replace(CFG, spec_duration=duration, spec_width=32)
    soundfile.write(tmp_path / "x.wav", noise(61.3, rate), rate, subtype="FLOAT")
    offsets = [45.678, 0.0, 10.0, 10.0, 0.7, 59.0, 60.2, 60.9, 60.95, 99.0, 33.3333]
    signal, _ = load_signal(tmp_path / "x.wav", cfg)
    expected, _, present = compute_spectrograms(signal, sorted(offsets), cfg)
    found = list(Windows(tmp_path / "x.wav", cfg, offsets, read_on=False))
    assert [offset for offset, _ in found] == sorted(offsets)
    assert [image is not None for _, image in found] == present.tolist()
    for (offset, image), wanted in zip(found, expected, strict=True):
        if image is not None:
            np.testing.assert_array_equal(image, wanted, err_msg=str(offset))


class TestAudio:
    """The class for people at a prompt."""

    def test_load_and_look(self, song_file, caplog):
        audio = Audio(cfg=AudioConfig())
        signal, rate = audio.load(song_file)
        assert rate == 18000 and len(signal) == audio.signal_len() == 144000 and audio.seconds() == 8.0
        normalized, raw = audio.get_spectrograms([0.0, 7.5, 2.0])
        assert "7.5 s" in caplog.text
        assert normalized.shape == raw.shape == (2, 128, 480) and normalized[1].max() == 1.0
        assert [len(images) for images in audio.get_spectrograms([30.0])] == [0, 0]

    def test_settings_change_without_reading_again(self, song_file):
        audio = Audio(cfg=AudioConfig())
        audio.load(song_file)
        song_file.unlink()
        gc.collect()
        audio.set_config(AudioConfig(sampling_rate=32000, max_freq=15000))
        assert audio.signal_len() == 256000
        audio.set_config(AudioConfig(sampling_rate=9000, max_freq=4000))
        assert audio.signal_len() == 72000

    def test_arguments_override_settings_for_one_call(self, song_file):
        cfg = AudioConfig()
        audio = Audio(cfg=cfg)
        audio.load(song_file)
        plain = audio.get_spectrograms([0.0])[1][0]
        louder = audio.get_spectrograms([0.0], decibels=True, freq_scale="log", top_db=20.0, spec_duration=2.5)[1][0]
        assert louder.shape == (128, 240) and louder.max() == pytest.approx(20.0)
        np.testing.assert_array_equal(audio.get_spectrograms([0.0])[1][0], plain)
        assert cfg == AudioConfig()

    def test_takes_a_whole_configuration_or_none(self):
        whole = type("Whole", (), {"audio": AudioConfig(sampling_rate=20000)})()
        assert Audio(cfg=whole)._cfg.sampling_rate == 20000

    def test_nothing_loaded_and_failed_loads(self, tmp_path, song_file):
        audio = Audio(cfg=AudioConfig())
        assert audio.seconds() == 0 and audio.signal_len() == 0
        with pytest.raises(InputError, match="load"):
            audio.get_spectrograms([0.0])
        audio.load(song_file)
        with pytest.raises(InputError, match="nowhere"):
            audio.load(tmp_path / "nowhere.wav")
        assert audio.signal_len() == 0


@pytest.mark.parametrize("seconds", [5.35, 5.81])
def test_the_last_window_has_its_samples_where_its_start_is_rounded_down(tmp_path, seconds):
    cfg = AudioConfig(sampling_rate=18000, max_freq=8900)
    samples = np.random.default_rng(1).normal(0, 0.1, round(seconds * 22050)).astype(np.float32)
    soundfile.write(tmp_path / "r.wav", samples, 22050, subtype="FLOAT")
    found = list(Windows(tmp_path / "r.wav", cfg, WindowGrid.for_overlap(5.0, 0.0)))
    starts = [start for start, _image in found]
    assert 0 < seconds - 5 - starts[-1] < 0.0101
    expected, _raw, _present = compute_spectrograms(load_signal(tmp_path / "r.wav", cfg)[0], starts, cfg)
    for (_start, image), other in zip(found, expected, strict=True):
        assert np.allclose(image, other, atol=1e-6)

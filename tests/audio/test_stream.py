"""Windows of a file equal those of the signal in memory, seam by seam, in constant memory."""

import gc
import logging
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

import britekit.audio.stream as stream_module
from britekit.audio.signal import Audio, load_signal
from britekit.audio.spectrogram import compute_spectrograms
from britekit.audio.stream import iter_spectrograms, window_starts
from britekit.config.audio import AudioConfig
from britekit.errors import InputError


def collected(windows):
    starts, images = [], []
    for batch in windows:
        starts += batch.starts
        images.append(batch.spectrograms)
    return starts, np.concatenate(images) if images else np.empty((0, 128, 480), np.float32)


def assert_like_whole_file(path, cfg, step, **options):
    windows = iter_spectrograms(path, cfg, step, **options)
    starts, images = collected(windows)
    signal, seconds = load_signal(path, cfg)
    assert windows.seconds == pytest.approx(seconds)
    wanted = window_starts(
        seconds, cfg.spec_duration, step, options.get("first_s", 0.0), options.get("tail_s", 1.0)
    )
    normalised, _, present = compute_spectrograms(signal, wanted, cfg)
    assert starts == [start for start, there in zip(wanted, present, strict=True) if there]
    np.testing.assert_array_equal(images, normalised[present])


@pytest.mark.parametrize("step", [0.9, 1.37, 5.0, 9.0])
@pytest.mark.parametrize("first_s", [0.0, 0.7, -1.5])
@pytest.mark.parametrize("block_s", [0.31, 10.0])
def test_stream_equals_whole_file(song_file, monkeypatch, step, first_s, block_s):
    monkeypatch.setattr(stream_module, "BLOCK_SECONDS", block_s)
    assert_like_whole_file(song_file, AudioConfig(), step, first_s=first_s, batch_size=3)


@pytest.mark.parametrize("tail_s", [0.3, 1.0, 2.5, 6.0])
@pytest.mark.parametrize("duration", [0.4, 3.0, 5.0])
def test_tails(song_file, monkeypatch, tail_s, duration):
    monkeypatch.setattr(stream_module, "BLOCK_SECONDS", 0.9)
    assert_like_whole_file(
        song_file, AudioConfig(spec_duration=duration, win_length=0.02), 0.7, tail_s=tail_s
    )


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_formats_and_channels(tmp_path, song, suffix, channels):
    if channels == 3 and suffix == "mp3":
        pytest.skip("MP3 has two channels at most")
    path = tmp_path / f"song.{suffix}"
    noise = np.random.default_rng(1).standard_normal(song.shape).astype(np.float32)
    soundfile.write(
        path, np.stack([song, 0.5 * song + 0.1 * noise, noise * 0.1], axis=1)[:, :channels], 44100
    )
    assert_like_whole_file(path, AudioConfig(), 2.5)


def test_real_recordings(data_dir):
    for name in ("great_plains_toad.wav", "RuffedGrouse.mp3", "20230322_172000_selec2.wav", "birds_10s.wav"):
        assert_like_whole_file(data_dir / "field" / name, AudioConfig(), 2.5)
    assert_like_whole_file(next((data_dir / "esc10" / "recordings").rglob("*.ogg")), AudioConfig(), 2.5)


@given(
    st.floats(0.01, 40).map(lambda x: round(x, 3)),
    st.sampled_from([0.5, 2.5, 3.0, 5.0]),
    st.sampled_from([0.1, 0.5, 2.5]),
)
@settings(max_examples=100, deadline=None)
def test_window_starts_by_the_rule(seconds, duration, step):
    starts = window_starts(seconds, duration, step)
    if seconds <= duration:
        assert starts == [0.0]
        return
    assert starts == [k * step for k in range(1000) if k * 1000 * step <= round(1000 * seconds) - 1000 + 1e-6]


def test_batches_are_full_but_the_last(song_file):
    sizes = [len(batch.starts) for batch in iter_spectrograms(song_file, AudioConfig(), 0.5, batch_size=4)]
    assert sizes == [4, 4, 4, 3]  # 0, 0.5, …, 7 s of an eight-second recording


def test_a_batch_stays_when_the_next_is_computed(song_file):
    stream = iter(iter_spectrograms(song_file, AudioConfig(), 0.5, batch_size=4))
    first = next(stream)
    kept = first.spectrograms.copy()
    next(stream)
    np.testing.assert_array_equal(first.spectrograms, kept)


def test_too_short_says_so(tmp_path, caplog):
    path = tmp_path / "short.wav"
    soundfile.write(path, np.ones(2) * 0.5, 44100)
    with caplog.at_level(logging.WARNING):
        windows = iter_spectrograms(path, AudioConfig(), 2.5)
        assert list(windows) == []
    assert windows.seconds == pytest.approx(2 / 44100)
    assert "short.wav" in caplog.text and "no spectrogram" in caplog.text


def test_steps_must_be_positive(song_file):
    for step, size in ((0.0, 1), (-1.0, 1), (float("nan"), 1), (1.0, 0)):
        with pytest.raises(InputError, match="above 0"):
            iter_spectrograms(song_file, AudioConfig(), step, batch_size=size)


def test_memory_does_not_grow_with_length(tmp_path):
    code = (
        "import sys, resource; from britekit.audio.stream import iter_spectrograms;"
        "from britekit.config.audio import AudioConfig;"
        "n = sum(len(b.starts) for b in iter_spectrograms(sys.argv[1], AudioConfig(), 30.0));"
        "print(n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    minute = (np.random.default_rng(0).standard_normal(16000 * 60) * 3000).astype(np.int16)
    for minutes in (3, 20):
        path = tmp_path / f"{minutes}.wav"
        with soundfile.SoundFile(path, "w", 16000, 1) as file:
            for _ in range(minutes):
                file.write(minute)
        run = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
        )
        count, peak = map(int, run.stdout.split())
        assert count == 2 * minutes
        peaks.append(peak)
    # Twenty minutes as float32 at 18 kHz are 86 MB, a third of the whole process.
    assert peaks[1] < 1.1 * peaks[0]


class TestAudio:
    """The class for people at a prompt."""

    def test_load_and_look(self, song_file):
        audio = Audio(cfg=AudioConfig())
        signal, rate = audio.load(song_file)
        assert rate == 18000 and len(signal) == audio.signal_len() == 144000 and audio.seconds() == 8.0
        normalised, raw = audio.get_spectrograms([0.0, 7.5, 2.0])
        assert normalised[1] is None and raw[1] is None
        assert normalised[2].shape == (128, 480) and normalised[2].max() == 1.0

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
        louder = audio.get_spectrograms(
            [0.0], decibels=True, freq_scale="log", top_db=20.0, spec_duration=2.5
        )[1][0]
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

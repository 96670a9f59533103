"""Chosen windows of a file equal those of the whole recording in memory."""

import numpy as np
import pytest
import soundfile

from britekit.audio.given_windows import GivenWindows
from britekit.audio.signal import load_signal
from britekit.audio.spectrogram import compute_spectrograms
from britekit.config.audio import AudioConfig
from britekit.errors import InputError


@pytest.fixture
def long_file(tmp_path):
    """Ninety seconds, more than a few blocks of the decoder."""
    samples = np.random.default_rng(1).standard_normal(90 * 8000).astype(np.float32) * 0.1
    soundfile.write(tmp_path / "long.flac", samples, 8000)
    return tmp_path / "long.flac"


def test_equal_those_of_the_signal_in_memory(long_file):
    cfg = AudioConfig(spec_duration=3.0, spec_height=32, spec_width=64, sampling_rate=8000, max_freq=3600)
    starts = [-1.5, 0.0, 0.0, 0.31, 17.7, 17.8, 61.0, 86.9, 88.5, 89.5, 400.0]
    windows = GivenWindows(long_file, cfg, starts)
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
    windows = GivenWindows(long_file, AudioConfig(), [])
    assert list(windows) == []
    assert windows.seconds == pytest.approx(90.0)


def test_descending_starts_and_bad_files(tmp_path):
    with pytest.raises(ValueError, match="ascend"):
        GivenWindows("x", AudioConfig(), [1.0, 0.0])
    (tmp_path / "bad.wav").write_bytes(b"?")
    with pytest.raises(InputError, match="bad.wav"):
        list(GivenWindows(tmp_path / "bad.wav", AudioConfig(), [0.0]))

"""A whole recording streamed into one picture, against the recording in memory."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from britekit.audio.overview import JoinedColumns, recording_overview, spectrogram_stretches
from britekit.audio.spectrogram import compute_spectrograms
from britekit.config.audio import AudioConfig
from britekit.errors import InputError

CFG = AudioConfig(spec_height=32, spec_width=96, spec_duration=3.0, sampling_rate=8000, max_freq=3800)


def noise(seconds, rate=8000, seed=1):
    rng = np.random.default_rng(seed)
    samples = rng.standard_normal(int(seconds * rate)).astype(np.float32) * 0.1
    return samples * np.repeat(rng.uniform(0, 1, len(samples) // 400 + 1), 400)[: len(samples)].astype(np.float32)


@pytest.mark.parametrize("seconds", [0.6, 1.2, 3.0, 19.99, 20.0, 40.0, 41.7, 75.3])
@pytest.mark.parametrize(
    "cfg",
    [CFG, replace(CFG, freq_scale="linear", power=2.0), replace(CFG, freq_scale="log", win_length=0.2)],
    ids=["mel", "linear", "log"],
)
def test_stretches_are_the_columns_of_the_whole(seconds, cfg):
    signal = noise(seconds)
    cuts = np.split(signal, np.sort(np.random.default_rng(2).integers(0, len(signal), 7)))
    found = np.concatenate(list(spectrogram_stretches(iter(cuts), cfg)), axis=1)
    whole = compute_spectrograms(signal, [0.0], cfg, len(signal) / 8000)[1][0]
    width = min(found.shape[1], whole.shape[1])
    # The last column of the whole is cut or zero, as its width is rounded.
    assert abs(found.shape[1] - whole.shape[1]) <= 1 + 0.02 * whole.shape[1]
    np.testing.assert_allclose(found[:, : width - 1], whole[:, : width - 1], rtol=2e-4, atol=1e-5)


def test_overview_is_normalized_over_the_whole(tmp_path):
    signal = noise(50)
    signal[: 25 * 8000] *= 0.01
    soundfile.write(tmp_path / "x.wav", signal, 8000, subtype="FLOAT")
    found = recording_overview(tmp_path / "x.wav", CFG, 10_000)
    assert found.seconds == 50.0 and found.damaged_at is None
    assert found.image_FT.min() == 0.0 and found.image_FT.max() == 1.0
    assert found.image_FT[:, : found.image_FT.shape[1] // 2 - 10].max() < 0.1

    decibels = recording_overview(tmp_path / "x.wav", replace(CFG, decibels=True, top_db=30.0), 10_000)
    whole = compute_spectrograms(signal, [0.0], CFG, 50.0)[1][0]
    expected = np.maximum(10 * np.log10(np.maximum(whole, 1e-10)), 10 * np.log10(whole.max()) - 30)
    expected = (expected - expected.min()) / (expected.max() - expected.min())
    width = min(expected.shape[1], decibels.image_FT.shape[1]) - 1
    np.testing.assert_allclose(decibels.image_FT[:, :width], expected[:, :width], atol=2e-3)


@pytest.mark.parametrize(("columns", "most"), [(5, 10), (10, 10), (11, 10), (20, 10), (21, 10), (999, 10), (64, 1)])
def test_columns_are_joined_into_their_maximum(columns, most):
    image = np.random.default_rng(3).random((4, columns)).astype(np.float32)
    joined = JoinedColumns(4, most)
    for part in np.array_split(image, 7, axis=1):
        joined.add(part)
    found = joined.image()
    assert found.shape[1] <= most and found.shape[1] >= min(columns, most) / 2
    np.testing.assert_array_equal(found.max(axis=1), image.max(axis=1))
    assert np.isin(found, image).all()


def test_memory_does_not_grow_with_length(tmp_path):
    peaks = []
    for minutes in (3, 12):
        path = tmp_path / "x.wav"
        soundfile.write(path, np.tile(noise(60), minutes), 8000)
        recording_overview(path, CFG, 640)
        tracemalloc.start()
        recording_overview(path, CFG, 640)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


@pytest.mark.parametrize("seconds", [0.01, 0.2, 0.49])
def test_too_short_for_a_picture(seconds, tmp_path):
    soundfile.write(tmp_path / "x.wav", noise(1)[: int(seconds * 8000)], 8000)
    with pytest.raises(InputError, match=r"x\.wav.*too short"):
        recording_overview(tmp_path / "x.wav", CFG, 640)


def test_silence_is_a_flat_picture(tmp_path):
    soundfile.write(tmp_path / "x.wav", np.zeros(30 * 8000), 8000)
    assert not recording_overview(tmp_path / "x.wav", CFG, 640).image_FT.any()

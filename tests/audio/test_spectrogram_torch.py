"""The GPU's way to spectrograms, run on the device "cpu", equals the CPU's to 1e-4."""

import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st

from britekit.api.audio import Audio
from britekit.audio.spectrogram import compute_spectrograms
from britekit.audio.spectrogram_torch import TorchTransform, checked_device, compute_spectrograms_on, torch_transform
from britekit.audio.window_grid import WindowGrid
from britekit.audio.windows import Windows
from britekit.config.audio import AudioConfig
from britekit.errors import InputError

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def sound(seconds, rate, seed):
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * rate)) / rate
    calls = np.sin(2 * np.pi * (500 * t + 200 * t**2)) * (rng.random(len(t)) > 0.01)
    # Weaker noise would be of the size of what 32 bits round, which decibels make large.
    return (calls * np.sin(3 * t) ** 2 + 10 ** rng.uniform(-3, -1) * rng.standard_normal(len(t))).astype(np.float32)


def assert_twins(device, signal, starts, cfg, duration=None):
    images, raw, present = compute_spectrograms(signal, starts, cfg, duration)
    twin_images, twin_raw, twin_present = compute_spectrograms_on(device, signal, starts, cfg, duration)
    np.testing.assert_array_equal(twin_present, present)
    assert twin_images.dtype == twin_raw.dtype == np.float32
    np.testing.assert_allclose(twin_images, images, atol=1e-4)
    np.testing.assert_allclose(twin_raw, raw, atol=1e-4 * max(1e-9, float(np.abs(raw).max(initial=0.0))))


@pytest.mark.parametrize("device", DEVICES)
@given(
    scale=st.sampled_from(["mel", "linear", "log"]),
    power=st.sampled_from([1.0, 2.0, 0.7]),
    decibels=st.booleans(),
    db_power=st.sampled_from([1.0, 1.7]),
    top_db=st.sampled_from([30.0, 80.0]),
    duration=st.sampled_from([0.6, 1.0, 3.0, 5.0]),
    height=st.sampled_from([16, 80, 128]),
    width=st.sampled_from([32, 250, 480]),
    rate=st.sampled_from([16000, 18000, 32000]),
    window=st.sampled_from([0.013, 0.055]),
    n_fft=st.sampled_from([None, 2047, 2048, 30000]),
    norm=st.sampled_from([None, "slaney"]),
    seconds=st.floats(0.2, 9.0),
    starts=st.lists(st.integers(-50, 900).map(lambda n: n / 100), max_size=4),
    seed=st.integers(0, 5),
)
@settings(max_examples=40)
def test_equal_for_a_grid_of_settings(
    device, scale, power, decibels, db_power, top_db, duration, height, width, rate, window, n_fft, norm,
    seconds, starts, seed,
):  # fmt: skip
    cfg = AudioConfig(
        freq_scale=scale, power=power, decibels=decibels, db_power=db_power, top_db=top_db,
        spec_duration=duration, spec_height=height, spec_width=width, sampling_rate=rate, win_length=window,
        n_fft=n_fft, mel_norm=norm, max_freq=7500,
    )  # fmt: skip
    assert_twins(device, sound(seconds, rate, seed), starts, cfg)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("scale", ["mel", "linear", "log"])
@pytest.mark.parametrize("decibels", [False, True])
def test_equal_on_real_recordings(data_dir, device, scale, decibels):
    cfg = AudioConfig(freq_scale=scale, decibels=decibels, sampling_rate=32000, max_freq=15000)
    for name in ("birds_10s.wav", "rugr_drum.wav"):
        signal = soundfile.read(data_dir / "field" / name, dtype="float32")[0]
        assert_twins(device, signal, [-0.5, 0.0, 1.234, 7.77, 9.5], cfg)
        assert_twins(device, signal, [0.0], cfg, duration=9.0)


def test_mel_equals_torchaudios_own():
    mel = torchaudio.transforms.MelSpectrogram(
        18000, n_fft=1980, win_length=990, hop_length=187, f_min=100, f_max=8000, n_mels=128, power=1.0
    )
    signal = torch.from_numpy(sound(15, 18000, 1)).reshape(3, 90000)
    expected = mel(signal)[:, :, :480]
    raw = TorchTransform(AudioConfig(), None, "cpu")(signal)
    torch.testing.assert_close(raw, expected, rtol=0, atol=1e-4 * float(expected.max()))


def test_more_than_one_part_of_a_batch_and_unequal_lengths():
    starts = [k * 0.7301 for k in range(40)]
    assert_twins("cpu", sound(31, 18000, 2), starts, AudioConfig())


@pytest.mark.parametrize("decibels", [False, True])
def test_silence_and_nothing(decibels):
    cfg = AudioConfig(decibels=decibels)
    images, raw, present = compute_spectrograms_on("cpu", np.zeros(90000, np.float32), [0.0, 4.5], cfg)
    assert present.tolist() == [True, False] and not images.any() and not raw.any()
    images, raw, present = compute_spectrograms_on("cpu", np.zeros(90000, np.float32), [], cfg)
    assert images.shape == raw.shape == (0, 128, 480) and present.shape == (0,)


def test_transforms_are_cached_by_every_setting():
    cfg = AudioConfig()
    one = torch_transform(cfg, None, "cpu")
    assert torch_transform(AudioConfig(), None, "cpu") is one
    assert torch_transform(cfg, 2.0, "cpu") is not one
    other = {
        "freq_scale": "log", "decibels": True, "channels": "mean", "n_fft": 4096, "mel_norm": "slaney",
        "max_freq": 7000,
    }  # fmt: skip
    for field in fields(AudioConfig):
        value = getattr(cfg, field.name)
        changed = other[field.name] if field.name in other else type(value)(value * 1.25)
        assert torch_transform(replace(cfg, **{field.name: changed}), None, "cpu") is not one, field.name


@pytest.mark.parametrize("precision", ["medium", "high"])
def test_precision_of_training_does_not_reach_it(precision):
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert_twins("cpu", sound(6, 18000, 3), [0.0, 1.0], AudioConfig())
        assert torch.get_float32_matmul_precision() == precision
    finally:
        torch.set_float32_matmul_precision(before)


def test_windows_of_a_file_on_a_device(song_file, monkeypatch):
    import britekit.audio.windows as windows_module

    # Any name but "cpu" takes the device's way; "cpu:0" is the same processor, by torch.
    cfg, grid = AudioConfig(), WindowGrid(5.0, 0.73, 1.0)
    for batch_size in (1, 4, 16):
        plain = list(Windows(song_file, cfg, grid).batches(batch_size))
        twin = list(Windows(song_file, cfg, grid).batches(batch_size, "cpu:0"))
        assert [b.starts for b in plain] == [b.starts for b in twin]
        for one, other in zip(plain, twin, strict=True):
            np.testing.assert_allclose(other.spectrograms, one.spectrograms, atol=1e-4)
    whole = [b.spectrograms for b in twin]
    monkeypatch.setattr(windows_module, "BLOCK_SECONDS", 0.31)
    again = list(Windows(song_file, cfg, grid).batches(16, "cpu:0"))
    np.testing.assert_array_equal(np.concatenate([b.spectrograms for b in again]), np.concatenate(whole))


def test_devices_by_name(song_file):
    assert checked_device(None) == checked_device("cpu") == "cpu"
    for bad in ("gpu", "cuda:x", "", "CPU", 3):
        with pytest.raises(InputError, match="unknown"):
            checked_device(bad)
    with pytest.raises(InputError, match=r'"cuda:99" is not on this machine'):
        Audio(device="cuda:99", cfg=AudioConfig())
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="not on this machine"):
            Audio(device="cuda", cfg=AudioConfig())
    if not torch.backends.mps.is_available():
        with pytest.raises(InputError, match="not on this machine"):
            Audio(device="mps", cfg=AudioConfig())


def test_audio_uses_the_device_it_was_given(song_file):
    plain, twin = Audio(cfg=AudioConfig()), Audio(cfg=AudioConfig())
    twin._device = "cpu:0"
    for audio in (plain, twin):
        audio.load(song_file)
    expected, _ = plain.get_spectrograms([0.0, 7.5, 1.0], decibels=True)
    images, raw = twin.get_spectrograms([0.0, 7.5, 1.0], decibels=True)
    assert len(images) == len(raw) == len(expected) == 2
    np.testing.assert_allclose(images[1], expected[1], atol=1e-4)


def test_the_cpu_path_imports_no_torch(song_file):
    code = (
        "import sys; from britekit.api.audio import Audio; from britekit.config.audio import AudioConfig;"
        "a = Audio('cpu', AudioConfig()); a.load(sys.argv[1]); a.get_spectrograms([0.0]);"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(song_file)]).returncode == 0

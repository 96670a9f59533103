"""Spectrograms against torch.stft, torchaudio and the formulas of the specification written out."""

import math
import subprocess
import sys
import threading
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import scipy.signal
import soundfile
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st

from britekit.audio.frequency_scales import filter_matrix
from britekit.audio.spectrogram import compute_spectrograms, spectrogram_transform
from britekit.config.audio import AudioConfig
from britekit.errors import ConfigError


def reference(segment, cfg, width):
    """The specification's section 2 in float64 with torch's STFT; the signal is one segment."""
    length = int(cfg.win_length * cfg.sampling_rate)
    n_fft = cfg.n_fft or 2 * length
    hop = int(cfg.spec_duration * cfg.sampling_rate / cfg.spec_width)
    stft = torch.stft(
        torch.from_numpy(segment.astype(np.float64)),
        n_fft,
        hop,
        length,
        torch.hann_window(length, dtype=torch.float64),
        center=True,
        pad_mode="reflect",
        return_complex=True,
    )
    amplitude = stft.abs().numpy() ** cfg.power
    weights = filter_matrix(
        cfg.freq_scale,
        cfg.spec_height,
        cfg.min_freq,
        cfg.max_freq,
        cfg.sampling_rate,
        n_fft,
        cfg.log_freq_gain,
        cfg.mel_norm,
    )
    image = (weights.T @ amplitude)[:, :width]
    image = np.pad(image, ((0, 0), (0, width - image.shape[1])))
    if cfg.decibels:
        d = 10 * np.log10(np.maximum(image, 1e-10))
        d = np.maximum(d, d.max() - cfg.top_db)
        image = (d - d.min()) ** cfg.db_power
    span = image.max() - image.min()
    return (image - image.min()) / span if span else np.zeros_like(image), image


def signal_of(seconds, rate, seed=0):
    """Noise, a sweep and silences, so that the range of values is wide."""
    rng = np.random.default_rng(seed)
    n = int(seconds * rate)
    t = np.arange(n) / rate
    sweep = np.sin(2 * np.pi * (300 * t + rate / 20 * t**2 / max(seconds, 1)))
    return (
        sweep * (rng.random(n) > 0.001) * np.repeat(rng.random(n // 500 + 1), 500)[:n] + 0.01 * rng.random(n)
    ).astype(np.float32)


@given(
    scale=st.sampled_from(["mel", "linear", "log"]),
    power=st.sampled_from([1.0, 2.0, 0.5]),
    decibels=st.booleans(),
    db_power=st.sampled_from([1.0, 1.5]),
    top_db=st.sampled_from([40.0, 80.0]),
    duration=st.sampled_from([0.7, 1.0, 3.0, 5.0]),
    height=st.sampled_from([16, 96, 128]),
    width=st.sampled_from([32, 256, 480]),
    rate=st.sampled_from([16000, 18000, 32000]),
    window=st.sampled_from([0.02, 0.055]),
    n_fft=st.sampled_from([None, 2048, 2500]),
    norm=st.sampled_from([None, "slaney"]),
    seconds=st.floats(0.6, 7.0),
    start=st.integers(-50, 500).map(lambda hundredths: hundredths / 100),
)
@settings(max_examples=60)
def test_equals_the_specification_for_a_grid_of_settings(
    scale, power, decibels, db_power, top_db, duration, height, width, rate, window, n_fft, norm, seconds, start
):
    cfg = AudioConfig(
        freq_scale=scale,
        power=power,
        decibels=decibels,
        db_power=db_power,
        top_db=top_db,
        spec_duration=duration,
        spec_height=height,
        spec_width=width,
        sampling_rate=rate,
        win_length=window,
        n_fft=n_fft,
        mel_norm=norm,
        max_freq=7000,
    )
    signal = signal_of(seconds, rate)
    normalized, raw, present = compute_spectrograms(signal, [start], cfg)
    # Exact arithmetic on the decimal numbers that were meant.
    first = math.floor(Fraction(str(start)) * rate)
    end = math.floor((Fraction(str(start)) + Fraction(str(duration))) * rate)
    audio = signal[max(first, 0) : min(end, len(signal))]
    assert present[0] == (len(audio) >= (rate if duration >= 1 else int(duration * rate)))
    if not present[0]:
        assert not normalized.any() and not raw.any()
        return
    segment = np.concatenate([np.zeros(max(-first, 0), np.float32), audio])
    expected, expected_raw = reference(segment, cfg, width)
    np.testing.assert_allclose(normalized[0], expected, atol=1e-4)
    np.testing.assert_allclose(raw[0], expected_raw, atol=1e-4 * max(1e-9, np.abs(expected_raw).max()))


def test_equals_torchaudio_mel_spectrogram_at_the_defaults():
    cfg = AudioConfig()
    signal = signal_of(5, 18000)
    mel = torchaudio.transforms.MelSpectrogram(
        18000, n_fft=1980, win_length=990, hop_length=187, f_min=100, f_max=8000, n_mels=128, power=1.0
    )
    expected = mel(torch.from_numpy(signal)).numpy()[:, :480]
    raw = compute_spectrograms(signal, [0.0], cfg)[1][0]
    np.testing.assert_allclose(raw, expected, atol=1e-4 * expected.max())


def test_stft_equals_scipys_short_time_fft():
    """A scale whose rows are single bins shows the STFT itself; scipy's is the second independent source."""
    cfg = AudioConfig(
        spec_duration=2.0, spec_width=50, spec_height=100, sampling_rate=8000, win_length=0.025, n_fft=None,
        freq_scale="linear", min_freq=1000, max_freq=2980,
    )  # fmt: skip
    signal = signal_of(2, 8000)
    window = scipy.signal.get_window("hann", 200, fftbins=True)
    stft = scipy.signal.ShortTimeFFT(window, hop=320, fs=8000, mfft=400, fft_mode="onesided", phase_shift=None)
    padded = np.pad(signal.astype(np.float64), 200, mode="reflect")
    columns = [np.abs(np.fft.rfft(padded[200 + t * 320 - 100 :][:200] * window, 400)) for t in range(50)]
    full = np.abs(stft.stft(np.pad(signal.astype(np.float64), 320 * 2, mode="reflect"), p0=2, p1=52))
    np.testing.assert_allclose(full, np.stack(columns, axis=1), atol=1e-9)
    raw = compute_spectrograms(signal, [0.0], cfg)[1][0]
    np.testing.assert_allclose(raw, full[50:150], atol=1e-4 * full.max())


@pytest.mark.parametrize("scale", ["mel", "linear", "log"])
@pytest.mark.parametrize("decibels", [False, True])
def test_real_recordings(data_dir, scale, decibels):
    cfg = AudioConfig(freq_scale=scale, decibels=decibels, sampling_rate=32000, max_freq=14000)
    signal = soundfile.read(data_dir / "field" / "birds_10s.wav", dtype="float32")[0]
    normalized, _, present = compute_spectrograms(signal, [0.0, 2.5, 9.5], cfg)
    assert present.tolist() == [True, True, False]
    for image, start in zip(normalized, (0, 80000), strict=False):
        np.testing.assert_allclose(image, reference(signal[start : start + 160000], cfg, 480)[0], atol=1e-4)


@pytest.mark.parametrize("rate", [8000, 18000, 22050, 24000, 44100, 48000, 384000])
def test_samples_are_those_of_the_decimal_numbers_that_were_meant(rate):
    for thousandths in range(3, 200):
        window = Fraction(thousandths, 1000)
        cfg = AudioConfig(win_length=float(window), sampling_rate=rate, max_freq=3500)
        assert cfg.window_samples == math.floor(window * rate)
    for tenths in range(5, 120):
        for width in (384, 480, 512):
            cfg = AudioConfig(spec_duration=tenths / 10, spec_width=width, sampling_rate=rate, max_freq=3500)
            assert cfg.hop_samples == math.floor(Fraction(tenths, 10) * rate / width)


def test_absent_segments_keep_their_place():
    cfg = AudioConfig()
    signal = signal_of(6.5, 18000)
    _, raw, present = compute_spectrograms(signal, [5.6, 0.0, 99.0, 5.5, -4.0, -4.1], cfg)
    # -4 s holds one second of audio after its zeros, -4.1 s only 0.9 s.
    assert present.tolist() == [False, True, False, True, True, False]
    assert [bool(image.any()) for image in raw] == present.tolist()


def test_short_recordings_give_none():
    cfg = AudioConfig(spec_duration=0.3, spec_width=32)
    signal = signal_of(1, 18000)
    assert not compute_spectrograms(signal[: int(0.29 * 18000)], [0.0], cfg)[2].any()
    found = compute_spectrograms(signal[: int(0.51 * 18000)], [0.0, 0.1, 0.25], cfg)[2]
    assert found.tolist() == [True, True, False]
    for samples in (0, 1, 2):
        assert not compute_spectrograms(signal[:samples], [0.0], cfg)[2].any()


@pytest.mark.parametrize("decibels", [False, True])
def test_silence_is_zeros(decibels):
    normalized, raw, present = compute_spectrograms(np.zeros(90000, np.float32), [0.0], AudioConfig(decibels=decibels))
    assert present.all() and not normalized.any() and not raw.any()


def test_missing_columns_are_zeros_on_the_right():
    cfg = AudioConfig()
    normalized, raw, _ = compute_spectrograms(signal_of(2, 18000), [0.0], cfg)
    columns = 1 + 36000 // 187
    assert not raw[0, :, columns:].any() and raw[0, :, columns - 1].any()
    assert normalized.max() == 1 and normalized.min() == 0


def test_decibels_by_hand():
    cfg = AudioConfig(decibels=True, top_db=30.0, db_power=2.0)
    signal = signal_of(5, 18000)
    linear = compute_spectrograms(signal, [0.0], replace(cfg, decibels=False))[1][0].astype(np.float64)
    d = 10 * np.log10(np.maximum(linear, 1e-10))
    d = np.maximum(d, d.max() - 30)
    np.testing.assert_allclose(compute_spectrograms(signal, [0.0], cfg)[1][0], (d - d.min()) ** 2, atol=0.01)


def test_width_follows_another_duration():
    cfg = AudioConfig()
    normalized, _, present = compute_spectrograms(signal_of(12, 18000), [0.0], cfg, duration=12.0)
    assert present.all() and normalized.shape == (1, 128, 1152)
    assert normalized[0, :, -4:].any()


def test_a_spectrogram_does_not_depend_on_its_company_or_its_thread():
    cfg = AudioConfig()
    signal = signal_of(30, 18000)
    starts = [0.0, 1.37, 9.99, 24.0, 28.2]
    together = compute_spectrograms(signal, starts, cfg)[0]
    for start, image in zip(starts, together, strict=True):
        np.testing.assert_array_equal(compute_spectrograms(signal, [start], cfg)[0][0], image)
    results: list[np.ndarray] = []
    threads = [
        threading.Thread(target=lambda: results.append(compute_spectrograms(signal, starts, cfg)[0])) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4 and all(np.array_equal(result, together) for result in results)


def test_transforms_are_cached_by_all_settings():
    cfg = AudioConfig()
    one = spectrogram_transform(cfg)
    assert spectrogram_transform(AudioConfig()) is one
    cfg.decibels = True
    assert spectrogram_transform(cfg) is not one


def test_settings_without_a_hop_are_refused():
    with pytest.raises(ConfigError):
        compute_spectrograms(np.zeros(9000, np.float32), [0.0], AudioConfig(spec_duration=0.02, spec_width=480))


def test_the_room_needs_no_torch():
    code = (
        "import sys, britekit.audio.signal, britekit.audio.windows;"
        "sys.exit(', '.join(m for m in ('torch', 'pandas', 'sqlalchemy', 'matplotlib') if m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr.strip() == ""

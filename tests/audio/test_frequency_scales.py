"""Filter matrices against torchaudio, torch and the formulas of the specification written out."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchaudio.functional import melscale_fbanks

from britekit.audio.frequency_scales import filter_matrix, frequency_scale, hz_to_mel, mel_to_hz
from britekit.errors import ConfigError

SHAPES = {
    "rows": st.sampled_from([16, 64, 100, 128, 160]),
    "rate": st.sampled_from([8000, 18000, 32000, 44100 + 100, 96000]),
    "n_fft": st.sampled_from([256, 660, 1980, 2048]),
    "low": st.integers(1, 900),
    "share": st.floats(0.4, 1.0),
}


def unbanded(scale, bins, rows):
    """The full matrix that the bands stand for."""
    full = np.zeros((bins, rows), np.float32)
    for band in scale.bands:
        full[scale.bin + band.bin : scale.bin + band.bin_end, band.row : band.row_end] = band.weights
    return full


@pytest.mark.filterwarnings("ignore:At least one mel filterbank")
@given(**SHAPES, norm=st.sampled_from([None, "slaney"]))
@settings(max_examples=60)
def test_mel_equals_torchaudio(rows, rate, n_fft, low, share, norm):
    high = int(low + (rate / 2 - low) * share)
    expected = melscale_fbanks(n_fft // 2 + 1, float(low), float(high), rows, rate, norm=norm, mel_scale="htk").numpy()
    got = filter_matrix("mel", rows, low, high, rate, n_fft, mel_norm=norm)
    # torchaudio computes in float32, where a bin's place on a steep flank is known to some 1e-4.
    np.testing.assert_allclose(got / max(expected.max(), 1e-30), expected / max(expected.max(), 1e-30), atol=5e-4)


@given(**SHAPES)
@settings(max_examples=40)
def test_linear_is_area_interpolation_of_the_bins_between_the_limits(rows, rate, n_fft, low, share):
    high = int(low + (rate / 2 - low) * share)
    bins_hz = np.arange(n_fft // 2 + 1) * (rate / n_fft)
    inside = (bins_hz >= low) & (bins_hz <= high)
    spectrum = np.random.default_rng(rows).random(len(bins_hz))
    if not inside.any():
        with pytest.raises(ConfigError, match="min_freq"):
            filter_matrix("linear", rows, low, high, rate, n_fft)
        return
    x = torch.from_numpy(spectrum[inside])[None, None]
    expected = torch.nn.functional.interpolate(x, size=rows, mode="area")[0, 0].numpy()
    np.testing.assert_allclose(spectrum @ filter_matrix("linear", rows, low, high, rate, n_fft), expected, rtol=1e-9)


@given(**SHAPES, gain=st.floats(-0.5, 1.5))
@settings(max_examples=10)
def test_log_equals_the_formula(rows, rate, n_fft, low, share, gain):
    high = int(low + (rate / 2 - low) * share)
    got = filter_matrix("log", rows, low, high, rate, n_fft, log_freq_gain=gain)
    for row in (0, 1, rows // 2, rows - 1):
        center = 2 ** (math.log2(low) + (math.log2(high) - math.log2(low)) * row / (rows - 1))
        distances = [12 * (math.log2(k * rate / n_fft) - math.log2(center)) for k in range(1, n_fft // 2 + 1)]
        weights = [0.0, *(math.exp(-0.5 * distance**2) for distance in distances)]
        total = sum(weights)
        if total < 1e-290:
            # The written-out formula underflows; ours must still be a row that sums to the gain.
            np.testing.assert_allclose(got[:, row].sum(), (center / low) ** gain, rtol=1e-9)
            continue
        expected = [w / total * (center / low) ** gain for w in weights]
        np.testing.assert_allclose(got[:, row], expected, atol=1e-8 * (center / low) ** gain)


@pytest.mark.parametrize("scale", ["mel", "linear", "log"])
def test_bands_hold_the_whole_matrix(scale):
    args = (scale, 100, 200, 8000, 18000, 1980)
    np.testing.assert_array_equal(unbanded(frequency_scale(*args), 991, 100), filter_matrix(*args).astype(np.float32))


def test_scales_are_cached_by_settings_and_cannot_be_written():
    one = frequency_scale("mel", 64, 100, 8000, 18000, 1980)
    assert frequency_scale("mel", 64, 100, 8000, 18000, 1980) is one
    assert frequency_scale("mel", 64, 101, 8000, 18000, 1980) is not one
    with pytest.raises(ValueError, match="read-only"):
        one.bands[0].weights[0, 0] = 1


def test_mel_scale_there_and_back():
    assert hz_to_mel(700.0) == pytest.approx(2595 * math.log10(2))
    hz = np.array([0.0, 100.0, 8000.0])
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(hz)), hz, atol=1e-9)


def test_an_unknown_scale_names_the_choices():
    with pytest.raises(ConfigError, match="mel, linear, log"):
        filter_matrix("bark", 64, 100, 8000, 18000, 1980)

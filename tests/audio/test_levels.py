"""Levels against formulas by hand."""

import numpy as np
import pytest

from britekit.audio.levels import BANDS, SILENCE_DB, levels_of, spectrum_of


def test_a_sine_has_its_root_mean_square():
    rate = 8000
    sine = (0.25 * np.sin(2 * np.pi * 400 * np.arange(rate) / rate)).astype(np.float32)
    level, noise = levels_of(sine, rate)
    assert level == pytest.approx(20 * np.log10(0.25 / np.sqrt(2)), abs=0.01)
    assert noise == pytest.approx(level, abs=0.05), "it never pauses"


def test_the_noise_floor_is_what_remains_between_sounds():
    rate, rng = 8000, np.random.default_rng(0)
    sound = 0.01 * rng.standard_normal(rate)
    sound[: rate // 2] += 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate // 2) / rate)
    level, noise = levels_of(sound.astype(np.float32), rate)
    assert level == pytest.approx(10 * np.log10(0.25 / 4 + 0.01**2), abs=0.1)
    assert noise == pytest.approx(-40, abs=1.5)


def test_silence_and_nothing():
    assert levels_of(np.zeros(4000, np.float32), 8000) == (SILENCE_DB, SILENCE_DB)
    assert levels_of(np.zeros(0, np.float32), 8000) == (SILENCE_DB, SILENCE_DB)


@pytest.mark.parametrize("height", [32, 100, 8])
def test_the_spectrum_is_a_mean_over_time_and_bands(height):
    images = np.random.default_rng(1).random((3, height, 20)).astype(np.float32)
    found = spectrum_of(images)
    assert found.shape == (3, BANDS)
    first = images[:, : max(1, height // BANDS)].mean(axis=(1, 2))
    assert found[:, 0] == pytest.approx(first, abs=1e-6)

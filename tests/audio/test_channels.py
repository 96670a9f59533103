"""Mixing, and the choice of the cleaner channel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from britekit.audio.channels import MonoSignal, cleaner_channel, mono_signal
from britekit.audio.resampling import Resampler, resample
from britekit.config.audio import AudioConfig

RATE = 18000  # the working rate, so that nothing is resampled and sums can be compared exactly


def pair(song, order):
    noise = np.random.default_rng(3).standard_normal(len(song)).astype(np.float32)
    both = np.stack([song, song + 0.3 * noise])
    return both if order == 0 else both[::-1].copy()


@pytest.mark.parametrize("clean", [0, 1])
def test_the_channel_with_less_noise_wins(song, clean):
    both = pair(song, clean)
    assert cleaner_channel(both, 44100, AudioConfig()) == clean
    np.testing.assert_array_equal(mono_signal([both], 2, RATE, AudioConfig()), both[clean])


def test_a_silent_channel_loses(song):
    for silent in (0, 1):
        both = np.stack([song, song])
        both[silent] = 0
        assert cleaner_channel(both, 44100, AudioConfig()) == 1 - silent
        assert cleaner_channel(both[:, :20000], 44100, AudioConfig()) == 1 - silent
    assert cleaner_channel(np.zeros((2, 90000), np.float32), 44100, AudioConfig()) == 0


def test_under_a_second_the_left_channel_is_used(song):
    both = pair(song, 1)
    assert cleaner_channel(both[:, :44099], 44100, AudioConfig()) == 0
    assert cleaner_channel(both[:, :44100], 44100, AudioConfig()) == 1


def test_only_the_beginning_counts(song):
    both = np.tile(pair(song, 0), 2)
    both[0, 3 * RATE :] += np.random.default_rng(0).standard_normal(both.shape[1] - 3 * RATE).astype(np.float32)
    np.testing.assert_array_equal(mono_signal([both], 2, RATE, AudioConfig()), both[0])
    np.testing.assert_array_equal(mono_signal([both], 2, RATE, AudioConfig(check_seconds=15.0)), both[1])


def test_mean_of_many_channels_or_when_told(song):
    three = np.stack([song, 0 * song, -2 * song])
    np.testing.assert_allclose(mono_signal([three], 3, RATE, AudioConfig()), -song / 3, atol=1e-7)
    both = pair(song, 0)
    got = mono_signal([both], 2, RATE, AudioConfig(choose_channel=False))
    np.testing.assert_allclose(got, both.mean(axis=0), atol=1e-7)


@given(st.lists(st.integers(1, 60000), min_size=1, max_size=12), st.sampled_from([1, 2, 3]), st.booleans())
@settings(max_examples=25, deadline=None)
def test_the_result_does_not_depend_on_the_blocks(sizes, channels, choose):
    cfg = AudioConfig(choose_channel=choose, check_seconds=1.5)
    sound = np.random.default_rng(5).standard_normal((channels, sum(sizes))).astype(np.float32)
    sound[-1] *= 0.1
    edges = np.cumsum([0, *sizes])
    blocks = [sound[:, a:b] for a, b in zip(edges[:-1], edges[1:], strict=True)]
    np.testing.assert_array_equal(mono_signal(blocks, channels, 44100, cfg), mono_signal([sound], channels, 44100, cfg))


def test_nothing_gives_nothing():
    mono = MonoSignal(2, 44100, AudioConfig())
    assert len(mono.finish()) == 0


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000, 384000])
def test_resampling_keeps_a_tone_and_its_length(rate):
    seconds = 2.0
    time = np.arange(int(rate * seconds)) / rate
    tone = np.sin(2 * np.pi * 1000 * time).astype(np.float32)
    got = resample(tone, rate, 18000)
    assert len(got) == 36000
    expected = np.sin(2 * np.pi * 1000 * np.arange(36000) / 18000)
    np.testing.assert_allclose(got[2000:-2000], expected[2000:-2000], atol=2e-4)


def test_resampling_removes_what_would_fold_back():
    time = np.arange(96000) / 48000
    high = np.sin(2 * np.pi * 12000 * time).astype(np.float32)
    assert np.abs(resample(high, 48000, 18000)[1000:-1000]).max() < 1e-4


def test_equal_rates_pass_through():
    sound = np.ones(5, np.float32)
    assert Resampler(18000, 18000).push(sound) is sound
    assert len(resample(np.empty(0, np.float32), 44100, 18000)) == 0


@pytest.mark.parametrize("clean", [0, 1])
def test_a_short_time_to_choose_still_chooses(song, clean):
    for seconds in (0.3, 0.02):
        assert cleaner_channel(pair(song, clean), 44100, AudioConfig(check_seconds=seconds)) == clean
    assert cleaner_channel(pair(song, clean), 44100, AudioConfig(check_seconds=1e-9)) == 0


@pytest.mark.parametrize("count", [16, 1001, 48000])
def test_the_window_is_that_of_scipy(count):
    from scipy.signal.windows import blackmanharris

    from britekit.audio.channels import _blackman_harris

    np.testing.assert_allclose(_blackman_harris(count), blackmanharris(count, sym=False), atol=1e-7)

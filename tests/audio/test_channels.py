"""Mixing, and the choice of the cleaner channel."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from britekit.audio.channels import MonoSignal, cleaner_channel, mono_signal
from britekit.audio.overview import recording_overview
from britekit.audio.resampling import Resampler, resample
from britekit.config import BaseConfig, from_dict, resolve, to_dict, without_defaults
from britekit.config.audio import AudioConfig, with_channels
from britekit.errors import ConfigError, InputError

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
    got = mono_signal([both], 2, RATE, AudioConfig(channels="mean"))
    np.testing.assert_allclose(got, both.mean(axis=0), atol=1e-7)


@given(st.lists(st.integers(1, 60000), min_size=1, max_size=12), st.sampled_from([1, 2, 3]), st.booleans())
@settings(max_examples=25)
def test_the_result_does_not_depend_on_the_blocks(sizes, channels, choose):
    cfg = AudioConfig(channels="best" if choose else "mean", check_seconds=1.5)
    sound = np.random.default_rng(5).standard_normal((channels, sum(sizes))).astype(np.float32)
    sound[-1] *= 0.1
    edges = np.cumsum([0, *sizes])
    blocks = [sound[:, a:b] for a, b in zip(edges[:-1], edges[1:], strict=True)]
    np.testing.assert_array_equal(mono_signal(blocks, channels, 44100, cfg), mono_signal([sound], channels, 44100, cfg))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_channel_by_its_number(song, number):
    three = np.stack([song, 0 * song, -2 * song])
    np.testing.assert_array_equal(mono_signal([three], 3, RATE, AudioConfig(channels=number)), three[number - 1])


@pytest.mark.parametrize(("channels", "held"), [(2, "1 channel"), (3, "2 channels")])
def test_a_number_out_of_range_names_the_file(tmp_path, channels, held):
    path = tmp_path / "x.wav"
    soundfile.write(path, np.zeros((RATE, channels - 1)), RATE)
    with pytest.raises(InputError, match=rf"x\.wav has {held}; channel {channels} \(audio.channels\) does not exist"):
        recording_overview(path, AudioConfig(channels=channels), 100)


def test_each_is_refused_where_it_cannot_be_done(tmp_path):
    path = tmp_path / "x.wav"
    for channels in (1, 2):
        soundfile.write(path, np.zeros((RATE, channels)), RATE)
        if channels == 1:
            assert recording_overview(path, AudioConfig(channels="each"), 100).seconds == 1.0
        else:
            with pytest.raises(InputError, match="x.wav has 2 channels, and audio.channels is each"):
                recording_overview(path, AudioConfig(channels="each"), 100)


@pytest.mark.parametrize(("old", "new"), [(True, "best"), (False, "mean")])
def test_choose_channel_is_read_as_what_it_meant(tmp_path, monkeypatch, old, new):
    monkeypatch.chdir(tmp_path)
    Path("old.yaml").write_text(f"audio:\n  choose_channel: {str(old).lower()}\n")
    found = [
        resolve("old.yaml"),
        from_dict({"audio": {"choose_channel": old}}),
        resolve(stored={"audio": {"choose_channel": old}}),
    ]
    assert [cfg.audio.channels for cfg in found] == [new] * 3
    assert found[0].audio.choose_channel is old
    assert with_channels({"max_freq": 1, "choose_channel": old}) == {"max_freq": 1, "channels": new}


def test_what_databases_and_checkpoints_keep_has_the_bytes_of_before():
    # As the version before wrote it.
    before = (
        '{"spec_duration": 5.0, "spec_height": 128, "spec_width": 480, "win_length": 0.055, "max_freq": 8000, '
        '"min_freq": 100, "sampling_rate": 18000, "choose_channel": true, "check_seconds": 3.0, "freq_scale": "mel", '
        '"power": 1.0, "decibels": false, "top_db": 80.0, "db_power": 1.0, "log_freq_gain": 0.6, "n_fft": null, '
        '"mel_norm": null}'
    )
    assert json.dumps(AudioConfig().stored()) == before
    assert json.dumps(without_defaults(to_dict(BaseConfig()))["audio"]) == before
    assert (
        AudioConfig(channels=2).stored()["channels"] == 2 and "choose_channel" not in AudioConfig(channels=2).stored()
    )


@pytest.mark.parametrize("value", [0, -1, "first", 1.5, None])
def test_what_is_no_channel_is_refused(value):
    with pytest.raises(ConfigError, match="audio.channels: .* is not best, mean, each, or the number of a channel"):
        from_dict({"audio": {"channels": value}})


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

"""Of two channels the one with sound in it is chosen, whatever the other one holds."""

import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile

from britekit.audio.channels import ChannelChoice, MonoSignal, cleaner_channel, mono_signal
from britekit.audio.windows import Windows
from britekit.config.audio import AudioConfig

RATE = 44100
SECONDS = 12
TIME = np.arange(SECONDS * RATE) / RATE


def quantized(sound):
    """As 16 bits with dither store it."""
    dither = np.random.default_rng(8).uniform(-0.5, 0.5, (2, len(sound))).sum(axis=0)
    return (np.round(sound * 32767 + dither) / 32768).astype(np.float32)


def hum(hz, amplitude, harmonics=1):
    return sum(amplitude / k**1.5 * np.sin(2 * np.pi * k * hz * TIME + k) for k in range(1, harmonics + 1))


def noise(level, seed=4):
    return level * np.random.default_rng(seed).standard_normal(len(TIME))


def click(at=1.0, length=40, amplitude=0.9):
    sound = np.zeros(len(TIME))
    sound[int(at * RATE) : int(at * RATE) + length] = amplitude * (-1.0) ** np.arange(length)
    return sound


DEAD = {
    "zeros": np.zeros(len(TIME), np.float32),
    "dither": quantized(np.zeros(len(TIME))),
    "offset": np.full(len(TIME), 0.1, np.float32),
    "offset with dither": quantized(np.full(len(TIME), 0.05)),
    "50 Hz": quantized(hum(50, 0.3)),
    "60 Hz": quantized(hum(60, 0.3)),
    "60 Hz, not stored exactly": hum(60, 0.5).astype(np.float32),
    "hum with harmonics": quantized(hum(50, 0.3, 12)),
    "60 Hz with harmonics": quantized(hum(60, 0.2, 20)),
    "one click": quantized(click()),
    "long click": quantized(click(length=200)),
    "click and offset": quantized(click() * 0.5 + 0.2),
    "loud hiss": quantized(noise(0.05)),
    "faint hiss": quantized(noise(0.001)),
    "hum and hiss": quantized(hum(50, 0.2, 5) + noise(0.01)),
}  # fmt: skip


def gate(*stretches):
    return sum(((a <= TIME) & (b > TIME)).astype(float) for a, b in stretches)


ALIVE = {
    "calls": 0.3 * np.sin(2 * np.pi * 3000 * TIME) * gate((1, 1.4), (9, 10)) + noise(0.002, 1),
    "faint calls": 0.02 * np.sin(2 * np.pi * 5000 * TIME) * gate((0.5, 0.7), (2, 2.2)) + noise(0.003, 1),
    "late call": 0.2 * np.sin(2 * np.pi * 2000 * TIME) * gate((8, 9)) + noise(0.002, 1),
    "trill": 0.1 * np.sin(2 * np.pi * 4000 * TIME) * (np.sin(2 * np.pi * 6 * TIME) > 0) + noise(0.002, 1),
    "steady insect": 0.05 * np.sin(2 * np.pi * 6000 * TIME) + noise(0.002, 1),
}  # fmt: skip


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("dead", DEAD)
@pytest.mark.parametrize("alive", ALIVE)
def test_the_channel_with_sound_is_chosen(alive, dead, side):
    both = np.stack([DEAD[dead], quantized(ALIVE[alive])])
    if side == 0:
        both = both[::-1].copy()
    assert cleaner_channel(both, RATE, AudioConfig()) == side


DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.skipif(not DATA.is_dir(), reason="no recordings beside the project")
@pytest.mark.parametrize(
    "name",
    ["field/birds_10s.wav", "field/RuffedGrouse.mp3", "insects/recordings/*/*.ogg"]
    + [f"esc10/recordings/{place}/*.ogg" for place in ("Rain", "Helicopter", "Rooster")],
)
def test_a_real_recording_beats_any_defect(name):
    """A drum below 100 Hz, steady rain and an engine are the hardest; hum has harmonics over the whole band."""
    path = sorted(DATA.glob(name))[0]
    real, rate = soundfile.read(path, dtype="float32", always_2d=True, frames=12 * 44100)
    time = np.arange(len(real)) / rate
    square = 0.09 * np.sign(np.sin(2 * np.pi * 60 * time))
    step, spike = np.where(time < 1.0, 0.0, 0.25), np.zeros(len(time))
    spike[len(time) // 3] = 1.0
    hiss = np.random.default_rng(0).standard_normal(len(time))
    defects = [0 * time, 0 * time + 0.3, step, spike, square, 0.05 * hiss, 0.3 * hiss, square + 0.01 * hiss]
    for number, defect in enumerate(defects):
        both = np.stack([real[:, 0], defect.astype(np.float32)])
        assert cleaner_channel(both, rate, AudioConfig()) == 0, number
        assert cleaner_channel(both[::-1].copy(), rate, AudioConfig()) == 1, number


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("dead", ["zeros", "dither", "offset with dither", "50 Hz", "60 Hz", "one click"])
def test_a_channel_that_hears_the_place_beats_a_dead_one(dead, side):
    """Ten seconds without a call: what tells the channels apart is the noise of wind."""
    rng = np.random.default_rng(3)
    spectrum = np.fft.rfft(rng.standard_normal(len(TIME))) / np.maximum(1, np.arange(len(TIME) // 2 + 1)) ** 0.5
    wind = np.fft.irfft(spectrum, len(TIME))
    both = np.stack([DEAD[dead], quantized(0.01 * wind / wind.std())])
    if side == 0:
        both = both[::-1].copy()
    assert cleaner_channel(both, RATE, AudioConfig()) == side


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("dead", ["zeros", "offset with dither", "60 Hz", "one click", "loud hiss"])
def test_bats(dead, side):
    """Calls of 4 ms at 45 kHz, at settings for bats."""
    rate, seconds = 256000, 2
    cfg = AudioConfig(
        sampling_rate=256000, max_freq=120000, min_freq=10000, win_length=0.002, spec_duration=0.5, spec_width=480
    )
    time = np.arange(rate * seconds) / rate
    calls = np.zeros(len(time))
    for at in np.arange(0.1, 1.9, 0.09):
        part = (time >= at) & (time < at + 0.004)
        calls[part] = 0.05 * np.sin(2 * np.pi * 45000 * time[part])
    calls += 0.001 * np.random.default_rng(1).standard_normal(len(time))
    other = np.interp(time, TIME, DEAD[dead])
    if dead == "loud hiss":
        other = 0.05 * np.random.default_rng(2).standard_normal(len(time))
    both = np.stack([other, calls]).astype(np.float32)
    if side == 0:
        both = both[::-1].copy()
    assert cleaner_channel(both, rate, cfg) == side


@pytest.mark.parametrize(
    "pair", [("zeros", "zeros"), ("dither", "offset with dither"), ("50 Hz", "60 Hz"), ("zeros", "one click")]
)
def test_two_dead_channels_are_reported(tmp_path, caplog, pair):
    path = tmp_path / "dead.wav"
    soundfile.write(path, np.stack([DEAD[name] for name in pair], axis=1), RATE, subtype="FLOAT")
    caplog.set_level(logging.WARNING)
    for _ in Windows(path, AudioConfig(), [0.0]):
        pass
    assert "dead.wav: neither channel holds any sound in its first 12 s" in caplog.text


def test_what_is_held_back_is_bounded():
    """Noise without end: after a minute, or 4 million frames, one channel is taken."""
    for rate, seconds in ((8000, 61), (384000, 12)):
        mono = MonoSignal(2, rate, AudioConfig())
        rng = np.random.default_rng(1)
        held, frames = 0, 0
        while mono.channel is None:
            frames += rate
            mono.push(0.01 * rng.standard_normal((2, rate)).astype(np.float32))
            assert frames <= seconds * rate
        assert held == 0


def test_blocks_do_not_matter():
    both = np.stack([DEAD["loud hiss"], quantized(ALIVE["late call"])])
    whole = mono_signal([both], 2, RATE, AudioConfig())
    cut = mono_signal([both[:, at : at + 30011] for at in range(0, both.shape[1], 30011)], 2, RATE, AudioConfig())
    np.testing.assert_array_equal(whole, cut)
    choice = ChannelChoice(RATE, AudioConfig())
    assert choice.piece_frames == 3 * RATE


def test_the_window_is_that_of_scipy():
    from scipy.signal.windows import blackmanharris

    from britekit.audio.channels import _blackman_harris

    np.testing.assert_allclose(_blackman_harris(1001), blackmanharris(1001, sym=False), atol=1e-7)

"""The spectrogram picture, read back by another library."""

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from britekit.config.audio import AudioConfig
from britekit.errors import InferenceError, InputError
from britekit.inference.engine import TooLong
from britekit.service.picture import MAX_WIDTH, Drawing, Picture, encode_png
from tests.service.tone_model import AUDIO, HIGH_HZ, LOW_HZ, write_tones


def draw_spectrogram(path: Path, cfg: AudioConfig, max_seconds: float, max_width: int = MAX_WIDTH) -> Picture:
    drawing = Drawing(path, cfg, max_seconds, max_width)
    with contextlib.closing(drawing):
        while (picture := drawing.advance()) is None:
            pass
    return picture


def pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("L"), float)


def test_png_holds_what_went_in():
    levels = np.random.default_rng(0).integers(0, 256, (7, 13), np.uint8)
    with Image.open(io.BytesIO(encode_png(levels))) as image:
        assert image.mode == "L" and np.array_equal(np.asarray(image), levels)


def test_tones_are_where_they_sound(tmp_path):
    picture = draw_spectrogram(write_tones(tmp_path / "x.wav"), AUDIO, 100)
    assert (picture.seconds, picture.shown_seconds) == (8.0, 8.0)
    image = pixels(picture.png)
    assert image.shape == (picture.height, picture.width) == (64, 4 * AUDIO.spec_width)
    for hz, first in ((LOW_HZ, 2.0), (HIGH_HZ, 4.0)):
        part = image[:, round(48 * (first + 0.5)) : round(48 * (first + 1.5))]
        row = 63 - part.mean(axis=1).argmax()  # low frequencies at the bottom
        assert abs(100 + (row + 0.5) * 3700 / 64 - hz) < 2 * 3700 / 64
    assert image[:, :80].mean() < 0.2 * image.max()


def test_long_recordings_are_joined_and_short_sounds_stay(tmp_path):
    rate = 8000
    sound = 1e-4 * np.random.default_rng(0).standard_normal(120 * rate)
    at = np.arange(round(0.1 * rate))
    sound[50 * rate : 50 * rate + len(at)] += 0.5 * np.sin(2 * np.pi * HIGH_HZ * at / rate)
    soundfile.write(tmp_path / "x.flac", sound, rate)
    picture = draw_spectrogram(tmp_path / "x.flac", AUDIO, 1000, max_width=400)
    assert picture.width <= 400
    assert picture.shown_seconds == pytest.approx(120, abs=120 / picture.width)
    brightest = pixels(picture.png).max(axis=0).argmax()
    assert brightest / picture.width * picture.shown_seconds == pytest.approx(50, abs=1)


def test_silence_and_a_single_window_can_be_drawn(tmp_path):
    soundfile.write(tmp_path / "x.wav", np.zeros(8000), 8000)
    picture = draw_spectrogram(tmp_path / "x.wav", AUDIO, 100)
    assert picture.width == AUDIO.spec_width // 2 and picture.shown_seconds == 1.0


def test_refusals(tmp_path):
    soundfile.write(tmp_path / "short.wav", np.zeros(20), 8000)
    with pytest.raises(InferenceError, match="too short"):
        draw_spectrogram(tmp_path / "short.wav", AUDIO, 100)
    with pytest.raises(TooLong):
        draw_spectrogram(write_tones(tmp_path / "x.wav"), AUDIO, 5)
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(InputError):
        draw_spectrogram(tmp_path / "text.wav", AUDIO, 5)


def test_a_steady_hum_is_dark_and_a_call_is_not(tmp_path):
    """The noise floor of each band goes: a hum 20 dB louder than the call is not brighter."""
    rate = 8000
    time = np.arange(8 * rate) / rate
    sound = 1e-3 * np.random.default_rng(0).standard_normal(len(time)) + 0.5 * np.sin(2 * np.pi * LOW_HZ * time)
    sound += 0.05 * np.sin(2 * np.pi * HIGH_HZ * time) * ((time > 3) & (time < 4))
    soundfile.write(tmp_path / "x.wav", sound, rate)
    image = pixels(draw_spectrogram(tmp_path / "x.wav", AUDIO, 100).png)
    rows = [63 - round((hz - 100) / 3700 * 64 - 0.5) for hz in (LOW_HZ, HIGH_HZ)]
    hum, call = image[rows[0], 20:120].mean(), image[rows[1], 48 * 3 + 8 : 48 * 4 - 8].mean()
    assert hum < 40 and call > 180, (hum, call)

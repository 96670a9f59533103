"""The stored form of a spectrogram, after the page on formats."""

import zlib

import numpy as np
import pytest

from britekit.database.spectrograms import decode, differing_settings, encode


def test_stored_form():
    image = np.array([[0.0, 0.5, 1.0], [0.1, 0.2, 0.9]], dtype=np.float32)
    assert zlib.decompress(encode(image)) == bytes([0, 128, 255, 26, 51, 230])
    assert decode(encode(image), 2, 3).tolist() == [[0, 128, 255], [26, 51, 230]]


def test_values_outside_are_clipped():
    assert zlib.decompress(encode(np.array([[-1.0, 2.0]]))) == bytes([0, 255])


@pytest.mark.parametrize(
    "value, message",
    [
        (zlib.compress(bytes(5)), "it holds 5 bytes, expected 6"),
        (zlib.compress(bytes(700)), "it holds 700 bytes, expected 6"),
        (zlib.compress(bytes(1 << 28)), "it holds more than 6"),
        (zlib.compress(bytes(6))[:-5], "cut short"),
        (b"no zlib", "damaged"),
        (b"", "cut short"),
    ],
)
def test_wrong_values(value, message):
    with pytest.raises(ValueError, match=message):
        decode(value, 2, 3)


def test_differing_settings():
    assert differing_settings({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4}) == ["b 2, now 3"]

"""Files that hold more than their headers say: every sample written is read, or the excess is reported."""

import struct
import time

import av
import numpy as np
import pytest
import soundfile

from britekit.audio.decoding import AudioReader, duration_of
from britekit.cli import main

RATE = 22050
SECONDS, OTHER_SECONDS = 12, 3


def noisy(seconds, rate=RATE, seed=1):
    """A tone between 2 and 3 s over noise: none of it is zero for long."""
    time = np.arange(seconds * rate) / rate
    tone = 0.3 * np.sin(2 * np.pi * 3000 * time) * ((time >= 2) & (time < 3))
    return (tone + 0.002 * np.random.default_rng(seed).standard_normal(len(time))).astype(np.float32)


def pcm(samples):
    return np.round(samples * 32767).astype("<i2").tobytes()


BODY, OTHER = pcm(noisy(SECONDS)), pcm(noisy(OTHER_SECONDS, seed=2))
LIST = b"LIST" + struct.pack("<I", 26) + b"INFOICMT" + struct.pack("<I", 14) + b"hello comment\0"
TAG = b"TAG" + bytes(125)
ID3 = b"ID3\x04\0\0\0\0\0\x0a" + bytes(10)


def wav(body, stated=None, after=b"", rate=RATE, before=b""):
    size = len(body) if stated is None else stated
    chunks = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate, rate * 2, 2, 16) + before
    chunks += b"data" + struct.pack("<I", size) + body + after
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


def read(path):
    with AudioReader(path, warn=False) as reader:
        blocks = list(reader.blocks(0.7))
        samples = np.concatenate(blocks, axis=1)
        assert reader.frames_read == samples.shape[1]
        return samples[0], reader.rate, reader.damage


def assert_holds(path, content, seconds, tolerance=0.0):
    path.write_bytes(content)
    samples, rate, damage = read(path)
    assert damage is None
    assert abs(len(samples) / rate - seconds) <= tolerance
    assert duration_of(path) == len(samples) / rate
    return samples


def assert_reported(path, content, seconds, words, tolerance=0.0):
    path.write_bytes(content)
    samples, rate, damage = read(path)
    assert abs(len(samples) / rate - seconds) <= tolerance and words in damage
    assert main(["audio-info", str(path)]) == 1


def encoded(tmp_path, samples, rate=RATE, **how):
    path = tmp_path / f"made.{how.pop('suffix')}"
    soundfile.write(path, samples, rate, **how)
    return path.read_bytes()


@pytest.mark.parametrize("stated", [0, 44, 5 * RATE * 2, 5 * RATE * 2 + 1, 0xFFFFFFFF])
@pytest.mark.parametrize("after", [b"", LIST, LIST + LIST], ids=["bare", "comment", "comments"])
def test_wav_sizes_that_are_wrong(tmp_path, stated, after):
    """All samples are read, and no chunk behind them is."""
    samples = assert_holds(tmp_path / "x.wav", wav(BODY, stated, after), SECONDS)
    np.testing.assert_allclose(samples * 32768, np.frombuffer(BODY, "<i2"), atol=1e-3)


@pytest.mark.parametrize(
    "after",
    [
        LIST, b"guan" + struct.pack("<I", 5000) + b"x" * 70,
        b"zzQq" + struct.pack("<I", 5000) + b"\x11" * 5000,
        bytes(5000), LIST + bytes(600), TAG, b"\0",
    ],
    ids=["LIST", "cut chunk", "unknown chunk", "zeros", "chunk and zeros", "tag", "padding"],
)  # fmt: skip
def test_what_follows_the_samples_is_no_sound(tmp_path, after):
    assert_holds(tmp_path / "x.wav", wav(BODY, None, after), SECONDS)


@pytest.mark.parametrize("padding", [b"", b"\0"], ids=["bare", "padded"])
def test_odd_chunks_with_and_without_padding(tmp_path, padding):
    from britekit.audio.riff import read_chunks

    odd = wav(BODY[:-1], None, padding + LIST)
    assert_holds(tmp_path / "x.wav", odd, (len(BODY) // 2 - 1) / RATE)
    assert read_chunks(tmp_path / "x.wav", frozenset({b"ICMT"})) == {b"ICMT": b"hello comment\0"}
    assert_holds(tmp_path / "y.wav", wav(BODY, before=b"junk" + struct.pack("<I", 3) + b"abc\0"), SECONDS)


def test_comments_are_found_behind_samples_of_a_wrong_size(tmp_path):
    from britekit.audio.riff import read_chunks

    (tmp_path / "x.wav").write_bytes(wav(BODY, 44, LIST))
    assert read_chunks(tmp_path / "x.wav", frozenset({b"ICMT"})) == {b"ICMT": b"hello comment\0"}


def test_bytes_of_no_kind_are_reported(tmp_path):
    junk = b"\x80\x01\x99" * 4000
    lengths = r"its header states 12.000 s, the file has room for 12.273 s; 12000 bytes"
    assert_reported(tmp_path / "x.wav", wav(BODY, None, LIST + junk), SECONDS, lengths)


@pytest.mark.parametrize("first", [wav(BODY), wav(BODY, None, LIST), wav(BODY, 44)], ids=["plain", "list", "stale"])
def test_joined_wav(tmp_path, first):
    samples = assert_holds(tmp_path / "x.wav", first + wav(OTHER, None, LIST), SECONDS + OTHER_SECONDS)
    np.testing.assert_allclose(samples * 32768, np.frombuffer(BODY + OTHER, "<i2"), atol=1e-3)


def test_joined_files_of_other_rates_are_reported(tmp_path):
    assert_reported(
        tmp_path / "x.wav", wav(BODY) + wav(OTHER, rate=44100), SECONDS, "1.500 s long, of 1 channel(s) at 44100 Hz"
    )


def patched(content, *changes):
    whole = bytearray(content)
    for at, kind, value in changes:
        struct.pack_into(kind, whole, at, value)
    return bytes(whole)


def field(content, name, offset):
    return content.index(name) + offset


@pytest.mark.parametrize(
    ("suffix", "how", "name", "offset", "kind", "values"),
    [
        ("aiff", {}, b"SSND", 4, ">I", [0, 20008]),
        ("aiff", {}, b"COMM", 10, ">I", [1, 10000]),
        ("au", {}, b".snd", 8, ">I", [0, 20000, 0xFFFFFFFF]),
        ("caf", {}, b"data", 4, ">q", [-1, 0, 20004]),
        ("w64", {}, b"data", 16, "<q", [0, 24, 20024]),
        ("rf64", {"format": "RF64"}, b"ds64", 16, "<Q", [0, 20000]),
        ("wav", {"endian": "BIG"}, b"data", 4, ">I", [0, 20000]),
        ("wav", {"format": "WAVEX"}, b"data", 4, "<I", [0, 20000]),
        ("wav", {"subtype": "ULAW"}, b"data", 4, "<I", [0, 20000]),
        ("wav", {"subtype": "PCM_24"}, b"data", 4, "<I", [0, 20000]),
        ("wav", {"subtype": "FLOAT"}, b"data", 4, "<I", [0, 20000]),
    ],
)
def test_relatives_of_wav(tmp_path, suffix, how, name, offset, kind, values):
    content = encoded(tmp_path, noisy(SECONDS), suffix=suffix, **how)
    good = soundfile.read(tmp_path / f"made.{suffix}", dtype="float32")[0]
    for value in values:
        wrong = patched(content, (field(content, name, offset), kind, value))
        np.testing.assert_array_equal(assert_holds(tmp_path / f"x.{suffix}", wrong, SECONDS), good)


def test_aiff_whose_every_size_is_small(tmp_path):
    content = encoded(tmp_path, noisy(SECONDS), suffix="aiff")
    for size in (0, 20000):
        wrong = patched(
            content, (4, ">I", size), (field(content, b"SSND", 4), ">I", size + 8 * (size > 0)),
            (field(content, b"COMM", 10), ">I", size // 2),
        )  # fmt: skip
        assert_holds(tmp_path / "x.aiff", wrong, SECONDS)
    chunk = b"ANNO" + struct.pack(">I", 6) + b"hello!"
    assert_holds(tmp_path / "x.aiff", content + chunk, SECONDS)


@pytest.mark.parametrize("suffix", ["aiff", "au", "caf", "w64", "flac"])
def test_joined_relatives(tmp_path, suffix):
    content = encoded(tmp_path, noisy(SECONDS), suffix=suffix)
    assert_holds(tmp_path / f"x.{suffix}", content + content, 2 * SECONDS)


def flac_of_total(content, total):
    return content[:21] + bytes([content[21] & 0xF0]) + struct.pack(">I", total) + content[26:]


@pytest.mark.parametrize("total", [0, 1, 4096, 5 * RATE])
def test_flac_whose_total_is_too_small(tmp_path, total):
    content = encoded(tmp_path, noisy(SECONDS), suffix="flac")
    wrong = flac_of_total(content, total)
    samples = assert_holds(tmp_path / "x.flac", wrong, SECONDS)
    np.testing.assert_array_equal(samples, soundfile.read(tmp_path / "made.flac", dtype="float32")[0])
    assert_holds(tmp_path / "x.flac", ID3 + wrong, SECONDS)
    assert_holds(tmp_path / "x.flac", wrong + TAG, SECONDS)
    path = tmp_path / "cut.flac"
    path.write_bytes(wrong[: len(wrong) * 2 // 3])
    samples, rate, damage = read(path)
    assert damage is not None and len(samples) / rate > 6


@pytest.mark.parametrize(("kind", "rate"), [("VORBIS", RATE), ("OPUS", 48000)])
def test_chained_ogg(tmp_path, kind, rate):
    def link(seconds, seed):
        return encoded(tmp_path, noisy(seconds, rate, seed), rate, suffix="ogg", format="OGG", subtype=kind)

    first, second = link(SECONDS, 1), link(OTHER_SECONDS, 2)
    path = tmp_path / "x.ogg"
    assert_holds(path, first + second, 15)
    assert_holds(path, first + second + first, 27)
    assert_holds(path, first + first, 24)
    assert_holds(path, first + bytes(4000), SECONDS)
    assert_reported(path, first + b"hello" * 2000, SECONDS, "not an Ogg page")
    assert_reported(path, first + second[: len(second) // 2], SECONDS + 1.5, "page is cut off", tolerance=1.5)
    path.write_bytes(first[: len(first) // 2] + second)
    assert read(path)[2] is not None


def test_joined_mp3(tmp_path):
    first = encoded(tmp_path, noisy(SECONDS), suffix="mp3")
    second = encoded(tmp_path, noisy(OTHER_SECONDS, seed=2), suffix="mp3")
    # Every one states its delays, so nothing is added at the seams.
    assert_holds(tmp_path / "x.mp3", first + second, 15)
    assert_holds(tmp_path / "x.mp3", first + first, 24)
    samples = assert_holds(tmp_path / "x.mp3", ID3 + first + TAG + ID3 + second + TAG, 15)
    (tmp_path / "y.mp3").write_bytes(second)
    np.testing.assert_allclose(samples[SECONDS * RATE :], read(tmp_path / "y.mp3")[0], atol=1e-6)
    # One without a statement behind one with: the encoder's delay and filling stay in.
    body = second[second.find(b"\xff", second.find(b"Xing") + 150) :]
    assert_holds(tmp_path / "x.mp3", first + body, 15, tolerance=0.15)


@pytest.mark.parametrize("frames", [1, 50, 400])
def test_mp3_that_states_too_few_frames(tmp_path, frames):
    content = encoded(tmp_path, noisy(SECONDS), suffix="mp3")
    at = content.index(b"Xing") + 8
    assert_holds(tmp_path / "x.mp3", patched(content, (at, ">I", frames)), SECONDS, tolerance=0.15)


@pytest.mark.parametrize(
    ("suffix", "codec", "container", "rate"),
    [("m4a", "aac", "ipod", 44100), ("wma", "wmav2", "asf", 44100), ("webm", "libopus", "webm", 48000)],
)
def test_joined_films_are_read_or_reported(tmp_path, suffix, codec, container, rate):
    path = tmp_path / f"x.{suffix}"
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout="mono", bit_rate=96000)
        samples = np.clip(noisy(3, rate), -1, 1)
        form = stream.codec_context.format.name
        frame = av.AudioFrame.from_ndarray(samples[None], "fltp", "mono")
        frame.sample_rate, frame.pts = rate, 0
        resampler = av.AudioResampler(format=form, layout="mono", rate=rate, frame_size=stream.frame_size or 960)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    assert read(path)[2] is None
    content = path.read_bytes()
    if suffix == "webm":  # FFmpeg reads on in these
        assert_holds(path, content + content, 6, tolerance=0.1)
    else:
        assert_reported(path, content + content, 3, "another recording", tolerance=0.1)


def test_joined_aac_is_read_whole(files, tmp_path):
    content = (files / "a.aac").read_bytes()
    one = duration_of(files / "a.aac")
    assert_holds(tmp_path / "x.aac", content + content, 2 * one, tolerance=0.05)


def test_hostile_tails_end_soon(tmp_path):
    """Chunks without end, nested or empty, and markers by the thousand: each is read or reported in seconds."""
    began = time.monotonic()
    nested = b"".join(b"abcd" + struct.pack("<I", 8 * (49_999 - k)) for k in range(50_000))
    for number, tail in enumerate((b"aaaa\0\0\0\0" * 200_000, b"\x01" + nested, b"fLaC\0\0\0\x22" * 50_000)):
        (tmp_path / f"{number}.wav").write_bytes(wav(BODY, 44, tail))
        read(tmp_path / f"{number}.wav")
    whole = encoded(tmp_path, noisy(OTHER_SECONDS), suffix="flac")
    (tmp_path / "x.flac").write_bytes(whole + b"fLaC\0\0\0\x22" * 100_000)
    assert read(tmp_path / "x.flac")[2] is not None
    mp3 = encoded(tmp_path, noisy(OTHER_SECONDS), suffix="mp3")
    (tmp_path / "x.mp3").write_bytes(mp3 + (b"\xff\xfb\x90\x64Info" * 20 + bytes(400)) * 2000)
    read(tmp_path / "x.mp3")
    assert time.monotonic() - began < 30

"""Every format, and what is left of damaged ones."""

import logging
import os
import struct
import time
import warnings

import av
import numpy as np
import pytest
import soundfile

from britekit.audio.decoding import AudioReader, duration_of, read_audio
from britekit.errors import InputError

RATE = 32000
SOUNDFILE = {
    "wav": {},
    "flac": {},
    "ogg": {},
    "mp3": {},
    "aiff": {},
    "au": {},
    "w64": {},
    "caf": {},
    "opus": {},
}
SOUNDFILE["opus"] = {"format": "OGG", "subtype": "OPUS"}
SOUNDFILE["rf64"] = {"format": "RF64"}
FFMPEG = {"m4a": ("aac", None), "aac": ("aac", "adts"), "wma": ("wmav2", "asf"), "webm": ("libopus", "webm")}
LOSSLESS = ("wav", "flac", "aiff", "au", "w64", "caf", "rf64")


@pytest.fixture(scope="module")
def sound():
    time = np.arange(6 * 48000) / 48000
    noise = np.random.default_rng(0).standard_normal(len(time))
    # A sweep fits itself at one place only, so that a codec's delay can be measured.
    return (0.4 * np.sin(2 * np.pi * (400 * time + 250 * time**2)) + 0.005 * noise).astype(np.float32)


@pytest.fixture(scope="module")
def files(tmp_path_factory, sound):
    """Six seconds at 48 kHz in every format."""
    folder = tmp_path_factory.mktemp("formats")
    for suffix, options in SOUNDFILE.items():
        soundfile.write(folder / f"a.{suffix}", sound, 48000, **options)
    for suffix, (codec, container_format) in FFMPEG.items():
        with av.open(str(folder / f"a.{suffix}"), "w", format=container_format) as container:
            stream = container.add_stream(codec, rate=48000, layout="mono", bit_rate=96000)
            frame = av.AudioFrame.from_ndarray(
                (sound * 32767).astype("<i2")[None], format="s16", layout="mono"
            )
            frame.sample_rate = 48000
            frame.pts = 0
            to_codec = av.AudioResampler(
                format=stream.codec_context.format.name,
                layout="mono",
                rate=48000,
                frame_size=stream.frame_size or 960,
            )
            for part in [*to_codec.resample(frame), *to_codec.resample(None)]:
                container.mux(stream.encode(part))
            container.mux(stream.encode(None))
    return folder


@pytest.mark.parametrize("suffix", [*SOUNDFILE, *FFMPEG])
def test_every_format(files, sound, suffix):
    path = files / f"a.{suffix}"
    waveform = read_audio(path)
    assert waveform.rate == 48000 and waveform.samples.shape[0] == 1 and waveform.samples.dtype == np.float32
    assert waveform.damaged_at is None
    assert waveform.seconds == pytest.approx(6.0, abs=0.06)
    assert duration_of(path) == pytest.approx(waveform.seconds)
    got = waveform.samples[0]
    if suffix in LOSSLESS:
        np.testing.assert_allclose(got, sound, atol=1e-4)
    else:
        # Codecs may delay a little: find the delay by correlation, then they must be alike.
        lag = int(np.argmax(np.correlate(got[48000:96000], sound[52000:90000], "valid"))) - 4000
        assert abs(lag) < 2500
        assert np.corrcoef(got[52000 + lag : 90000 + lag], sound[52000:90000])[0, 1] > 0.98


@pytest.mark.parametrize("suffix", [*SOUNDFILE, *FFMPEG])
def test_a_cut_file_gives_its_beginning_and_the_second(files, tmp_path, caplog, suffix):
    whole = (files / f"a.{suffix}").read_bytes()
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(whole[: len(whole) * 6 // 10])
    if suffix == "m4a":  # its index is at the end
        with pytest.raises(InputError, match=r"cut\.m4a"):
            read_audio(path)
        return
    caplog.set_level(logging.WARNING)
    waveform = read_audio(path)
    assert 2.0 < waveform.seconds < 4.6
    assert waveform.damaged_at == pytest.approx(waveform.seconds)
    assert f"cut.{suffix} is damaged at {waveform.damaged_at:.3f} s" in caplog.text
    beginning = read_audio(files / f"a.{suffix}").samples[:, : waveform.samples.shape[1]]
    np.testing.assert_allclose(
        waveform.samples[:, :-5000], beginning[:, : waveform.samples.shape[1] - 5000], atol=1e-5
    )


@pytest.mark.parametrize("suffix", [*SOUNDFILE, *FFMPEG])
def test_random_cuts_and_random_damage_never_crash(files, tmp_path, suffix):
    whole = (files / f"a.{suffix}").read_bytes()
    rng = np.random.default_rng(sum(map(ord, suffix)))
    path = tmp_path / f"bad.{suffix}"
    for trial in range(8):
        content = bytearray(whole)
        at = int(rng.integers(0, len(whole)))
        if trial % 2:
            content = content[:at]
        else:
            content[at : at + 400] = rng.bytes(len(content[at : at + 400]))
        path.write_bytes(content)
        try:
            waveform = read_audio(path)
        except InputError as error:
            assert f"bad.{suffix}" in str(error) and "\n" not in str(error)
            continue
        assert np.isfinite(waveform.samples).all() and waveform.samples.shape[1] > 0
        assert waveform.seconds < 13


@pytest.mark.parametrize("suffix", [*SOUNDFILE, *FFMPEG])
def test_random_bytes_are_no_audio(tmp_path, suffix):
    path = tmp_path / f"noise.{suffix}"
    for seed in range(3):
        path.write_bytes(np.random.default_rng(seed).bytes(20000))
        with pytest.raises(InputError, match=rf"noise\.{suffix}"):
            read_audio(path)


@pytest.mark.parametrize("suffix", ["wav", "sdp", "m3u8", "ffconcat"])
@pytest.mark.parametrize(
    "text",
    [
        "v=0\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n",
        "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.wav\n",
        "ffconcat version 1.0\nfile /etc/hostname\n",
    ],
)
def test_descriptions_of_broadcasts_and_playlists_are_refused_at_once(tmp_path, text, suffix):
    """FFmpeg would open a network port for the first of these, and listen for ten seconds."""
    path = tmp_path / f"list.{suffix}"
    path.write_text(text)
    began = time.monotonic()
    with pytest.raises(InputError, match=f"list.{suffix}"):
        read_audio(path)
    assert time.monotonic() - began < 5


def test_no_audio_at_all(tmp_path):
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "x.wav").mkdir()
    os.mkfifo(tmp_path / "pipe.wav")
    soundfile.write(tmp_path / "none.wav", np.empty((0, 2)), 44100)
    for name, says in {
        "empty.wav": "empty file", "x.wav": "directory", "pipe.wav": "regular file", "none.wav": "no samples",
        "missing.wav": "No such file",
    }.items():  # fmt: skip
        with pytest.raises(InputError, match=says) as caught:
            read_audio(tmp_path / name)
        assert name in str(caught.value)


def test_two_samples_are_two_samples(tmp_path):
    soundfile.write(tmp_path / "two.wav", np.array([0.5, -0.5]), 8000, subtype="FLOAT")
    np.testing.assert_array_equal(read_audio(tmp_path / "two.wav").samples, [[0.5, -0.5]])


@pytest.mark.parametrize(
    "name", ['it\'s "quoted".wav', "two\nlines.wav", "鸟 Vögel ñ.wav", "concat:a|b.wav", "-dash.wav"]
)
def test_names(tmp_path, sound, name, files):
    path = tmp_path / name
    soundfile.write(path, sound, 48000)
    assert read_audio(path).seconds == 6.0
    path.write_bytes((files / "a.webm").read_bytes())  # the other decoder
    assert read_audio(path).seconds == pytest.approx(6.0, abs=0.06)
    path.write_bytes(b"not audio")
    with pytest.raises(InputError) as caught:
        read_audio(path)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(str(tmp_path))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_samples_that_are_no_numbers_end_the_recording(tmp_path, sound, caplog, bad):
    path = tmp_path / "numbers.wav"
    broken = np.stack([sound, sound], axis=1)
    broken[96000:, 1] = bad
    soundfile.write(path, broken, 48000, subtype="FLOAT")
    caplog.set_level(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        waveform = read_audio(path)
    assert waveform.damaged_at == 2.0 and waveform.samples.shape == (2, 96000)
    assert f"{bad:g} instead of a number" in caplog.text
    soundfile.write(path, np.full(48000, bad), 48000, subtype="FLOAT")
    with pytest.raises(InputError, match="from the first sample"):
        read_audio(path)


def test_a_header_that_was_never_finished_is_no_damage(tmp_path, sound, caplog):
    path = tmp_path / "open.wav"
    soundfile.write(path, sound, 48000)
    content = bytearray(path.read_bytes())
    for size in (b"\x00\x00\x00\x00", b"\xff\xff\xff\xff"):
        content[40:44] = size
        path.write_bytes(content)
        waveform = read_audio(path)
        assert waveform.seconds == 6.0 and waveform.damaged_at is None


def test_blocks_are_bounded_and_add_up(files, sound):
    with AudioReader(files / "a.flac") as reader:
        blocks = list(reader.blocks(0.25))
        assert (reader.rate, reader.channels, reader.seconds_read) == (48000, 1, 6.0)
    assert max(block.shape[1] for block in blocks) <= 12000
    np.testing.assert_allclose(np.concatenate(blocks, axis=1)[0], sound, atol=1e-4)


def test_odd_rates_are_refused(tmp_path):
    soundfile.write(tmp_path / "slow.wav", np.zeros(100), 10)
    with pytest.raises(InputError, match="10 Hz"):
        read_audio(tmp_path / "slow.wav")


def test_field_recordings(data_dir, caplog):
    caplog.set_level(logging.WARNING)
    lengths = {}
    for path in sorted((data_dir / "field").glob("*.[wm][ap][v3]")):
        try:
            waveform = read_audio(path)
        except InputError as error:
            assert path.name == "empty_2c.wav" and "no samples" in str(error)
            continue
        lengths[path.name] = round(waveform.seconds, 2)
        assert waveform.damaged_at is None
        assert duration_of(path) == pytest.approx(waveform.seconds)
    assert not caplog.records
    assert (
        lengths["silence_10s.mp3"] == 10.0
        and lengths["veryshort.wav"] == 0.14
        and lengths["1min.wav"] == 60.0
    )
    assert lengths["20180530_213516-EPTSER-LR_0_0.5.wav"] == 0.5 and len(lengths) == 14


@pytest.mark.parametrize("suffix", ["mp3", "ogg", "flac", "opus", "wav"])
def test_seams_between_blocks_are_not_heard(files, suffix):
    # soundfile's one call for the whole file is the witness: a position set anew restarts an MP3 decoder.
    expected = soundfile.read(files / f"a.{suffix}", dtype="float32")[0]
    for seconds in (0.05, 1.0, 10.0):
        with AudioReader(files / f"a.{suffix}") as reader:
            got = np.concatenate([block[0] for block in reader.blocks(seconds)])
        np.testing.assert_array_equal(got, expected)


class TestDamage:
    """What is behind the damage is left out, and the second is told."""

    def test_mp3_without_a_stated_length_is_read_to_its_end(self, files, tmp_path, sound):
        whole = (files / "a.mp3").read_bytes()
        second = whole.find(b"\xff\xfb", 4)
        assert b"Info" in whole[:second] or b"Xing" in whole[:second]
        path = tmp_path / "bare.mp3"
        path.write_bytes(whole[second:])
        waveform = read_audio(path)
        assert waveform.seconds == pytest.approx(6.05, abs=0.06) and waveform.damaged_at is None
        path.write_bytes(b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + whole[second:-70] + b"TAG" + bytes(125))
        cut = read_audio(path)
        assert cut.damaged_at == pytest.approx(waveform.seconds, abs=0.06)
        path.write_bytes(whole[second:] + b"TAG" + bytes(125))
        assert read_audio(path).damaged_at is None

    @pytest.mark.parametrize("junk", [bytes(9000), b"\x55" * 9000])
    def test_mp3_keeps_all_but_the_last_fifth_of_a_second(self, files, tmp_path, sound, junk):
        whole = bytearray((files / "a.mp3").read_bytes())
        at = len(whole) // 2
        whole[at : at + len(junk)] = junk
        (tmp_path / "mid.mp3").write_bytes(whole)
        waveform = read_audio(tmp_path / "mid.mp3")
        # Frames of a variable rate: find where the damaged file begins to differ from the whole one.
        good = soundfile.read(files / "a.mp3", dtype="float32")[0]
        assert waveform.damaged_at == waveform.seconds and 1.5 < waveform.seconds < 4.5
        np.testing.assert_array_equal(waveform.samples[0, :-6000], good[: waveform.samples.shape[1] - 6000])

    @pytest.mark.parametrize("suffix", ["ogg", "opus"])
    @pytest.mark.parametrize("kind", ["garbled", "missing", "flipped"])
    def test_ogg_stops_before_the_damage(self, files, tmp_path, suffix, kind):
        whole = bytearray((files / f"a.{suffix}").read_bytes())
        pages = [at for at in range(len(whole)) if whole[at : at + 4] == b"OggS"]
        at = pages[len(pages) // 2]
        if kind == "garbled":
            whole[at + 100 : at + 300] = bytes(200)
        elif kind == "flipped":
            whole[at + 200] ^= 1
        else:
            del whole[at : pages[len(pages) // 2 + 1]]
        (tmp_path / f"mid.{suffix}").write_bytes(whole)
        waveform = read_audio(tmp_path / f"mid.{suffix}")
        good = soundfile.read(files / f"a.{suffix}", dtype="float32")[0]
        assert waveform.damaged_at == waveform.seconds and 0.5 < waveform.seconds < 5.5
        np.testing.assert_array_equal(waveform.samples[0], good[: waveform.samples.shape[1]])
        assert duration_of(tmp_path / f"mid.{suffix}") == waveform.seconds

    def test_flac_of_unknown_length(self, files, tmp_path, sound):
        whole = bytearray((files / "a.flac").read_bytes())
        whole[21] &= 0xF0  # the lowest bits of the number of samples in STREAMINFO
        whole[22:26] = bytes(4)
        (tmp_path / "stream.flac").write_bytes(whole)
        waveform = read_audio(tmp_path / "stream.flac")
        assert waveform.damaged_at is None
        np.testing.assert_allclose(waveform.samples[0], sound, atol=1e-4)
        (tmp_path / "stream.flac").write_bytes(whole[: len(whole) // 2])
        assert 2 < read_audio(tmp_path / "stream.flac").damaged_at < 4


def _wav_header(stated: int, form: bytes = b"RIFF", long_size: int | None = None) -> bytes:
    extra = b"" if long_size is None else b"ds64" + struct.pack("<IQQQI", 28, 0, long_size, 0, 0)
    return (
        form + struct.pack("<I", 0xFFFFFFFF) + b"WAVE" + extra
        + b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 48000, 96000, 2, 16)
        + b"data" + struct.pack("<I", stated)
    )  # fmt: skip


@pytest.mark.parametrize("size", [5 * 10**9, 9 * 10**9 + 2])
@pytest.mark.parametrize("kind", ["zero", "ones", "wrapped", "rf64", "rf64 unfinished"])
def test_more_than_four_gigabytes(tmp_path, size, kind):
    header = {
        "zero": _wav_header(0),
        "ones": _wav_header(0xFFFFFFFF),
        "wrapped": _wav_header(size % 2**32),
        "rf64": _wav_header(0xFFFFFFFF, b"RF64", size),
        "rf64 unfinished": _wav_header(0xFFFFFFFF, b"RF64", 0),
    }[kind]
    path = tmp_path / "long.wav"
    with path.open("wb") as file:  # a hole: it takes no room
        file.write(header + struct.pack("<2h", 16384, -16384))
        file.truncate(len(header) + size)
    assert duration_of(path) == size / 96000
    with AudioReader(path) as reader:
        np.testing.assert_allclose(next(reader.blocks(1.0))[0, :3], [0.5, -0.5, 0], atol=1e-4)


@pytest.mark.parametrize("form", [b"RIFF", b"RF64"])
def test_headers_that_were_never_finished(tmp_path, form):
    samples = (np.arange(48001) % 2000 * 7).astype("<i2").tobytes()
    header = _wav_header(0 if form == b"RIFF" else 0xFFFFFFFF, form, None if form == b"RIFF" else 0)
    path = tmp_path / "open.wav"
    path.write_bytes(header + samples + b"\x01")  # and half a sample
    waveform = read_audio(path)
    assert waveform.damaged_at is None
    np.testing.assert_allclose(waveform.samples[0] * 32768, np.frombuffer(samples, "<i2"), atol=1e-3)
    # No samples, but another chunk: that is not sound.
    path.write_bytes(header + b"LIST" + struct.pack("<I", 4) + b"INFO")
    with pytest.raises(InputError, match="no samples"):
        read_audio(path)

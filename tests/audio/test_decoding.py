"""Every format, and what is left of damaged ones."""

import logging
import os
import time
import warnings

import numpy as np
import pytest
import soundfile

from britekit.audio.decoding import AudioReader, duration_of, read_audio
from britekit.errors import InputError
from tests.audio.conftest import FFMPEG, LOSSLESS, SOUNDFILE


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
    np.testing.assert_allclose(waveform.samples[:, :-5000], beginning[:, : waveform.samples.shape[1] - 5000], atol=1e-5)


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
    assert f"{bad:g}, which is out of range" in caplog.text
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
    assert lengths["silence_10s.mp3"] == 10.0 and lengths["veryshort.wav"] == 0.14 and lengths["1min.wav"] == 60.0
    assert lengths["20180530_213516-EPTSER-LR_0_0.5.wav"] == 0.5 and len(lengths) == 14


@pytest.mark.parametrize("suffix", ["mp3", "ogg", "flac", "opus", "wav"])
def test_seams_between_blocks_are_not_heard(files, suffix):
    # soundfile's one call for the whole file is the witness: a position set anew restarts an MP3 decoder.
    expected = soundfile.read(files / f"a.{suffix}", dtype="float32")[0]
    for seconds in (0.05, 1.0, 10.0):
        with AudioReader(files / f"a.{suffix}") as reader:
            got = np.concatenate([block[0] for block in reader.blocks(seconds)])
        np.testing.assert_array_equal(got, expected)

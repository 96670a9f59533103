"""Files that are damaged, or that nobody finished: what is before the damage is read, and the second told."""

import struct

import numpy as np
import pytest
import soundfile

from britekit.audio.decoding import AudioReader, duration_of, read_audio
from britekit.errors import InputError


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

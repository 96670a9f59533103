"""The library yt-dlp really asks, through its extractor for plain links, a server on this machine."""

import csv

import pytest
import soundfile

from britekit.audio.decoding import read_audio
from britekit.audio.mp3 import BIT_RATE, write_mp3
from britekit.collect.web import Gone, Refused
from britekit.collect.youtube import _details, check_identifier, video
from britekit.commands import youtube
from britekit.errors import InputError

from .fake_sites import make_audio

ID = "abc-_123XYZ"


@pytest.fixture
def take(site, settings, tmp_path):
    def run(**options):
        return youtube(**({"id": ID, "output_dir": str(tmp_path / "out"), "cfg_path": settings} | options))

    return run


def add_video(site, identifier=ID, seconds=3.0, kind="WAV", rate=44100):
    site.files[f"/watch/{identifier}"] = (make_audio(5, seconds, kind, rate), f"audio/{kind.lower()}")


@pytest.mark.parametrize(
    "text", ["", "short", "abc-_123XYZ0", "abc-_123XY/", "abc-_123XY\n", "abc-_123XYé", "../../../ab", "$(reboot)--"]
)
def test_identifiers_are_checked(take, site, text, tmp_path):
    with pytest.raises(InputError, match="not the identifier of a video"):
        take(id=text)
    assert not site.asked and not (tmp_path / "out").exists()
    assert check_identifier("-bc-_123XY_") == "-bc-_123XY_"


def test_a_track_becomes_mp3(take, site, tmp_path, capsys):
    add_video(site)
    assert take() == 1
    made = read_audio(tmp_path / "out" / f"{ID}.mp3")
    assert made.rate == 32000 and made.seconds == pytest.approx(3.0, abs=0.01) and made.damaged_at is None
    assert soundfile.info(tmp_path / "out" / f"{ID}.mp3").subtype == "MPEG_LAYER_III"
    with open(tmp_path / "out/recordings.csv", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["recording"], row["source"], row["licence"]) == (ID, "YouTube", "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.name[0] != ".") == [
        f"{ID}.mp3", "recordings.csv",
    ]  # fmt: skip
    asked = len(site.asked)
    assert take() == 0 and len(site.asked) == asked, "a present file is not asked for"
    assert capsys.readouterr().out == "fetched = 1\npresent = 0\nfetched = 0\npresent = 1\n"


@pytest.mark.parametrize("rate", [16000, 22050, 44100, 48000])
def test_sampling_rates(take, site, tmp_path, rate):
    add_video(site)
    take(sampling_rate=rate)
    assert read_audio(tmp_path / "out" / f"{ID}.mp3").rate == rate


@pytest.mark.parametrize("rate", [0, -1, 31999, 96000])
def test_rates_that_mp3_lacks(take, site, rate):
    with pytest.raises(InputError, match=f"--sr is {rate}, which MP3 does not support; choose one of 8000, "):
        take(sampling_rate=rate)
    assert not site.asked


def test_a_video_that_is_not_there(take, site, tmp_path):
    with pytest.raises(Gone, match="404"):
        take()
    assert not list((tmp_path / "out").glob("*.mp3")) and not list((tmp_path / "out").glob(".*mp3*"))


@pytest.mark.parametrize("fault", ["503", "429", "403"])
def test_a_site_that_refuses(take, site, tmp_path, fault):
    add_video(site)
    site.faults["/watch"] = [fault] * 20
    with pytest.raises(Refused, match=fault):
        take()
    assert not list((tmp_path / "out").glob("*.mp3"))
    site.faults["/watch"] = []
    assert take() == 1


def test_a_page_without_sound(take, site, tmp_path):
    site.files[f"/watch/{ID}"] = (b"<html><body>nothing</body></html>", "text/html")
    with pytest.raises(InputError, match=ID):
        take()
    assert not list((tmp_path / "out").glob("*.mp3"))


def test_a_track_that_is_no_sound(take, site, tmp_path):
    site.files[f"/watch/{ID}"] = (b"\0" * 50000, "audio/wav")
    with pytest.raises(InputError, match="decoded"):
        take()
    assert not list((tmp_path / "out").glob("*.mp3"))


def test_an_unknown_licence_is_not_a_wanted_one(take, site, tmp_path):
    add_video(site)
    with pytest.raises(InputError, match=r"its licence \(unknown\) is not accepted"):
        take(licences="CC-BY")
    assert not list((tmp_path / "out").glob("*.mp3"))


def test_dry_run(take, site, tmp_path, capsys):
    add_video(site)
    assert take(dry_run=True) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith(f"{ID}.mp3\t\tunknown\t")
    assert not (tmp_path / "out").exists()


def test_what_a_page_tells():
    listed = video("https://www.youtube.com/watch?v=", ID, 32000).details
    info = {
        "uploader": "Ann", "upload_date": "20200131",
        "license": "Creative Commons Attribution license (reuse allowed)",
    }  # fmt: skip
    found = _details(info, listed)
    assert (found.author, found.time, found.licence) == ("Ann", "2020-01-31", "CC-BY")
    assert _details({}, listed).licence == ""


def test_a_part_is_cut_where_it_was_asked_for(tmp_path):
    import numpy as np

    samples = np.zeros((32000 * 6, 3), np.float32)
    samples[32000 * 2 : 32000 * 4, 0] = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(64000) / 32000)
    long = tmp_path / "long.wav"
    soundfile.write(long, samples, 32000)

    def write(start_s, seconds):
        return write_mp3(long, tmp_path / "part.mp3", 32000, None, BIT_RATE, start_s, seconds)

    seconds = write(2.0, 2.0)
    part = read_audio(tmp_path / "part.mp3")
    assert seconds == 2.0 and part.samples.shape[0] == 1 and part.seconds == pytest.approx(2.0, abs=0.05)
    loud = np.sqrt(np.mean(np.square(part.samples[0, 3200:-3200])))
    # the encoder turns everything down a little, against clipping
    assert loud == pytest.approx(0.5 / 3 / np.sqrt(2), rel=0.06), "the mean of the channels"
    with pytest.raises(InputError, match="ends after 6.0 s, before second 7"):
        write(7.0, 1.0)
    assert write(5.0, 10.0) == 1.0

import json
import subprocess
import sys
import time

import pytest

from britekit.collect.resumable_download import check_audio, download
from britekit.collect.web import Limits, Refused, Web, WebError
from britekit.errors import InputError

from .fake_sites import PAGE, make_audio

AUDIO = make_audio(1, seconds=4)


@pytest.fixture
def target(tmp_path, site):
    site.files["/a"] = (AUDIO, "audio/mpeg")
    return tmp_path / "XC1.mp3"


def get(web, site, target, check=check_audio):
    download(web, f"{site.address}/a", target, check)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_comes_whole(web, site, target):
    get(web, site, target)
    assert target.read_bytes() == AUDIO and names(target.parent) == ["XC1.mp3"]
    assert site.asked[0][2]["Accept-Encoding"] == "identity"


def test_a_cut_connection_is_continued_where_it_broke(web, site, target):
    site.faults["/a"] = ["cut", "cut"]
    get(web, site, target)
    assert target.read_bytes() == AUDIO
    starts = [asked[2].get("Range") for asked in site.asked]
    # each cut sends half of what was left
    assert starts == [
        None,
        f"bytes={len(AUDIO) // 2}-",
        f"bytes={len(AUDIO) // 2 + (len(AUDIO) - len(AUDIO) // 2) // 2}-",
    ]
    assert site.asked[1][2]["If-Range"].startswith('"')


def test_tries_that_bring_something_do_not_count_as_failures(web, site, target):
    site.faults["/a"] = ["cut"] * 8
    get(web, site, target)
    assert target.read_bytes() == AUDIO and site.count("/a") == 9


def test_a_file_that_changed_meanwhile_is_fetched_anew(web, site, target):
    site.faults["/a"] = ["cut", "503", "503", "503", "503"]
    with pytest.raises(Refused):
        get(web, site, target)
    assert names(target.parent) == [".XC1.mp3.partial", ".XC1.mp3.partial.json"]
    changed = make_audio(2, seconds=5)
    site.files["/a"] = (changed, "audio/mpeg")
    get(web, site, target)
    assert target.read_bytes() == changed and names(target.parent) == ["XC1.mp3"]


def test_without_a_sign_of_the_version_it_begins_again(web, site, target, monkeypatch):
    site.faults["/a"] = ["cut"]
    note = {"url": f"{site.address}/a", "validator": ""}
    (target.parent / ".XC1.mp3.partial").write_bytes(b"old bytes")
    (target.parent / ".XC1.mp3.partial.json").write_text(json.dumps(note))
    get(web, site, target)
    assert target.read_bytes() == AUDIO and "Range" not in site.asked[0][2]


def test_a_part_of_another_address_is_not_continued(web, site, target):
    note = {"url": f"{site.address}/other", "validator": '"x"'}
    (target.parent / ".XC1.mp3.partial").write_bytes(b"old bytes")
    (target.parent / ".XC1.mp3.partial.json").write_text(json.dumps(note))
    get(web, site, target)
    assert target.read_bytes() == AUDIO and "Range" not in site.asked[0][2]


def test_a_part_that_was_complete_gets_its_name(web, site, target):
    get(web, site, target)
    tag = f'"{hash(AUDIO) & 0xFFFFFFFF:x}"'
    target.rename(target.parent / ".XC1.mp3.partial")
    note = {"url": f"{site.address}/a", "validator": tag}
    (target.parent / ".XC1.mp3.partial.json").write_text(json.dumps(note))
    get(web, site, target)
    assert target.read_bytes() == AUDIO and site.asked[1][2]["Range"] == f"bytes={len(AUDIO)}-"


@pytest.mark.parametrize(
    "fault, said",
    [
        ("html", "returned text/html instead of audio"),
        ("html-as-audio", "cannot be decoded as audio"),
        ("promise-less", "instead of the 4 s listed|damaged"),
        ("empty", "empty file"),
        ("401", "answered 401"),
        ("redirect:ftp://x/y", "not an address"),
    ],
)
def test_what_is_no_recording_never_gets_a_name(web, site, target, fault, said):
    site.faults["/a"] = [fault] * 9
    with pytest.raises(InputError, match=said):
        get(web, site, target, lambda path: check_audio(path, 4.0))
    assert not target.exists()
    assert site.count("/a") == 1
    get_again = [name for name in names(target.parent) if name.endswith(".partial")]
    site.faults["/a"] = []
    get(web, site, target)
    assert target.read_bytes() == AUDIO and len(get_again) <= 1


def test_a_length_that_promises_more_is_never_complete(web, site, target):
    site.tags = False
    site.faults["/a"] = ["promise-more"] * 9
    with pytest.raises(Refused, match="connection was cut"):
        get(web, site, target)
    assert not target.exists()


def test_a_site_that_takes_a_wrong_length_back_is_believed(web, site, target):
    site.faults["/a"] = ["promise-more"]
    get(web, site, target)
    assert target.read_bytes() == AUDIO and site.asked[1][2]["Range"] == f"bytes={len(AUDIO)}-"


def test_a_recording_may_not_be_endless(site, target):
    site.faults["/a"] = ["endless"]
    with Web(Limits(pause_s=0, max_bytes=1 << 20)) as web, pytest.raises(WebError, match="exceeds the limit"):
        get(web, site, target)
    assert not target.exists()
    assert (target.parent / ".XC1.mp3.partial").stat().st_size <= 1 << 20


def test_a_length_beyond_the_limit_is_not_begun(site, target):
    with (
        Web(Limits(pause_s=0, max_bytes=1000)) as web,
        pytest.raises(WebError, match="exceed the limit of 1000|exceeds the limit of 1000"),
    ):
        get(web, site, target)


def test_dripping_ends(site, target):
    site.faults["/a"] = ["drip"] * 99
    start = time.monotonic()
    with Web(Limits(pause_s=0, retry_s=0.01, whole_s=0.6)) as web, pytest.raises(Refused, match="longer than"):
        get(web, site, target)
    assert time.monotonic() - start < 3 and not target.exists()


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG"])
def test_a_damaged_recording_is_told(tmp_path, kind):
    whole = make_audio(1, seconds=4, kind=kind)
    path = tmp_path / "x.mp3"
    path.write_bytes(whole)
    assert check_audio(path) == pytest.approx(4.0, abs=0.01)
    path.write_bytes(whole[: len(whole) * 3 // 4])
    with pytest.raises(InputError, match="damaged at|cannot|decoded"):
        check_audio(path)


def test_what_follows_the_sound_is_no_damage_where_the_length_is_known(tmp_path):
    path = tmp_path / "x.mp3"
    path.write_bytes(AUDIO + b"\x01remarks of a recorder" * 20)
    assert check_audio(path, 4.0) == pytest.approx(4.0, abs=0.1)
    path.write_bytes(AUDIO[: len(AUDIO) * 3 // 4])
    with pytest.raises(InputError):
        check_audio(path, 4.0)


def test_lengths_are_compared_with_tolerance(tmp_path):
    path = tmp_path / "x.mp3"
    path.write_bytes(AUDIO)
    for listed in (None, 1.0, 4.0, 5.5, 100.0, 600.0):
        if listed is not None and listed > 6:
            with pytest.raises(InputError, match=f"instead of the {listed:.0f} s"):
                check_audio(path, listed)
        else:
            check_audio(path, listed)
    path.write_bytes(PAGE)
    with pytest.raises(InputError, match="cannot be decoded as audio"):
        check_audio(path)


CHILD = """
import sys
from pathlib import Path
from britekit.collect.resumable_download import check_audio, download
from britekit.collect.web import Limits, Web
with Web(Limits(pause_s=0)) as web:
    download(web, sys.argv[1], Path(sys.argv[2]), check_audio)
"""


def test_a_killed_download_goes_on(web, site, target):
    """Killed while the second half crawls in: no name, and then only the rest is asked for."""
    site.faults["/a"] = ["cut", "crawl"]
    child = subprocess.Popen([sys.executable, "-c", CHILD, f"{site.address}/a", str(target)])
    until = time.monotonic() + 30
    while time.monotonic() < until and site.count("/a") < 2:
        time.sleep(0.02)
    time.sleep(0.3)
    child.kill()
    child.wait()
    have = (target.parent / ".XC1.mp3.partial").stat().st_size
    assert not target.exists() and len(AUDIO) // 2 <= have < len(AUDIO)
    get(web, site, target)
    assert target.read_bytes() == AUDIO and names(target.parent) == ["XC1.mp3"]
    assert site.asked[2][2]["Range"] == f"bytes={have}-"

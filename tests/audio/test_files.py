"""Which files count as recordings."""

import os

import pytest

from britekit.audio.files import check_stems, find_recordings, shown
from britekit.errors import InputError


@pytest.fixture
def folder(tmp_path):
    for name in (
        "b.wav",
        "a.MP3",
        "._a.MP3",
        ".hidden.wav",
        "notes.txt",
        "sub/c.flac",
        "sub/.cache/d.wav",
        "x.wav/inner.ogg",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "gone.wav").symlink_to("nowhere.wav")
    (tmp_path / "sub/folder.wav").symlink_to(tmp_path / "sub")
    return tmp_path


def test_lists_sorted_regular_visible_audio_files(folder):
    assert [p.name for p in find_recordings(folder)] == ["a.MP3", "b.wav", "gone.wav"]
    deep = [str(p.relative_to(folder)) for p in find_recordings(folder, recursive=True)]
    assert deep == ["a.MP3", "b.wav", "gone.wav", "sub/c.flac", "x.wav/inner.ogg"]


def test_a_file_is_taken_as_given(folder):
    assert find_recordings(folder / "notes.txt") == [folder / "notes.txt"]


def test_what_cannot_be_listed(folder, tmp_path_factory):
    with pytest.raises(InputError, match=r"nowhere does not exist"):
        find_recordings(folder / "nowhere")
    with pytest.raises(InputError, match="neither a file nor a directory"):
        find_recordings(folder / "pipe.wav")
    with pytest.raises(InputError, match="--recursive"):
        find_recordings(tmp_path_factory.mktemp("empty"))


def test_equal_stems_in_one_folder(tmp_path):
    check_stems([tmp_path / "a.wav", tmp_path / "sub" / "a.wav", tmp_path / "b.mp3", tmp_path / "b.mp3"])
    with pytest.raises(InputError, match=r"a\.wav and a\.mp3"):
        check_stems([tmp_path / "a.wav", tmp_path / "a.mp3"])


def test_shown_is_one_printable_line():
    assert shown("a b'\"é鸟.wav") == "a b'\"é鸟.wav"
    assert shown("a\nb\t\x1b[31m.wav") == "a\\nb\\t\\x1b[31m.wav"
    assert shown(os.fsdecode(b"\xff.wav")).isprintable()

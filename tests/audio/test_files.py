"""Which files count as recordings."""

import os

import pytest

from britekit.audio.files import find_recordings, same_named, shown
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


@pytest.fixture
def deployment(tmp_path):
    """Cards gathered by links: two sites outside, one of them twice, a loop, and files beside them."""
    for name in ("store/siteA/a.wav", "store/siteB/deep/b.wav", "all/here/own.wav", "other/loose.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
    everything = tmp_path / "all"
    for name, target in {
        "siteA": "../store/siteA", "again": "../store/siteA", "siteB": "../store/siteB", "loop": "../all",
        "here/up": "..", "outside.wav": "../other/loose.wav", "copy.wav": "here/own.wav",
        "lost": "../gone", "lost.wav": "../gone.wav", ".hidden": "../store/siteB",
    }.items():  # fmt: skip
        (everything / name).symlink_to(target)
    (tmp_path / "store/siteB/back").symlink_to("..")
    return everything


def test_linked_folders_are_followed_once(deployment, caplog):
    found = [str(path.relative_to(deployment)) for path in find_recordings(deployment, recursive=True)]
    # The loops end; "again" is siteA under the first of its names; links to nothing are named.
    assert found == ["again/a.wav", "here/own.wav", "lost.wav", "outside.wav", "siteB/deep/b.wav"]
    assert "lost is a dangling link" in caplog.text
    assert "copy.wav is a link to" in caplog.text and "own.wav, which is already included" in caplog.text


def test_a_folder_of_the_tree_keeps_its_path_where_a_link_comes_first(tmp_path):
    (tmp_path / "z/deep").mkdir(parents=True)
    (tmp_path / "z/deep/x.wav").write_bytes(b"1")
    (tmp_path / "a").symlink_to("z")
    (tmp_path / "z/b").symlink_to("deep")
    assert find_recordings(tmp_path, recursive=True) == [tmp_path / "z/deep/x.wav"]


def test_a_link_given_by_name_is_listed_under_that_name(deployment):
    found = find_recordings(deployment / "siteB", recursive=True)
    assert deployment / "siteB/deep/b.wav" in found and len(found) == 2  # and a.wav, by the link back


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
    assert not same_named([tmp_path / "a.wav", tmp_path / "sub" / "a.wav", tmp_path / "b.mp3", tmp_path / "b.mp3"])
    pair = [tmp_path / "a.wav", tmp_path / "a.mp3"]
    found = same_named([*pair, tmp_path / "A.wav", tmp_path / "b.wav"])
    assert list(found) == pair
    assert found[pair[0]].startswith("a.mp3 beside it") and found[pair[1]].startswith("a.wav beside it")
    assert not same_named(pair, with_extension=True)


@pytest.mark.parametrize("other", ["a\u0308.wav", "\u00e4 .wav", " \u00e4.wav", "\u00e4.mp3"])
def test_names_that_no_table_can_tell_apart(tmp_path, other):
    pair = [tmp_path / "\u00e4.wav", tmp_path / other]
    assert list(same_named(pair)) == pair


def test_shown_is_one_printable_line():
    assert shown("a b'\"é鸟.wav") == "a b'\"é鸟.wav"
    assert shown("a\nb\t\x1b[31m.wav") == "a\\nb\\t\\x1b[31m.wav"
    assert shown(os.fsdecode(b"\xff.wav")).isprintable()

"""The split unlabelled: where recordings go, what is refused, and that nothing else changes."""

import hashlib
import shutil
from pathlib import Path

import pytest

from britekit.collect.recordings_table import read_recordings_table
from britekit.commands.collect import collect
from britekit.errors import InputError

from .conftest import make_recording

ROW = "*,folder,nights,,unlabelled"
TEST = "Bee,folder,field,,test"


def content(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def nights(project):
    """An archive with two recordings of one name in two folders, and one at the top."""
    for number, name in enumerate(("pond/0500", "wood/0500", "0600")):
        make_recording(project / f"nights/{name}.wav", 2.0, seed=40 + number)
    return project


def test_recordings_of_all_folders_come_under_names_of_their_own(nights, sources, capsys):
    (nights / "nights/pond/annotations.csv").write_text("recording,class,start_time,end_time\n0500,Bee,0,1\n")
    (nights / "nights/recordings.csv").write_text("recording,group,licence\n0600,hill,CC0\n")
    sources(ROW)
    assert collect() == 4 + 3
    assert "unlabeled recordings = 3" in capsys.readouterr().out
    names = {"0600.wav": "0600", "pond_0500.wav": "pond/0500", "wood_0500.wav": "wood/0500"}
    assert {path.name for path in Path("data/unlabelled").iterdir()} == {*names, "recordings.csv"}
    for name, original in names.items():
        assert Path("data/unlabelled", name).read_bytes() == (nights / f"nights/{original}.wav").read_bytes()
    rows = {row.recording: (row.class_name, row.details.group, row.details.licence)
            for row in read_recordings_table(Path("data/unlabelled/recordings.csv"))}  # fmt: skip
    assert rows == {"0600": ("", "hill", "CC0"), "pond_0500": ("", "", ""), "wood_0500": ("", "", "")}


def test_training_and_test_recordings_are_the_same_with_and_without(nights, sources):
    make_recording(nights / "field/T.wav", 2.0, seed=8)
    sources(TEST)
    collect()
    before = {name: content(f"data/{name}") for name in ("recordings", "test")}
    assert content("data/unlabelled").keys() == {"recordings.csv"}
    for name in ("recordings", "test", "unlabelled"):
        shutil.rmtree(f"data/{name}")
    sources(TEST, ROW)
    collect()
    assert {name: content(f"data/{name}") for name in ("recordings", "test")} == before


def test_what_is_tested_or_of_its_group_is_refused_by_name_and_by_content(nights, sources, caplog):
    make_recording(nights / "field/0600.wav", 2.0, seed=5)
    make_recording(nights / "field/S1_dusk.wav", 2.0, seed=6)
    make_recording(nights / "nights/S1_dawn.wav", 2.0, seed=7)
    make_recording(nights / "field/T.wav", 2.0, seed=8)
    shutil.copyfile(nights / "field/T.wav", nights / "nights/renamed.wav")
    (nights / "params.yaml").write_text('misc: {group_regex: "(S[0-9])_"}\n')
    sources(TEST, ROW)
    collect()
    assert content("data/unlabelled").keys() == {"pond_0500.wav", "wood_0500.wav", "recordings.csv"}
    text = "\n".join(caplog.messages)
    assert "1 unlabeled recordings are refused, each is a test recording: 0600.wav" in text
    assert "each is of the group S1 of a test recording: S1_dawn.wav" in text
    assert "each is the test recording T.wav: renamed.wav" in text
    # The group may also be stated, and the test may lie there from an earlier run.
    sources(ROW)
    (nights / "nights/recordings.csv").write_text("recording,group\n0600,S1\n")
    shutil.rmtree("data/unlabelled")
    collect()
    assert content("data/unlabelled").keys() == {"pond_0500.wav", "wood_0500.wav", "recordings.csv"}


def test_rows_that_give_nothing_are_an_error_and_nothing_is_written(nights, sources):
    for path in (nights / "nights").rglob("*.wav"):
        target = nights / "field" / f"{path.parent.name}_{path.name}"
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, target)
    sources(TEST, ROW)
    with pytest.raises(InputError, match="give no recording .all of them are test recordings or of their groups"):
        collect()
    assert not Path("data/unlabelled").exists()
    (nights / "empty").mkdir()
    sources(TEST, "*,folder,empty,,unlabelled")
    with pytest.raises(InputError, match="row 5: .*empty contains no recordings"):
        collect()
    sources("*,folder,absent,,unlabelled")
    with pytest.raises(InputError, match="absent does not exist"):
        collect()


def test_unlabelled_recordings_have_no_class(nights, sources):
    sources("Bee,folder,nights,,unlabelled")
    with pytest.raises(InputError, match=r'have no class; write "\*" in place of "Bee"'):
        collect()


def test_a_folder_inside_another_is_refused(nights, sources):
    (nights / "params.yaml").write_text("pipeline: {test_annotations: data/unlabelled/annotations.csv}\n")
    sources(ROW)
    with pytest.raises(InputError, match="unlabeled recordings would go to data/unlabelled and test recordings"):
        collect()

"""`extract` as the stage runs it."""

from pathlib import Path

import pytest

from britekit import commands
from britekit.errors import InputError
from tests.datasets.conftest import write_recording

SETTINGS = """
audio: {spec_duration: 1.0, spec_height: 32, spec_width: 32, sampling_rate: 8000, max_freq: 3600,
        win_length: 0.03}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(SETTINGS)
    for number, name in enumerate(["Robin", "Wren"]):
        write_recording(Path(f"data/recordings/{name}/{number}.wav"), 3.0, seed=number)
    Path("data/classes.csv").write_text("Name,Code\nRobin,ROB\nWren,WREN\n")
    return tmp_path


def test_defaults_are_the_stage(project, capsys):
    assert commands.extract() == 6
    assert capsys.readouterr().out.splitlines() == ["Robin = 3", "Wren = 3", "recordings = 2", "spectrograms = 6"]
    assert Path("data/training.db").is_file()


def test_curation_is_read_if_it_is_there(project):
    Path("data/curation.csv").write_text("recording,offset,class,decision,new_class\n0,1,Robin,drop,\n")
    assert commands.extract() == 5
    with pytest.raises(InputError, match=r"other\.csv does not exist"):
        commands.extract(curation_path="other.csv")


def test_bad_recording_fails_the_command_after_writing(project):
    Path("data/recordings/Wren/bad.wav").write_bytes(b"?")
    with pytest.raises(InputError, match=r"1 of 3 recordings could not be read .*bad\.wav"):
        commands.extract(db_path="other.db")
    assert Path("other.db").is_file()


def test_missing_inputs(project):
    with pytest.raises(InputError, match="gone is not a directory"):
        commands.extract(dir_path="gone")
    with pytest.raises(InputError, match=r"gone\.csv does not exist"):
        commands.extract(classes_path="gone.csv")
    assert not Path("data/training.db").exists()

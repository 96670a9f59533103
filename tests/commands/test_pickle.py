"""`pickle` on a database."""

from pathlib import Path

import pytest

from britekit import commands
from britekit.datasets.training_set import read_training_set
from britekit.errors import DatabaseError, InputError
from tests.commands.test_extract import SETTINGS
from tests.datasets.conftest import write_recording


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(SETTINGS)
    for number, name in enumerate(["Wren", "Robin"]):
        write_recording(Path(f"{name}/{number}.wav"), 3.0, seed=number)
        commands.extract_all(class_name=name, class_code=name[:3], dir_path=name)
    return tmp_path


def test_counts_and_default_output(project, capsys):
    capsys.readouterr()
    assert commands.pickle() == 6
    assert capsys.readouterr().out.splitlines() == ["Robin = 3", "Wren = 3", "spectrograms = 6"]
    found = read_training_set("data/training.pkl")
    assert found.images.shape == (6, 32, 32) and found.audio["max_freq"] == 3600


def test_class_list_root_and_maximum(project):
    Path("classes.csv").write_text("Name\nWren\n")
    assert commands.pickle(classes_path="classes.csv", root_dir="other", max_per_class=2) == 2
    found = read_training_set("other/data/training.pkl")
    assert [(info.name, info.code) for info in found.classes] == [("Wren", "Wre")]


def test_settings_of_another_size(project):
    Path("cfg.yaml").write_text("audio: {spec_width: 64}\n")
    with pytest.raises(DatabaseError, match="32 × 64: it holds 1024 bytes, expected 2048"):
        commands.pickle(cfg_path="cfg.yaml")
    assert not Path("data/training.pkl").exists()


def test_missing_database(project):
    with pytest.raises(DatabaseError, match=r"gone\.db does not exist"):
        commands.pickle(db_path="gone.db")


def test_the_database_is_not_overwritten(project):
    before = Path("data/training.db").read_bytes()
    with pytest.raises(InputError, match="is read here, so it is not overwritten"):
        commands.pickle(output_path="data/training.db")
    with pytest.raises(InputError, match="is read here"):
        commands.attribution(db_path="data/training.db", output_path="data/training.db")
    assert Path("data/training.db").read_bytes() == before

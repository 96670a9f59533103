"""A database that the pipeline builds is recognized by dvc.lock."""

import pytest

from britekit.database.tracked import is_pipeline_output, refuse_new_recordings
from britekit.errors import DatabaseError, InputError

LOCK = """
schema: '2.0'
stages:
  extract:
    cmd: python -m britekit extract
    deps:
    - path: data/other.db
    outs:
    - path: data/training.db
      hash: md5
      md5: aa
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "dvc.lock").write_text(LOCK)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_only_the_out_itself(project, monkeypatch):
    assert is_pipeline_output("data/training.db")
    assert is_pipeline_output(project / "data" / "training.db")
    assert not is_pipeline_output("data/other.db")
    assert not is_pipeline_output("training.db")
    assert not is_pipeline_output("postgresql://host/training.db")
    monkeypatch.chdir(project / "data")
    assert is_pipeline_output("training.db")


def test_message_names_the_ways_out(project):
    with pytest.raises(DatabaseError, match="data/sources.csv.* -d.* --force"):
        refuse_new_recordings("data/training.db", "extract-all")
    refuse_new_recordings("data/other.db", "extract-all")


def test_without_or_with_a_damaged_lock(project):
    (project / "dvc.lock").write_text("stages: [")
    with pytest.raises(InputError, match=r"dvc\.lock cannot be read"):
        is_pipeline_output("data/training.db")
    (project / "dvc.lock").write_text("")
    assert not is_pipeline_output("data/training.db")
    (project / "dvc.lock").unlink()
    assert not is_pipeline_output("data/training.db")

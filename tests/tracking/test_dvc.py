"""DVC called as a program."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from britekit import commands
from britekit.errors import InputError
from britekit.project.layout import lay_out


def test_refresh_brings_in_a_new_clip_that_dvc_does_not_see(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with pytest.raises(InputError, match="is not a project with a pipeline"):
        commands.collect(refresh=True)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    lay_out(tmp_path)
    soundfile.write(tmp_path / "b.wav", np.full(8000, 0.1), 8000)
    (tmp_path / "clips").mkdir()
    soundfile.write(tmp_path / "clips/a.wav", np.full(8000, 0.2), 8000)
    (tmp_path / "data/classes.csv").write_text("Name,Code\nOwl,OWL\n")
    (tmp_path / "data/sources.csv").write_text("class,source,query,limit,split\nOwl,folder,clips,,train\n")
    dvc = [sys.executable, "-m", "dvc"]
    commands.collect(refresh=True)  # the first time
    (tmp_path / "b.wav").rename(tmp_path / "clips/b.wav")
    assert "collect" not in subprocess.run([*dvc, "status", "collect"], capture_output=True, text=True).stdout
    commands.collect(refresh=True)
    assert sorted(path.name for path in (tmp_path / "data/recordings/Owl").iterdir()) == ["a.wav", "b.wav"]
    with pytest.raises(InputError, match="omit the other options"):
        commands.collect(refresh=True, jobs=2)

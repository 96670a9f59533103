"""A killed run goes on where it stopped, and ends with the same bytes as an uninterrupted one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from britekit.config import to_dict
from britekit.training import resume
from britekit.training.resume import run_key
from britekit.training.trainer import train

SCRIPT = """
import os, signal, sys, torch
torch.set_num_threads(1)
from britekit.config import from_dict
from britekit.training import resume
from britekit.training.trainer import train
import yaml
resume.SAVE_EVERY_S = 0.0
cfg = from_dict(yaml.safe_load(open("settings.yaml")))
def kill(row):
    if row["epoch"] == 2 and row["step"] % 3 == 1:
        os.kill(os.getpid(), signal.SIGKILL)
train(cfg, seed=5, publish="killed.ckpt", resume=True, on_step=kill if sys.argv[1] == "kill" else None)
"""


@pytest.fixture
def settings(project, cfg):
    import yaml

    cfg.train.num_epochs, cfg.train.val_portion, cfg.train.drop_rate = 4, 0.25, 0.2
    (project / "settings.yaml").write_text(yaml.safe_dump(to_dict(cfg)))
    return cfg


def start(*arguments):
    root = Path(__file__).resolve().parents[2]
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_a_run_killed_inside_an_epoch_ends_with_the_same_bytes(project, settings):
    killed = start("kill")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (project / "killed.ckpt").exists()
    assert len(list((project / "logs/resume").glob("*/state.pt"))) == 1
    again = start("go on")
    assert again.returncode == 0, again.stderr
    assert "continuing a half-finished run at epoch 3 of 4" in again.stderr
    assert not list((project / "logs/resume").iterdir())  # finished runs are forgotten
    whole = train(settings, seed=5, publish="whole.ckpt")
    assert (project / "killed.ckpt").read_bytes() == (project / "whole.ckpt").read_bytes()
    assert len(whole.epochs) == 4
    # The continued run went on in its own log folder, and its curves have each step once.
    events = EventAccumulator(str(next((project / "logs/version_0").glob("seed-*")))).Reload()
    assert [e.step for e in events.Scalars("loss")] == list(range(whole.epochs[-1]["step"]))
    assert [e.value for e in events.Scalars("epoch")] == [0, 1, 2, 3]
    assert sorted(p.name for p in (project / "logs").glob("version_*")) == ["version_0", "version_1"]


def test_the_figures_of_earlier_epochs_are_kept(project, settings, monkeypatch):
    monkeypatch.setattr(resume, "SAVE_EVERY_S", 0.0)

    class Stop(Exception):
        pass

    def stop(row):
        if row["epoch"] == 1:
            raise Stop

    with pytest.raises(Stop):
        train(settings, seed=5, resume=True, on_epoch=stop)
    steps = []
    result = train(settings, seed=5, resume=True, on_step=steps.append)
    assert result.resumed_from_epoch == 2
    assert [e["epoch"] for e in result.epochs] == [0, 1, 2, 3]
    assert steps[0]["epoch"] == 2
    plain = train(settings, seed=5)
    for ours, theirs in zip(result.epochs, plain.epochs, strict=True):
        assert ours["loss"] == theirs["loss"] and ours["val_roc"] == theirs["val_roc"]


def test_a_damaged_state_starts_again(project, settings, monkeypatch, caplog):
    monkeypatch.setattr(resume, "SAVE_EVERY_S", 0.0)
    key = run_key({**to_dict(settings), "train": {**to_dict(settings)["train"], "seed": 5}}, 5, "cpu")
    folder = project / "logs/resume" / key
    folder.mkdir(parents=True)
    (folder / "state.pt").write_bytes(b"half")
    result = train(settings, seed=5, resume=True)
    assert "starts again" in caplog.text
    assert result.resumed_from_epoch is None and not folder.exists()


def test_the_key_follows_data_settings_and_seed(project, settings):
    base = to_dict(settings)
    key = run_key(base, 1, "cpu")
    assert run_key(base, 1, "cpu") == key
    assert run_key(base, 2, "cpu") != key
    changed = to_dict(settings)
    changed["train"]["learning_rate"] = 0.5
    assert run_key(changed, 1, "cpu") != key
    same = to_dict(settings)
    same["train"]["num_workers"] = 9
    same["infer"]["min_score"] = 0.1
    assert run_key(same, 1, "cpu") == key
    with open(project / "data/training.pkl", "ab") as file:
        file.write(b" ")
    assert run_key(base, 1, "cpu") != key


def test_states_are_not_written_more_often_than_they_are_worth(tmp_path, monkeypatch):
    state = resume.ResumeState(tmp_path, "key")
    state.save({"a": 1})
    assert not state.path.exists()
    monkeypatch.setattr(time, "monotonic", lambda: 1e9)
    state.save({"a": 1})
    assert state.load() == {"a": 1}
    state.remove()
    assert state.load() is None

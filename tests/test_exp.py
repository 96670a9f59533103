"""`britekit exp`: DVC runs the experiment, `compare` says what came of it, and an empty repository is refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from britekit.commands import exp, init
from britekit.config import BaseConfig, to_dict
from britekit.errors import InputError
from britekit.evaluation.compare import CELLS_NAME
from tests.tracking.offline_runs import read_runs
from tests.tracking.wandb_server import KEY, wandb_server

ROOT = Path(__file__).parent.parent
CELLS = f"results/test/{CELLS_NAME}"
# Stands for the whole pipeline: its scores follow the truth as closely as params.yaml says.
STAGE = f"""
import sys, yaml, dataclasses, numpy as np
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from britekit.evaluation.compare import Cells
skill = yaml.safe_load(open("params.yaml"))["skill"]
truth = np.random.default_rng(99).random((240, 3)) < 0.3
scores = (1 / (1 + np.exp(-(skill * truth + np.random.default_rng(1).normal(size=truth.shape))))).astype(np.float32)
names = np.repeat([f"rec{{k:02}}" for k in range(12)], 20)
rows = np.array([f"{{name}}-{{k % 20}}" for k, name in enumerate(names)])
cells = Cells(rows, names, np.array(["A", "B", "C"]), truth, scores, scores >= 0.7, "segment", 0.7)
Path("results/test").mkdir(parents=True, exist_ok=True)
with open({CELLS!r}, "wb") as file:
    np.savez_compressed(file, **{{f.name: getattr(cells, f.name) for f in dataclasses.fields(cells)}})
"""


def git(*arguments):
    subprocess.run(["git", "-c", "user.name=A", "-c", "user.email=a@b", *arguments], check=True, capture_output=True)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A DVC project with one quick stage in place of all."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_NO_ANALYTICS", "true")
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "a@b")
    git("init", "-q")
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], check=True)
    Path("make.py").write_text(STAGE)
    Path("params.yaml").write_text("skill: 1.0\n")
    stage = {"cmd": f"{sys.executable} make.py", "deps": ["make.py"], "params": ["skill"], "outs": [CELLS]}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {"test": stage}}))
    return tmp_path


def test_a_trial_of_a_sweep(project, tmp_path, monkeypatch):
    """W&B's own agent turns sweep.yaml into a command; `exp` takes its arguments and reports to the run it names."""
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    sweep = yaml.safe_load((ROOT / "sweep.yaml").read_text(encoding="utf-8"))
    settings = {f"{section}.{name}" for section, names in to_dict(BaseConfig()).items() for name in names}
    assert sweep["parameters"].keys() <= settings
    drawn = {name: {"value": 0.001} for name in sweep["parameters"]}
    parts = create_sweep_command_args({"args": drawn}) | {"env": ["/usr/bin/env"]}
    words = []
    for word in create_sweep_command(sweep["command"]):
        words += parts[word[2:-1]] if word.startswith("${") else [word]
    assert words[:5] == ["/usr/bin/env", "python", "-m", "britekit", "exp"]
    assert words[5:] == [f"{name}=0.001" for name in sweep["parameters"]]

    # The pipeline reads "skill"; the sweep's own run is the agent's, and DVC hears nothing of it.
    repro()
    git("add", ".")
    git("commit", "-qm", "first")
    stage = yaml.safe_load(Path("dvc.yaml").read_text())
    stage["stages"]["test"]["cmd"] += " && env > seen"
    Path("dvc.yaml").write_text(yaml.safe_dump(stage))
    Path("metrics").mkdir()
    Path("metrics/test.json").write_text('{"macro_pr": 0.75}')
    for name, value in (("WANDB_SWEEP_ID", "me/birds/abc"), ("WANDB_RUN_ID", "r1"), ("WANDB_MODE", "offline")):
        monkeypatch.setenv(name, value)
    exp(["skill=2"])
    (run,) = read_runs(tmp_path)
    assert (run.path.stem, run.group, run.job_type) == ("run-r1", "sweep-abc-r1", "exp")
    assert run.summary["macro_pr"] == 0.75 and run.exit_code == 0
    seen = Path("seen").read_text().splitlines()
    assert "WANDB_RUN_GROUP=sweep-abc-r1" in seen and not [
        x for x in seen if x.startswith(("WANDB_RUN_ID", "WANDB_SW"))
    ]


@pytest.mark.soak
def test_the_agent_of_wandb_runs_a_trial(project, tmp_path):
    """The public agent asks a server for a trial of sweep.yaml, and the figures arrive in the run that it named."""
    repro()
    git("add", ".")
    git("commit", "-qm", "first")
    Path("metrics").mkdir()
    Path("metrics/test.json").write_text('{"macro_pr": 0.75}')
    with wandb_server() as server:
        server.sweep = yaml.safe_load((ROOT / "sweep.yaml").read_text(encoding="utf-8"))
        server.commands = [{"type": "run", "run_id": "r1", "program": "britekit", "args": {"skill": {"value": 2}}}]
        environment = {
            **os.environ, "WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY, "HOME": str(tmp_path),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        command = [sys.executable, "-m", "wandb", "agent", "--count", "1", "team/birds/abc"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        run = server.runs["r1"]
        assert (run.group, run.job_type, run.exit_codes) == ("sweep-abc-r1", "exp", [0])
        assert run.summary["macro_pr"] == 0.75 and server.unknown == []
    assert yaml.safe_load(Path("params.yaml").read_text()) == {"skill": 2}


def repro():
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q"], check=True)


def test_an_experiment_ends_with_the_comparison(project, capfd):
    repro()
    git("add", ".")
    git("commit", "-qm", "One")
    verdict = exp(["skill=3.0"])
    assert verdict.startswith("B is better than A: macro PR-AUC +0.")
    assert f"verdict = {verdict}" in capfd.readouterr().out
    assert yaml.safe_load(Path("params.yaml").read_text()) == {"skill": 3.0}


def test_without_a_result_in_the_last_commit_the_experiment_is_kept(project):
    git("add", ".")
    git("commit", "-qm", "Nothing was run yet")
    with pytest.raises(InputError, match="the experiment is done, but there is nothing to compare it with: .* of HEAD"):
        exp(["skill=3.0"])
    assert Path(CELLS).is_file()


def test_a_stage_that_fails(project):
    Path("make.py").write_text("raise SystemExit(3)")
    git("add", ".")
    git("commit", "-qm", "Broken")
    with pytest.raises(InputError, match="the experiment failed; see the lines above"):
        exp(["skill=3.0"])


def test_an_empty_repository_is_refused_with_what_to_type(tmp_path, monkeypatch):
    """DVC itself ends with "unexpected error - Empty git repo"."""
    monkeypatch.chdir(tmp_path)
    init(".")
    with pytest.raises(InputError, match=r'has no commit yet.*git add \. && git commit -m "Begin"'):
        exp(["train.num_epochs=2"])


@pytest.mark.parametrize("text", ["train.num_epochs", "=3", ""])
def test_what_sets_nothing(project, text):
    with pytest.raises(InputError, match="expected NAME=VALUE"):
        exp([text])

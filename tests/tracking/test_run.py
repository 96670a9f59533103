"""W&B runs of stages: offline without an account, readable afterwards, and never at the cost of a result."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tracking.offline_runs import read_runs
from tests.tracking.wandb_server import KEY, wandb_server

pytestmark = pytest.mark.xdist_group("wandb")

SCRIPT = """
import sys
from britekit.config import resolve
from britekit.tracking.run import stage_run
with stage_run("train", resolve(overrides={"train.seed": 1}), {"data/in.txt": "pickle", "gone": "table"}) as run:
    for step in range(3):
        run.log({"loss": 1.0 / (step + 1)}, step=step)
    run.table("classes", ["class", "pr"], [["A", 0.5]])
    run.summary({"macro_pr": 0.25})
    print("active", run.active)
print("result")
"""


def run_stage(folder: Path, script: str = SCRIPT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script as DVC would, without anything of the developer's own W&B settings."""
    (folder / "dvc.yaml").write_text("stages: {}\n")
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data/in.txt").write_text("x")
    env = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "DVC_STAGE": "train@1",
        "DVC_EXP_NAME": "brave-owl",
        **environment,
    }
    return subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=env, capture_output=True, text=True, timeout=120
    )


def test_offline_without_account(tmp_path: Path) -> None:
    done = run_stage(tmp_path)
    assert done.stdout.split() == ["active", "True", "result"]
    assert done.stderr == ""
    (run,) = read_runs(tmp_path)
    assert (run.group, run.job_type, run.name, run.exit_code) == ("brave-owl", "train", "train@1", 0)
    assert run.curve("loss") == [1.0, 0.5, pytest.approx(1 / 3)]
    assert run.summary["macro_pr"] == 0.25
    assert run.config["train"]["model_type"] == "effnet.2"
    # MD5 of the single letter x
    assert run.config["provenance"]["inputs"] == {"data/in.txt": "9dd4e461268c8034f5c8564e155c67a6"}
    assert run.config["provenance"]["inputs_without_hash"] == ["gone"]
    assert run.used == {"data-in.txt": ("pickle", "dvc://files/md5/9d/d4e461268c8034f5c8564e155c67a6")}
    assert any("classes" in name for name in run.files)
    assert run.tags == ["seed-1"] and run.statistics, "of the processor and its memory"
    assert not list((tmp_path / "wandb").rglob("open/*.json"))


@pytest.mark.parametrize("environment", [{"WANDB_MODE": "disabled"}, {"DVC_STAGE": ""}])
def test_without_tracking_nothing_is_loaded_or_written(tmp_path: Path, environment: dict[str, str]) -> None:
    script = SCRIPT.replace('print("result")', 'print("result", "wandb" in sys.modules, "dvc" in sys.modules)')
    script = script.replace('print("active"', 'run.output("data/in.txt", "member"); print("active"')
    done = run_stage(tmp_path, script, **environment)
    assert done.stdout.split() == ["active", "False", "result", "False", "False"]
    assert not (tmp_path / "wandb").exists()


KILLED = """
import os, sys, time
from pathlib import Path
from britekit.config import resolve
from britekit.tracking.run import stage_run
with stage_run("train", resolve(overrides={"train.seed": 1}), {"data/in.txt": "pickle"}, continues=True) as run:
    for step in range(2):
        run.log({"loss": 1.0 / (step + 1)}, step=step)
    if sys.argv[1:] == ["kill"]:
        Path("here").touch()
        time.sleep(60)
    run.log({"loss": 0.25}, step=2)
    Path("data/made").mkdir(exist_ok=True)
    Path("data/made/a").write_text("a")
    run.output("data/made", "member")
"""


def test_an_interrupted_run_offline(tmp_path: Path) -> None:
    """The second run joins the group of the first and names it, a third one after the end does not."""
    script = KILLED.replace('sys.argv[1:] == ["kill"]', 'os.environ.get("HOW") == "kill"')
    script = script.replace("time.sleep(60)", "sys.exit(3)")
    assert run_stage(tmp_path, script, HOW="kill").returncode == 3
    script += "    run.output('data', 'recordings')\n"
    for group in ("another", "third"):
        done = run_stage(tmp_path, script, DVC_EXP_NAME=group)
        assert done.returncode == 0, done.stderr
        assert re.findall(r"(\S+) is not in W&B's graph of artifacts", done.stderr) == ["data/made"], "once per run"
    first, second, third = sorted(read_runs(tmp_path), key=lambda run: run.path.stat().st_mtime)
    assert first.exit_code == 1 and first.tags == ["seed-1"]
    identity = first.path.stem.removeprefix("run-")
    assert (second.group, second.tags) == ("brave-owl", ["seed-1", f"resume_of:{identity}"])
    assert (third.group, third.tags) == ("third", ["seed-1"])
    assert second.made == {}, "without a DVC project nothing hashes a folder"


@pytest.mark.soak
def test_an_interrupted_run_online_is_one_run(tmp_path: Path) -> None:
    """A run is killed, continues under its id, and is an edge of the graph; the key is nowhere to be read."""
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=tmp_path, check=True)
    remote = ["git", "remote", "add", "origin", "https://me:hunter2@127.0.0.1/birds.git"]
    subprocess.run(remote, cwd=tmp_path, check=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/in.txt").write_text("x")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    with wandb_server() as server:
        env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "DVC_STAGE": "train@1", "WANDB_API_KEY": KEY}
        env |= {"PYTHONPATH": str(Path(__file__).parents[2]), "WANDB_BASE_URL": server.url, "DVC_EXP_NAME": "owl"}
        first = subprocess.Popen(
            [sys.executable, "-c", KILLED, "kill"], cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True
        )
        for _ in range(600):
            if [run for run in server.runs.values() if run.history]:
                break
            time.sleep(0.1)
        assert (tmp_path / "here").exists() and first.poll() is None
        first.kill()
        _, said = first.communicate()
        done = subprocess.run([sys.executable, "-c", KILLED], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert server.unknown == [] and server.keys == {KEY}
        (run,) = server.runs.values()
        assert [row["loss"] for row in run.history] == [1.0, 0.5, 0.25]
        assert (run.group, run.job_type, run.tags, run.exit_codes) == ("owl", "train", ["seed-1"], [0])
        assert run.events, "statistics of the system"
        assert server.edges() == {("data-in.txt", "train@1", "data-made")}
        again = subprocess.run([sys.executable, "-c", KILLED], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert again.returncode == 0 and len(server.runs) == 2, "that one had ended"
        assert len(server.artifacts) == 2, "of the same bytes, hence the same version"
    subprocess.run([sys.executable, "-m", "dvc", "add", "-q", "data/made"], cwd=tmp_path, check=True)
    (hashed,) = re.findall(r"md5: (\w+\.dir)", (tmp_path / "data/made.dvc").read_text())
    (entry,) = next(a["manifest"]["contents"] for a in server.artifacts.values() if a["name"] == "data-made").values()
    assert entry["ref"] == f"dvc://files/md5/{hashed[:2]}/{hashed[2:]}"
    written = [path for path in (tmp_path / "wandb").rglob("*") if path.is_file()]
    assert KEY not in said + done.stdout + done.stderr
    for secret in (KEY.encode(), b"hunter2"):
        assert written and not [path for path in written if secret in path.read_bytes()]
    assert "hunter2" not in str([run.config for run in server.runs.values()])


@pytest.mark.soak
def test_offline_runs_are_linked_once_they_are_uploaded(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    script = SCRIPT.replace('print("active"', 'run.output("params.yaml", "member"); print("active"')
    (tmp_path / "params.yaml").write_text("{}\n")
    assert run_stage(tmp_path, script).returncode == 0
    with wandb_server() as server:
        env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "WANDB_API_KEY": KEY, "WANDB_BASE_URL": server.url}
        (folder,) = (tmp_path / "wandb").glob("offline-run-*")
        command = [sys.executable, "-m", "wandb", "sync", str(folder)]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        (run,) = server.runs.values()
        assert [row["loss"] for row in run.history][:2] == [1.0, 0.5]
        assert ("data-in.txt", "train@1", "params.yaml") in server.edges()


def test_unreachable_server_costs_no_result_and_no_wait(tmp_path: Path) -> None:
    start = time.monotonic()
    key = "0123456789abcdef" * 2 + "01234567"
    done = run_stage(tmp_path, WANDB_API_KEY=key, WANDB_BASE_URL="http://127.0.0.1:9")
    assert done.stdout.split() == ["active", "True", "result"]
    assert "cannot be reached" in done.stderr
    assert key not in done.stdout + done.stderr
    assert len(read_runs(tmp_path)) == 1
    assert time.monotonic() - start < 40


def test_runs_of_a_temporary_experiment_survive_it(tmp_path: Path) -> None:
    copy = tmp_path / ".dvc/tmp/exps/standalone/tmpabc"
    (copy / ".dvc").mkdir(parents=True)
    done = run_stage(copy)
    assert done.returncode == 0, done.stderr
    assert len(read_runs(tmp_path)) == 1
    assert not (copy / "wandb").exists()


def test_a_databases_password_is_not_recorded(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("train:\n  train_db: postgresql://me:hunter2@host/birds\n")
    script = SCRIPT.replace("import sys\n", "import sys\nsys.argv += ['--db=postgresql://me:hunter2@host/birds']\n")
    script = script.replace("+= [", "+= ['-d', 'postgresql://me:hunter2@host/x', ")
    script += "assert sys.argv[-1].endswith('hunter2@host/birds')\n"
    assert run_stage(tmp_path, script).returncode == 0
    run = read_runs(tmp_path)[-1]
    assert run.config["train"]["train_db"] == "postgresql://me:***@host/birds"
    written = [path for path in (tmp_path / "wandb").rglob("*") if path.is_file()]
    assert written and not [path for path in written if b"hunter2" in path.read_bytes()]


def test_a_failing_stage_is_recorded_as_failed(tmp_path: Path) -> None:
    script = SCRIPT.replace('print("active", run.active)', 'raise ValueError("broken")')
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "DVC_STAGE": "train@1"}
    env["PYTHONPATH"] = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 1 and "broken" in done.stderr
    (run,) = read_runs(tmp_path)
    assert run.exit_code == 1


CURVES = """
from britekit.config import BaseConfig
from britekit.tracking.run import stage_run
with stage_run("rpt-test", BaseConfig()) as run:
    run.curve("PR", "recall", "precision", [(0.0, 1.0), (0.5, 0.75), (1.0, 0.25)])
"""


def test_a_run_bears_project_group_and_tag_of_its_own(tmp_path: Path) -> None:
    """Without WANDB_PROJECT the folder names the project; without an experiment the commit names the group."""
    folder = tmp_path / "barn owls"
    folder.mkdir()
    identity = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "One"]):
        subprocess.run([*identity, *words], cwd=folder, check=True)
    short = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=folder, capture_output=True, text=True
    ).stdout.strip()
    run_stage(folder, DVC_EXP_NAME="")
    (run,) = read_runs(folder)
    assert (run.project, run.group, run.tags) == ("barn owls", short, ["seed-1"])
    run_stage(folder, CURVES, DVC_EXP_NAME="", DVC_STAGE="rpt-test", WANDB_PROJECT="mine")
    run = next(run for run in read_runs(folder) if run.project == "mine")
    assert (run.job_type, run.tags) == ("rpt-test", [])
    assert (run.curve("PR/recall"), run.curve("PR/precision")) == ([0.0, 0.5, 1.0], [1.0, 0.75, 0.25])

"""What goes wrong on a user's machine: one sentence, exit code 1, and what was there before is still there.

The commands run by hand: where DVC calls them, it has removed the outs before.
"""

from __future__ import annotations

import hashlib
import http.server
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.conftest import Project, make_project

pytestmark = [pytest.mark.xdist_group("bad_input"), pytest.mark.timeout(300)]

ANALYZE = ["analyze", "-i", "data/test", "-o", "results/labels", "--min-score", "0"]
CALIBRATE = [
    "calibrate",
    "-a",
    "data/test/annotations.csv",
    "-l",
    "results/labels",
    "-o",
    "results/calibration",
    "--publish",
    "models/calibration.yaml",
    "--metrics",
    "metrics/calibration.json",
]
RPT_TEST = [
    "rpt-test",
    "-a",
    "data/test/annotations.csv",
    "-l",
    "results/labels",
    "-o",
    "results/test",
    "--metrics",
    "metrics/test.json",
]
PICKLE = ["pickle", "--classes", "data/classes.csv"]
TRAIN = ["train", "--seed", "1", "--publish"]
OUTS = ("data", "models", "results", "metrics")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project brought through the stages but for the package. Tests work on copies of it."""
    project = make_project(tmp_path_factory.mktemp("bad") / "project")
    project.set({"pipeline": {"seeds": [1]}, "train": {"num_epochs": 1}})
    for command in (["collect"], ["extract"], PICKLE, TRAIN, ANALYZE, CALIBRATE, RPT_TEST):
        project.britekit(*command)
    shutil.rmtree(project.folder / "logs")
    project.commit("settings")
    return project


@pytest.fixture
def project(made: Project, tmp_path: Path) -> Project:
    """A copy that a test may spoil."""
    shutil.copytree(made.folder, tmp_path / "project", symlinks=True)
    shutil.copy(made.folder.parent / "gitconfig", tmp_path)
    return Project(tmp_path / "project")


@pytest.fixture
def small_disk(made: Project, tmp_path: Path) -> Iterator[Project]:
    """A copy on a disk of its own; `room` says how much is left on it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no right to mount a small tmpfs here")
    try:
        ignore = shutil.ignore_patterns(".git", "wandb")
        shutil.copytree(made.folder, folder, symlinks=True, dirs_exist_ok=True, ignore=ignore)
        yield Project(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def room(project: Project, kilobytes: int) -> None:
    """Leave that much room on the project's disk."""
    disk = os.statvfs(project.folder)
    size = (disk.f_blocks - disk.f_bfree) * disk.f_bsize + kilobytes * 1024
    subprocess.run(["mount", "-o", f"remount,size={size}", str(project.folder)], check=True)


def contents(project: Project) -> dict[str, str]:
    """Hash every file of the outs, half-written ones included; the journal of `analyze` may stay."""
    files = [path for out in OUTS for path in sorted((project.folder / out).rglob("*")) if path.is_file()]
    files = [path for path in files if not path.name.startswith(".analyze.journal")]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def refused(project: Project, *command: str) -> str:
    """Run a command that must fail in one sentence and leave everything as it was; the sentence."""
    before = contents(project)
    done = project.britekit(*command, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    errors = [line for line in done.stderr.splitlines() if not line.startswith(("Warning: ", "train:"))]
    assert len(errors) == 1 and errors[0].startswith("Error: "), done.stderr
    assert contents(project) == before
    return errors[0]


def test_full_disk(small_disk: Project) -> None:
    # Settings that change every result, so that a file written too early would show.
    small_disk.set({"train": {"learning_rate": 0.0031}, "infer": {"overlap": 2.5}})
    for kilobytes, command in (
        (100, ["extract"]),
        (0, PICKLE),
        (0, TRAIN),
        (20, ANALYZE),
        (28, [*CALIBRATE, "--cutoff", "0.1"]),
        (28, [*RPT_TEST, "-m", "0.2"]),
        (500, ["package"]),
    ):
        shutil.rmtree(small_disk.folder / "logs", ignore_errors=True)
        room(small_disk, kilobytes)
        assert "could not be written: no space left on" in refused(small_disk, *command), command


def test_checkpoint_and_export_appear_together(small_disk: Project) -> None:
    small_disk.set({"train": {"learning_rate": 0.0031}})
    room(small_disk, 6900)  # for the log and the published checkpoint, but not for its export
    assert "seed-1.onnx could not be written" in refused(small_disk, *TRAIN)


def test_read_only_disk(small_disk: Project) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk.folder)], check=True)
    for command in (["extract"], PICKLE, ANALYZE):
        said = refused(small_disk, *command)
        assert "read-only" in said or "writable" in said


@pytest.mark.parametrize("command", [ANALYZE, TRAIN], ids=["analyze", "train"])
def test_killed_and_interrupted(project: Project, command: list[str]) -> None:
    project.set({"train": {"num_epochs": 400, "learning_rate": 0.0031}, "infer": {"overlap": 4.99}})
    before = contents(project)
    # Both for one of them: starting to train takes long.
    for signal_sent, code in ((signal.SIGINT, 130), (signal.SIGKILL, -9))[command is TRAIN :]:
        running = subprocess.Popen(
            [sys.executable, "-m", "britekit", *command],
            cwd=project.folder, env=project.environment, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        begun = time.monotonic()
        started = "results/labels/.analyze*" if command is ANALYZE else "logs/version_*/config.yaml"
        while not list(project.folder.glob(started)) and time.monotonic() - begun < 60:
            time.sleep(0.02)
        running.send_signal(signal_sent)
        said = running.communicate(timeout=60)[1]
        assert running.returncode == code and "Traceback" not in said
        left = {path: digest for path, digest in contents(project).items() if "/." not in path}
        assert left == {path: digest for path, digest in before.items() if "/." not in path}
        for folder in project.folder.glob("logs"):
            shutil.rmtree(folder)
        for journal in project.folder.glob("results/labels/.analyze*"):
            journal.unlink()


def test_all_problems_of_the_settings_at_once(project: Project) -> None:
    project.set({
        "train": {"num_epoch": 3, "learning_rate": "fast", "num_folds": 3, "val_portion": 0.3},
        "audio": {"min_freq": 9000},
        "pipeline": {"seeds": [1, 1]},
    })  # fmt: skip
    done = project.britekit(*PICKLE, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert all(line.startswith("Error: params.yaml:") for line in lines)
    for said in ('did you mean "num_epochs"', "learning_rate", "val_portion", "min_freq", "pipeline.seeds"):
        assert sum(said in line for line in lines) == 1, said


def test_without_git_history(made: Project, tmp_path: Path) -> None:
    """An unpacked archive: DVC works once told, which `make demo` does."""
    archive = made.run("git", "archive", "--output", str(tmp_path / "a.tar"), "HEAD")
    assert archive.returncode == 0
    shutil.unpack_archive(tmp_path / "a.tar", tmp_path / "project")
    project = Project(tmp_path / "project")
    project.dvc("config", "--local", "core.no_scm", "true")
    project.dvc("repro", "extract")
    assert (project.folder / "data/training.db").read_bytes() == (made.folder / "data/training.db").read_bytes()


class _Refusing(http.server.BaseHTTPRequestHandler):
    """A W&B server that knows no key."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(401)
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_POST  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_wrong_key_costs_no_result(project: Project) -> None:
    key = "0123456789" * 4
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        project.environment |= {"WANDB_API_KEY": key, "WANDB_BASE_URL": url, "WANDB_PROJECT": "test"}
        done = project.britekit(*RPT_TEST, "-m", "0.2")
        server.shutdown()
    assert "macro_pr = " in done.stdout
    (said,) = [line for line in done.stderr.splitlines() if "W&B" in line]
    assert said.startswith("Warning: W&B could not start online") and "kept offline" in said
    assert key not in done.stderr
    assert list((project.folder / "wandb").glob("offline-run-*"))

"""A small project made by `britekit init`, brought once through the pipeline for all tests of this folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
TRACING = Path(__file__).parent / "tracing"
SETTINGS = {
    "audio": {"spec_height": 32, "spec_width": 96, "sampling_rate": 16000, "max_freq": 7500},
    "train": {"model_type": "effnet.1", "num_epochs": 2, "batch_size": 16, "min_steps": 1},
    "pipeline": {"seeds": [1, 2]},
}


class Project:
    """A project folder, the programs run in it, and the folder where the settings they read are noted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trace = folder.parent / "trace"
        keep = ("HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", "LD_LIBRARY_PATH")
        self.environment = {name: os.environ[name] for name in keep if name in os.environ}
        # As the Makefile does: DVC does not look beside its own interpreter.
        self.environment["PATH"] = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
        self.environment |= {"OMP_NUM_THREADS": "1", "DVC_NO_ANALYTICS": "true", "BENTOML_DO_NOT_TRACK": "true"}
        self.environment |= {"GIT_CONFIG_GLOBAL": str(folder.parent / "gitconfig"), "GIT_CONFIG_SYSTEM": os.devnull}

    def run(self, *command: str, check: bool = True, timeout: float = 420) -> subprocess.CompletedProcess[str]:
        """Run a program in the project; ``check`` fails the test with its output."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=timeout
        )
        if check:
            assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-6000:]}"
        return done

    def dvc(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run DVC."""
        return self.run(sys.executable, "-m", "dvc", *arguments, check=check)

    def britekit(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a britekit command."""
        return self.run(sys.executable, "-m", "britekit", *arguments, check=check)

    def commit(self, message: str) -> None:
        """Commit everything Git does not ignore."""
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "--allow-empty", "-m", message)

    def set(self, settings: dict[str, dict[str, object]]) -> None:
        """Change values of params.yaml."""
        path = self.folder / "params.yaml"
        params = yaml.safe_load(path.read_text())
        for section, values in settings.items():
            params[section].update(values)
        path.write_text(yaml.safe_dump(params, sort_keys=False))

    def clone(self, name: str) -> Project:
        """Clone into a folder beside this one: what Git has, and nothing else."""
        folder = self.folder.parent / name
        self.run("git", "clone", "-q", str(self.folder), str(folder))
        return Project(folder)


def make_project(folder: Path) -> Project:
    """Return a fresh small project with one commit."""
    folder.mkdir(parents=True)
    (folder.parent / "gitconfig").write_text("[user]\nname = Tester\nemail = tester@example.org\n")
    project = Project(folder)
    project.britekit("init", "--dest", str(folder))
    sources = folder / "data/sources.csv"
    rows = [line.split(",") for line in sources.read_text().splitlines()]
    limit = rows[0].index("limit")
    split = rows[0].index("split")
    for row in rows[1:]:
        row[limit] = "4" if row[split] == "train" else "3"
    sources.write_text("\n".join(",".join(row) for row in rows) + "\n")
    project.set(SETTINGS)
    project.commit("start")
    return project


@pytest.fixture(scope="session")
def done_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project after one ``dvc repro``, committed. Tests must leave its workspace as they found it."""
    project = make_project(tmp_path_factory.mktemp("pipeline") / "project")
    before = dict(project.environment)
    project.trace.mkdir()
    project.environment |= {"SETTINGS_TRACE": str(project.trace), "PYTHONPATH": f"{TRACING}:{REPOSITORY}"}
    project.dvc("repro")
    project.environment = before
    project.commit("results")
    yield project
    shutil.rmtree(project.folder, ignore_errors=True)

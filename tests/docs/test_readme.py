"""Every shell line of the README is run: as it is where that is cheap, else in the way the table below says.

Lines that need gigabytes, minutes or Docker run with a small stand-in here and whole under `make soak`.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipeline.conftest import Project, make_project

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES = list(dict.fromkeys(line for block in BLOCK.findall(README) for line in block.splitlines() if line))


def shell(project: Project, line: str, timeout: float = 120) -> str:
    """Run a line by bash in the project and return what it prints; it must succeed."""
    return project.run("bash", "-euo", "pipefail", "-c", line, timeout=timeout).stdout


def as_it_is(project: Project, line: str) -> None:
    """Nothing is replaced."""
    shell(project, line)


def made_dry(project: Project, line: str) -> None:
    """`make -n`: the target ends in the program that is meant. The whole: `test_demo`, CI, service tests."""
    target = line.removeprefix("make ")
    done = project.run("make", "-C", str(ROOT), "-n", target)
    last = done.stdout.strip().splitlines()[-2 if "Leaving" in done.stdout else -1]
    programs = {
        "demo": "python scripts/demo.py",
        "test": "python -m pytest -n 2 --dist loadgroup",
        "serve": "python -m britekit serve",
    }
    assert last.strip().startswith(programs[target]), last


def queued(project: Project, line: str) -> None:
    """With `--queue` DVC sets the value and keeps the experiment for later. The whole: `test_experiment`."""
    shell(project, f"dvc exp run -S {line.split()[-1]} --queue")
    assert "Queued" in shell(project, "dvc queue status")
    shell(project, "dvc queue remove --all")


def in_the_new_project(project: Project, line: str) -> None:
    """After the line before it."""
    printed = shell(project, f"rm -rf ../owls; britekit init --dest ../owls; {line}; pwd")
    assert printed.strip().endswith("/owls")


def with_sounds(project: Project, line: str) -> None:
    """After the line that makes the recordings."""
    shell(project, "test -d sounds || britekit sample -o sounds --classes 2 --recordings 3 --test 1")
    shell(project, line)


def with_a_recording_docker(project: Project, line: str) -> None:
    """A program named docker notes what it is told. The whole: `make container-test`, where Docker is."""
    folder = project.folder.parent / "fake"
    folder.mkdir(exist_ok=True)
    (folder / "docker").write_text('#!/bin/sh\nfor word; do echo "$word"; done\n')
    (folder / "docker").chmod(0o755)
    words = shell(project, f"PATH={folder}:$PATH; cd {ROOT}; {line}").splitlines()
    if words[0] == "build":
        assert (ROOT / words[words.index("-f") + 1]).is_file()
        assert words[-1] == "."
    else:
        built = next(other for other in LINES if other.startswith("docker build")).split()
        assert words[0] == "run" and words[-1] == built[built.index("-t") + 1]
        assert "EXPOSE 3000" in (ROOT / "britekit/service/Dockerfile").read_text(encoding="utf-8")


def to_a_folder(project: Project, line: str) -> None:
    """The remote is a folder. With S3: tests/pipeline/test_s3.py."""
    store = project.folder.parent / "store"
    shell(project, f"dvc remote add --quiet --force --default store {store}; {line}")


HOW: dict[str, Callable[[Project, str], None]] = {
    "make demo": made_dry,
    "make test": made_dry,
    "make serve": made_dry,
    "source .venv/bin/activate": as_it_is,
    "britekit exp train.model_type=effnet.4": queued,
    "dvc exp show --only-changed -A": as_it_is,
    "britekit init --dest ../owls": as_it_is,
    "cd ../owls": in_the_new_project,
    "python -m britekit --help": as_it_is,
    "python -m britekit extract-all --help": as_it_is,
    "python -m britekit sample -o sounds --classes 2 --recordings 3 --test 1": as_it_is,
    "python -m britekit audio-info sounds --recursive": with_sounds,
    "python -m britekit plot-rec -i sounds/test/soundscape-0001.flac -o plots": with_sounds,
    "docker build -f britekit/service/Dockerfile -t britekit-serve .": with_a_recording_docker,
    "docker run --rm -p 3000:3000 -e BRITEKIT_TOKENS=lab:0f6c1b7e9d2a4855 britekit-serve": with_a_recording_docker,
    "docker run --rm -p 127.0.0.1:3000:3000 -e BRITEKIT_NO_TOKEN=1 britekit-serve": with_a_recording_docker,
    "dvc remote add --default store s3://BUCKET/PROJECT": as_it_is,
    "dvc push": to_a_folder,
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A small project with an environment of its own, as `make install` leaves one."""
    made = make_project(tmp_path_factory.mktemp("readme") / "britekit")
    made.run(sys.executable, "-m", "venv", "--without-pip", str(made.folder / ".venv"))
    return made


def test_the_table_is_the_readme() -> None:
    """A new line in the README has to be given a way to be run; a line that is gone leaves the table."""
    assert list(HOW) and set(HOW) == set(LINES)


def test_every_pinned_package_installs_on_the_python_that_is_asked_for() -> None:
    """Debian 12 has Python 3.11.2, so no pin may want 3.11.5."""
    from importlib import metadata

    from packaging.specifiers import SpecifierSet

    oldest = ".".join(re.search(r"Python (\d+)\.(\d+)\+", README).groups()) + ".0"
    pins = (ROOT / "requirements/lock.txt").read_text(encoding="utf-8").splitlines()
    too_new = {}
    for name in (line.partition("==")[0] for line in pins if "==" in line and not line.startswith("#")):
        try:
            wanted = metadata.metadata(name).get("Requires-Python") or ""
        except metadata.PackageNotFoundError:  # pins of another system
            continue
        if not SpecifierSet(wanted).contains(oldest):
            too_new[name] = wanted
    assert not too_new


@pytest.mark.parametrize("line", LINES)
def test_line(project: Project, line: str) -> None:
    assert line in HOW, f"say in the table HOW how this line is to be run: {line}"
    HOW[line](project, line)


def test_python_names_exist() -> None:
    """Python blocks are not run (they need a model), but what they call exists with these arguments."""
    import ast
    import inspect

    import britekit

    blocks = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    calls = [n for block in blocks for n in ast.walk(ast.parse(block)) if isinstance(n, ast.Call)]
    assert calls
    for call in calls:
        name = ast.unparse(call.func).removeprefix("bk.commands.")
        inspect.signature(getattr(britekit.commands, name)).bind(**{str(word.arg): None for word in call.keywords})


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)", README):
        if "://" not in target:
            assert (ROOT / target).exists(), target


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_experiment(tmp_path: Path) -> None:
    """The experiment itself, on few and small spectrograms."""
    project = make_project(tmp_path / "project")
    done = project.run("britekit", "exp", "train.model_type=effnet.4", check=False, timeout=3000)
    assert done.returncode == 1 and "the experiment is done" in done.stderr  # the last commit has no results
    assert "effnet.4" in shell(project, "dvc exp show --csv")
    assert (project.folder / "models/britekit-ensemble.bento").is_file()


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_demo(tmp_path: Path) -> None:
    """`scripts/demo.py`, which `make demo` calls, in a small project; the table at its end is there."""
    project = make_project(tmp_path / "project")
    shutil.copytree(ROOT / "scripts", project.folder / "scripts")
    project.environment["WANDB_MODE"] = os.environ.get("WANDB_MODE", "offline")
    printed = shell(project, "python scripts/demo.py", timeout=3000)
    assert "macro PR-AUC" in printed and "britekit analyze -i RECORDING" in printed
    shell(project, re.search(r"^ +(git add .*)", printed, re.MULTILINE)[1])
    assert "metrics/" not in shell(project, "git status --porcelain")
    printed = shell(project, "python scripts/demo.py", timeout=300)
    assert "Everything is up to date" in printed and "git add" not in printed

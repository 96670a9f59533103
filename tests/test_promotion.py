"""Promotion in a real Git and DVC repository: what is refused, what is tagged, and what others get."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from britekit.commands.promote import promote
from britekit.commands.serve import serve
from britekit.errors import InputError
from britekit.project.promotion import fetched_bento, promoted_bento, promoted_commit
from britekit.tracking import run as tracking
from tests.service.running import ROOT

LABELS = np.array(["Barred Owl", "Marsh Wren"])


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def dvc(folder: Path, *arguments: str) -> None:
    """Run DVC in a process of its own: in this one it closes the standard output that pytest captures."""
    done = subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, (arguments, done.stderr)


def write_cells(folder: Path, noise: float, recordings: int = 40) -> None:
    """Write a test of two classes in which a model errs by that much."""
    draw = np.random.default_rng(1)
    rows = recordings * 10
    truth = draw.random((rows, 2)) < 0.3
    scores = np.clip(0.25 + 0.5 * truth + noise * draw.standard_normal((rows, 2)), 0, 1).astype(np.float32)
    names = np.array([f"r{k // 10:02d}" for k in range(rows)])
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        folder / "cells.npz", rows=np.array([f"{name}-{k}" for k, name in enumerate(names)]), recordings=names,
        labels=LABELS, truth=truth, scores=scores, found=scores >= 0.5, unit="segment", threshold=0.5,
    )  # fmt: skip


class Project:
    """A project whose models and tests are made by hand, one commit each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        git(folder, "init", "-q", "-b", "main")
        for key, value in (("user.name", "x"), ("user.email", "x@example.org")):
            git(folder, "config", key, value)
        dvc(folder, "init", "-q")
        dvc(folder, "remote", "add", "-q", "-d", "store", str(folder.parent / "store"))
        (folder / ".gitignore").write_text("/models/*.bento\n/results/test\n")
        described = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
        (folder / "dvc.yaml").write_text(described[described.index("\nartifacts:") : described.index("\nplots:")])

    def model(self, noise: float, recordings: int = 40) -> str:
        """Commit a model; return the commit."""
        (self.folder / "models").mkdir(exist_ok=True)
        (self.folder / "models/britekit-ensemble.bento").write_text(f"a model with noise {noise} {recordings}")
        write_cells(self.folder / "results/test", noise, recordings)
        dvc(self.folder, "add", "-q", "models/britekit-ensemble.bento", "results/test")
        dvc(self.folder, "push", "-q")
        git(self.folder, "add", "-A")
        git(self.folder, "commit", "-qm", f"noise {noise}")
        return git(self.folder, "rev-parse", "HEAD")

    def tags(self) -> list[str]:
        return git(self.folder, "tag", "--list").splitlines()


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("promotion") / "owls")


def test_from_the_first_model_to_a_clone(project, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    first = project.model(0.30)
    assert promoted_commit(project.folder, "production") is None
    assert promote() == first
    assert set(project.tags()) == {"recognizer@v0.0.1", "recognizer#production#1"}
    with pytest.raises(InputError, match="HEAD is promoted to production already"):
        promote()

    worse = project.model(0.60)
    with pytest.raises(InputError, match=r"may be worse .*B is worse than A: macro PR-AUC .*promote_margin"):
        promote()
    assert promoted_commit(project.folder, "production") == first and len(project.tags()) == 2
    project.model(0.20, recordings=20)
    with pytest.raises(InputError, match="covers more than this one.*test on the same recordings"):
        promote()

    better = project.model(0.20)
    (project.folder / "dvc.yaml").write_text((project.folder / "dvc.yaml").read_text() + "# changed\n")
    with pytest.raises(InputError, match="differs from the last commit"):
        promote()
    git(project.folder, "checkout", "-q", "dvc.yaml")
    capsys.readouterr()
    assert promote() == better
    out = capsys.readouterr().out
    assert "B is better than A" in out and f"before = {first}" in out and "push = git push origin recognizer" in out
    assert "registry = not linked: W&B is switched off" in out
    assert set(project.tags()) == {
        "recognizer@v0.0.1", "recognizer@v0.0.2", "recognizer#production#1", "recognizer#production#2",
    }  # fmt: skip
    assert promote(worse, stage="staging") == worse, "nothing is in that stage yet"

    # GTO itself, DVC itself, and a clone that has the remote alone.
    gto = [str(Path(sys.executable).with_name("gto")), "show", "-r", ".", "--json"]
    told = subprocess.run(gto, capture_output=True, text=True, check=False)
    assert told.returncode == 0 and '"production": "v0.0.2"' in told.stdout, told.stderr or told.stdout
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(project.folder), str(clone))
    dvc(clone, "artifacts", "get", ".", "recognizer", "--stage", "production", "-o", "got")
    assert (clone / "got").read_text() == "a model with noise 0.2 40"
    dvc(clone, "artifacts", "get", ".", "recognizer", "-o", "newest")
    assert (clone / "newest").read_text() in ("a model with noise 0.2 40", "a model with noise 0.6 40")
    with promoted_bento(clone, "staging") as path:
        assert path.read_text() == "a model with noise 0.6 40" and path.name == "britekit-ensemble.bento"
    monkeypatch.chdir(clone)
    with pytest.raises(InputError, match="britekit-ensemble.bento is not a Bento|cannot be unpacked"):
        serve(stage="production")  # it is fetched, and is only a text here
    with pytest.raises(InputError, match="nothing is promoted to canary"):
        serve(stage="canary")


def test_a_model_that_is_nowhere(project, monkeypatch, tmp_path):
    commit = project.model(0.21)
    for place in (project.folder / ".dvc/cache", project.folder.parent / "store"):
        place.rename(tmp_path / place.name)
    try:
        with (
            pytest.raises(InputError, match="neither in the cache nor in the remote"),
            fetched_bento(project.folder, commit),
        ):
            pass
        monkeypatch.chdir(project.folder)
        with pytest.raises(InputError, match="is not in the cache"):
            promote()
    finally:
        (tmp_path / "cache").rename(project.folder / ".dvc/cache")
        (tmp_path / "store").rename(project.folder.parent / "store")


def test_handlers_of_others_stay_open(project):
    """Handlers such as absl's close their stream when GTO configures logging."""
    code = """
import logging, sys
from pathlib import Path
class Closing(logging.StreamHandler):
    def close(self):
        if "gto" in sys.modules and "done" not in globals():
            print("closed")
        super().close()
handler = Closing()
from britekit.project.promotion import promoted_commit
print(promoted_commit(Path("."), "no-such-stage"), "gto" in sys.modules)
done = True
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=project.folder, capture_output=True, text=True, check=True)
    assert done.stdout == "None True\n"


def test_what_cannot_be_promoted(project, monkeypatch):
    monkeypatch.chdir(project.folder)
    with pytest.raises(InputError, match="git rev-parse"):
        promote("no-such-commit")
    with pytest.raises(InputError, match="not a valid name of a stage"):
        promote(stage="Prod uction")
    kept = (project.folder / "dvc.yaml").read_text()
    (project.folder / "dvc.yaml").write_text("stages: {}\n")
    git(project.folder, "add", "-A")  # this test may be the first of its worker
    git(project.folder, "commit", "-qm", "No artifact")
    with pytest.raises(InputError, match="no artifact named recognizer"):
        promote()
    (project.folder / "dvc.yaml").write_text(kept)
    git(project.folder, "commit", "-qam", "An artifact")


class _Stub:
    """The part of W&B that linking uses."""

    def __init__(self, offline: bool) -> None:
        self.offline, self.calls = offline, []

    def __getattr__(self, name):
        return lambda *arguments, **named: self.calls.append((name, arguments, named)) or self


@pytest.mark.parametrize("offline", [True, False])
def test_the_link_in_the_registry(monkeypatch, tmp_path, offline):
    from britekit.config import resolve

    stub = _Stub(offline)
    monkeypatch.setattr(tracking, "_start", lambda *_: tracking._Started(stub, {}, None))
    monkeypatch.setattr(tracking, "_wandb", lambda: stub)
    path = tmp_path / "x.bento"
    reason = tracking.link_in_registry(resolve(), "recognizer", path, "production", {"commit": "c"})
    calls = {name: (arguments, named) for name, arguments, named in stub.calls}
    assert "finish" in calls and (reason == "not linked: W&B is offline") == offline
    if not offline:
        assert calls["Artifact"] == (("recognizer",), {"type": "model", "metadata": {"commit": "c"}})
        assert calls["add_file"] == ((str(path),), {})
        assert calls["link_artifact"][0][1] == "wandb-registry-model/recognizer"
        assert calls["link_artifact"][1] == {"aliases": ["production"]}

"""Rounds of students by DVC itself, from an archive that `collect` brings."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
import yaml

from tests.pipeline.conftest import Project, make_project

pytestmark = [pytest.mark.xdist_group("pipeline"), pytest.mark.timeout(3600), pytest.mark.soak]

BEFORE = ("data/training.db", "data/training.pkl", "models/ckpt", "results/labels")


def digests(project: Project, *places: str) -> dict[str, str]:
    found = {}
    for place in places:
        path = project.folder / place
        files = [path] if path.is_file() else [each for each in sorted(path.rglob("*")) if each.is_file()]
        found |= {str(each): hashlib.sha256(each.read_bytes()).hexdigest() for each in files}
    return found


def ran(output: str) -> list[str]:
    return [name.removeprefix("students/dvc.yaml:") for name in re.findall(r"Running stage '([^']+)'", output)]


def test_an_experiment_with_two_rounds(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    project.set({"pipeline": {"seeds": [1]}})
    plain = ran(project.dvc("repro").stdout)
    assert plain == ["collect", "extract", "pickle", "train@1", "analyze", "calibrate", "rpt-test", "package"]
    assert "up to date" in project.dvc("status").stdout
    before = digests(project, *BEFORE)
    with open(project.folder / "data/sources.csv", "a") as file:
        file.write("*,sample,*,3,unlabelled\n")
    # An archive alone changes neither data nor models.
    assert ran(project.dvc("repro").stdout) == ["collect"]
    assert digests(project, *BEFORE) == before
    assert len(list((project.folder / "data/unlabelled").glob("*.flac"))) == 3
    project.britekit("init", "--rounds", "2")
    project.commit("archive")
    done = project.dvc("exp", "run", "-S", "pipeline.rounds=2")
    assert ran(done.stdout) == [
        "pseudo-label@1", "student@1-1", "pseudo-label@2", "student@2-1", "analyze", "calibrate", "rpt-test", "package",
    ]  # fmt: skip
    assert digests(project, *BEFORE[:3]) == {k: v for k, v in before.items() if "results/labels" not in k}
    manifest = yaml.safe_load((project.folder / "results/labels/manifest.yaml").read_text())
    student = hashlib.sha256((project.folder / "models/rounds/2/seed-1.ckpt").read_bytes()).hexdigest()
    assert manifest["model 1"]["sha256"] == student
    assert 0 < json.loads((project.folder / "metrics/test.json").read_text())["macro_pr"] < 1
    assert "up to date" in project.dvc("status").stdout
    assert project.dvc("repro").stdout.count("Running stage") == 0
    # Back without rounds: DVC has all results, so nothing is trained.
    project.set({"pipeline": {"rounds": 0}})
    assert "train@1" not in ran(project.dvc("repro").stdout)
    assert digests(project, *BEFORE) == before

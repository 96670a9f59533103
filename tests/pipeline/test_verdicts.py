"""What `dvc repro` runs after a review."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from britekit.annotations.verdicts import Verdict, append_verdict, new_id
from britekit.collect.sample import plan_test
from britekit.collect.synth.species import SPECIES
from tests.pipeline.conftest import Project, make_project

pytestmark = [pytest.mark.xdist_group("pipeline"), pytest.mark.timeout(900)]


def ran(project: Project, *stages: str) -> list[str]:
    """Run the pipeline up to the stages; return those that ran."""
    return re.findall(r"Running stage '([^']+)'", project.dvc("repro", *stages).stdout)


def say(project: Project, answer: str, start: float) -> None:
    append_verdict(
        project.folder / "data/verdicts.csv",
        Verdict(
            id=new_id(), recording="night", start=start, end=start + 5, detection_start=start, detection_end=start + 5,
            name=SPECIES[0].info.name, verdict=answer, reviewer="Ann",
        ),
    )  # fmt: skip


def test_a_review_runs_the_stages_it_touches(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    assert ran(project, "pickle") == ["collect", "extract", "pickle"]
    assert ran(project, "pickle") == []
    pickle = (project.folder / "data/training.pkl").read_bytes()
    # Verdicts that no source asks for: the list of sources is looked at, and nothing changes.
    (project.folder / "archive").mkdir()
    next(iter(plan_test(list(SPECIES), 1, 99))).write(project.folder / "archive/night.flac")
    say(project, "yes", 2.0)
    assert ran(project, "pickle") == ["collect"]
    with open(project.folder / "data/sources.csv", "a") as file:
        file.write("*,verdicts,archive,,train\n")
    assert ran(project, "pickle") == ["collect", "extract", "pickle"]
    assert (project.folder / "data/training.pkl").read_bytes() != pickle
    # A verdict of unsure says nothing about its class.
    say(project, "unsure", 30.0)
    assert ran(project, "pickle") == ["collect"]
    say(project, "no", 40.0)
    assert ran(project, "pickle") == ["collect", "extract", "pickle"]
    stages = project.dvc("status").stdout
    assert "train@1" in stages and "collect" not in stages

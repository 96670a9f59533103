"""Rounds of students in the pipeline: which stages DVC would run, and whose models commands then use."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from britekit.commands.init import init
from britekit.config import resolve
from britekit.errors import InputError
from britekit.inference.model_files import member_paths
from britekit.project.layout import PRETRAINED, PRETRAINING, pretraining_text, project_files, students_text
from britekit.project.layout import STUDENTS as STAGES

ROOT = Path(__file__).parents[1]
PLAN = """
import json
from dvc.repo import Repo
from dvc.repo.reproduce import collect_stages, plan_repro
repo = Repo()
stages = plan_repro(repo.index.graph, list(collect_stages(repo, ["dvc.yaml"])))
print(json.dumps([stage.addressing for stage in stages]))
"""
STUDENTS = "students/dvc.yaml:"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("rounds")
    init(dest=str(root), rounds=2)
    return root


def plan(project, rounds, seeds="[1, 2]", pretrain=False):
    """Return what `dvc repro` would run in a project where nothing has run, in order."""
    params = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    params["pipeline"] |= {"rounds": rounds, "seeds": yaml.safe_load(seeds), "pretrain": pretrain}
    (project / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", PLAN], cwd=project, env=os.environ | {"DVC_NO_ANALYTICS": "true"}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def test_without_rounds_no_stage_of_students_runs(project):
    assert plan(project, 0) == [
        "collect", "extract", "pickle", "train@1", "train@2", "analyze", "calibrate", "rpt-test", "package",
    ]  # fmt: skip


def test_each_round_is_taught_by_all_members_of_the_one_before(project):
    order = plan(project, 2)
    students = [name.removeprefix(STUDENTS) for name in order if name.startswith(STUDENTS)]
    assert sorted(students) == [
        "pseudo-label@1", "pseudo-label@2", "student@1-1", "student@1-2", "student@2-1", "student@2-2",
    ]  # fmt: skip
    place = {name.removeprefix(STUDENTS): number for number, name in enumerate(order)}
    assert max(place["train@1"], place["train@2"]) < place["pseudo-label@1"]
    assert place["pseudo-label@1"] < min(place["student@1-1"], place["student@1-2"])
    assert max(place["student@1-1"], place["student@1-2"]) < place["pseudo-label@2"]
    assert max(place["student@2-1"], place["student@2-2"]) < place["analyze"]


def test_the_project_and_the_repository_have_the_same_stages():
    assert STAGES not in project_files()
    for name in ("yaml/student.yaml", "models/rounds/0/README.md", "models/pretrained/false/README.md"):
        assert project_files()[name] == (ROOT / name).read_text(encoding="utf-8"), name


@pytest.mark.parametrize("rounds", [1, 3, 4])
def test_the_stages_are_those_of_as_many_rounds(rounds):
    stages = yaml.safe_load(students_text(rounds))["stages"]
    assert list(stages["pseudo-label"]["foreach"]) == stages["student"]["matrix"]["round"] == [*range(1, rounds + 1)]
    teachers = [item["teachers"] for item in stages["pseudo-label"]["foreach"].values()]
    assert teachers == ["models/ckpt", "models/rounds/1", "models/rounds/2", "models/rounds/3"][:rounds]


@pytest.mark.parametrize("rounds", [0, 5, -1])
def test_other_numbers_of_rounds_are_refused_before_anything_is_written(tmp_path, rounds):
    with pytest.raises(InputError, match=f"--rounds is {rounds}; expected 1 to 4"):
        init(dest=str(tmp_path / "new"), rounds=rounds)
    assert not (tmp_path / "new").exists()


def test_an_experiment_writes_the_stages_that_it_needs(tmp_path, capsys):
    from britekit.commands.exp import _lay_out_stages

    _lay_out_stages(["train.num_epochs=2", "pipeline.rounds=0"], tmp_path)
    assert not (tmp_path / STAGES).exists()
    for value, expected in (("2", 2), ("1", 2), ("3", 3)):  # those that are there already stay
        _lay_out_stages([f"pipeline.rounds={value}"], tmp_path)
        assert (tmp_path / STAGES).read_text() == students_text(expected)


def test_commands_use_the_members_of_the_last_round(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    for folder in ("models/ckpt", "models/rounds/1", "models/rounds/2", "mine"):
        Path(folder).mkdir(parents=True)
        Path(folder, "seed-1.ckpt").write_bytes(b"")
    for text, folder in (
        ("pipeline: {}", "models/ckpt"),
        ("pipeline: {rounds: 2}", "models/rounds/2"),
        ("pipeline: {rounds: 2}\nmisc: {ckpt_folder: mine}", "mine"),
    ):
        Path("params.yaml").write_text(text + "\n")
        assert member_paths(resolve()) == [Path(folder, "seed-1.ckpt")]
        assert member_paths(resolve(), "mine") == [Path("mine/seed-1.ckpt")]
    Path("params.yaml").write_text("pipeline: {rounds: 3}\n")
    with pytest.raises(InputError.__base__, match=r"models/rounds/3 \(pipeline.rounds\) does not exist"):
        member_paths(resolve())


def test_settings_of_students_are_valid():
    resolve(ROOT / "yaml/student.yaml")


def test_the_settings_that_students_depend_on_exist():
    """DVC ends an experiment at a name that params.yaml lacks."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    stages = yaml.safe_load((ROOT / "britekit/project/students/dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for name in (*stages["pseudo-label"]["do"]["params"], *stages["student"]["params"]):
        section, _, field = name.partition(".")
        assert section in params and (not field or field in params[section]), name


@pytest.fixture(scope="module")
def pretraining(tmp_path_factory):
    root = tmp_path_factory.mktemp("pretraining")
    init(dest=str(root), rounds=1, pretrain=True)
    return root


def test_a_network_is_pretrained_only_where_training_starts_from_it(pretraining):
    stage = f"{PRETRAINING}:pretrain"
    assert not [name for name in plan(pretraining, 0) if "pretrain" in name]
    order = plan(pretraining, 1, pretrain=True)
    place = {name.removeprefix(STUDENTS): number for number, name in enumerate(order)}
    assert place["collect"] < place[stage] < min(place["train@1"], place["train@2"], place["student@1-1"])
    assert PRETRAINING not in project_files()


def test_the_stage_writes_what_training_reads(tmp_path, monkeypatch):
    stage = yaml.safe_load(pretraining_text())["stages"]["pretrain"]
    assert f"-o {PRETRAINED} " in stage["cmd"] and PRETRAINED in stage["outs"]
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for name in stage["params"]:
        section, _, field = name.partition(".")
        assert section in params and (not field or field in params[section]), name
    from britekit.commands.train import train

    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("pipeline: {pretrain: true}\n")
    with pytest.raises(InputError, match=f"pipeline.pretrain is true, but {PRETRAINED} does not exist; `britekit init"):
        train(publish=True, seed=1)


def test_an_experiment_writes_the_stage_that_it_needs(tmp_path):
    from britekit.commands.exp import _lay_out_stages

    _lay_out_stages(["pipeline.pretrain=false"], tmp_path)
    assert not (tmp_path / PRETRAINING).exists()
    _lay_out_stages(["pipeline.pretrain=true"], tmp_path)
    assert (tmp_path / PRETRAINING).read_text() == pretraining_text()

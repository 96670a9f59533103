"""The pipeline as a person runs it: repro, experiments, queue, clones, and the records they leave."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sqlite3
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.pipeline.conftest import Project, make_project
from tests.tracking.offline_runs import OfflineRun, read_runs

pytestmark = [pytest.mark.xdist_group("pipeline"), pytest.mark.timeout(600)]

STAGES = ["collect", "extract", "pickle", "train@1", "train@2", "analyze", "calibrate", "rpt-test", "package"]


def ran(output: str) -> list[str]:
    """Return the stages DVC says it ran."""
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage '")]


def test_outputs_and_metrics(done_project: Project) -> None:
    folder = done_project.folder
    assert list(yaml.safe_load((folder / "dvc.lock").read_text())["stages"]) == STAGES
    test = json.loads((folder / "metrics/test.json").read_text())
    for name in ("macro_pr", "micro_pr", "macro_roc"):
        assert 0.0 < test[name] < 1.0
    calibration = json.loads((folder / "metrics/calibration.json").read_text())
    assert 0 <= calibration["ece_after"] <= 1 and list(calibration) == ["ece_after"]
    for seed in (1, 2):
        assert json.loads((folder / f"metrics/train-{seed}.json").read_text())[f"loss_{seed}"] > 0
        train = json.loads((folder / f"results/runs/train-{seed}.json").read_text())
        assert train["loss"] > 0 and train["spectrograms_per_second"] > 0 and train["revision"]
    assert sorted(path.name for path in (folder / "models/ckpt").iterdir() if path.name != ".gitignore") == [
        "seed-1.ckpt",
        "seed-1.onnx",
        "seed-2.ckpt",
        "seed-2.onnx",
    ]
    with sqlite3.connect(folder / "data/training.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT count(*) FROM SpecValue").fetchone()[0] > 20
    assert not list(folder.rglob("*.partial*"))


def test_the_card_shows_the_test_and_the_data(done_project: Project) -> None:
    card = (done_project.folder / "models/card.md").read_text()
    figures = json.loads((done_project.folder / "results/test/figures.json").read_text())
    assert f"| Macro PR-AUC | {figures['macro_pr']:.3f} |" in card
    assert "not in this project" not in card and "Not tested" not in card


def test_the_bento_holds_members_and_calibration(done_project: Project) -> None:
    with tarfile.open(done_project.folder / "models/britekit-ensemble.bento") as bento:
        names = {Path(name).name: name for name in bento.getnames()}
        packed = bento.extractfile(names["calibration.yaml"])
        assert packed is not None
        assert packed.read() == (done_project.folder / "models/calibration.yaml").read_bytes()
        listed = bento.extractfile(names["requirements.txt"])
        assert listed is not None
        packages = [line.partition(b"==")[0] for line in listed.read().splitlines()]
    assert b"openvino" in packages and not [name for name in packages if name.startswith(b"torch")]
    assert {"seed-1.onnx", "seed-2.onnx"} <= set(names)


def test_repro_again_does_nothing(done_project: Project) -> None:
    output = done_project.dvc("repro").stdout
    assert "Data and pipelines are up to date" in output and ran(output) == []


def test_offline_runs_can_be_read(done_project: Project) -> None:
    runs = {run.name: run for run in read_runs(done_project.folder) if run.group != "other-model"}
    assert set(runs) == set(STAGES)
    for run in runs.values():
        assert run.exit_code == 0
        assert run.config["train"]["model_type"] == "effnet.1"
        assert run.config["provenance"]["revision"]
    for seed in (1, 2):
        losses = runs[f"train@{seed}"].curve("loss")
        assert len(losses) >= 2 and all(loss > 0 for loss in losses)
        assert runs[f"train@{seed}"].config["provenance"]["inputs"]["data/training.pkl"]
    metrics = json.loads((done_project.folder / "metrics/test.json").read_text())
    assert runs["rpt-test"].summary["macro_pr"] == pytest.approx(metrics["macro_pr"], abs=1e-4)
    assert any("classes" in name for name in runs["rpt-test"].files)
    assert any(name.endswith(".png") for name in runs["calibrate"].files)
    assert runs["package"].artifacts
    _assert_linked(runs, yaml.safe_load((done_project.folder / "dvc.lock").read_text())["stages"])


def _assert_linked(runs: dict[str, OfflineRun], stages: dict[str, Any]) -> None:
    """Every stage uses what the one before it made: by the hashes that DVC has of it."""
    chain = [
        ("collect", "data/recordings", "extract"), ("extract", "data/training.db", "pickle"),
        ("pickle", "data/training.pkl", "train@1"), ("train@1", "models/ckpt/seed-1.ckpt", "analyze"),
        ("collect", "data/test", "analyze"), ("analyze", "results/labels", "calibrate"),
        ("calibrate", "models/calibration.yaml", "package"), ("train@2", "models/ckpt/seed-2.ckpt", "package"),
    ]  # fmt: skip
    for maker, path, user in chain:
        name = path.replace("/", "-")
        (md5,) = [out["md5"] for out in stages[maker]["outs"] if out["path"] == path]
        assert runs[maker].made[name][1] == f"dvc://files/md5/{md5[:2]}/{md5[2:]}", path
        assert runs[user].used[name] == runs[maker].made[name], path


def test_experiment_repeats_train_and_what_follows(done_project: Project) -> None:
    output = done_project.dvc("exp", "run", "--name", "other-model", "-S", "train.learning_rate=0.0025").stdout
    try:
        assert ran(output) == STAGES[3:]
        table = done_project.dvc("exp", "show", "--csv").stdout
        rows = {row["Experiment"]: row for row in csv.DictReader(io.StringIO(table)) if row["Experiment"]}
        assert float(rows["other-model"]["train.learning_rate"]) == 0.0025
        assert float(rows["other-model"]["macro_pr"] or rows["other-model"]["metrics/test.json:macro_pr"]) > 0
        done_project.dvc("plots", "diff", "other-model", "HEAD", "-o", "plots-page")
        assert "vega" in (done_project.folder / "plots-page/index.html").read_text().lower()
        assert any(run.group == "other-model" for run in read_runs(done_project.folder))
    finally:
        shutil.rmtree(done_project.folder / "plots-page", ignore_errors=True)
        done_project.run("git", "checkout", "-q", "--", ".")
        done_project.dvc("checkout")


@pytest.mark.soak
def test_queue_of_three(done_project: Project) -> None:
    for index, score in enumerate((0.5, 0.6, 0.7)):  # nothing is trained or analyzed again for these
        done_project.dvc("exp", "run", "--queue", "--name", f"queued-{index}", "-S", f"infer.min_score={score}")
    done_project.dvc("exp", "run", "--run-all")
    names = done_project.dvc("exp", "list", "--name-only").stdout.split()
    assert {"queued-0", "queued-1", "queued-2"} <= set(names)
    groups = {run.group for run in read_runs(done_project.folder)}
    assert {"queued-0", "queued-1", "queued-2"} <= groups
    status = done_project.dvc("status").stdout
    assert "up to date" in status


def test_clean_clone_runs_everything_and_builds_the_same_bytes(done_project: Project) -> None:
    clone = done_project.clone("clone")
    output = clone.dvc("exp", "run").stdout
    assert ran(output) == STAGES
    for name in ("data/training.db", "data/training.pkl", "models/ckpt/seed-1.ckpt", "models/ckpt/seed-1.onnx"):
        assert (clone.folder / name).read_bytes() == (done_project.folder / name).read_bytes(), name
    shutil.rmtree(clone.folder)


def test_a_failed_stage_says_why_and_keeps_what_was_there(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    project.dvc("repro", "pickle")
    before = (project.folder / "data/training.pkl").read_bytes()
    project.set({"train": {"model_type": "effnet.99"}})
    done = project.dvc("repro", "train@1", check=False)
    assert done.returncode != 0
    assert "effnet.99" in done.stderr and "Traceback" not in done.stderr
    assert (project.folder / "data/training.pkl").read_bytes() == before

    params = (project.folder / "params.yaml").read_text()
    (project.folder / "params.yaml").write_text(params.replace("num_epochs:", "num_epoch:"))
    done = project.britekit("train", check=False)
    assert done.returncode == 1 and "num_epochs" in done.stderr and "Traceback" not in done.stderr

    # A half-written output of a killed run is replaced, not trusted.
    (project.folder / "params.yaml").write_text(params)
    (project.folder / "data/training.pkl").unlink()
    (project.folder / "data/training.pkl").write_bytes(before[:1000])
    project.dvc("repro", "pickle")
    assert (project.folder / "data/training.pkl").read_bytes() == before

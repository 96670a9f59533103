"""The command: what it prints, publishes and refuses."""

import csv
import json
import pickle
import zlib

import numpy as np
import pytest
import torch
from scipy import stats

from britekit import cli
from britekit.commands.train import _Curves
from britekit.config.layers import forget_config

SETTINGS = """
audio: {spec_height: 32, spec_width: 64}
train: {model_type: timm.test_efficientnet, num_epochs: 2, min_steps: 2, val_portion: 0.25}
misc: {force_cpu: true}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with params.yaml and a pickle of two classes."""
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_STAGE", "WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    forget_config()
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (32, 32, 64), dtype=np.uint8)
    content = {
        "class_names": ["Noise", "Owl"],
        "class_codes": ["NOIS", "OWL"],
        "alt_names": ["", ""],
        "alt_codes": ["", ""],
        "spec_values": [zlib.compress(image.tobytes()) for image in images],
        "spec_class_indexes": [[i % 2] for i in range(32)],
        "spec_height": 32,
        "spec_width": 64,
    }
    (tmp_path / "data").mkdir()
    (tmp_path / "data/training.pkl").write_bytes(pickle.dumps(content))
    (tmp_path / "params.yaml").write_text(SETTINGS)
    (tmp_path / "dvc.yaml").write_text("")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)


def test_publish_writes_what_the_stage_owes(project, capsys):
    pytest.importorskip("openvino")
    assert cli.main(["train", "--seed", "3", "--publish"]) == 0
    said = dict(line.split(" = ", 1) for line in capsys.readouterr().out.splitlines() if " = " in line)
    assert {"loss", "val_roc", "seconds", "spectrograms_per_second", "published"} <= set(said)
    assert sorted(p.name for p in (project / "models/ckpt").iterdir()) == ["seed-3.ckpt", "seed-3.onnx"]
    assert list(json.loads((project / "metrics/train-3.json").read_text())) == ["loss_3", "val_pr_macro_3"]
    metrics = json.loads((project / "results/runs/train-3.json").read_text())
    assert {"loss", "spectrograms_per_second", "seconds", "device", "version", "revision"} <= set(metrics)
    with open(project / "results/curves/train-3.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert float(rows[-1]["loss"]) == pytest.approx(metrics["loss"], abs=1e-5)
    assert (project / "logs/version_0/checkpoints").is_dir()
    first = (project / "models/ckpt/seed-3.ckpt").read_bytes()
    assert cli.main(["train", "--seed", "3", "--publish"]) == 0
    assert (project / "models/ckpt/seed-3.ckpt").read_bytes() == first


def test_the_stage_publishes_where_dvc_looks_for_it(project, monkeypatch):
    (project / "mine").mkdir()
    (project / "mine/seed-3.ckpt").write_text("a model of one's own")
    (project / "params.yaml").write_text(SETTINGS.replace("{force", "{ckpt_folder: mine, force"))
    monkeypatch.setenv("DVC_STAGE", "train@3")
    assert cli.main(["train", "--seed", "3", "--publish"]) == 0
    assert (project / "models/ckpt/seed-3.ckpt").is_file()
    assert [path.name for path in (project / "mine").iterdir()] == ["seed-3.ckpt"]
    assert (project / "mine/seed-3.ckpt").read_text() == "a model of one's own"


def test_without_publish_only_the_log_folder_is_written(project, capsys):
    from britekit.commands import train

    result = train(prefix="x", seed=1)
    assert [p.name for p in result.checkpoints] == ["x-v0-e0.ckpt", "x-v0-e1.ckpt"]
    assert not (project / "models").exists() and not (project / "metrics").exists()
    assert "x-v0-e1.ckpt" in capsys.readouterr().out


def test_folds_print_mean_spread_and_interval(project, capsys):
    (project / "params.yaml").write_text(
        SETTINGS.replace("val_portion: 0.25", "num_folds: 2, test_pickle: data/training.pkl")
    )
    assert cli.main(["train", "--seed", "1"]) == 0
    said = dict(line.split(" = ", 1) for line in capsys.readouterr().out.splitlines())
    folds = [float(said["val_roc_fold_0"]), float(said["val_roc_fold_1"])]
    assert float(said["val_roc_mean"]) == pytest.approx(np.mean(folds), abs=1e-4)
    assert float(said["val_roc_stdev"]) == pytest.approx(np.std(folds, ddof=1), abs=1e-4)
    low, high = map(float, said["val_roc_interval"].split(" to "))
    half = stats.t.ppf(0.975, 1) * np.std(folds, ddof=1) / np.sqrt(2)
    expected = max(np.mean(folds) - half, 0), min(np.mean(folds) + half, 1)  # no area is outside
    assert (low, high) == pytest.approx(expected, abs=2e-3)
    tests = [float(said[f"test_roc_fold_{k}"]) for k in (0, 1)]
    assert float(said["test_roc_mean"]) == pytest.approx(np.mean(tests), abs=1e-4)


def test_curves_of_folds_follow_one_another_under_names_of_their_own():
    class Run:
        steps, names = [], set()

        def log(self, values, step):
            self.steps.append(step)
            self.names.update(values)

    curves = _Curves(Run())
    for fold in (0, 1):
        for step in range(3):
            curves.step({"fold": fold, "step": step, "epoch": 0, "loss": 1.0, "lr": 0.1})
        curves.epoch({"fold": fold, "step": 3, "epoch": 0, "loss": 1.0})
    assert Run.steps == sorted(Run.steps) and len(set(Run.steps)) == 8
    assert {"fold-0/loss", "fold-1/loss", "fold-1/epoch/loss"} <= Run.names


def test_failures_are_one_line_and_exit_1(project, capsys):
    assert cli.main(["train", "--publish"]) == 1
    assert capsys.readouterr().err.strip() == (
        "Error: --publish names the checkpoint by its seed; give --seed or set train.seed"
    )
    (project / "data/training.pkl").unlink()
    assert cli.main(["train"]) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith("Error: train.train_pickle: data/training.pkl does not exist") and "\n" not in error

"""A checkpoint of public britekit 1.8.4 beside one of ours, as members of one ensemble."""

import csv
from pathlib import Path

import pytest
import torch

from britekit.annotations.classes import ClassInfo
from britekit.cli import main
from britekit.config import BaseConfig, to_dict
from britekit.inference.model_files import resolve_for_models
from britekit.models.checkpoint import hyper_parameters, save_checkpoint
from britekit.models.options import Blueprint
from britekit.models.recognizer import build
from britekit.service.contents import write_contents
from tests.inference.conftest import write_recording
from tests.models.test_public_checkpoints import public

CLASSES = [ClassInfo(f"Class {k}", f"Class {k}", f"Class {k}", f"Class {k}") for k in [*range(3, 50), 2, 0, 1]]


def ours(path, classes=CLASSES, **audio):
    """Write a checkpoint of this version, of the same classes in another order."""
    torch.manual_seed(1)
    network = build(Blueprint("effnet.1", "basic", len(classes), 128, 480)).eval()
    cfg = BaseConfig()
    for name, value in audio.items():
        setattr(cfg.audio, name, value)
    settings = to_dict(cfg)
    hyper = hyper_parameters(network.blueprint, classes, 10, True)
    save_checkpoint(path, network, hyper, settings, epoch=0, published=True)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("both").mkdir()
    torch.save(public(head="basic", classes=50), "both/theirs.ckpt")
    ours(Path("both/ours.ckpt"))
    for number in range(2):
        write_recording(Path("rec", f"r{number}.wav"), 10, seed=number)
    Path("rec/annotations.csv").write_text(
        "recording,class,start_time,end_time\nr0,Class 0,0.5,3\nr1,Class 1,6,9\nr1,Class 2,1,3\n"
    )
    return tmp_path


def scores(ckpt):
    out = Path(f"out-{Path(ckpt).stem}-{len(list(Path().glob('out-*')))}")
    assert main(["analyze", "--ckpt", str(ckpt), "-i", "rec", "-o", str(out), "-r", "csv", "-m", "0"]) == 0
    with open(out / "scores.csv") as file:
        return {(r["recording"], r["name"], float(r["start_time"])): float(r["score"]) for r in csv.DictReader(file)}


def test_scores_are_means_and_the_best_pair_is_found(project, capsys):
    mixed, first, second = scores("both"), scores("both/theirs.ckpt"), scores("both/ours.ckpt")
    assert len(mixed) == 2 * 2 * 50 and mixed.keys() == first.keys() == second.keys()
    for key, value in mixed.items():
        assert value == pytest.approx((first[key] + second[key]) / 2, abs=2e-3)
    command = ["ensemble", "--ckpt", "both", "-e", "2", "-a", "rec/annotations.csv", "--no-holdout"]
    assert main(command) == 0
    assert "best_names = ours.ckpt, theirs.ckpt" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("classes", "audio", "message"),
    [
        (CLASSES[:-1], {}, 'it adds "Class 1"'),
        ([*CLASSES[:-1], ClassInfo("Wren", "WREN")], {}, 'it lacks "Wren" and adds "Class 1"'),
        (CLASSES, {"max_freq": 7000}, "audio.max_freq 8000"),
    ],
)
def test_what_does_not_agree_is_refused(project, capsys, classes, audio, message):
    ours(Path("both/ours.ckpt"), classes, **audio)
    assert main(["analyze", "--ckpt", "both", "-i", "rec", "-o", "out"]) == 1
    said = capsys.readouterr().err
    assert message in said and "members of an ensemble must agree" in said and said.count("Error") == 1
    assert not list(Path("out").glob("*.csv"))


@pytest.mark.slow
def test_both_are_exported_and_packaged(project):
    before = scores("both")
    assert main(["ckpt-onnx", "-i", "both"]) == 0
    cfg, members = resolve_for_models(None, None, "both")
    assert {path.name for path in write_contents(cfg, members, Path("contents")).exports} == {
        "ours.onnx",
        "theirs.onnx",
    }
    after = scores("both")
    assert before.keys() == after.keys() and all(abs(before[key] - after[key]) < 2e-3 for key in before)

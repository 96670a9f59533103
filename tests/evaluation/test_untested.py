"""A day without annotations: every stage of the test leaves its outputs, without figures, and says what is next."""

import json
from pathlib import Path

import pytest
from PIL import Image

from britekit import commands
from britekit.annotations.segments import write_annotations
from britekit.config import BaseConfig
from britekit.errors import InputError
from britekit.inference.platt import is_unfitted, read_calibration


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """A stage in a project whose table of annotations has no rows, and whose test has no recordings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_STAGE", "calibrate")
    monkeypatch.setenv("WANDB_MODE", "disabled")
    write_annotations(Path("data/test/annotations.csv"), [])
    return tmp_path


CALIBRATE = {
    "annotations_path": "data/test/annotations.csv",
    "label_dir": "results/labels",
    "output_path": "results/calibration",
    "publish_path": "models/calibration.yaml",
    "plot_path": "results/reliability.png",
    "metrics_path": "metrics/calibration.json",
}
TEST = {key: CALIBRATE[key] for key in ("annotations_path", "label_dir")}


def test_each_stage_leaves_what_dvc_waits_for_and_says_what_is_next(stage, caplog):
    commands.analyze(input_path="data/test", output_path="results/labels", min_score=0.0)
    commands.calibrate(**CALIBRATE)
    commands.rpt_test(**TEST, output_path="results/test", metrics_path="metrics/test.json")
    assert Path("results/labels").is_dir() and Path("results/test/report.html").is_file()
    assert Image.open("results/reliability.png").width > 100
    figures = json.loads(Path("metrics/test.json").read_text())
    assert figures["macro_pr"] is None
    assert json.loads(Path("metrics/calibration.json").read_text())["ece_after"] is None
    assert caplog.text.count("no test recording is annotated yet") == 3
    assert "Next: put annotations" in commands.summary()
    assert "list their folder in data/sources.csv with split test" in caplog.text


def test_a_person_gets_an_error_instead(stage, monkeypatch):
    monkeypatch.delenv("DVC_STAGE")
    with pytest.raises(InputError, match="contains no recordings"):
        commands.analyze(input_path="data/test", output_path="results/labels")
    with pytest.raises(InputError):
        commands.rpt_test(**TEST, output_path="results/test")
    assert not Path("results").exists()


def test_what_is_not_fitted_is_packaged_without_and_applied_nowhere(stage, monkeypatch, capsys):
    commands.calibrate(**CALIBRATE)
    assert is_unfitted("models/calibration.yaml")
    with pytest.raises(InputError, match="contains no fit: no test recording is annotated yet"):
        read_calibration("models/calibration.yaml")
    asked = []

    def resolved(_cfg_path, overrides):
        asked.append(overrides["infer.calibration"])
        raise InputError("enough")

    monkeypatch.setattr("britekit.inference.model_files.resolve_for_models", resolved)
    with pytest.raises(InputError, match="enough"):
        commands.package(calibration_path="models/calibration.yaml")
    assert asked == [None] and "calibrated = no" in capsys.readouterr().out
    assert not is_unfitted("data/test/annotations.csv") and not is_unfitted("missing.yaml")
    assert BaseConfig().infer.calibration is None

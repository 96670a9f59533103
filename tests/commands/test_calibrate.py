"""`calibrate` as typed: values, files and one sentence for bad input."""

import json

import pytest
import yaml

from britekit.cli import main
from tests.evaluation.made_sets import simulate, table_as_labels


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    simulate(tmp_path / "test", recordings=40, slope=0.6, shift=-0.4)
    return tmp_path


BASE = ["calibrate", "-a", "test/annotations.csv", "-l", "labels", "-o", "out"]


def printed(text):
    return {key: float(value) for key, _, value in (line.partition(" = ") for line in text.splitlines())
            if value and value not in ("True", "False")}  # fmt: skip


def test_values_files_and_metrics(project, capsys):
    options = ["--cutoff", "0", "--publish", "models/c.yaml", "--plot", "plots/r.png", "--metrics", "metrics/c.json"]
    assert main([*BASE, *options]) == 0
    figures = printed(capsys.readouterr().out)
    assert figures["coefficient"] == pytest.approx(0.6, abs=0.1)
    assert figures["intercept"] == pytest.approx(-0.4, abs=0.15)
    a, b = figures["coefficient"], figures["intercept"]
    assert {path.name for path in (project / "out").iterdir()} == {
        f"calibration-{a:.2f}-{b:.2f}.png", "calibration.csv", "thresholds.csv", "figures.json",
    }  # fmt: skip
    assert (project / "plots" / "r.png").exists()
    content = yaml.safe_load((project / "models" / "c.yaml").read_text())
    assert content["coefficient"] == pytest.approx(a, abs=1e-4)
    stored = json.loads((project / "out" / "figures.json").read_text())
    assert json.loads((project / "metrics" / "c.json").read_text()) == {"ece_after": round(stored["ece_after"], 4)}
    assert stored["ece_after"] < stored["ece_before"] and stored["brier_after"] < stored["brier_before"]
    assert stored["cross_fitted"] is True and "revision" in stored


def test_file_goes_into_the_output_by_default(project):
    assert main([*BASE, "--cutoff", "0"]) == 0
    assert (project / "out" / "calibration.yaml").exists()


def test_given_values_are_judged_not_written(project, capsys):
    assert main([*BASE, "--coef", "2", "--inter", "-1.5"]) == 0
    figures = printed(capsys.readouterr().out)
    assert (figures["coefficient"], figures["intercept"]) == (2, -1.5)
    assert {path.name for path in (project / "out").iterdir()} == {
        "calibration-2.00--1.50.png",
        "calibration.csv",
        "thresholds.csv",
        "figures.json",
    }


def test_python_gets_both_values(project):
    from britekit.commands.calibrate import calibrate

    a, b = calibrate(annotations_path="test/annotations.csv", label_dir="labels", output_path="out", cutoff=0.0)
    assert a == pytest.approx(0.6, abs=0.1) and b == pytest.approx(-0.4, abs=0.15)


def test_scaled_labels_give_the_values_to_configure(project, capsys):
    import numpy as np
    import soundfile

    folder = table_as_labels(project / "test" / "labels", project / "test" / "text", "csv")
    (folder / "manifest.yaml").write_text("inference: {scaling_coefficient: 2.0, scaling_intercept: 0.5}\n")
    for k in range(40):
        soundfile.write(project / "test" / f"rec{k:03}.wav", np.zeros(60 * 8000, np.float32), 8000)
    assert main(["calibrate", "-a", "test/annotations.csv", "-l", "text", "-o", "out"]) == 0
    figures = printed(capsys.readouterr().out)
    a, b = figures["coefficient"], figures["intercept"]
    assert figures["configured coefficient"] == pytest.approx(2 * a, abs=2e-4)
    assert figures["configured intercept"] == pytest.approx(0.5 * a + b, abs=2e-4)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--coef", "1"], "go together"),
        (["--inter", "1"], "go together"),
        (["--coef", "0", "--inter", "0"], "not 0"),
        (["--coef", "1", "--inter", "0", "--publish", "x.yaml"], "--publish"),
        (["--cutoff", "1"], "--cutoff"),
        (["--cutoff", "-0.1"], "--cutoff"),
        (["--precision", "1"], "--precision"),
        (["--cutoff", "0.99999"], "predictions reach the cutoff"),
        (["-l", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_one_sentence(project, capsys, options, expected):
    assert main([*BASE, *options]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("Error: ") and expected in error
    assert not (project / "out").exists()


def test_all_true_is_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    simulate(tmp_path / "test", recordings=5, slope=0.0, shift=50.0)
    assert main([*BASE, "--cutoff", "0"]) == 1
    assert "needs both" in capsys.readouterr().err

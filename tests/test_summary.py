"""`britekit summary`, and tables of experiments that fit a screen."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from britekit import commands
from britekit.errors import InputError
from britekit.project.layout import lay_out
from britekit.project.summary import summary_text

FIGURES = {
    "macro_pr": 0.8123, "micro_pr": 0.7, "macro_roc": 0.9, "precision": 0.91, "recall": None, "threshold": 0.8,
    "recordings": 30, "intervals": {"macro_pr": [0.7512, 0.8634]},
    "suggested": {"threshold": 0.42, "precision": 0.903, "recall": 0.711},
}  # fmt: skip


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lay_out(tmp_path)
    return tmp_path


def test_summary(project, capsys):
    with pytest.raises(InputError, match="nothing was tested yet; run dvc repro"):
        commands.summary()
    Path("results/test").mkdir(parents=True)
    Path("results/test/figures.json").write_text(json.dumps(FIGURES))
    text = commands.summary()
    assert capsys.readouterr().out == text + "\n"
    lines = text.splitlines()
    assert lines[0] == "Test on 30 recordings that were not used for training"
    assert lines[3] == "macro PR-AUC          0.812   0.751 to 0.863    average precision, mean over species"
    assert lines[7].startswith("recall at 0.8             -")
    assert "report = results/test/report.html" in lines
    assert "suggested threshold = 0.42 (here precision 0.90, recall 0.71; chosen on this test)" in lines
    assert lines[-1].startswith("next = git add . && git commit"), "an experiment needs a commit"
    assert max(map(len, lines)) <= 100
    git(project, "add", ".")
    git(project, "commit", "-qm", "Begin")
    assert summary_text(project).splitlines()[-1].startswith("next = britekit exp ")
    Path("metrics").mkdir(exist_ok=True)
    Path("metrics/test.json").write_text("{}")
    assert summary_text(project).splitlines()[-1].startswith("next = git add metrics && git commit")


def test_precision_without_a_detection_is_undefined(project):
    """Written as 0 in metrics files, it read like a recognizer that is always wrong."""
    Path("results/test").mkdir(parents=True)
    intervals = {"macro_pr": [0.5, 0.7], "recall": [0.0, 0.2]}
    Path("results/test/figures.json").write_text(
        json.dumps(FIGURES | {"precision": 0.0, "recall": 0.0, "intervals": intervals})
    )
    line = next(line for line in summary_text(project).splitlines() if line.startswith("precision"))
    assert line.split()[3] == "-" and line.endswith("nothing is detected at this threshold")


def test_tables_of_experiments_fit_a_screen(project):
    """120 columns, as DVC prints them with the settings that changed."""
    Path("metrics").mkdir(exist_ok=True)

    def write(value):
        figures = ("macro_pr", "micro_pr", "macro_roc", "precision", "recall")
        Path("metrics/test.json").write_text(json.dumps(dict.fromkeys(figures, value)))
        Path("metrics/calibration.json").write_text(json.dumps({"ece_after": value}))
        for seed in (1, 2):
            Path(f"metrics/train-{seed}.json").write_text(json.dumps({f"loss_{seed}": value}))

    write(0.1234)
    git(project, "add", ".")
    git(project, "commit", "-qm", "Begin")
    write(0.5678)
    for words in (["metrics", "diff"], ["exp", "show", "--only-changed", "-A", "--no-pager"]):
        done = subprocess.run([sys.executable, "-m", "dvc", *words], capture_output=True, text=True, check=True)
        assert "macro_pr" in done.stdout and "loss_2" in done.stdout
        assert max(map(len, done.stdout.splitlines())) <= 120, done.stdout

"""`rpt-test` as typed: options, files, figures on stdout, and one sentence for bad input."""

import json

import pytest

from britekit.cli import main
from tests.evaluation.made_sets import simulate


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    simulate(tmp_path / "test", recordings=8)
    return tmp_path


BASE = ["rpt-test", "-a", "test/annotations.csv", "-l", "labels", "-o", "out"]


def printed(text):
    return dict(line.split(" = ") for line in text.splitlines() if " = " in line)


def test_report_metrics_and_figures(project, capsys):
    assert main([*BASE, "--min_score", "0.6", "--metrics", "metrics/test.json", "--skip-matrices"]) == 0
    figures = printed(capsys.readouterr().out)
    few = json.loads((project / "metrics" / "test.json").read_text())
    assert list(few) == ["macro_pr", "micro_pr", "macro_roc", "precision", "recall"]
    stored = json.loads((project / "out" / "figures.json").read_text())
    assert all(few[name] == round(stored[name], 4) for name in few)
    for key in ("macro_pr", "micro_pr", "macro_roc", "micro_roc", "precision", "recall"):
        assert float(figures[key]) == pytest.approx(stored[key], abs=1e-4)
    assert stored["threshold"] == 0.6 and stored["segments"] == 160 and "version" in stored and "revision" in stored
    text = (project / "out" / "summary_report.txt").read_text()
    assert f"{stored['macro_pr']:.4f}" in text and "0.6, on scores, not calibrated" in text
    assert not list((project / "out").glob("y_*")) and (project / "out" / "pr_curve_annotated.png").exists()


def test_a_figure_without_an_interval_is_printed_without_one(project, capsys):
    assert main([*BASE, "--min_score", "1", "--skip-matrices"]) == 0
    said = capsys.readouterr()
    figures = printed(said.out)
    assert "there is no detection at the threshold 1, because the highest value is 0.9" in said.err
    assert "recall_interval" in figures and "precision_interval" not in figures
    assert not any("nan" in value for name, value in figures.items() if name.endswith("_interval"))


def test_threshold_comes_from_the_settings(project, capsys):
    (project / "params.yaml").write_text("infer:\n  min_score: 0.3\n")
    assert main([*BASE, "-g", "seg", "--save-matrices"]) == 0
    assert printed(capsys.readouterr().out)["threshold"] == "0.3000"
    assert len(list((project / "out").glob("y_*.csv"))) == 4


def test_calibration_of_the_pipeline(project, capsys):
    common = ["-a", "test/annotations.csv", "-l", "labels"]
    assert main(["calibrate", *common, "-o", "out", "--cutoff", "0", "--publish", "models/calibration.yaml"]) == 0
    assert main([*BASE, "--calibration", "models/calibration.yaml", "--skip-matrices"]) == 0
    assert printed(capsys.readouterr().out)["threshold_on_probabilities"] == "True"
    assert "cross-fitted" in (project / "out" / "summary_report.txt").read_text()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["-g", "block"], "block"),
        (["-g", "recording"], "classes"),
        (["-g", ""], "granularity"),
        (["-g", "minute", "-b", "30"], "60 seconds"),
        (["-g", "block", "-b", "0"], "--block"),
        (["-g", "recording", "--precision", "0"], "--precision"),
        (["--examples", "-1"], "--examples"),
        (["--save-matrices", "--skip-matrices"], "contradict"),
        (["-m", "1.5"], "min_score"),
        (["-l", "nowhere"], "nowhere"),
        (["-a", "nowhere.csv"], "nowhere.csv"),
        (["--calibration", "gone.yaml"], "gone.yaml"),
    ],
)
def test_bad_input_is_one_sentence(project, capsys, options, expected):
    assert main([*BASE, *options]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("Error: ") and expected in error
    assert not (project / "out").exists()


def test_unknown_class_alone_is_an_error_with_a_suggestion(project, capsys):
    (project / "test" / "bad.csv").write_text("recording,class,start_time,end_time\nrec000,OVNE,0,2\n")
    assert main([*BASE, "-a", "test/bad.csv"]) == 1
    error = capsys.readouterr().err
    assert "no usable annotation" in error and 'did you mean "OVEN"' in error


def test_unknown_class_is_left_out_unless_strict_or_in_a_stage(project, capsys, monkeypatch):
    (project / "test" / "bad.csv").write_text(
        "recording,class,start_time,end_time\nrec000,OVEN,0,2\nrec001,OVEN,3,5\nrec001,OVNE,0,2\n"
    )
    command = [*BASE, "-a", "test/bad.csv", "--examples", "0", "--skip-matrices"]
    for stage, more in (("", ["--strict"]), ("rpt-test", [])):
        monkeypatch.setenv("DVC_STAGE", stage)
        monkeypatch.setenv("WANDB_MODE", "disabled")
        assert main([*command, *more]) == 1
        error = capsys.readouterr().err.strip().splitlines()
        assert len(error) == 1 and "bad.csv, row 4" in error[0] and 'did you mean "OVEN"' in error[0]
        assert not (project / "out").exists()
    monkeypatch.delenv("DVC_STAGE")
    assert main(command) == 0
    assert "bad.csv, row 4" in capsys.readouterr().err
    assert "OVNE" in (project / "out" / "report.html").read_text()


def test_blocks_and_recordings(project, capsys):
    (project / "test" / "minutes.csv").write_text(
        'recording,minute,classes\nrec000,1,"OVEN,WOTH"\nrec001,1,VEER\nrec002,1,\n'
    )
    (project / "test" / "whole.csv").write_text('recording,classes\nrec000,"OVEN,WOTH"\nrec001,\n')
    common = ["--examples", "1", "--skip-matrices"]
    assert main([*BASE, "-a", "test/minutes.csv", "-g", "min", *common]) == 0
    figures = printed(capsys.readouterr().out)
    assert figures["blocks"] == "3" and 0 <= float(figures["precision_seconds"]) <= 1
    low, high = map(float, figures["micro_roc_interval"].split())
    assert low <= float(figures["micro_roc"]) <= high
    assert main([*BASE, "-a", "test/whole.csv", "-g", "r", *common, "--precision", "0.1"]) == 0
    figures = printed(capsys.readouterr().out)
    assert figures["recordings"] == "2" and float(figures["tp_seconds_at_precision"]) > 0
    assert "Test per recording" in (project / "out" / "report.html").read_text()


@pytest.mark.parametrize("row", ["rec000,OVEN,-1,2", "rec000,OVEN,3,2", "rec000,OVEN,x,2"])
def test_bad_times_name_the_row(project, capsys, row):
    (project / "test" / "bad.csv").write_text(f"recording,class,start_time,end_time\n{row}\n")
    assert main([*BASE, "-a", "test/bad.csv"]) == 1
    assert "row 2" in capsys.readouterr().err


def test_missing_columns_are_named(project, capsys):
    (project / "test" / "bad.csv").write_text("recording,class,start_time\nrec000,OVEN,1\n")
    assert main([*BASE, "-a", "test/bad.csv"]) == 1
    assert "end_time" in capsys.readouterr().err


def test_table_with_nan_is_refused(project, capsys):
    import numpy as np

    from britekit.annotations.scores import ScoreTable

    path = project / "test" / "labels" / "scores.npz"
    arrays = dict(np.load(path))
    arrays["scores"][3, 1] = np.nan
    np.savez(path, **arrays)
    with pytest.raises(Exception, match="scores"):
        ScoreTable.load(path)
    assert main(BASE) == 1
    error = capsys.readouterr().err
    assert "scores.npz" in error and '"Wood Thrush" in recording "rec000" at 9 s' in error


def test_offline_run_holds_figures_table_and_curves(project, monkeypatch):
    """What is given to the tracked run, with a run that only remembers."""
    from britekit.tracking import run as tracking

    class Remembering(tracking.StageRun):
        active = True

        def __init__(self):
            super().__init__()
            self.seen = {}

        def summary(self, values):
            self.seen.setdefault("summary", {}).update(values)

        def image(self, name, path):
            self.seen[name] = path

        def table(self, name, columns, rows):
            self.seen[name] = (columns, rows)

    from contextlib import contextmanager

    run = Remembering()

    @contextmanager
    def remember(*_):
        yield run

    monkeypatch.setattr(tracking, "stage_run", remember)
    assert main([*BASE, "--skip-matrices"]) == 0
    assert run.seen["summary"]["segments"] == 160
    assert run.seen["summary"]["micro_pr_low"] < run.seen["summary"]["micro_pr"]
    columns, rows = run.seen["classes"]
    assert columns[:2] == ["class", "PR-AUC"] and [row[0] for row in rows] == ["OVEN", "WOTH", "VEER"]
    assert run.seen["pr_curve_annotated"].exists()

"""`tune --notrain` as typed, on fake members: which settings win, going on, sharing, and what is refused."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from britekit.cli import main
from britekit.config import resolve
from britekit.evaluation.scored_segments import read_scored_segments
from tests.inference.fakes import make_fake_member
from tests.tuning.conftest import CLASSES

BASE = ["tune", "--notrain", "-o", "out", "-a", "test/annotations.csv", "-m", "micro_roc"]
POWER = "- {name: audio_power, type: float, bounds: [0.2, 1.4], step: 0.4}\n"


def values(text):
    return dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)


def table(name="metrics-summary.csv", folder="out"):
    with open(Path(folder) / name) as file:
        return list(csv.DictReader(file))


def test_every_combination_is_what_a_test_with_its_settings_gives(project, capsys):
    from sklearn.metrics import average_precision_score, roc_auc_score

    Path("p.yaml").write_text(POWER + "- {name: infer.max_models, type: categorical, choices: [1, null]}\n")
    assert main([*BASE, "-p", "p.yaml"]) == 0
    found = values(capsys.readouterr().out)
    rows = table()
    assert len(rows) == 8 and not any(row["Error"] for row in rows)
    assert {row["Params"] for row in rows} == {
        f"audio_power={p}; infer.max_models={m}" for p in (0.2, 0.6, 1.0, 1.4) for m in (1, None)
    }
    best = max(rows, key=lambda row: float(row["Micro ROC-AUC"]))
    assert found["best_score"] == best["Micro ROC-AUC"]
    # The file of the best settings brings about just that.
    assert main(["analyze", "-c", "out/best.yaml", "-i", "test", "-o", "labels", "-m", "0", "-r", "csv"]) == 0
    data = read_scored_segments("test/annotations.csv", "labels", None, resolve())
    roc = roc_auc_score(data.truth_NC.ravel(), data.scores_NC.ravel())
    pr = average_precision_score(data.truth_NC.ravel(), data.scores_NC.ravel())
    assert float(best["Micro ROC-AUC"]) == pytest.approx(roc, abs=6e-5)
    assert float(best["Micro PR-AUC"]) == pytest.approx(pr, abs=6e-5)
    assert {p.name for p in Path("out").iterdir()} >= {
        "metrics-details.csv", "history.png", "slices.png", "importances.png", "tuning.yaml", "study.journal",
    }  # fmt: skip
    assert len(table("metrics-details.csv")) == 8


def test_settings_of_labels_need_inference_once(project, capsys):
    from britekit.tuning.tuner import Tuner

    space = [
        {"name": "min_score", "type": "float", "bounds": [0.0, 0.8], "step": 0.2},
        {"name": "scaling_coefficient", "type": "categorical", "choices": [1.0, 2.0]},
    ]
    tuner = Tuner(None, "out", "test/annotations.csv", metric="micro_pr", param_space=space, skip_training=True)
    made = []
    make = tuner._evaluator

    def remember(stack):
        made.append(make(stack))
        return made[-1]

    tuner._evaluator = remember
    score, settings = tuner.run()
    assert made[0].inferences == 1 and len(table()) == 10
    assert set(settings) == {"min_score", "scaling_coefficient"}
    # Scaling alone keeps every order; cutting off what is no label does not.
    by_params = {row["Params"]: row for row in table()}
    assert (
        by_params["min_score=0.0; scaling_coefficient=1.0"]["Micro ROC-AUC"]
        == by_params["min_score=0.0; scaling_coefficient=2.0"]["Micro ROC-AUC"]
    )
    assert len({row["Micro ROC-AUC"] for row in table()}) > 2


def test_random_tries_are_distinct_and_a_search_goes_on(project, capsys):
    Path("p.yaml").write_text("- {name: audio_power, type: float, bounds: [0.1, 2.0], step: 0.1}\n")
    assert main([*BASE, "-p", "p.yaml", "--trials", "3"]) == 0
    first = table()
    assert len(first) == 3
    assert main([*BASE, "-p", "p.yaml", "--trials", "5"]) == 0
    assert table()[:3] == first and len({row["Params"] for row in table()}) == 5
    capsys.readouterr()
    assert main([*BASE, "-p", "p.yaml", "--trials", "5"]) == 0
    assert "trial 6" not in capsys.readouterr().out and len(table()) == 5
    assert main([*BASE, "-p", "p.yaml", "--trials", "5", "-m", "macro_pr"]) == 1
    assert "another metric" in capsys.readouterr().err


def test_combined_metrics_are_means_of_macro_and_trained_micro(project, capsys):
    from sklearn.metrics import average_precision_score, roc_auc_score

    # Jays are among the trained, but no longer among the annotated classes.
    rows = Path("test/annotations.csv").read_text().splitlines(keepends=True)
    Path("test/annotations.csv").write_text("".join(row for row in rows if ",JAY," not in row))
    Path("p.yaml").write_text(POWER)
    for metric, name in (("combo_pr", "PR"), ("combo_roc", "ROC")):
        assert main([*BASE[:-1], metric, "-p", "p.yaml", "-o", metric]) == 0
        found = values(capsys.readouterr().out)
        both = f"Macro {name}-AUC", f"Micro {name}-AUC trained"
        means = [sum(float(row[column]) for column in both) / 2 for row in table(folder=metric)]
        assert float(found["best_score"]) == pytest.approx(max(means), abs=1.1e-4)
        best = table(folder=metric)[means.index(max(means))]["Params"]
        assert f"audio_power={found['best audio_power']}" == best
        assert f"Mean of macro and trained micro {name}-AUC" in Path(metric, "best.yaml").read_text()
    best = max(table(folder=metric), key=lambda row: float(row["Macro ROC-AUC"]) + float(row["Micro ROC-AUC trained"]))
    assert main(["analyze", "-c", f"{metric}/best.yaml", "-i", "test", "-o", "labels", "-m", "0", "-r", "csv"]) == 0
    data = read_scored_segments("test/annotations.csv", "labels", None, resolve())
    assert [data.labels[c] for c in data.annotated] == ["WREN", "OWL"]
    for which, columns in (("", data.annotated), (" trained", [0, 1, 2])):
        truth, scores = data.truth_NC[:, columns].ravel(), data.scores_NC[:, columns].ravel()
        assert float(best[f"Micro PR-AUC{which}"]) == pytest.approx(average_precision_score(truth, scores), abs=6e-5)
        assert float(best[f"Micro ROC-AUC{which}"]) == pytest.approx(roc_auc_score(truth, scores), abs=6e-5)
    assert best["Micro ROC-AUC"] != best["Micro ROC-AUC trained"]


def test_tpe_finds_its_way(project, capsys):
    Path("p.yaml").write_text("- {name: audio_power, type: float, bounds: [0.1, 2.0], step: 0.1}\n")
    assert main([*BASE, "-p", "p.yaml", "--sampler", "tpe", "--trials", "4"]) == 0
    assert len(table()) == 4


def test_several_processes_share_a_search_and_a_killed_one_is_made_up_for(project):
    Path("p.yaml").write_text("- {name: audio_power, type: float, bounds: [0.1, 1.2], step: 0.1}\n")
    command = [sys.executable, "-m", "britekit", *BASE, "-p", "p.yaml"]
    killed = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in killed.stdout:
        if line.startswith("trial 3:"):
            break
    killed.kill()
    killed.wait()
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [worker.communicate(timeout=120)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    rows = table()
    assert sorted(row["Params"] for row in rows) == sorted(f"audio_power={round(0.1 + 0.1 * k, 10)}" for k in range(12))
    assert not any(row["Error"] for row in rows)
    assert values(outputs[0])["best_score"] == values(outputs[1])["best_score"]


def test_a_failing_trial_is_told_and_the_search_goes_on(project, capsys):
    Path("broken.yaml").write_text("coefficient: nonsense\n")
    Path("p.yaml").write_text("- {name: calibration, type: categorical, choices: [broken.yaml, null]}\n")
    assert main([*BASE, "-p", "p.yaml"]) == 0
    rows = {row["Params"]: row for row in table()}
    assert "broken.yaml" in rows["calibration=broken.yaml"]["Error"]
    assert rows["calibration=None"]["Micro ROC-AUC"]
    Path("p.yaml").write_text("- {name: calibration, type: categorical, choices: [broken.yaml, gone.yaml]}\n")
    assert main([*BASE, "-p", "p.yaml", "-o", "out2"]) == 1
    assert "no trial is complete: all 2 failed" in capsys.readouterr().err
    Path("broken.yaml").write_text("coefficient: 1.5\nintercept: 0.5\n")
    assert main([*BASE, "-p", "p.yaml", "-o", "out2"]) == 0
    rows = {row["Params"]: row for row in table(folder="out2")}
    assert len(rows) == 2 and rows["calibration=gone.yaml"]["Error"]
    assert rows["calibration=broken.yaml"]["Micro ROC-AUC"] and not rows["calibration=broken.yaml"]["Error"]


def test_best_settings_are_applied_to_the_project(project):
    from britekit.config import template_text

    Path("params.yaml").write_text(template_text().replace("models/ckpt  ", "models/ckpt  # mine "))
    before = Path("params.yaml").read_text().splitlines()
    Path("p.yaml").write_text("- {name: audio_power, type: categorical, choices: [0.31]}\n")
    assert main([*BASE, "-p", "p.yaml", "--apply"]) == 0
    after = Path("params.yaml").read_text().splitlines()
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert len(changed) == 1 and "audio_power: 0.31" in changed[0][1] and "#" in changed[0][1]
    assert resolve().infer.audio_power == 0.31
    assert yaml.safe_load(Path("out/best.yaml").read_text()) == {"infer": {"audio_power": 0.31}}


def test_errors_of_the_tuning_file_come_all_at_once_before_anything(project, capsys):
    make_fake_member(project / "models" / "ckpt", CLASSES, name="seed-1", seed=1)
    Path("p.yaml").write_text(
        "- {name: audio_pwer, type: float, bounds: [0, 1], step: 1}\n"
        "- {name: overlap, type: float, bounds: [1, 0], step: 0.5}\n"
        "- {name: min_score, type: float, bounds: [0, 1], step: 0}\n"
        "- {name: backend, type: categorical, choices: []}\n"
        "- {name: learning_rate, type: float, bounds: [0.001, 0.002], step: 0.001}\n"
        "- {name: max_freq, type: int, bounds: [3000, 3500], step: 500}\n"
        "- {name: block_size, type: number, bounds: [1, 2], step: 1}\n"
        "- {name: max_models, type: int, bounds: [1, 2], step: 1}\n"
        "- {name: infer.max_models, type: int, bounds: [1, 2], step: 1}\n"
        "- nonsense\n"
    )
    assert main([*BASE, "-p", "p.yaml"]) == 1
    lines = capsys.readouterr().err.splitlines()
    expected = ["audio_power", "above 0", "step 0", "at least one value", "--notrain", "--notrain",
                "not int, float", "searched twice", "a map with a name"]  # fmt: skip
    assert len(lines) == len(expected)
    for line, text in zip(lines, expected, strict=True):
        assert text in line and "p.yaml:" in line
    assert not Path("out").exists()
    Path("p.yaml").write_text("- {name: overlap, type: float, bounds: [2.0, 3.0], step: 0.5}\n")
    assert main([*BASE, "-p", "p.yaml"]) == 1  # windows are 3 s long
    assert "overlap 3.0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--extract"], "exclude each other"),
        (["--runs", "0"], "--runs 0"),
        (["--sampler", "tpe"], "needs --trials"),
        (["--classes", "x.csv"], "add --extract"),
        (["--trials", "-1"], "below 0"),
    ],
)
def test_options_that_make_no_sense(project, capsys, options, message):
    assert main([*BASE, *options]) == 1
    assert message in capsys.readouterr().err

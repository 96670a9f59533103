"""`ensemble` as typed, on fake members: the score it tells is the one a test of the winners gives."""

import shutil

import pytest

from britekit.cli import main
from britekit.config import resolve
from britekit.evaluation.scored_segments import read_scored_segments
from britekit.files import sha256_of
from tests.inference.fakes import SMALL_AUDIO, make_fake_member
from tests.tuning.conftest import CLASSES

BASE = ["ensemble", "--ckpt", "models/ckpt", "-a", "test/annotations.csv"]


def values(text):
    return dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)


def test_score_is_that_of_the_winners_as_an_ensemble(project, capsys):
    from sklearn.metrics import roc_auc_score

    assert main([*BASE, "-e", "2", "--no-holdout", "--save", "best/ckpt"]) == 0
    printed = capsys.readouterr().out
    found = values(printed)
    assert found["combinations"] == "6 (all)" and "flattered" in found["best_score"]
    assert "best_single_score" in found and "all_members_score" in found  # nothing is held out
    names = found["best_names"].split(", ")
    saved = project / "best" / "ckpt"
    assert {p.name for p in saved.iterdir()} == {n[:-5] + s for n in names for s in (".ckpt", ".onnx")}
    for path in saved.iterdir():
        assert sha256_of(path) == sha256_of(project / "models" / "ckpt" / path.name)
    command = ["analyze", "-i", "test", "-o", "labels", "--ckpt", str(saved), "-m", "0", "-r", "csv"]
    assert main(command) == 0
    data = read_scored_segments("test/annotations.csv", "labels", None, resolve())
    expected = roc_auc_score(data.truth_NC.ravel(), data.scores_NC.ravel())
    assert float(found["best_score"].split()[0]) == pytest.approx(expected, abs=6e-5)


def test_scores_are_made_once_and_kept(project, capsys):
    assert main([*BASE, "-e", "2", "--scores", "kept"]) == 0
    first = capsys.readouterr().out
    assert first.count(": scored") == 4
    assert main([*BASE, "-e", "2", "--scores", "kept"]) == 0
    second = capsys.readouterr().out
    assert second.count(": scores were there") == 4
    assert values(first) == values(second)
    # Another checkpoint under the same name is scored anew.
    make_fake_member(project / "models" / "ckpt", CLASSES, name="seed-2", seed=77)
    assert main([*BASE, "-e", "2", "--scores", "kept"]) == 0
    third = capsys.readouterr().out
    assert third.count(": scored") == 1 and "seed-2.ckpt: scored" in third


def test_greedy_may_take_a_checkpoint_twice_and_save_it_twice(project, capsys):
    for number in (2, 3, 4):
        for suffix in (".ckpt", ".onnx"):
            (project / "models" / "ckpt" / f"seed-{number}{suffix}").unlink()
    assert main([*BASE, "-e", "2", "--greedy", "--save", "out"]) == 0
    assert values(capsys.readouterr().out)["best_names"] == "seed-1.ckpt, seed-1.ckpt"
    assert {p.name for p in (project / "out").iterdir()} == {
        "seed-1.ckpt", "seed-1.onnx", "seed-1-2.ckpt", "seed-1-2.onnx",
    }  # fmt: skip


def test_a_directory_of_other_models_is_not_mixed_up(project, capsys):
    make_fake_member(project / "out", CLASSES, name="other", seed=9)
    assert main([*BASE, "-e", "2", "--save", "out"]) == 1
    assert "holds other models (other.ckpt, other.onnx)" in capsys.readouterr().err
    assert {p.name for p in (project / "out").iterdir()} == {"other.ckpt", "other.onnx"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-e", "5"], "holds 4 checkpoints, fewer than --ensemble-size 5"),
        (["-e", "0"], "at least 1"),
        (["-n", "0"], "at least 1"),
        (["-r", "nowhere"], "nowhere"),
    ],
)
def test_bad_options(project, capsys, options, message):
    assert main([*BASE, *options]) == 1
    assert message in capsys.readouterr().err


def test_members_that_differ_are_named(project, capsys):
    make_fake_member(project / "models" / "ckpt", CLASSES[:2], name="seed-9", seed=9)
    assert main([*BASE, "-e", "2"]) == 1
    assert "seed-9" in capsys.readouterr().err
    import dataclasses

    other = dataclasses.replace(SMALL_AUDIO, min_freq=300)
    make_fake_member(project / "models" / "ckpt", CLASSES, other, name="seed-9", seed=9)
    assert main([*BASE, "-e", "2"]) == 1
    error = capsys.readouterr().err
    assert "seed-9" in error and "min_freq" in error


@pytest.mark.parametrize(("metric", "said"), [("macro_pr", "left out of its mean"), ("micro_roc", "false")])
def test_a_class_heard_in_one_half_only_is_told(project, capsys, metric, said):
    path = project / "test" / "annotations.csv"
    rows = [r for r in path.read_text().splitlines() if "JAY" not in r]
    path.write_text("\n".join([*rows, "rec3,JAY,0.5,2"]) + "\n")
    assert main([*BASE, "-e", "2", "-m", metric]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "not heard in the half" in line]
    assert len(told) == 1 and told[0].endswith(": JAY") and said in told[0]
    assert main([*BASE, "-e", "2", "-m", metric, "--no-holdout"]) == 0
    assert "not heard" not in capsys.readouterr().err


def test_one_recording_cannot_be_held_out(project, capsys):
    shutil.copy("test/annotations.csv", "test/all.csv")
    rows = (project / "test" / "all.csv").read_text().splitlines()
    (project / "test" / "annotations.csv").write_text("\n".join(r for r in rows if "rec1" in r or "class" in r))
    assert main([*BASE, "-e", "2"]) == 1
    assert "--no-holdout" in capsys.readouterr().err

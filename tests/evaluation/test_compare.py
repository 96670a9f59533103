"""Paired comparison of two tests: figures against scikit-learn, intervals against replicated rows."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from britekit import commands
from britekit.errors import InputError
from britekit.evaluation.compare import CELLS_NAME, Cells, compare_tests, read_cells
from britekit.metrics.bootstrap import resample

RECORDINGS, CLASSES, EACH = 12, 3, 20


def made(seed=0, skill=1.0, recordings=RECORDINGS):
    """A test whose truth depends on nothing but the fixed seed 99; scores follow it with ``skill``."""
    truth = np.random.default_rng(99).random((recordings * EACH, CLASSES)) < 0.3
    noise = np.random.default_rng(seed).normal(size=truth.shape)
    scores = (1 / (1 + np.exp(-(skill * truth + noise)))).astype(np.float32)
    names = np.repeat([f"rec{k:02}" for k in range(recordings)], EACH)
    rows = np.array([f"{name}-{k % EACH}" for k, name in enumerate(names)])
    return Cells(rows, names, np.array(["A", "B", "C"]), truth, scores, scores >= 0.7, "segment", 0.7)


def saved(cells, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        np.savez_compressed(file, **{f.name: getattr(cells, f.name) for f in dataclasses.fields(cells)})


def macro(cells, weights=None):
    return np.mean(
        [average_precision_score(cells.truth[:, c], cells.scores[:, c], sample_weight=weights) for c in range(CLASSES)]
    )


def test_figures_equal_scikit_learn_and_differences_are_paired():
    one, two = made(1, 1.0), made(2, 2.0)
    found = compare_tests(one, two)
    by_name = {item.name: item for item in (*found.figures, *found.classes)}
    lead = found.figures[0]
    assert lead.name == "macro PR-AUC"
    assert (lead.first, lead.second) == (pytest.approx(macro(one)), pytest.approx(macro(two)))
    assert lead.difference.value == pytest.approx(macro(two) - macro(one))
    roc = [np.mean([roc_auc_score(x.truth[:, c], x.scores[:, c]) for c in range(CLASSES)]) for x in (one, two)]
    assert by_name["macro ROC-AUC"].difference.value == pytest.approx(roc[1] - roc[0])
    assert by_name["micro PR-AUC"].first == pytest.approx(
        average_precision_score(one.truth.ravel(), one.scores.ravel())
    )
    right = one.truth & one.found
    assert by_name["precision at the threshold"].first == pytest.approx(right.sum() / one.found.sum(), rel=1e-6)
    assert by_name["recall at the threshold"].first == pytest.approx(right.sum() / one.truth.sum(), rel=1e-6)
    assert [item.name for item in found.classes] == ["class A", "class B", "class C"]
    # The same weightings by hand: each row counts as often as its recording was drawn.
    sampling = resample(RECORDINGS)
    groups = np.repeat(np.arange(RECORDINGS), EACH)
    drawn = [macro(two, w[groups]) - macro(one, w[groups]) for w in sampling.weights_WR[:200]]
    expected = sampling.interval(np.array(drawn))
    assert lead.difference.low == pytest.approx(expected.low, abs=0.02)
    assert lead.difference.high == pytest.approx(expected.high, abs=0.02)


def test_verdicts():
    one = made(1, 1.0)
    assert compare_tests(one, made(2, 3.0)).verdict().startswith("B is better than A: macro PR-AUC +0.")
    assert compare_tests(made(2, 3.0), one).verdict().startswith("B is worse than A: macro PR-AUC -0.")
    same = compare_tests(one, one)
    assert same.verdict().startswith("no difference is detectable: macro PR-AUC +0.000")
    assert all(item.difference.value == 0 for item in (*same.figures, *same.classes))


def test_what_only_one_test_has_is_left_out_and_counted():
    one, two = made(1), made(2, recordings=RECORDINGS)
    fewer = dataclasses.replace(
        two, rows=two.rows[EACH:], recordings=two.recordings[EACH:], labels=two.labels[:2],
        truth=two.truth[EACH:, :2], scores=two.scores[EACH:, :2], found=two.found[EACH:, :2],
    )  # fmt: skip
    found = compare_tests(one, fewer)
    assert found.recordings == RECORDINGS - 1 and [item.name for item in found.classes] == ["class A", "class B"]
    assert found.exclusions == [
        "20 segments of A are not in the other test and are left out",
        "1 annotated classes of A are not in the other test and are left out",
    ]


def test_what_cannot_be_compared_is_refused(tmp_path, monkeypatch):
    one = made(1)
    with pytest.raises(InputError, match="A was tested per segment, B per block"):
        compare_tests(one, dataclasses.replace(one, unit="block"))
    with pytest.raises(InputError, match="share no recording"):
        compare_tests(one, dataclasses.replace(one, rows=np.char.add(one.rows, "x")))
    with pytest.raises(InputError, match="annotations of the two tests differ in 720 of 720 cells"):
        compare_tests(one, dataclasses.replace(one, truth=~one.truth))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="does not exist; expected the results of rpt-test"):
        commands.compare("workspace")
    with pytest.raises(InputError, match="is not a DVC project"):
        commands.compare("HEAD")
    Path("folder").mkdir()
    Path("folder", CELLS_NAME).write_bytes(b"PK\x03\x04 damaged")
    with pytest.raises(InputError, match="cannot be read"):
        commands.compare("folder", "folder")


def test_revisions_and_folders_are_compared(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    dvc = [sys.executable, "-m", "dvc"]

    def run(*command):
        subprocess.run(command, check=True, capture_output=True)

    run("git", "init", "-q")
    run(*dvc, "init", "-q")
    with pytest.raises(InputError, match='"HEAD" is neither a folder, a revision nor an experiment'):
        commands.compare("HEAD")  # an empty repository
    saved(made(1, 1.0), Path("results/test", CELLS_NAME))
    run(*dvc, "add", "-q", "results/test")
    run(*git, "add", ".")
    run(*git, "commit", "-qm", "One")
    saved(made(2, 3.0), Path("results/test", CELLS_NAME))
    capsys.readouterr()
    verdict = commands.compare("HEAD")
    out = capsys.readouterr().out
    assert verdict.startswith("B is better than A") and f"verdict = {verdict}" in out
    assert max(map(len, out.splitlines())) <= 120
    assert commands.compare(".", "HEAD").startswith("B is worse than A")
    assert commands.compare("results/test", ".").startswith("no difference")
    with pytest.raises(InputError, match='"brave-owl" is neither'):
        commands.compare("brave-owl")
    assert read_cells(Path("results/test", CELLS_NAME)).unit == "segment"

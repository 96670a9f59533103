"""Probes on the verdicts of a review, against truth by hand and scikit-learn."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from britekit.annotations.verdicts import Verdict, write_verdicts
from britekit.archive.classifiers import fit_prototypes
from britekit.archive.judged_windows import read_judged
from britekit.archive.probe import deal_folds, fit_probe
from britekit.archive.store import Archive
from britekit.commands.probe import probe
from britekit.config import BaseConfig
from britekit.errors import InputError
from tests.results.test_learning import CLASSES, make, said, truth


def read(folder: Path, verdicts: list[Verdict]):
    write_verdicts(folder / "v.csv", verdicts)
    return read_judged(Archive(folder / "archive"), folder / "v.csv", BaseConfig())


def heard(count: int = 9) -> list[Verdict]:
    """Return two verdicts about each window: of its own class, and of the next, which is not heard."""
    found = []
    for number in range(count):
        for k in range(8):
            true = truth(f"r{number}", 3.0 * k)
            other = CLASSES[(CLASSES.index(true) + 1) % 3]
            found += [said(f"r{number}", 3.0 * k, true), said(f"r{number}", 3.0 * k, other, "no")]
    return found


def test_cells_are_what_was_said_and_the_rest_is_named(tmp_path: Path, caplog) -> None:
    make(tmp_path, 3)
    with caplog.at_level(logging.WARNING):
        data = read(
            tmp_path,
            [
                said("r0", 3.0, "Owl"),
                said("r0", 3.0, "Wren", "no", others=("Rail", "Coot")),
                said("r1", 6.0, "Wren", "unsure"),
                # A review may ask about a detection that lies between two windows; the nearer one was heard.
                said("r2", 10.2, "Rail", "no"),
                said("gone", 0.0, "Owl"),
            ],
        )
    archive = Archive(tmp_path / "archive")
    assert [info.name for info in data.classes] == ["Owl", "Rail", "Wren"]
    np.testing.assert_array_equal(data.vectors_NF, archive.take(np.array([1, 16 + 3])))
    assert data.truth_NC.tolist() == [[True, True, False], [False, False, False]]
    assert data.weights_NC is not None
    np.testing.assert_allclose(data.weights_NC, [[1, 1, 1], [0.3, 1, 0.3]])
    assert data.recordings == ["r0", "r2"] and data.groups_N.tolist() == [0, 1]
    assert "1 verdict of 1 recording without a window" in caplog.text and "gone" in caplog.text
    assert "1 verdict unsure" in caplog.text
    assert 'heard as "others" but never asked about, so the probe does not learn them: Coot (1)' in caplog.text


def test_a_class_named_by_code_is_one_class(tmp_path: Path) -> None:
    make(tmp_path, 3)
    (tmp_path / "classes.csv").write_text("Name,Code\nBarn Owl,Owl\n")
    write_verdicts(tmp_path / "v.csv", [said("r0", 0.0, "Owl"), said("r1", 0.0, "Barn Owl", "no")])
    cfg = BaseConfig()
    cfg.misc.classes_file = str(tmp_path / "classes.csv")
    data = read_judged(Archive(tmp_path / "archive"), tmp_path / "v.csv", cfg)
    assert [info.name for info in data.classes] == ["Barn Owl"] and data.truth_NC[:, 0].tolist() == [True, False]


def test_cross_validation_counts_what_was_judged(tmp_path: Path) -> None:
    make(tmp_path)
    data = read(tmp_path, heard())
    assert data.weights_NC is not None
    found = fit_probe(data)
    fold_N = deal_folds(data.truth_NC, data.groups_N)
    areas = []
    for c in range(3):
        logits = np.zeros(len(fold_N))
        for fold in range(5):
            out = fold_N == fold
            theirs = make_pipeline(StandardScaler(), LogisticRegression(C=0.03, tol=1e-9, max_iter=1000))
            weights = {"logisticregression__sample_weight": data.weights_NC[~out, c].astype(float)}
            theirs.fit(data.vectors_NF[~out].astype(float), data.truth_NC[~out, c], **weights)
            logits[out] = theirs.decision_function(data.vectors_NF[out].astype(float))
        known = data.weights_NC[:, c] == 1
        assert 0 < np.count_nonzero(~known) < len(known)
        areas.append(average_precision_score(data.truth_NC[known, c], logits[known]))
    assert found.tried["logistic C=0.03"] == pytest.approx(np.mean(areas), abs=2e-3)


def test_prototypes_are_scaled_by_weight(tmp_path: Path) -> None:
    make(tmp_path)
    data = read(tmp_path, heard())
    x = data.vectors_NF.astype(float)
    seen = x - x.mean(axis=0)
    seen /= np.linalg.norm(seen, axis=1, keepdims=True)
    found = fit_prototypes(data.vectors_NF, data.truth_NC, data.weights_NC)
    assert data.weights_NC is not None
    for c in range(3):
        prototype = seen[data.truth_NC[:, c]].mean(axis=0)
        cosine = (seen @ prototype / np.linalg.norm(prototype))[:, None]
        theirs = LogisticRegression(C=100.0, tol=1e-10)
        theirs.fit(cosine, data.truth_NC[:, c], sample_weight=data.weights_NC[:, c].astype(float))
        np.testing.assert_allclose(found.logits(x)[:, c], theirs.decision_function(cosine), atol=1e-2)


def test_a_class_that_was_never_judged_absent(tmp_path: Path, caplog) -> None:
    make(tmp_path)
    verdicts = [each for each in heard() if not (each.name == "Owl" and each.verdict == "no")]
    with caplog.at_level(logging.WARNING):
        found = fit_probe(read(tmp_path, verdicts))
    assert "never judged absent" in caplog.text and "Owl" in caplog.text
    assert np.isnan(found.pr_auc_C).tolist() == [True, False, False]  # by name: Owl, Rail, Wren
    only_yes = [each for each in heard() if each.verdict == "yes"]
    with pytest.raises(InputError, match="no class was judged absent anywhere"):
        fit_probe(read(tmp_path, only_yes))


@pytest.mark.parametrize(
    ("verdicts", "sentence"),
    [
        ([], "holds no verdict"),
        ([said("gone", 0.0, "Owl")], "no verdict of .* says what is heard in a recording of"),
        ([said("r0", 0.0, "Owl", "unsure")], "no verdict of .* says what is heard in a recording of"),
    ],
)
def test_refusals(tmp_path: Path, verdicts: list[Verdict], sentence: str) -> None:
    make(tmp_path, 3)
    with pytest.raises(InputError, match=sentence):
        read(tmp_path, verdicts)


def test_the_command_takes_one_or_the_other() -> None:
    for given in ({}, {"annotations_path": "a.csv", "verdicts": "v.csv"}):
        with pytest.raises(InputError, match="give either -a or --verdicts"):
            probe(archive="archive", output_path="p.ckpt", **given)

"""The testers of public britekit 1.8.4 and ours, value by value, on the same scores and annotations.

Needs BRITEKIT_PUBLIC_PYTHON, the interpreter of an environment with the public package. Differences that remain are
named in `EXPLAINED`, and in `docs/reference/public.md`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.evaluation.made_sets import write_public_set

PUBLIC = os.environ.get("BRITEKIT_PUBLIC_PYTHON")
SCRIPT = Path(__file__).with_name("public_testers.py")
ROOT = Path(__file__).parents[2]

# Per block, 1.8.4 counts seconds from the start of the recording to the end of a block: they can be negative.
EXPLAINED = {("block", name) for name in ("precision_secs", "tp_secs", "fp_secs")}


def answers(python, folder):
    write_public_set(folder)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)} if python == sys.executable else None
    run = subprocess.run([python, SCRIPT], cwd=folder, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads((folder / "answers.json").read_text())


def differences(there, here):
    found = {}
    for unit, values in there.items():
        for name, value in values.items():
            other = here[unit].get(name)
            if (unit, name.partition(" at ")[0]) in EXPLAINED:
                continue
            numeric = isinstance(value, float) and isinstance(other, float)
            if value != other and not (numeric and abs(value - other) < 2e-6) and not _close(value, other):
                found[f"{unit}: {name}"] = (value, other)
    return found


def _close(one, other):
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return all(_close(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return all(_close(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) < 2e-6
    return one == other


@pytest.mark.slow
@pytest.mark.skipif(not PUBLIC, reason="BRITEKIT_PUBLIC_PYTHON names no interpreter with public britekit")
def test_same_values(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "here").mkdir()
    there, here = answers(PUBLIC, tmp_path / "there"), answers(sys.executable, tmp_path / "here")
    assert sum(len(values) for values in there.values()) > 120
    assert differences(there, here) == {}


def test_inner_steps_agree_with_each_other(tmp_path, monkeypatch):
    from sklearn import metrics as reference

    import britekit as bk

    monkeypatch.chdir(tmp_path)
    write_public_set(tmp_path)
    tester = bk.PerSegmentTester("annotations.csv", None, "csv", "out", 0.5)
    tester.convert_to_numpy()
    truth, scores = tester.y_true_annotated, tester.y_pred_annotated
    assert tester.annotated_classes == ["OVEN", "VEER", "WOTH"] and tester.trained_classes[1] == "TIT"
    assert truth.shape == (200, 3) and tester.y_pred_trained.shape == (200, 4)
    fpr, tpr, thresholds = reference.roc_curve(truth.ravel(), scores.ravel())
    stats = tester.get_roc_auc_stats()
    np.testing.assert_allclose(stats["roc_fpr_annotated"], fpr)
    np.testing.assert_allclose(stats["roc_tpr_annotated"], tpr)
    np.testing.assert_allclose(stats["roc_thresholds_annotated"], thresholds)
    macro = reference.average_precision_score(truth, scores)
    micro = reference.average_precision_score(tester.y_true_trained.ravel(), tester.y_pred_trained.ravel())
    assert tester.get_auc_metric("macro_pr") == pytest.approx(macro)
    assert tester.get_auc_metric("combo_pr") == pytest.approx((macro + micro) / 2)
    flipped = 1 - tester.y_pred_trained
    assert tester.get_auc_metric("macro_roc", flipped) == pytest.approx(1 - tester.get_auc_metric("macro_roc"))
    birds = tester.y_pred_trained[:, 1]
    assert tester.get_non_annotated_class_details() == {"TIT": [int((birds >= x).sum()) for x in (0.25, 0.5, 0.75)]}
    found = tester.get_precision_recall(0.5)
    assert found["tp_secs"] == 3 * int(((scores >= 0.5) & (truth > 0)).sum())
    tester.y_pred_trained_df = tester.y_pred_trained_df.iloc[1:]
    with pytest.raises(bk.InputError, match="differ in rows"):
        tester.check_if_arrays_match()
    with pytest.raises(bk.InputError, match="expected macro_pr"):
        tester.get_auc_metric("auc")
    with pytest.raises(bk.InputError, match="expected \\(200, 4\\)"):
        tester.get_auc_metric("micro_pr", scores)

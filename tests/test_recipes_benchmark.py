"""`benchmarks/recipes.py`: the choice for outer folds, and paired differences, with made-up trainings."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

PATH = Path(__file__).parents[1] / "benchmarks/recipes.py"


@pytest.fixture
def recipes(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("recipes", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    listed = [{"path": f"{n}.wav", "classes": ["AB"[n % 2]], "fold": n % 4 + 1, "group": n} for n in range(8)]
    for name in module.SETS:
        (tmp_path / f"{name}.json").write_text(json.dumps(listed))
    monkeypatch.setattr(module, "SWITCHES", {"default": {}, "good": {"a": 1}, "mixed": {"b": 1}})
    module.trained = []

    def train_and_score(data, held_out, settings, seed, epochs, model):
        """`mixed` is best on folds 1 and 2, `good` on 3 and 4; both beat the default."""
        module.trained.append((data.name, tuple(held_out), *settings))
        for fold in held_out:
            gain = {"a": 0.1, "b": 0.2 if fold < 3 else 0.05}.get(next(iter(settings), ""), 0.0)
            yield fold, f"{0.5 + gain + 0.01 * fold:.5f}", "0.5", 10, "0.1", "1.0"

    monkeypatch.setattr(module, "train_and_score", train_and_score)
    return module


def test_outer_folds_are_scored_once_with_what_was_best_beside_them(recipes, tmp_path):
    recipes.screen(tmp_path, 16, (), 1, recipes.PAIRS)
    assert len(recipes.trained) == 2 * 3 * 3
    recipes.nested(tmp_path, 16, 48, best=2, seeds=2, sets=["insects"])
    outer = [row for row in recipes.read_runs(tmp_path / "runs.csv") if row["epochs"] == "48"]
    for fold in (1, 2, 3, 4):
        tried = sorted({row["switch"] for row in outer if row["fold"] == str(fold)})
        assert tried == ["default", "mixed" if fold < 3 else "good"]
        assert {row["held_out"] for row in outer if row["fold"] == str(fold)} == {str(fold)}
    count = len(recipes.trained)
    recipes.screen(tmp_path, 16, (), 1, recipes.PAIRS)
    recipes.nested(tmp_path, 16, 48, best=2, seeds=2, sets=["insects"])
    assert len(recipes.trained) == count, "what is in the table is not run again"


def test_differences_are_paired_by_fold(recipes, tmp_path):
    recipes.screen(tmp_path, 16, (), 1, recipes.PAIRS)
    rows = recipes.read_runs(tmp_path / "runs.csv")
    found = recipes.paired(rows, "mixed", 16)
    np.testing.assert_allclose(np.sort(found), [0.05] * 6 + [0.2] * 6)
    low, high = stats.t.interval(0.95, 11, loc=found.mean(), scale=stats.sem(found))
    assert recipes.interval(found) == (pytest.approx(low), pytest.approx(high))
    best, *_ = recipes.summary(rows, 16)
    assert (best["switch"], best["all"], best["esc10"]) == ("mixed", "+0.125", "+0.125 (4)")
    recipes.report(tmp_path, tmp_path / "table.csv")
    assert "mixed,12,+0.125 (4)" in (tmp_path / "table.csv").read_text()

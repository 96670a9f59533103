"""The testers of scripts give what the commands give."""

import numpy as np
import pytest
from sklearn import metrics as reference

import britekit as bk
from britekit.config import BaseConfig
from britekit.errors import InputError
from britekit.evaluation.granularity import find_granularity
from tests.evaluation.made_sets import simulate


@pytest.mark.parametrize(
    ("text", "block", "expected"),
    [
        ("segment", None, ("segment", 60)), ("s", None, ("segment", 60)), ("BLO", 30, ("block", 30)),
        ("rec", None, ("recording", 60)), ("minute", None, ("block", 60)), ("m", 60, ("block", 60)),
    ],
)  # fmt: skip
def test_granularities(text, block, expected):
    assert find_granularity(text, block) == expected


@pytest.mark.parametrize(("text", "block"), [("", None), ("x", None), ("segments", None), ("m", 30), ("b", -1)])
def test_what_is_no_granularity(text, block):
    with pytest.raises(InputError):
        find_granularity(text, block)


def test_per_segment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    truth, scores = simulate(tmp_path, recordings=10)
    tester = bk.PerSegmentTester(tmp_path / "annotations.csv", None, "labels", tmp_path / "out", 0.5, cfg=BaseConfig())
    tester.initialize()
    assert tester.get_pr_auc_stats()["macro"] == pytest.approx(reference.average_precision_score(truth, scores))
    roc = tester.get_roc_auc_stats()
    assert roc["micro_trained"] == pytest.approx(reference.roc_auc_score(truth.ravel(), scores.ravel()))
    assert roc["classes"]["WOTH"] == pytest.approx(reference.roc_auc_score(truth[:, 1], scores[:, 1]))
    for threshold in (None, 0.2):
        found = tester.get_precision_recall(threshold, details=True)
        said = scores >= (threshold or 0.5)
        assert found["precision_trained"] == pytest.approx(truth[said].mean())
        assert found["classes"]["OVEN"][1] == pytest.approx(said[truth[:, 0], 0].mean())
    assert tester.get_offsets()["rec003"].tolist() == [3.0 * k for k in range(20)]
    assert tester.get_segments(4.0, 5.0) == [1] and tester.get_segments(2.5, 6.4) == [0, 1, 2]
    assert sum(map(len, tester.get_annotations().values())) == truth.sum()
    table = tester.get_pr_table()
    np.testing.assert_allclose(table.recall[-1], 1)
    tester.run()
    assert (tmp_path / "out" / "summary_report.txt").exists()


def test_calibration_by_the_tester(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    simulate(tmp_path, recordings=40, slope=0.6, shift=-0.4)
    tester = bk.PerSegmentTester(tmp_path / "annotations.csv", None, "labels", tmp_path / "out", 0.5, True, 0.0)
    assert tester.run().fit.coefficient == pytest.approx(0.6, abs=0.1)
    assert {p.suffix for p in (tmp_path / "out").iterdir()} == {".png", ".csv", ".yaml"}


def test_per_block_and_recording(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    truth, scores = simulate(tmp_path, recordings=4, segments=20)
    codes = ["OVEN", "WOTH", "VEER"]
    whole = truth.reshape(4, 20, 3).any(axis=1)
    lines = [
        f'rec{r:03},1,"{",".join(c for c, x in zip(codes, row, strict=True) if x)}"' for r, row in enumerate(whole)
    ]
    (tmp_path / "blocks.csv").write_text("recording,minute,classes\n" + "\n".join(lines) + "\n")
    (tmp_path / "whole.csv").write_text(
        "recording,classes\n" + "\n".join(line.replace(",1,", ",", 1) for line in lines) + "\n"
    )
    highest = scores.reshape(4, 20, 3).max(axis=1)
    assert bk.PerMinuteTester is bk.PerBlockTester
    for tester in (
        bk.PerBlockTester("blocks.csv", None, "labels", "out/b", 0.5, 60, False),
        bk.PerRecordingTester("whole.csv", None, "labels", "out/r", 0.5, 0.9),
    ):
        np.testing.assert_array_equal(tester.data.truth_NC, whole)
        np.testing.assert_array_equal(tester.data.scores_NC, highest)
        tester.run()
    assert not list((tmp_path / "out" / "b").glob("pr_*")) and (tmp_path / "out" / "r" / "pr_table.csv").exists()

"""Figures and files of a test per segment, against scikit-learn and counting."""

import csv
import logging
import math
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from sklearn import metrics as reference

from britekit.config import BaseConfig
from britekit.errors import InputError
from britekit.evaluation.calibrating import calibrate_scores, write_calibration
from britekit.evaluation.curve_files import CURVE_POINTS
from britekit.evaluation.platt_fit import PlattFit, cross_fit
from britekit.evaluation.report_files import write_report
from britekit.evaluation.scored_segments import read_scored_segments
from britekit.evaluation.summary import summary_text
from britekit.evaluation.thresholded_values import ThresholdedValues, choose_decisions
from britekit.evaluation.unit_report import report_units
from tests.evaluation.made_sets import simulate, table_as_labels, write_annotations, write_table


def read(root, annotations="annotations.csv", labels="labels"):
    return read_scored_segments(root / annotations, root / labels, None, BaseConfig())


def report_of(data, threshold=0.5):
    return report_units(data, threshold, ThresholdedValues(data.scores_NC, "scores"))


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def two_of_three(tmp_path):
    """Return a test in which the third class is never annotated."""
    truth, scores = simulate(tmp_path, recordings=8)
    lines = (tmp_path / "annotations.csv").read_text().splitlines()
    (tmp_path / "annotations.csv").write_text("\n".join(x for x in lines if "VEER" not in x) + "\n")
    truth[:, 2] = False
    return truth, scores, read(tmp_path)


def test_metrics_equal_scikit_learn(tmp_path):
    truth, scores, data = two_of_three(tmp_path)
    found = report_of(data).metrics()
    few, few_scores, said = truth[:, :2], scores[:, :2], scores >= 0.5
    expected = {
        "macro_pr": reference.average_precision_score(few, few_scores, average="macro"),
        "micro_pr": reference.average_precision_score(few, few_scores, average="micro"),
        "macro_roc": reference.roc_auc_score(few, few_scores, average="macro"),
        "micro_roc": reference.roc_auc_score(few, few_scores, average="micro"),
        "precision": reference.precision_score(few, said[:, :2], average="micro"),
        "recall": reference.recall_score(few, said[:, :2], average="micro"),
        "micro_pr_trained": reference.average_precision_score(truth.ravel(), scores.ravel()),
        "micro_roc_trained": reference.roc_auc_score(truth.ravel(), scores.ravel()),
        "precision_trained": reference.precision_score(truth, said, average="micro", zero_division=0),
        "recall_trained": reference.recall_score(truth, said, average="micro", zero_division=0),
    }
    assert {key: found[key] for key in expected} == pytest.approx(expected, abs=1e-9)
    assert (found["recordings"], found["segments"], found["classes_annotated"]) == (8, 160, 2)
    assert found["positives"] == few.sum() and "accuracy" not in found


def test_files_hold_what_was_counted(tmp_path):
    truth, scores, data = two_of_three(tmp_path)
    written = write_report(report_of(data), tmp_path / "out")
    names = {path.name for path in written}
    assert names == {path.name for path in (tmp_path / "out").iterdir()} and len(names) == 31
    found = scores >= 0.5
    classes = rows_of(tmp_path / "out" / "classes_annotated.csv")
    for c, row in enumerate(classes):
        assert row["class"] == ["OVEN", "WOTH"][c]
        assert float(row["PR-AUC"]) == pytest.approx(
            reference.average_precision_score(truth[:, c], scores[:, c]), abs=6e-4
        )
        assert int(row["annotated segments"]) == truth[:, c].sum()
        assert int(row["TP segments"]) == (truth & found)[:, c].sum()
        assert int(row["FP segments"]) == (~truth & found)[:, c].sum()
    others = rows_of(tmp_path / "out" / "classes_non_annotated.csv")
    assert [row["class"] for row in others] == ["VEER"]
    assert int(others[0]["predictions >= .75"]) == (scores[:, 2] >= 0.75).sum()
    details = rows_of(tmp_path / "out" / "recording_details.csv")
    assert len(details) == 160
    row = details[21]
    assert (row["recording"], row["segment"]) == ("rec001", "1")
    assert int(row["FP count"]) == (~truth & found)[21].sum()
    assert (
        row["FP class"].split(", ") == [["OVEN", "WOTH", "VEER"][c] for c in np.flatnonzero((~truth & found)[21])]
        or row["FP class"] == ""
    )
    summary = rows_of(tmp_path / "out" / "recording_summary.csv")
    assert [int(r["FN count"]) for r in summary] == (truth & ~found).reshape(8, -1).sum(axis=1).tolist()
    ranges = rows_of(tmp_path / "out" / "prediction_range_counts.csv")
    assert sum(int(r["count"]) for r in ranges) == scores.size
    assert ranges[9] == {"min": "0.9", "max": "1.0", "count": str((scores >= 0.9).sum())}


def test_matrices_read_back(tmp_path):
    truth, scores, data = two_of_three(tmp_path)
    write_report(report_of(data), tmp_path / "out", pictures=False)
    with open(tmp_path / "out" / "y_pred_trained.csv", newline="") as file:
        header, *lines = csv.reader(file)
    assert header == ["", "OVEN", "WOTH", "VEER"] and lines[20][0] == "rec001-0"
    np.testing.assert_allclose(np.array([line[1:] for line in lines], float), scores, atol=5.01e-4)
    true = rows_of(tmp_path / "out" / "y_true_annotated.csv")
    np.testing.assert_array_equal(np.array([[int(r["OVEN"]), int(r["WOTH"])] for r in true]), truth[:, :2])


def test_matrices_can_be_left_out(tmp_path):
    _, _, data = two_of_three(tmp_path)
    names = {path.name for path in write_report(report_of(data), tmp_path / "out", False, pictures=False)}
    assert len(names) == 17 and not any(name.startswith("y_") for name in names)


def test_curve_tables_are_exact_and_modest(tmp_path):
    truth, scores = simulate(tmp_path, recordings=200)
    data = read(tmp_path)
    write_report(report_of(data), tmp_path / "out", save_matrices=False, pictures=False)
    table = rows_of(tmp_path / "out" / "pr_per_threshold_trained.csv")
    assert len(table) <= 1001
    for row in table[::100]:
        found = scores >= np.float64(row["threshold"])
        assert float(row["precision"]) == pytest.approx(truth[found].mean(), abs=6e-4)
        assert float(row["recall"]) == pytest.approx((truth & found).sum() / truth.sum(), abs=6e-4)
    for name in ("pr_curve", "roc_inverted_curve", "roc_per_threshold"):
        rows = rows_of(tmp_path / "out" / f"{name}_annotated.csv")
        assert 100 < len(rows) <= CURVE_POINTS
    roc = rows_of(tmp_path / "out" / "roc_inverted_curve_annotated.csv")
    x = [1 - float(row["one_minus_fpr"]) for row in roc]
    y = [float(row["roc_recall"]) for row in roc]
    assert np.trapezoid(y, x) == pytest.approx(reference.roc_auc_score(truth.ravel(), scores.ravel()), abs=2e-3)


def test_same_test_gives_the_same_bytes(tmp_path):
    _, _, data = two_of_three(tmp_path)
    for name in ("a", "b"):
        write_report(report_of(data), tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_one_label_test_has_an_accuracy(tmp_path):
    truth, scores = simulate(tmp_path, recordings=6, one_class=True)
    report = report_of(read(tmp_path))
    right = np.mean(scores.argmax(axis=1) == truth.argmax(axis=1))
    assert report.metrics()["accuracy"] == pytest.approx(right)
    assert f"{100 * right:.1f} % of 120 segments" in summary_text(report)


def test_classes_without_an_area_are_left_out_and_said(tmp_path):
    # the first class is heard in all of both segments, the second nowhere inside them
    write_annotations(tmp_path / "annotations.csv", [("a", "OVEN", 0, 6), ("a", "WOTH", 7, 7.2), ("a", "VEER", 0, 2)])
    write_table(tmp_path / "labels", ["a"], [7.5], [(0, 0.0), (0, 3.0)], [[0.9, 0.1, 0.8], [0.8, 0.2, 0.3]])
    report = report_of(read(tmp_path))
    assert report.always_positive == ["OVEN"] and report.without_positives == ["WOTH"]
    assert report.metrics()["macro_roc"] == 1.0 and report.metrics()["macro_pr"] == 1.0
    text = summary_text(report)
    assert "no segment contains WOTH" in text and "every segment contains OVEN: no ROC-AUC" in text
    write_report(report, tmp_path / "out", pictures=False)
    rows = rows_of(tmp_path / "out" / "classes_annotated.csv")
    assert [(r["PR-AUC"], r["ROC-AUC"]) for r in rows] == [("1.000", ""), ("", ""), ("1.000", "1.000")]


def test_a_test_that_is_true_everywhere_has_no_roc(tmp_path):
    write_annotations(tmp_path / "annotations.csv", [("a", "OVEN", 0, 6)])
    write_table(tmp_path / "labels", ["a"], [6.0], [(0, 0.0), (0, 3.0)], [[0.9], [0.8]], [read_class()])
    report = report_of(read(tmp_path))
    assert math.isnan(report.metrics()["micro_roc"]) and "not defined" in summary_text(report)
    names = {path.name for path in write_report(report, tmp_path / "out")}
    assert "pr_curve_annotated.png" in names and not any("roc" in name for name in names)


def read_class():
    from tests.evaluation.made_sets import CLASSES

    return CLASSES[0]


@pytest.mark.parametrize("least", [0.0, 0.6])
def test_labels_cut_at_a_score_are_said(tmp_path, least):
    """Areas of such labels are lower than those of the models: what was cut ties at 0."""
    simulate(tmp_path, recordings=10)
    folder = table_as_labels(tmp_path / "labels", tmp_path / "text", "csv", min_score=least)
    for k in range(10):
        soundfile.write(tmp_path / f"rec{k:03}.wav", np.zeros(60 * 8000, np.float32), 8000)
    data = read_scored_segments(tmp_path / "annotations.csv", folder, None, BaseConfig())
    report = report_units(data, 0.5, ThresholdedValues(data.scores_NC, "scores"), replicates=0)
    assert any("contain no score below 0.6" in note for note in report.cautions()) == (least > 0)
    assert any("--min-score 0" in note for note in report.cautions()) == (least > 0)


def test_no_marked_segment_is_an_error(tmp_path):
    write_annotations(tmp_path / "annotations.csv", [("a", "OVEN", 7, 7.2)])
    write_table(tmp_path / "labels", ["a"], [7.5], [(0, 0.0), (0, 3.0)], [[0.5] * 3] * 2)
    with pytest.raises(InputError, match="no annotation marks"):
        report_of(read(tmp_path))


def test_equal_scores_are_an_error(tmp_path):
    simulate(tmp_path, recordings=3)
    write_table(tmp_path / "flat", [f"rec{k:03}" for k in range(3)], [60.0] * 3,
                [(r, 3.0 * k) for r in range(3) for k in range(20)], np.full((60, 3), 0.5))  # fmt: skip
    with pytest.raises(InputError, match="all 180 scores are 0.5"):
        report_of(read(tmp_path, labels="flat"))


class TestDecisions:
    """What the threshold is applied to."""

    def test_without_calibration_the_scores(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        _, scores = simulate(tmp_path)
        decisions = choose_decisions(read(tmp_path), BaseConfig())
        assert not decisions.fitted and "not calibrated" in decisions.basis
        np.testing.assert_array_equal(decisions.values_NC, scores)

    def test_with_a_calibration_cross_fitted_probabilities(self, tmp_path):
        simulate(tmp_path)
        data = read(tmp_path)
        write_calibration(tmp_path / "c.yaml", calibrate_scores(data, 0.0), data)
        decisions = choose_decisions(data, BaseConfig(), tmp_path / "c.yaml")
        assert decisions.fitted and "cross-fitted" in decisions.basis
        np.testing.assert_array_equal(decisions.values_NC, cross_fit(data.truth_NC, data.scores_NC, data.groups_N))
        report = report_units(data, 0.5, decisions)
        assert report.metrics()["micro_pr"] == report_of(data).metrics()["micro_pr"]
        assert report.metrics()["recall"] != report_of(data).metrics()["recall"]
        assert "cross-fitted" in summary_text(report)

    def test_default_file_is_used_if_it_belongs_to_the_scores(self, tmp_path, monkeypatch, caplog):
        monkeypatch.chdir(tmp_path)
        simulate(tmp_path)
        data = read(tmp_path)
        path = tmp_path / "models" / "calibration.yaml"
        write_calibration(path, calibrate_scores(data, 0.0), data)
        assert choose_decisions(data, BaseConfig()).fitted
        assert not choose_decisions(data, BaseConfig(), "none").fitted
        birdnet = replace(data, source=replace(data.source, members=[]))
        assert not choose_decisions(birdnet, BaseConfig()).fitted
        path.write_text(path.read_text().replace("abc", "another"))
        with caplog.at_level(logging.WARNING):
            assert not choose_decisions(data, BaseConfig()).fitted
        assert "was not fitted on the models" in caplog.text

    def test_one_recording_cannot_be_cross_fitted(self, tmp_path, caplog):
        simulate(tmp_path, recordings=1)
        data = read(tmp_path)
        (tmp_path / "c.yaml").write_text("coefficient: 2.0\nintercept: 1.0\n")
        decisions = choose_decisions(data, BaseConfig(), tmp_path / "c.yaml")
        assert "not cross-fitted" in decisions.basis and "only one recording" in caplog.text
        np.testing.assert_allclose(decisions.values_NC, PlattFit(2.0, 1.0).apply(data.scores_NC), atol=1e-6)

    def test_numbers_of_the_settings_are_applied(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        simulate(tmp_path)
        cfg = BaseConfig()
        cfg.infer.scaling_coefficient, cfg.infer.scaling_intercept = 2.0, 1.0
        data = read(tmp_path)
        np.testing.assert_allclose(
            choose_decisions(data, cfg).values_NC, PlattFit(2.0, 1.0).apply(data.scores_NC), atol=1e-6
        )

    def test_scaled_labels_stay_as_they_are(self, tmp_path):
        simulate(tmp_path, recordings=1)
        folder = table_as_labels(tmp_path / "labels", tmp_path / "text", "csv")
        (folder / "manifest.yaml").write_text("inference: {scaling_coefficient: 2.0, scaling_intercept: 0.5}\n")
        import soundfile

        soundfile.write(tmp_path / "rec000.wav", np.zeros(60 * 8000), 8000)
        data = read(tmp_path, labels="text")
        assert "already scaled" in choose_decisions(data, BaseConfig(), "c.yaml").basis

    def test_a_missing_file_is_an_error(self, tmp_path):
        simulate(tmp_path, recordings=2)
        with pytest.raises(InputError, match="gone.yaml"):
            choose_decisions(read(tmp_path), BaseConfig(), tmp_path / "gone.yaml")

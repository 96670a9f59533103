"""A calibration with its errors: honest on unseen recordings, written as inference reads it."""

import csv

import numpy as np
import pytest
import soundfile
import yaml

from britekit.annotations.scores import ScoreTable
from britekit.config import BaseConfig
from britekit.evaluation.calibrating import (
    calibrate_scores,
    calibration_metrics,
    plot_calibration,
    write_bins,
    write_calibration,
)
from britekit.evaluation.class_thresholds import find_thresholds, write_thresholds
from britekit.evaluation.scored_segments import read_scored_segments
from britekit.inference.platt import read_calibration
from tests.evaluation.made_sets import CLASSES, simulate, table_as_labels


def read(root, labels="labels"):
    return read_scored_segments(root / "annotations.csv", root / labels, None, BaseConfig())


def test_error_falls_to_what_chance_leaves(tmp_path):
    simulate(tmp_path, recordings=100, slope=0.6, shift=-0.4)
    result = calibrate_scores(read(tmp_path), 0.0)
    assert result.fit.coefficient == pytest.approx(0.6, abs=0.05)
    assert result.fit.intercept == pytest.approx(-0.4, abs=0.1)
    assert result.cross_fitted
    assert result.before.error.error > 3 * result.after.error.error
    assert result.after.error.error < 2 * result.after.error.by_chance
    assert result.after.brier < result.before.brier
    assert result.before.error.cells == result.after.error.cells


def test_random_scores_look_no_better_than_they_are(tmp_path):
    """Scores that say nothing: fitted and judged on the same cells, the error would be flattered."""
    simulate(tmp_path, recordings=8, segments=5, slope=0.0, shift=0.0)
    data = read(tmp_path)
    fitted = calibrate_scores(data, 0.0)
    itself = calibrate_scores(data, 0.0, (fitted.fit.coefficient, fitted.fit.intercept))
    assert fitted.after.brier > itself.after.brier


def test_inference_reads_the_file(tmp_path):
    simulate(tmp_path, recordings=40)
    data = read(tmp_path)
    result = calibrate_scores(data, 0.0)
    write_calibration(tmp_path / "c.yaml", result, data)
    read_back = read_calibration(tmp_path / "c.yaml")
    np.testing.assert_allclose(read_back.apply(data.scores_NC, CLASSES), result.fit.apply(data.scores_NC), atol=1e-6)
    content = yaml.safe_load((tmp_path / "c.yaml").read_text())
    assert content["members"] == [{"name": "seed-1.ckpt", "sha256": "abc"}] and content["backend"] == "torch"
    assert content["cells"] == 40 * 20 * 3 and content["ece_after"] < content["ece_before"]


def test_values_of_single_classes_reach_inference(tmp_path):
    rng = np.random.default_rng(1)
    simulate(tmp_path, recordings=60, seed=2)
    data = read(tmp_path)
    data.truth_NC[:, 2] &= rng.random(len(data.truth_NC)) < 0.25
    result = calibrate_scores(data, 0.0)
    assert 2 in result.fit.per_class
    write_calibration(tmp_path / "c.yaml", result, data)
    found = read_calibration(tmp_path / "c.yaml").apply(data.scores_NC, CLASSES)
    np.testing.assert_allclose(found, result.fit.apply(data.scores_NC), atol=1e-6)


def test_file_fitted_on_scaled_labels_is_for_scores_that_are_not_scaled(tmp_path):
    """Inference applies the file to the models' own scores, whatever labels it was fitted on."""
    simulate(tmp_path, recordings=40)
    raw = read(tmp_path).scores_NC
    logits = np.log(raw / (1 - raw))
    for column, (a, b) in enumerate([(0.5, 1.0), (0.5, 1.0), (2.0, -1.0)]):
        logits[:, column] = a * logits[:, column] + b
    table = ScoreTable.load(tmp_path / "labels" / "scores.npz")
    table.scores = (1 / (1 + np.exp(-logits))).astype(np.float32)
    (tmp_path / "scaled").mkdir()
    table.save(tmp_path / "scaled" / "scores.npz")
    folder = table_as_labels(tmp_path / "scaled", tmp_path / "text", "csv")
    own = {"coefficient": 2.0, "intercept": -1.0}
    calibration = {"coefficient": 0.5, "intercept": 1.0, "classes": {"VEER": own}}
    classes = [{"name": info.name, "code": info.code} for info in CLASSES]
    manifest = {"classes": classes, "inference": {"label_field": "codes"}, "calibration": calibration}
    (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    for k in range(40):
        soundfile.write(tmp_path / f"rec{k:03}.wav", np.zeros(60 * 8000, np.float32), 8000)
    data = read(tmp_path, "text")
    result = calibrate_scores(data, 0.0)
    assert abs(result.fit.coefficient - 1) > 0.05
    write_calibration(tmp_path / "c.yaml", result, data)
    found = read_calibration(tmp_path / "c.yaml").apply(raw, CLASSES)
    np.testing.assert_allclose(found, result.fit.apply(data.scores_NC), atol=1e-3)


def test_same_set_gives_the_same_file_and_picture(tmp_path):
    simulate(tmp_path)
    for name in ("a", "b"):
        data = read(tmp_path)
        result = calibrate_scores(data, 0.0)
        write_calibration(tmp_path / f"{name}.yaml", result, data)
        plot_calibration(tmp_path / f"{name}.png", result)
    for suffix in ("yaml", "png"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_bins_add_up(tmp_path):
    simulate(tmp_path)
    result = calibrate_scores(read(tmp_path), 0.0)
    write_bins(tmp_path / "bins.csv", result)
    with open(tmp_path / "bins.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 30
    for series in ("before", "after"):
        assert sum(int(row["count"]) for row in rows if row["series"] == series) == result.fit.cells


def test_no_probability_worth_counting_gives_no_error_figure(tmp_path):
    simulate(tmp_path)
    result = calibrate_scores(read(tmp_path), 0.0, (0.01, -9.0))
    assert np.isnan(calibration_metrics(result)["ece_after"]) and result.after.error.cells == 0


def test_one_recording_is_said_not_to_be_cross_fitted(tmp_path, caplog):
    simulate(tmp_path, recordings=1, segments=60)
    result = calibrate_scores(read(tmp_path), 0.0)
    assert not result.cross_fitted and "on the fitted cells themselves" in caplog.text


def test_missing_low_scores_are_warned_of(tmp_path, caplog):
    import soundfile

    simulate(tmp_path, recordings=2)
    table_as_labels(tmp_path / "labels", tmp_path / "text", "csv", min_score=0.3)
    for k in range(2):
        soundfile.write(tmp_path / f"rec00{k}.wav", np.zeros(60 * 8000), 8000)
    calibrate_scores(read(tmp_path, "text"), 0.0)
    assert "enter the fit as 0" in caplog.text
    caplog.clear()
    calibrate_scores(read(tmp_path, "text"), 0.4)
    assert "enter the fit" not in caplog.text


def test_intervals_and_thresholds_stand_in_the_file(tmp_path):
    simulate(tmp_path, recordings=120, slope=1.2, shift=0.0)
    data = read(tmp_path)
    result = calibrate_scores(data, 0.0)
    thresholds = find_thresholds(data, result.probabilities_NC, 0.8)
    write_calibration(tmp_path / "c.yaml", result, data, thresholds)
    write_thresholds(tmp_path / "t.csv", thresholds, data)
    content = yaml.safe_load((tmp_path / "c.yaml").read_text())
    for name, (low, high) in content["intervals"].items():
        assert low <= content[name] <= high and high - low < 0.1
    read_calibration(tmp_path / "c.yaml")
    assert content["thresholds"]["precision"] == 0.8
    with open(tmp_path / "t.csv", newline="") as file:
        rows = {row["class"]: row for row in csv.DictReader(file)}
    for column, info in enumerate(CLASSES):
        threshold = content["thresholds"]["classes"][info.name]
        row = rows[info.code]
        assert row["met"] == "yes" and float(row["threshold"]) == pytest.approx(threshold, abs=1e-6)
        found = result.probabilities_NC[:, column] >= threshold
        assert int(row["detections"]) == found.sum()
        truth = data.truth_NC[:, column]
        assert float(row["precision"]) == pytest.approx(truth[found].mean(), abs=6e-4) and truth[found].mean() > 0.8
        assert float(row["recall"]) == pytest.approx((truth & found).sum() / truth.sum(), abs=6e-4)
        assert float(row["lower bound"]) >= 0.8


def test_a_precision_out_of_reach_is_said(tmp_path):
    simulate(tmp_path, recordings=10, slope=0.0)
    data = read(tmp_path)
    thresholds = find_thresholds(data, data.scores_NC, 0.99)
    write_thresholds(tmp_path / "t.csv", thresholds, data)
    assert thresholds.reached == 0 and set(thresholds.as_dict(data)["classes"].values()) == {None}
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert all(line.split(",")[1] == "" and line.endswith(",no") for line in lines[1:])


def test_cells_that_no_window_covers_are_not_fitted(tmp_path):
    truth, scores = simulate(tmp_path, recordings=30)
    data = read(tmp_path)
    alone = calibrate_scores(data, 0.0)
    import soundfile

    with open(tmp_path / "annotations.csv", "a") as file:
        file.write("unheard,OVEN,0,60\n")
    soundfile.write(tmp_path / "unheard.wav", np.zeros(60 * 8000), 8000)
    more = calibrate_scores(read(tmp_path), 0.0)
    assert (more.fit.coefficient, more.fit.intercept) == (alone.fit.coefficient, alone.fit.intercept)
    assert more.fit.cells == truth.size
    assert not more.probabilities_NC[-20:].any()

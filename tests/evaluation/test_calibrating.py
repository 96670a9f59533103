"""A calibration with its errors: honest on unseen recordings, written as inference reads it."""

import csv

import numpy as np
import pytest
import yaml

from britekit.config import BaseConfig
from britekit.evaluation.calibrating import (
    calibrate_scores,
    calibration_metrics,
    plot_calibration,
    write_bins,
    write_calibration,
)
from britekit.evaluation.scored_set import read_scored_set
from britekit.inference.platt import read_calibration
from tests.evaluation.made_sets import CLASSES, simulate, table_as_labels


def read(root, labels="labels"):
    return read_scored_set(root / "annotations.csv", root / labels, None, BaseConfig())


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
    np.testing.assert_allclose(
        read_back.apply(data.scores_NC, CLASSES), result.fit.apply(data.scores_NC), atol=1e-6
    )
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

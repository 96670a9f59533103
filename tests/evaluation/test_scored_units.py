"""Tests per block and recording against a twin that walks annotations and labels one by one."""

import csv

import numpy as np
import pytest
import soundfile
from sklearn import metrics as reference

from britekit.annotations.classes import ClassInfo
from britekit.config import BaseConfig
from britekit.errors import InputError
from britekit.evaluation.report_files import write_report
from britekit.evaluation.scored_units import read_block_set, read_recording_set
from britekit.evaluation.seconds import THRESHOLDS
from britekit.evaluation.thresholded_values import ThresholdedValues, choose_decisions
from britekit.evaluation.unit_report import report_units
from tests.evaluation.made_sets import write_table

CLASSES = [ClassInfo(f"Class {k}", f"C{k}") for k in range(3)]
CODES = [info.code for info in CLASSES]


def random_test(rng, root, block_s):
    """Write a test of random windows and lists; return recordings, windows and what is listed."""
    seconds = {f"r{k}": float(np.round(rng.uniform(3, 3 * block_s), 2)) for k in range(int(rng.integers(2, 5)))}
    step = float(rng.choice([1.5, 3.0]))
    windows = [
        (name, k * step, np.round(rng.random(3), 2).astype(np.float32))
        for name, length in seconds.items()
        for k in range(int(max(0, length - 1) // step) + 1)
    ]
    names = list(seconds)
    rows = [(names.index(name), start) for name, start, _ in windows]
    write_table(root / "labels", names, list(seconds.values()), rows, [w[2] for w in windows], CLASSES)
    return seconds, windows


def listed_blocks(rng, seconds, block_s):
    blocks = {}
    for name, length in seconds.items():
        for block in range(1, int(np.ceil(length / block_s)) + 1):
            if rng.random() < 0.8:
                blocks[name, block] = [c for c in CODES if rng.random() < 0.4]
    blocks.setdefault(("r0", 1), [])
    blocks["r0", 1] = sorted({*blocks["r0", 1], "C0"})
    return blocks


def walk(seconds, windows, units, span_of, threshold, length_s=3.0):
    """Return truth, highest scores and true and false seconds per class, label by label."""
    names = sorted(units)
    truth, scores = np.zeros((len(names), 3), bool), np.zeros((len(names), 3), np.float32)
    true_s, false_s = np.zeros(3), np.zeros(3)
    for n, unit in enumerate(names):
        truth[n] = [c in units[unit] for c in CODES]
        begin, end = span_of(unit)
        for c in range(3):
            labels = sorted((start, score[c]) for name, start, score in windows if name == unit[0])
            for k, (start, score) in enumerate(labels):
                if not begin <= start < end:
                    continue
                scores[n, c] = max(scores[n, c], score)
                until = min(start + length_s, end, labels[k + 1][0] if k + 1 < len(labels) else np.inf)
                if score >= np.float32(threshold):
                    (true_s if truth[n, c] else false_s)[c] += until - start
    return truth, scores, true_s, false_s


@pytest.mark.parametrize("seed", range(12))
def test_blocks_equal_labels_walked_one_by_one(tmp_path, seed):
    rng = np.random.default_rng(seed)
    block_s = float(rng.choice([10, 15]))
    seconds, windows = random_test(rng, tmp_path, block_s)
    blocks = listed_blocks(rng, seconds, block_s)
    with open(tmp_path / "blocks.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["recording", "block", "classes"])
        writer.writerows([name, block, ",".join(classes)] for (name, block), classes in blocks.items())
    data = read_block_set(tmp_path / "blocks.csv", tmp_path / "labels", None, BaseConfig(), block_s)

    def span(unit):
        return (unit[1] - 1) * block_s, min(unit[1] * block_s, seconds[unit[0]])

    report = report_units(data, 0.6, ThresholdedValues(data.scores_NC, "scores"), replicates=0)
    truth, scores, true_s, false_s = walk(seconds, windows, blocks, span, 0.6)
    np.testing.assert_array_equal(data.truth_NC, truth)
    np.testing.assert_array_equal(data.scores_NC, scores)
    assert data.row_names == [f"{name}-{block}" for name, block in sorted(blocks)]
    np.testing.assert_allclose(report.seconds.true_RC.sum(axis=0), true_s, atol=1e-4)
    np.testing.assert_allclose(report.seconds.false_RC.sum(axis=0), false_s, atol=1e-4)
    found = scores >= np.float32(0.6)
    lengths = np.array([span(unit)[1] - span(unit)[0] for unit in sorted(blocks)])
    np.testing.assert_allclose(report.seconds.missed_C, lengths @ (truth & ~found))
    # every tenth threshold, each walked anew, and two that single precision puts a hair below
    for t in (*range(9, 100, 10), 52, 58):
        _, _, true_t, false_t = walk(seconds, windows, blocks, span, np.float32(THRESHOLDS[t]))
        np.testing.assert_allclose(report.seconds.true_TC[t], true_t, atol=1e-4)
        np.testing.assert_allclose(report.seconds.false_TC[t], false_t, atol=1e-4)


@pytest.mark.parametrize("seed", range(8))
def test_recordings_equal_labels_walked_one_by_one(tmp_path, seed):
    rng = np.random.default_rng(100 + seed)
    seconds, windows = random_test(rng, tmp_path, 20)
    listed = {(name,): [c for c in CODES if rng.random() < 0.5] for name in seconds}
    listed["r1",] = ["C1"]
    with open(tmp_path / "recordings.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["recording", "classes"])
        writer.writerows([name, ",".join(classes)] for (name,), classes in listed.items())
    data = read_recording_set(tmp_path / "recordings.csv", tmp_path / "labels", None, BaseConfig())
    report = report_units(data, 0.5, ThresholdedValues(data.scores_NC, "scores"), 0.6, replicates=0)
    truth, scores, true_s, false_s = walk(seconds, windows, listed, lambda u: (0, seconds[u[0]]), 0.5)
    np.testing.assert_array_equal(data.truth_NC, truth)
    np.testing.assert_array_equal(data.scores_NC, scores)
    assert report.metrics()["precision_seconds_trained"] == pytest.approx(
        true_s.sum() / (true_s.sum() + false_s.sum()), abs=1e-6
    )
    most = 0.0
    for threshold in THRESHOLDS:
        _, _, true_t, false_t = walk(seconds, windows, listed, lambda u: (0, seconds[u[0]]), threshold)
        if true_t.sum() and true_t.sum() / (true_t.sum() + false_t.sum()) >= 0.6:
            most = max(most, true_t.sum())
    assert report.metrics()["tp_seconds_at_precision"] == pytest.approx(most, abs=1e-3)
    columns = data.annotated
    if 0 < truth[:, columns].sum() < truth[:, columns].size:
        expected = reference.roc_auc_score(truth[:, columns].ravel(), scores[:, columns].ravel())
        assert report.metrics()["micro_roc"] == pytest.approx(expected)


def small(tmp_path, annotations, scores=((0.9, 0.2, 0.4), (0.3, 0.8, 0.1), (0.2, 0.1, 0.6)), name="a.csv"):
    write_table(tmp_path / "labels", ["a", "b"], [6.0, 3.0], [(0, 0.0), (0, 3.0), (1, 0.0)], list(scores), CLASSES)
    (tmp_path / name).write_text(annotations)
    return tmp_path / name


def test_label_files_give_what_the_table_gives(tmp_path):
    path = small(tmp_path, "recording,block,classes\na,1,C0\na,2,C1\nb,1,\n")
    (tmp_path / "text").mkdir()
    lines = [f"{s:.2f}\t{s + 3:.2f}\t{c};{v:.3f}\n" for s, row in ((0, (0.9, 0.2, 0.4)), (3, (0.3, 0.8, 0.1)))
             for c, v in zip(CODES, row, strict=True)]  # fmt: skip
    (tmp_path / "text" / "a_scores.txt").write_text("".join(lines))
    (tmp_path / "text" / "b_scores.txt").write_text("0.00\t3.00\tC0;0.200\n0.00\t3.00\tC2;0.600\n")
    for name, length in (("a", 6), ("b", 3)):
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(8000 * length), 8000)
    reports = []
    for folder in ("labels", "text"):
        data = read_block_set(path, tmp_path / folder, None, BaseConfig(), 3.0)
        reports.append(report_units(data, 0.15, ThresholdedValues(data.scores_NC, "scores"), replicates=0))
    table, text = reports
    np.testing.assert_array_equal(table.data.truth_NC, text.data.truth_NC)
    # b has no label of C1 in the text: its score of 0.1 is missing there
    expected = np.where(table.data.scores_NC == np.float32(0.1), 0, table.data.scores_NC)
    expected[1, 2] = np.float32(0.1)
    np.testing.assert_allclose(text.data.scores_NC, expected, atol=6e-4)
    np.testing.assert_allclose(table.seconds.true_RC, text.seconds.true_RC)


def test_only_listed_blocks_are_tested_and_those_beyond_the_end_are_named(tmp_path, caplog):
    path = small(tmp_path, "recording,block,classes\na,2,C1\nb,2,C0\nc,1,C0\n")
    data = read_block_set(path, tmp_path / "labels", None, BaseConfig(), 3.0)
    assert data.row_names == ["a-2"] and data.truth_NC.tolist() == [[False, True, False]]
    assert "(row 3)" in caplog.text and "row 4" in caplog.text and '"c"' in caplog.text


def test_a_recording_without_scores_counts_as_zero(tmp_path):
    path = small(tmp_path, "recording,classes\na,C0\nb,\nsilent,C0\n")
    soundfile.write(tmp_path / "silent.wav", np.zeros(80_000), 8000)
    data = read_recording_set(path, tmp_path / "labels", None, BaseConfig())
    assert data.without_scores == ["silent"] and not data.scores_NC[2].any()


@pytest.mark.parametrize("read", [read_block_set, read_recording_set])
def test_nothing_usable_is_an_error(tmp_path, read):
    column = "block," if read is read_block_set else ""
    value = "1," if column else ""
    path = small(tmp_path, f"recording,{column}classes\na,{value}GHOST\n")
    with pytest.raises(InputError, match=r"no usable annotation .*row 2.*GHOST"):
        read(path, tmp_path / "labels", None, BaseConfig())
    with pytest.raises(InputError, match=r"row 2.*GHOST.*map_codes"):
        read(path, tmp_path / "labels", None, BaseConfig(), strict=True)
    path.write_text(f"recording,{column}classes\n")
    with pytest.raises(InputError, match="contains no annotation"):
        read(path, tmp_path / "labels", None, BaseConfig())


def test_names_and_alternates_of_classes_are_understood(tmp_path):
    path = small(tmp_path, 'recording,classes\na,"Class 0,C1"\n')
    assert read_recording_set(path, tmp_path / "labels", None, BaseConfig()).annotated == [0, 1]


def test_a_calibration_is_applied_to_blocks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = small(tmp_path, "recording,block,classes\na,1,C0\na,2,C1\n")
    (tmp_path / "c.yaml").write_text("coefficient: 2.0\nintercept: -1.0\n")
    data = read_block_set(path, tmp_path / "labels", None, BaseConfig(), 3.0)
    decisions = choose_decisions(data, BaseConfig(), "c.yaml")
    p = data.scores_NC.astype(float)
    np.testing.assert_allclose(decisions.values_NC, 1 / (1 + np.exp(-(2 * np.log(p / (1 - p)) - 1))), atol=1e-6)
    report = report_units(data, 0.5, decisions, replicates=0)
    assert report.seconds.precision() == 1.0  # 0.9 and 0.8 alone exceed one half


FILES = {
    "block": {
        "summary_report.txt", "recording_details_trained.csv", "recording_summary_trained.csv",
        "class_annotated.csv", "class_non_annotated.csv", "prediction_range_counts.csv",
        "pr_per_threshold_annotated.csv", "pr_per_threshold_trained.csv", "pr_curve_annotated.csv",
        "roc_per_threshold_trained.csv", "roc_inverted_curve_annotated.csv", "y_true_annotated.csv",
        "y_pred_trained.csv", "detection_curves.csv", "confusion.csv", "intervals.csv",
    },
    "recording": {
        "summary_report.txt", "pr_table.csv", "pr_curve.csv", "recording_details.csv",
        "recording_summary.csv", "class.csv", "y_true_annotated.csv", "y_pred_trained.csv",
        "detection_curves.csv", "confusion.csv",
    },
}  # fmt: skip


@pytest.mark.parametrize("unit", ["block", "recording"])
def test_files_and_their_columns(tmp_path, unit):
    if unit == "block":
        path = small(tmp_path, "recording,block,classes\na,1,C0\na,2,C1\nb,1,\n")
        data = read_block_set(path, tmp_path / "labels", None, BaseConfig(), 3.0)
    else:
        path = small(tmp_path, "recording,classes\na,C0\nb,C1\n")
        data = read_recording_set(path, tmp_path / "labels", None, BaseConfig())
    report = report_units(data, 0.5, ThresholdedValues(data.scores_NC, "scores"), 0.9)
    written = {p.name for p in write_report(report, tmp_path / "out", pictures=False)}
    assert written >= FILES[unit] and written == {p.name for p in (tmp_path / "out").iterdir()}

    def header(name):
        return (tmp_path / "out" / name).read_text().splitlines()[0]

    if unit == "block":
        assert header("pr_per_threshold_annotated.csv") == (
            "threshold,recall (blocks),precision (blocks),precision (seconds)"
        )
        assert header("class_annotated.csv").endswith("annotated segments,TP seconds,FP seconds")
        assert "a-2" in (tmp_path / "out" / "y_true_trained.csv").read_text()
        details = (tmp_path / "out" / "recording_details_trained.csv").read_text().splitlines()
        assert details[2] == "a,2,1,0,0,C1,,"
    else:
        assert header("recording_details.csv") == (
            "directory,recording,TP count,FP count,FN count,TP classes,FP classes,FN classes"
        )
        table = (tmp_path / "out" / "pr_table.csv").read_text().splitlines()
        assert table[0] == "threshold,precision,recall" and table[1].startswith("0.010,")
        assert len(table) == 101 and table[-1].startswith("1.000,")
        assert "TP seconds at precision 0.9" in (tmp_path / "out" / "summary_report.txt").read_text()


def test_without_the_table_over_thresholds(tmp_path):
    path = small(tmp_path, "recording,block,classes\na,1,C0\na,2,C1\n")
    data = read_block_set(path, tmp_path / "labels", None, BaseConfig(), 3.0)
    report = report_units(data, 0.5, ThresholdedValues(data.scores_NC, "scores"), replicates=0)
    names = {p.name for p in write_report(report, tmp_path / "out", pictures=False, pr_table=False)}
    assert not any(name.startswith(("pr_", "roc_")) for name in names)

"""The model card, of a made-up project whose figures were worked out apart from it."""

import json

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from britekit.annotations.classes import ClassInfo
from britekit.config import BaseConfig
from britekit.database.recordings import Facts, add_recording, get_or_add_source
from britekit.database.schema import Class, Segment, SegmentClass
from britekit.database.session import open_database
from britekit.errors import InputError
from britekit.evaluation.compare import Cells
from britekit.inference.platt import Calibration
from britekit.service.card import card_text, check_card_path, class_intervals, write_card

OWL, BEE, WOLF = ClassInfo("Owl|x", "OWL"), ClassInfo("Bee", "BEE"), ClassInfo("Wolf", "WOL")
TRAINING = {"seed-1.onnx": {"date": "2026-03-04T05:06:07", "version": "1.0", "revision": "a" * 40}}


def cells(recordings=40, rows=6, seed=3):
    rng = np.random.default_rng(seed)
    truth = rng.random((recordings * rows, 2)) < [0.3, 0.1]
    scores = np.clip(0.45 * truth + rng.random(truth.shape) * 0.6, 0, 1).astype(np.float32)
    names = np.repeat([f"r{i}" for i in range(recordings)], rows)
    # A name and a code: labels of a test are either.
    return Cells(np.arange(len(names)).astype(str), names, np.array(["Owl|x", "BEE"]), truth, scores,
                 scores >= 0.5, "segment", 0.5)  # fmt: skip


def write_results(root, found):
    folder = root / "results/test"
    folder.mkdir(parents=True)
    np.savez(folder / "cells.npz", **vars(found))
    figures = {"recordings": 40, "threshold": 0.5, "macro_pr": 0.81, "micro_pr": 0.8, "macro_roc": None,
               "precision": 0.7, "recall": 0.6, "intervals": {"macro_pr": [0.7, 0.9]}}  # fmt: skip
    (folder / "figures.json").write_text(json.dumps(figures))


def write_database(path, licences=("CC-BY", "CC-BY", "")):
    with open_database(path, "create") as session:
        owl = Class(name="Owl|x", code="OWL")
        session.add(owl)
        session.flush()
        for number, licence in enumerate(licences):
            facts = Facts(author=f"A{number}", licence=licence)
            recording = add_recording(
                session, get_or_add_source(session, "Xeno-Canto"), f"XC{number}.mp3", "", 9.0, facts
            )
            segment = Segment(recording_id=recording, offset=0.0)
            session.add(segment)
            session.flush()
            session.add(SegmentClass(segment_id=segment.id, class_id=owl.id))


def make(root, tested=True, calibration=None, **changes):
    cfg = BaseConfig()
    for name, value in changes.items():
        setattr(cfg.pipeline, name, value)
    return card_text(cfg, [OWL, BEE, WOLF], TRAINING, calibration, root, tested)


def test_intervals_of_classes_equal_a_plain_bootstrap():
    found = cells()
    rng = np.random.default_rng(99)
    names = np.unique(found.recordings)
    rows_of = {name: np.flatnonzero(found.recordings == name) for name in names}
    drawn = {(label, figure): [] for label in found.labels.tolist() for figure in ("PR-AUC", "precision", "recall")}
    for _ in range(2000):
        rows = np.concatenate([rows_of[name] for name in rng.choice(names, len(names))])
        for c, label in enumerate(found.labels.tolist()):
            truth, said = found.truth[rows, c], found.found[rows, c]
            drawn[label, "PR-AUC"].append(average_precision_score(truth, found.scores[rows, c]))
            drawn[label, "precision"].append((truth & said).sum() / said.sum())
            drawn[label, "recall"].append((truth & said).sum() / truth.sum())
    intervals = class_intervals(found)
    for (label, figure), values in drawn.items():
        mine = intervals[label][figure]
        low, high = np.quantile(values, [0.025, 0.975])
        # Ours are wider by t of 39 degrees of freedom and sqrt(40 / 39): some 4.5 %.
        assert mine.low == pytest.approx(low, abs=0.025) and mine.high == pytest.approx(high, abs=0.025), (
            label,
            figure,
        )
    c = 1
    truth, said = found.truth[:, c], found.found[:, c]
    assert intervals["BEE"]["precision"].value == (truth & said).sum() / said.sum()
    assert intervals["BEE"]["PR-AUC"].value == pytest.approx(average_precision_score(truth, found.scores[:, c]))


def test_what_is_known_is_in_it(tmp_path):
    write_results(tmp_path, cells())
    (tmp_path / "data").mkdir()
    write_database(tmp_path / "data/training.db")
    runs = tmp_path / "results/runs"
    runs.mkdir()
    run = {"spectrograms": 529, "epochs": 10, "seconds": 90.0, "device": "CPU", "joules": 7.2e6}
    (runs / "train-1.json").write_text(json.dumps(run))
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/calibration.json").write_text('{"ece_after": 0.0312}')
    calibration = Calibration(1.45, -0.5, thresholds={"OWL": 0.62, "BEE": None}, precision=0.95)
    text = make(tmp_path, calibration=calibration, intended_use="Finds owls in Bavaria.")
    assert text == make(tmp_path, calibration=calibration, intended_use="Finds owls in Bavaria.")
    for line in (
        "Finds owls in Bavaria.",
        "| seed-1.onnx | 2026-03-04 | aaaaaaaaaa | 1.0 | 529 | 10 |",
        "| Xeno-Canto | CC-BY | 2 | A0, A1 |",
        "| Xeno-Canto | unknown | 1 | A2 |",
        "| Owl\\|x | OWL | 3 | 3 |",
        "| Wolf | WOL | 0 | 0 |",
        "| Macro PR-AUC | 0.810 | 0.700 to 0.900 | average precision, mean over classes |",
        "Expected calibration error on the test after scaling: 0.031.",
        "| OWL | 0.62 |",
        "| BEE | none reaches it |",
        "- 1 training recording without a known licence: ask before publishing.",
        "- In no test recording, so how well they are found is unknown: Wolf.",
        "- Trained on fewer than 30 recordings: Owl\\|x, Bee, Wolf.",
        "| seed-1.onnx | CPU | 1.5 min | 2.0000 kWh |",
    ):
        assert line in text.splitlines(), line
    positives = int(cells().truth[:, 1].sum())
    assert any(line.startswith(f"| Bee | {positives} | 0.") for line in text.splitlines())
    # Every row of a table has as many cells as its heading.
    widths = [line.replace("\\|", "").count("|") for line in text.splitlines()]
    assert all(a == b for a, b in zip(widths, widths[1:], strict=False) if a and b)


def test_an_ensemble_that_was_not_tested(tmp_path):
    write_results(tmp_path, cells())  # of other networks
    text = make(tmp_path, tested=False)
    assert "**Not tested**" in text and "0.810" not in text and "Not calibrated" in text
    assert "not in this project" in text and "not measured" in text
    assert "Finds the sounds of 3 classes" in text


def test_names_are_text(tmp_path):
    cfg = BaseConfig()
    text = card_text(cfg, [ClassInfo("<script>*x*\n[a](b)", "S")], {}, None, tmp_path, False)
    assert "<script>" not in text and "*x*" not in text.replace("\\*x\\*", "")


def test_damaged_results_are_named(tmp_path):
    write_results(tmp_path, cells())
    (tmp_path / "results/test/figures.json").write_text("{")
    with pytest.raises(InputError, match="figures.json is not valid JSON"):
        make(tmp_path)


def test_only_a_card_is_replaced(tmp_path):
    path = tmp_path / "card.md"
    write_card(path, make(tmp_path, tested=False))
    write_card(path, make(tmp_path, tested=False))
    path.write_text("# My own notes\n")
    with pytest.raises(InputError, match="is not a model card"):
        check_card_path(path)
    with pytest.raises(InputError, match="is not a model card"):
        write_card(path, "new")
    assert path.read_text() == "# My own notes\n"

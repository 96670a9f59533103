"""Statistics of what is scored: equal to sums by hand, shared by processes, bounded, and without effect on results."""

import json
import logging
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from britekit.annotations.scores import ScoreTable
from britekit.audio.levels import TRAITS
from britekit.commands import analyze
from britekit.config import BaseConfig, to_dict
from britekit.errors import InputError
from britekit.inference.drift_log import BINS, DriftDay, DriftLog, read_days
from britekit.inference.ensemble import load_ensemble
from britekit.inference.labeling import Labeler
from britekit.inference.scores import RecordingScores
from britekit.inference.spilled_array import SpilledArray
from tests.inference.conftest import CLASSES, content, write_recording
from tests.inference.fakes import SMALL_AUDIO, make_fake_member


@pytest.fixture
def labeler(place):
    make_fake_member(place / "models", CLASSES)
    cfg = BaseConfig(audio=SMALL_AUDIO)
    cfg.infer.min_score = 0.6
    return Labeler(cfg, load_ensemble(cfg, [place / "models/seed-1.onnx"]))


def scored(scores, traits=None):
    rows = SpilledArray(len(CLASSES))
    rows.append(np.array(scores, np.float32))
    return RecordingScores(3.0 * np.arange(len(scores)), rows, None, 3.0 * len(scores), None, traits)


def total(days, name):
    return sum(getattr(day, name).sum(axis=0) for day in days)


def test_sums_by_hand(labeler, place):
    log = DriftLog(place / "drift", labeler, 5, lambda: date(2026, 11, 30))
    traits = np.arange(3 * len(TRAITS), dtype=np.float32).reshape(3, -1)
    log.add("a", scored([[0.9, 0.1, 0.0], [0.2, 0.59, 0.6], [0.3, 0.3, 0.3]], traits))
    log.add("b", scored([[1.0, 0.05, 0.0]]))
    log.close()
    (day,) = read_days(place / "drift")
    assert (day.day, day.classes) == ("2026-11-30", ["Wren", "Owl", "Noise"])
    assert day.recordings.sum() == 2 and day.windows.sum() == 4 and day.seconds.sum() == 12
    assert day.silent.sum() == 1
    assert day.detections.sum(axis=0).tolist() == [2, 0, 1]
    assert day.sums.sum(axis=0).tolist() == traits.sum(axis=0).tolist()
    assert day.squares.sum(axis=0).tolist() == (traits.astype(float) ** 2).sum(axis=0).tolist()
    expected = np.histogram(np.float32([0.9, 0.2, 0.3, 1.0]), np.linspace(0, 1, BINS + 1))[0]
    assert np.abs(day.histogram[0] - expected).sum() <= 2, "0.3 may fall to either side in single precision"
    assert day.histogram.sum(axis=1).tolist() == [4, 4, 4]


def test_two_processes_add_and_old_days_go(labeler, place):
    days = iter([date(2026, 1, 1) + timedelta(n) for n in range(4) for _ in range(8)])
    folder = place / "drift"
    now = [next(days)]
    logs = [DriftLog(folder, labeler, 2, lambda: now[0]) for _ in range(2)]
    for number in range(4):
        now[0] = date(2026, 1, 1) + timedelta(number)
        for log in logs:
            log.add(f"r{number}", scored([[0.9, 0.1, 0.1]]))
            log.flush()
    kept = read_days(folder)
    assert [day.day for day in kept] == ["2026-01-03", "2026-01-04"]
    assert [int(day.recordings.sum()) for day in kept] == [2, 2]
    assert [day.day for day in read_days(folder, since=date(2026, 1, 4))] == ["2026-01-04"]
    with pytest.raises(InputError, match="no drift statistics of that period; it holds 2026-01-03 to 2026-01-04"):
        read_days(folder, until=date(2025, 1, 1))


def test_what_cannot_be_written_is_counted_and_stops_nothing(labeler, place, caplog):
    folder = place / "drift"
    log = DriftLog(folder, labeler, 5, lambda: date(2026, 1, 1))
    log.add("a", scored([[0.9, 0.1, 0.1]]))
    log.flush()
    (file,) = folder.glob("drift-*.json")
    file.write_text("{}")
    with caplog.at_level(logging.WARNING):
        log.add("b", scored([[0.9, 0.1, 0.1]]))
        log.flush()
        log.add("c", scored([[0.9, 0.1, 0.1]]))
        log.close()
    assert log.lost == 2
    assert "drift statistics of 1 recordings could not be kept" in caplog.text
    assert "drift statistics of 2 recordings are missing" in caplog.text
    for text in ("[]", '{"format": 9}', file.read_text()[:40]):
        file.write_text(text)
        with pytest.raises(InputError, match="is not a file of drift statistics"):
            DriftDay.read(file)
    (place / "file").write_text("")
    with pytest.raises(InputError, match="could not be written"):
        DriftLog(place / "file" / "x", labeler, 5)


def test_analyze_keeps_them_and_its_files_stay_the_same(place):
    make_fake_member(place / "models", CLASSES)
    for number in range(3):
        write_recording(Path(f"rec/r{number}.wav"), 10.0, seed=number)
    settings = {"audio": to_dict(BaseConfig(audio=SMALL_AUDIO))["audio"], "misc": {"ckpt_folder": "models"}}
    settings["infer"] = {"min_score": 0.0, "backend": "openvino"}
    Path("params.yaml").write_text(json.dumps(settings))
    analyze(input_path="rec", output_path="plain")
    settings["service"] = {"drift_folder": "drift"}
    Path("params.yaml").write_text(json.dumps(settings))
    analyze(input_path="rec", output_path="kept")
    assert content("plain") == content("kept")
    (day,) = read_days(Path("drift"))
    table = ScoreTable.load("plain/scores.npz")
    assert day.windows.sum() == len(table.scores)
    bins = [np.histogram(column, np.linspace(0, 1, BINS + 1))[0] for column in table.scores.T]
    assert np.abs(day.histogram - np.array(bins)).sum() <= 2
    # The level by hand: the root mean square of the files, whose windows cover nearly all of them.
    assert -25 < day.sums[:, 0].sum() / day.windows.sum() < -5
    bands = day.sums[:, 2:].sum(axis=0) / day.windows.sum()
    assert (bands > 0).any() and (bands < 1).all()
    assert b"RIFF" not in b"".join(path.read_bytes() for path in Path("drift").iterdir()), "no sound"

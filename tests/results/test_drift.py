"""`rpt-drift`: false alarms stay rare, real changes are found, and a test serves as baseline."""

import csv
import math
import zlib
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from britekit.annotations.classes import ClassInfo
from britekit.annotations.scores import ScoreTable
from britekit.commands import rpt_drift
from britekit.errors import InputError
from britekit.inference.drift_log import BLOCKS, DriftDay
from britekit.results.drift import compare_periods, period_of_days

NAMES = ["Wren", "Owl"]


def made_day(day, seed, level=-40.0, rate=0.05, recordings=80, names=NAMES):
    """A day of recordings of 20 windows; level and rate differ between recordings, as in the field."""
    rng = np.random.default_rng(seed)
    made = DriftDay.empty(day, "m" * 64, names)
    for _ in range(recordings):
        block = rng.integers(BLOCKS)
        own = np.clip(rng.gamma(2.0, rate / 2.0, len(names)), 0, 1)
        found = rng.random((20, len(names))) < own
        traits = rng.normal(0.2, 0.02, (20, 18))
        traits[:, :2] = level + rng.normal(0, 4) + rng.normal(0, 1, (20, 2))
        made.recordings[block] += 1
        made.windows[block] += 20
        made.seconds[block] += 60
        made.detections[block] += found.sum(axis=0)
        made.silent[block] += (~found.any(axis=1)).sum()
        made.sums[block] += traits.sum(axis=0)
        made.squares[block] += (traits**2).sum(axis=0)
        made.histogram += np.stack([np.bincount((column * 19).astype(int), minlength=20) for column in found.T])
    return made


def test_equal_periods_are_rarely_called_changed():
    changed = drifted = 0
    for seed in range(60):
        rows = compare_periods(*(period_of_days([made_day("2026-01-01", 2 * seed + k)]) for k in range(2)))
        changed += any(row.verdict == "changed" for row in rows)
        drifted += any(row.drifted for row in rows)
    assert drifted == 0 and changed <= 6, "5 % of all comparisons together, within chance"


def test_what_changed_is_found_and_nothing_else():
    old = period_of_days([made_day("2026-01-01", 1, recordings=400)])
    new = period_of_days([made_day("2026-01-02", 2, level=-30.0, rate=0.4, recordings=400)])
    rows = {(row.measure, row.name): row for row in compare_periods(old, new)}
    assert {key for key, row in rows.items() if row.drifted} == {
        ("level", ""), ("noise", ""), ("silent", ""), ("rate", "Wren"), ("rate", "Owl"),
    }  # fmt: skip
    assert rows["level", ""].difference == pytest.approx(10, abs=1)
    assert rows["rate", "Wren"].difference == pytest.approx(math.log2(8), abs=0.5)
    assert rows["level", ""].low > 3


def write_days(folder, since, count, **options):
    Path(folder).mkdir(exist_ok=True)
    for number in range(count):
        day = (date.fromisoformat(since) + timedelta(number)).isoformat()
        made = made_day(day, zlib.crc32(day.encode()) % 1000, **options)
        made.write(Path(folder) / made.name)


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_days("drift", "2026-01-01", 3)
    write_days("drift", "2026-02-01", 3)
    options = {"input_path": "drift", "since": "2026-02-01", "baseline_until": "2026-01-31"}
    assert rpt_drift(output_path="same", **options) == 0
    assert "drifted = 0 of 21" in capsys.readouterr().out
    write_days("drift", "2026-02-01", 3, level=-20.0)
    assert rpt_drift(output_path="loud", **options) == 3
    assert "drift = level : -40" in capsys.readouterr().out.replace("level:", "level :")
    with open("loud/drift.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["verdict"] for row in rows if row["measure"] == "level"] == ["drift"]
    assert Path("loud/drift.png").stat().st_size > 10_000 and "<table" in Path("loud/drift.html").read_text()


def test_bad_input(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="service.drift_folder"):
        rpt_drift(output_path="o")
    with pytest.raises(InputError, match="drift is not a folder"):
        rpt_drift(input_path="drift", output_path="o")
    write_days("drift", "2026-01-01", 2)
    with pytest.raises(InputError, match="2 days are in both periods"):
        rpt_drift(input_path="drift", output_path="o")
    with pytest.raises(InputError, match='--since is "monday"; expected a date'):
        rpt_drift(input_path="drift", output_path="o", since="monday")
    write_days("other", "2026-01-01", 2, names=["Bat", "Frog"])
    with pytest.raises(InputError, match="share no class"):
        rpt_drift(input_path="drift", output_path="o", baseline="other")


def test_a_test_as_baseline(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_days("drift", "2026-01-01", 1)
    Path("labels").mkdir()
    rng = np.random.default_rng(0)
    table = ScoreTable(
        [f"r{n}" for n in range(30)], np.full(30, 60.0), np.repeat(np.arange(30, dtype=np.int32), 20),
        np.tile(3.0 * np.arange(20), 30), 3.0, [ClassInfo("Wren", "W"), ClassInfo("Bat", "B")],
        rng.random((600, 2)).astype(np.float32),
    )  # fmt: skip
    table.save("labels/scores.npz")
    assert rpt_drift(input_path="drift", output_path="o", baseline="labels") == 3, "a fifth of the windows, not 5 %"
    printed = capsys.readouterr().out
    assert "holds no levels" in printed and "only one of them has are not compared: Bat, Owl" in printed
    with open("o/drift.csv", newline="") as file:
        rate = next(row for row in csv.DictReader(file) if row["measure"] == "rate")
    per_hour = np.count_nonzero(table.scores[:, 0] >= 0.8) / 0.5
    assert float(rate["baseline"]) == pytest.approx(per_hour, rel=1e-3)

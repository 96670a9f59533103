"""Detection histories: cells by hand, and an occupancy model fitted on our table."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit

from britekit.errors import InputError
from britekit.results.effort import DetectionTimes, compute_effort, detection_times
from britekit.results.histories import effort_table, history, occasions_of, write_effort, write_history
from tests.results.made_times import recording_times

AT = datetime(2026, 5, 1, 6, tzinfo=UTC)  # a Friday


def day(number: int) -> datetime:
    return AT + timedelta(days=number)


def table(path: Path) -> tuple[list[str], dict[str, list[str]]]:
    with open(path, encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file))
    return header, {row[0]: row[1:] for row in rows}


def test_one_zero_and_na(tmp_path: Path) -> None:
    # a: days 0, 1, 3; b: day 1. Detected at a on day 1 and, at b, on day 1 another class only.
    recordings = recording_times(["a", "a", "a", "b"], [day(0), day(1), day(3), day(1)], [1800, 3600, 600, 60])
    effort = compute_effort(recordings)
    occasions = occasions_of(effort, "day")
    hours = effort_table(effort, occasions)
    found = detection_times(recordings, np.array([1]), np.array([0]), np.array([5.0]), np.array([10.0]))
    write_history(tmp_path / "h.csv", effort.sites, occasions, history(hours, found, occasions))
    write_effort(tmp_path / "e.csv", effort.sites, occasions, hours)
    dates = ["2026-05-01", "2026-05-02", "2026-05-03", "2026-05-04"]
    assert table(tmp_path / "h.csv") == (
        ["site", *dates], {"a": ["0", "1", "NA", "0"], "b": ["NA", "0", "NA", "NA"]}
    )  # fmt: skip
    assert table(tmp_path / "e.csv")[1] == {"a": ["0.5", "1", "0", "0.166667"], "b": ["0", "0.016667", "0", "0"]}


@pytest.mark.parametrize(
    ("length", "names"),
    [("week", ["2026-04-27", "2026-05-04"]), ("3", ["2026-05-01", "2026-05-04", "2026-05-07"]), ("10", ["2026-05-01"])],
)
def test_longer_occasions(length: str, names: list[str]) -> None:
    recordings = recording_times(["a", "a"], [day(0), day(6)], [60, 60])
    assert occasions_of(compute_effort(recordings), length).names() == names


@pytest.mark.parametrize("length", ["month", "0", "-3", "1.5", ""])
def test_bad_occasions(length: str) -> None:
    effort = compute_effort(recording_times(["a"], [day(0)], [60]))
    with pytest.raises(InputError, match="expected day, week, or a number of days"):
        occasions_of(effort, length)


def test_no_times_at_all() -> None:
    with pytest.raises(InputError, match="no recording has a known time"):
        occasions_of(compute_effort(recording_times([], [], [])), "day")


def occupancy(y: np.ndarray) -> tuple[float, float]:
    """Fit the single-season model (MacKenzie et al. 2002): logit psi and its standard error."""
    seen, ones, trials = np.nansum(y, 1) > 0, np.nansum(y, 1), np.sum(~np.isnan(y), 1)

    def negative(theta: np.ndarray) -> float:
        psi, p = expit(theta)
        likelihood = psi * p**ones * (1 - p) ** (trials - ones) + np.where(seen, 0, 1 - psi)
        return -float(np.log(likelihood[trials > 0]).sum())

    best = minimize(negative, [0.0, 0.0], method="BFGS", options={"gtol": 1e-6}).x
    step, hessian = 1e-4, np.empty((2, 2))
    for i in range(2):
        for j in range(2):
            a, b = np.eye(2)[i] * step, np.eye(2)[j] * step
            hessian[i, j] = (
                negative(best + a + b) - negative(best + a - b) - negative(best - a + b) + negative(best - a - b)
            ) / (4 * step * step)
    return float(best[0]), float(np.sqrt(np.linalg.inv(hessian)[0, 0]))


def test_an_occupancy_model_on_our_table_covers_the_truth(tmp_path: Path) -> None:
    rng = np.random.default_rng(12)
    psi, p, sites, days, covered = 0.6, 0.35, 120, 8, 0
    for run in range(500):
        present = rng.random(sites) < psi
        recorded = rng.random((sites, days)) < 0.8  # recorders fail: NA
        heard = recorded & present[:, None] & (rng.random((sites, days)) < p)
        rows = np.argwhere(recorded)
        recordings = recording_times(
            [f"s{site:03d}" for site, _ in rows], [day(int(when)) for _, when in rows], [60.0] * len(rows)
        )
        where = np.flatnonzero([heard[site, when] for site, when in rows])
        found = detection_times(
            recordings, where, np.zeros(len(where), np.int64), np.full(len(where), 1.0), np.full(len(where), 2.0)
        )
        effort = compute_effort(recordings)
        occasions = occasions_of(effort, "day")
        values = history(effort_table(effort, occasions), found, occasions)
        if run == 0:  # what the file holds, once
            write_history(tmp_path / "h.csv", effort.sites, occasions, values)
            rows_of = table(tmp_path / "h.csv")[1]
            read = np.array([[np.nan if x == "NA" else float(x) for x in rows_of[s]] for s in effort.sites])
            np.testing.assert_array_equal(read, values)
        estimate, error = occupancy(values)
        covered += abs(estimate - logit(psi)) <= 1.959964 * error
    assert 0.93 <= covered / 500 <= 0.97


def test_history_without_detections() -> None:
    effort = compute_effort(recording_times(["a"], [day(0)], [60]))
    occasions = occasions_of(effort, "day")
    empty = np.zeros(0, np.int64)
    none = DetectionTimes(empty, empty, np.zeros(0), empty, empty, empty)
    assert history(effort_table(effort, occasions), none, occasions).tolist() == [[0.0]]

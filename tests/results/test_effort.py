"""Effort and calendars: values by hand on the nights that go wrong, and a second-by-second twin."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from britekit.results.effort import compute_effort, detection_times
from tests.results.made_times import recording_times

BERLIN, DELHI, SYDNEY = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata"), ZoneInfo("Australia/Sydney")
EPOCH = date(1970, 1, 1)


def hours(*rows: tuple[str, datetime, float]) -> dict[tuple[str, str, int], float]:
    found = compute_effort(recording_times(*zip(*rows, strict=True)))
    return {
        (found.sites[site], (EPOCH + timedelta(days=int(day))).isoformat(), int(hour)): round(float(value), 9)
        for site, day, hour, value in zip(found.site_K, found.day_K, found.hour_K, found.hours_K, strict=True)
    }


def test_a_recording_over_midnight_is_split() -> None:
    start = datetime(2026, 5, 1, 23, 30, tzinfo=BERLIN)
    assert hours(("a", start, 3600)) == {("a", "2026-05-01", 23): 0.5, ("a", "2026-05-02", 0): 0.5}


def test_leap_day() -> None:
    start = datetime(2024, 2, 28, 23, 59, 59, tzinfo=UTC)
    found = hours(("a", start, 2 + 86400))
    assert found["a", "2024-02-28", 23] == pytest.approx(1 / 3600)
    assert sum(value for key, value in found.items() if key[1] == "2024-02-29") == pytest.approx(24)
    assert found["a", "2024-03-01", 0] == pytest.approx(1 / 3600)


def test_the_night_on_which_the_clock_goes_back_has_25_hours() -> None:
    # Berlin, 2026-10-25: from 3:00 CEST back to 2:00 CET
    found = hours(("a", datetime(2026, 10, 25, 0, tzinfo=BERLIN), 25 * 3600))
    assert {key[1] for key in found} == {"2026-10-25"}
    assert {key[2]: value for key, value in found.items()} == {hour: 2.0 if hour == 2 else 1.0 for hour in range(24)}


def test_the_night_on_which_the_clock_goes_forward_has_23_hours() -> None:
    # Berlin, 2026-03-29: from 2:00 CET to 3:00 CEST
    found = hours(("a", datetime(2026, 3, 29, 0, tzinfo=BERLIN), 23 * 3600))
    assert {key[2] for key in found} == set(range(24)) - {2}
    assert {key[1] for key in found} == {"2026-03-29"}


def test_half_hour_zones() -> None:
    found = hours(("a", datetime(2026, 5, 1, 18, 0, tzinfo=UTC).astimezone(DELHI), 3600))  # 23:30 to 0:30
    assert found == {("a", "2026-05-01", 23): 0.5, ("a", "2026-05-02", 0): 0.5}


def test_a_recorder_that_crosses_a_zone_keeps_each_recordings_clock() -> None:
    found = hours(
        ("ship", datetime(2026, 5, 1, 23, tzinfo=timezone(timedelta(hours=10))), 1800),
        ("ship", datetime(2026, 5, 1, 23, tzinfo=timezone(timedelta(hours=9))), 1800),
    )
    assert found == {("ship", "2026-05-01", 23): 1.0}


def test_two_recorders_at_one_site_count_once_where_they_overlap() -> None:
    at = datetime(2026, 5, 1, 6, tzinfo=UTC)
    found = hours(
        ("a", at, 1800), ("a", at + timedelta(minutes=20), 1800), ("a", at + timedelta(minutes=5), 60), ("b", at, 600)
    )
    assert found == {("a", "2026-05-01", 6): pytest.approx(50 / 60), ("b", "2026-05-01", 6): pytest.approx(1 / 6)}


def test_random_recordings_equal_a_count_second_by_second() -> None:
    rng = np.random.default_rng(3)
    zones = [BERLIN, DELHI, SYDNEY]
    rows = []
    for _ in range(60):
        site = int(rng.integers(3))
        start = datetime(2026, 10, 24, 12, tzinfo=UTC) + timedelta(seconds=int(rng.integers(0, 86400 * 2)))
        rows.append((f"s{site}", start.astimezone(zones[site]), float(rng.integers(1, 9000))))
    seconds: dict[tuple[str, int], tuple[str, int]] = {}
    for site, start, length in rows:
        for second in range(int(length)):
            # elapsed time goes by UTC, not by the clock on the wall
            when = (start.astimezone(UTC) + timedelta(seconds=second)).astimezone(start.tzinfo)
            seconds[site, int(when.timestamp())] = (when.date().isoformat(), when.hour)
    expected = Counter((site, *cell) for (site, _), cell in seconds.items())
    assert hours(*rows) == pytest.approx({key: count / 3600 for key, count in expected.items()})


def test_detections_get_the_date_and_hour_of_their_own_second() -> None:
    recordings = recording_times(["a"], [datetime(2026, 10, 25, 1, 30, tzinfo=BERLIN)], [3 * 3600])
    starts = np.array([0.0, 1799.0, 1800.0, 5400.0, 9000.0])  # 1:30, 1:59:59, 2:00 CEST, 2:00 CET, 3:00
    zeros = np.zeros(5, np.int64)
    found = detection_times(recordings, zeros, zeros, starts, starts + 1)
    assert found.hour_D.tolist() == [1, 1, 2, 2, 3]
    assert set(found.day_D.tolist()) == {(date(2026, 10, 25) - EPOCH).days}


def test_a_call_that_two_recorders_heard_counts_once() -> None:
    at = datetime(2026, 5, 1, 6, tzinfo=UTC)
    recordings = recording_times(["a", "a", "b"], [at, at + timedelta(seconds=10), at], [60, 60, 60])
    #            a: 20-25   same call: 10+11=21-26   another class   next one   other site
    recording = np.array([0, 1, 1, 1, 2])
    name = np.array([0, 0, 1, 0, 0])
    start = np.array([20.0, 11.0, 11.0, 16.0, 20.0])
    found = detection_times(recordings, recording, name, start, start + 5)
    assert sorted(found.row_D.tolist()) == [0, 2, 3, 4]


def test_nothing_recorded() -> None:
    found = compute_effort(recording_times([], [], []))
    assert len(found.hours_K) == 0

"""Activity and presence: a small archive counted by hand, and the sun against published times."""

import csv
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import soundfile

import britekit.commands as commands
from britekit.annotations.verdicts import Verdict, append_verdict, new_id
from britekit.errors import InputError
from britekit.results.activity import report_activity
from britekit.results.recordings import Recordings
from britekit.results.sun import sun_times


def read(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two sites: A has an hour on May 1 and half an hour over midnight, B ten minutes on May 3."""
    monkeypatch.chdir(tmp_path)
    for name, seconds in (
        ("A/20260501_060000", 3600), ("A/20260502_234500", 1800), ("B/20260503_060000", 600), ("B/nodate", 60),
    ):  # fmt: skip
        path = tmp_path / "rec" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.zeros(seconds * 100, np.int16), 100)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "deployments.csv").write_text(
        "site,folder,latitude,longitude,time_zone\npond,A,52.52,13.405,Europe/Berlin\nridge,B,,,Europe/Berlin\n"
    )
    labels = tmp_path / "l"
    labels.mkdir()
    (labels / "analyzed.csv").write_text(
        "recording,seconds\nA/20260501_060000,3600\nA/20260502_234500,1800\nB/20260503_060000,600\n"
        "B/nodate,60\ngone,60\n"
    )
    (labels / "scores.csv").write_text(
        "recording,name,start_time,end_time,score\n"
        "A/20260501_060000,Wren,10,15,0.9\nA/20260501_060000,Wren,100,105,0.4\n"
        "A/20260502_234500,Wren,899,904,0.8\nA/20260502_234500,Wren,901,906,0.8\n"
        "A/20260502_234500,Wren,1000,1005,0.7\nA/20260501_060000,<b>Owl</b>,0,5,0.6\n"
        "B/nodate,Wren,0,5,0.9\n"
    )
    return tmp_path


def test_counted_by_hand(archive: Path) -> None:
    report = report_activity("rec", "l", "out")
    assert report.effort.sites == ["pond", "ridge"]
    rows = {(r["name"], r["site"], r["date"], r["hour"]): r for r in read(archive / "out" / "activity.csv")}
    assert {key[1:]: rows[key]["hours"] for key in rows if key[0] == "Wren"} == {
        ("pond", "2026-05-01", "6"): "1.000000", ("pond", "2026-05-02", "23"): "0.250000",
        ("pond", "2026-05-03", "0"): "0.250000", ("ridge", "2026-05-03", "6"): "0.166667",
    }  # fmt: skip
    # 23:45 + 899 s is 23:59:59; the one at 901 s overlaps it, so it is the same call.
    assert rows["Wren", "pond", "2026-05-02", "23"]["detections"] == "1"
    assert rows["Wren", "pond", "2026-05-02", "23"]["per_hour"] == "4.000"
    assert rows["Wren", "pond", "2026-05-03", "0"]["detections"] == "1"
    assert rows["Wren", "ridge", "2026-05-03", "6"]["detections"] == "0"
    presence = {(r["name"], r["date"]): r for r in read(archive / "out" / "presence.csv")}
    assert presence["Wren", "2026-05-01"] == {
        "name": "Wren", "site": "pond", "date": "2026-05-01", "detections": "2", "confirmed": "0",
        "first": "2026-05-01T06:00:10+02:00", "last": "2026-05-01T06:01:40+02:00", "status": "unverified",
    }  # fmt: skip
    assert read(archive / "out" / "history-Wren.csv") == [
        {"site": "pond", "2026-05-01": "1", "2026-05-02": "1", "2026-05-03": "1"},
        {"site": "ridge", "2026-05-01": "NA", "2026-05-02": "NA", "2026-05-03": "0"},
    ]
    assert [row["2026-05-03"] for row in read(archive / "out" / "effort.csv")] == ["0.25", "0.166667"]
    notes = " ".join(report.notes)
    assert "1 recordings were not found" in notes and "1 recordings have no known time" in notes
    assert "1 detections are in recordings that are left out" in notes
    page = (archive / "out" / "activity.html").read_text()
    assert "&lt;b&gt;Owl&lt;/b&gt;" in page and "<b>Owl</b>" not in page


def test_a_threshold_and_weeks(archive: Path) -> None:
    report = report_activity("rec", "l", "out", occasion="week", min_score=0.65)
    assert report.detections == {"Wren": 3}
    assert read(archive / "out" / "history-Wren.csv")[0] == {"site": "pond", "2026-04-27": "1"}
    assert not (archive / "out" / "history-Owl.csv").exists()


def test_verdicts_confirm_and_reject(archive: Path) -> None:
    for start, end, verdict in ((10, 15, "yes"), (100, 105, "no"), (1000, 1005, "unsure")):
        append_verdict(
            "data/verdicts.csv",
            Verdict(
                id=new_id(), recording="A/20260501_060000" if start < 200 else "A/20260502_234500", start=start,
                end=end, detection_start=start, detection_end=end, name="Wren", verdict=verdict, reviewer="Jo",
            ),
        )  # fmt: skip
    report = report_activity("rec", "l", "out", verdicts="data/verdicts.csv")
    assert report.detections["Wren"] == 3
    assert "1 detections are left out, since a verdict says no" in report.notes
    presence = {(r["name"], r["date"]): r for r in read(archive / "out" / "presence.csv")}
    assert presence["Wren", "2026-05-01"]["status"] == "confirmed"
    assert presence["Wren", "2026-05-01"]["detections"] == "1"
    assert presence["Wren", "2026-05-03"]["status"] == "unverified"


def test_without_a_list_of_what_was_analyzed(archive: Path) -> None:
    (archive / "l" / "analyzed.csv").unlink()
    with pytest.raises(InputError, match="it is not known what was listened to"):
        report_activity("rec", "l", "out")
    assert not (archive / "out").exists()


def test_the_command(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands.rpt_activity("rec", "l", "out", occasion="2")
    out = capsys.readouterr().out
    assert "Wren = 4" in out and "sites = 2" in out and "hours = 1.7" in out and "Note: " in out


def test_the_sun_as_published(archive: Path) -> None:
    # Berlin, 2026-06-21 and 2026-12-21, by the tables of the US Naval Observatory: to the minute or two.
    summer, winter = sun_times(Recordings("rec"), "pond", [date(2026, 6, 21), date(2026, 12, 21)])
    assert summer == pytest.approx((4 + 43 / 60, 21 + 33 / 60), abs=2.5 / 60)
    assert winter == pytest.approx((8 + 15 / 60, 15 + 54 / 60), abs=2.5 / 60)
    assert sun_times(Recordings("rec"), "ridge", [date(2026, 6, 21)]) is None

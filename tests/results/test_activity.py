"""Activity and presence: a small archive counted by hand, and the sun against published times."""

import csv
import hashlib
import random
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import soundfile

import britekit.commands as commands
from britekit.annotations.deployments import read_deployments
from britekit.annotations.recording_info import RecordingInfos
from britekit.annotations.verdicts import Verdict, append_verdict, new_id
from britekit.audio.metadata import RecordingMetadata
from britekit.errors import InputError
from britekit.results.activity import report_activity
from britekit.results.listened import read_listened
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
    report = report_activity("l", "out", "rec")
    assert report.effort.sites == ["pond", "ridge"]
    rows = {(r["name"], r["site"], r["date"], r["hour"]): r for r in read(archive / "out" / "activity.csv")}
    assert {key[1:]: rows[key]["hours"] for key in rows if key[0] == "Wren"} == {
        ("pond", "2026-05-01", "6"): "1", ("pond", "2026-05-02", "23"): "0.25",
        ("pond", "2026-05-03", "0"): "0.25", ("ridge", "2026-05-03", "6"): "0.166667",
    }  # fmt: skip
    # 23:45 + 899 s is 23:59:59; the one at 901 s overlaps it, so it is the same call.
    assert rows["Wren", "pond", "2026-05-02", "23"]["detections"] == "1"
    assert rows["Wren", "pond", "2026-05-02", "23"]["per_hour"] == "4"
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
    assert "1 detection not used, because the recording was not used" in notes
    page = (archive / "out" / "activity.html").read_text()
    assert "&lt;b&gt;Owl&lt;/b&gt;" in page and "<b>Owl</b>" not in page


def test_a_call_in_both_channels_counts_once(archive: Path) -> None:
    """Windows that touch are calls of their own, so those of the other channel must not double them."""
    expected = report_activity("l", "out", "rec").detections
    rows = (archive / "l" / "scores.csv").read_text()
    (archive / "l" / "scores.csv").unlink()
    (archive / "l" / "scores.ch1.csv").write_text(rows)
    (archive / "l" / "scores.ch2.csv").write_text(
        rows.replace(",0.9", ",0.95").replace("100,105,0.4", "101.5,106.5,0.3")
    )
    report = report_activity("l", "both", "rec")
    assert report.detections == expected
    assert "7 detections are of calls that another channel heard better; they count once" in report.notes
    assert read(archive / "both" / "activity.csv") == read(archive / "out" / "activity.csv")


def test_a_threshold_and_weeks(archive: Path) -> None:
    report = report_activity("l", "out", "rec", occasion="week", min_score=0.65)
    assert report.detections == {"Wren": 3}
    assert read(archive / "out" / "history-Wren.csv")[0] == {"site": "pond", "2026-04-27": "1"}
    assert not (archive / "out" / "history-Owl.csv").exists()


def test_verdicts_confirm_and_reject(archive: Path) -> None:
    said = ((10, 15, "yes"), (100, 105, "no"), (1000, 1005, "unsure"), (50, 55, "no"))
    for start, end, verdict in said:
        append_verdict(
            "data/verdicts.csv",
            Verdict(
                id=new_id(), recording="A/20260501_060000" if start < 200 else "A/20260502_234500", start=start,
                end=end, detection_start=start, detection_end=end, name="Wren", verdict=verdict, reviewer="Jo",
            ),
        )  # fmt: skip
    report = report_activity("l", "out", "rec", verdicts="data/verdicts.csv")
    assert report.detections["Wren"] == 3
    assert "1 detection not used, because a reviewer rejected them" in report.notes
    lost = [note for note in report.notes if "verdict" in note]
    assert lost and "50 s (Wren)" in lost[0], "a recording with detections, but none in that stretch"
    presence = {(r["name"], r["date"]): r for r in read(archive / "out" / "presence.csv")}
    assert presence["Wren", "2026-05-01"]["status"] == "confirmed"
    assert presence["Wren", "2026-05-01"]["detections"] == "1"
    assert presence["Wren", "2026-05-03"]["status"] == "unverified"


def test_without_a_list_of_what_was_analyzed(archive: Path) -> None:
    (archive / "l" / "analyzed.csv").unlink()
    with pytest.raises(InputError, match="it is not known what was listened to"):
        report_activity("l", "out", "rec")
    assert not (archive / "out").exists()


def test_the_command(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands.rpt_activity("rec", "l", "out", occasion="2")
    out = capsys.readouterr().out
    assert "Wren = 4" in out and "sites = 2" in out and "hours = 1.7" in out and "Note: " in out


def test_the_sun_as_published() -> None:
    # Berlin, 2026-06-21 and 2026-12-21, by the tables of the US Naval Observatory: to the minute or two.
    berlin = (52.52, 13.405, ZoneInfo("Europe/Berlin"))
    summer, winter = sun_times(berlin, [date(2026, 6, 21), date(2026, 12, 21)])
    assert summer == pytest.approx((4 + 43 / 60, 21 + 33 / 60), abs=2.5 / 60)
    assert winter == pytest.approx((8 + 15 / 60, 15 + 54 / 60), abs=2.5 / 60)
    assert sun_times(None, [date(2026, 6, 21)]) is None
    # At the North Cape the sun does not set in June.
    assert sun_times((71.17, 25.78, ZoneInfo("Europe/Oslo")), [date(2026, 6, 21)]) == [None]


ANALYZED = "recording,seconds,file,time,time_source,latitude,longitude,device\n"


def listened(folder: Path, deployments: str, *rows: str) -> list[tuple[str, str]]:
    """Return site and start, by the clock of the site, of recordings that are not there any more."""
    (folder / "l").mkdir(exist_ok=True)
    (folder / "l" / "analyzed.csv").write_text(ANALYZED + "\n".join(rows) + "\n")
    (folder / "deployments.csv").write_text(deployments)
    heard = read_listened(folder / "l", folder / "deployments.csv")
    times = heard.times
    return [
        (times.sites[site], datetime.fromtimestamp(start, UTC).astimezone(times.zones[zone]).isoformat())
        for site, start, zone in zip(times.site_R, times.start_R, times.zone_R, strict=True)
    ]


BERLIN = "site,folder,time_zone,latitude,longitude\npond,A,Europe/Berlin,52.52,13.405\n"


@pytest.mark.parametrize(
    "row, expected",
    [
        # The clock goes back on 2026-10-25 at 03:00: 02:30 occurs twice, and the first is taken.
        ("A/20261025_023000,60,rec/A/20261025_023000.wav,,,,,", "2026-10-25T02:30:00+02:00"),
        ("A/20261025_030000,60,rec/A/20261025_030000.wav,,,,,", "2026-10-25T03:00:00+01:00"),
        # In UTC there is no doubt: 01:30 is the second 02:30.
        ("A/x,60,rec/A/x.wav,2026-10-25T01:30:00+00:00,comment,,,AudioMoth 24", "2026-10-25T02:30:00+01:00"),
        # It goes forward on 2026-03-29 at 02:00: a clock that was not set forward shows 02:30 for 03:30.
        ("A/20260329_023000,60,rec/A/20260329_023000.wav,,,,,", "2026-03-29T03:30:00+02:00"),
        ("A/20280229_235959,60,rec/A/20280229_235959.wav,,,,,", "2028-02-29T23:59:59+01:00"),
        # The recorder's clock goes before its file's name.
        ("A/20260101_000000,60,rec/A/20260101_000000.wav,2026-01-01T00:00:01,bext,,,", "2026-01-01T00:00:01+01:00"),
    ],
)
def test_when_a_recording_began(tmp_path: Path, row: str, expected: str) -> None:
    assert listened(tmp_path, BERLIN, row) == [("pond", expected)]


def test_half_hour_zones_and_a_recorder_that_crosses_one(tmp_path: Path) -> None:
    deployments = (
        "site,serial,time_zone,from,until\nwest,AM1,Australia/Perth,2026-05-01,2026-05-10\n"
        "middle,AM1,Australia/Adelaide,2026-05-11,2026-05-20\n"
    )
    rows = [
        f"{name},60,card/{name}.wav,{time},GUANO,,,Recorder AM1"
        for name, time in (("a", "2026-05-10T20:00:00"), ("b", "2026-05-11T20:00:00"), ("c", "2026-05-12T00:00:00Z"))
    ]
    # Perth is 8 hours before UTC, Adelaide in May 9.5.
    assert listened(tmp_path, deployments, *rows) == [
        ("west", "2026-05-10T20:00:00+08:00"), ("middle", "2026-05-11T20:00:00+09:30"),
        ("middle", "2026-05-12T09:30:00+09:30"),
    ]  # fmt: skip


def test_a_clock_that_drifts_is_set_right(tmp_path: Path) -> None:
    deployments = (
        "site,folder,time_zone,from,until,clock_offset_s,clock_offset_end_s\n"
        "pond,A,UTC,2026-05-01T00:00,2026-05-11T00:00,0,-100\n"
    )
    rows = [f"A/{name},60,rec/A/{name}.wav,,,,," for name in ("20260501_000000", "20260506_000000")]
    # Half-way, half of the hundred seconds.
    assert [when for _, when in listened(tmp_path, deployments, *rows)] == [
        "2026-05-01T00:00:00+00:00", "2026-05-05T23:59:10+00:00",
    ]  # fmt: skip


def test_gaps_overlaps_and_a_recorder_that_was_restarted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A records 06:00:00 to 06:10:00; was restarted at 06:04:59.5 (its clock is of whole seconds); B overlaps."""
    monkeypatch.chdir(tmp_path)
    rows = [
        "A/20260501_060000,299.5,rec/A/20260501_060000.wav,,,,,",
        "A/20260501_060459,301,rec/A/20260501_060459.wav,,,,,",  # begins half a second before the other ended
        "B/20260501_060800,300,rec/B/20260501_060800.wav,,,,,",  # ends at 06:13:00
        "B/20260501_235930,60,rec/B/20260501_235930.wav,,,,,",  # over midnight
    ]
    deployments = "site,folder,time_zone\npond,A,Asia/Kathmandu\npond,B,Asia/Kathmandu\n"
    assert listened(tmp_path, deployments, *rows)[0] == ("pond", "2026-05-01T06:00:00+05:45")
    (tmp_path / "l" / "scores.csv").write_text(
        "recording,name,start_time,end_time,score\n"
        "A/20260501_060000,Wren,297,299.5,0.9\n"  # 06:04:57
        "A/20260501_060459,Wren,0,3,0.9\n"  # 06:04:59, within the one before: the same call
        "A/20260501_060459,Wren,240,243,0.9\n"  # 06:08:59
        "B/20260501_060800,Wren,59,62,0.9\n"  # 06:08:59, heard by both
        "B/20260501_235930,Wren,29,31,0.9\nB/20260501_235930,Wren,31,33,0.9\n"  # 23:59:59 and 00:00:01
    )
    report_activity("l", "out", deployments="deployments.csv")
    found = {(row["date"], row["hour"]): row for row in read(tmp_path / "out" / "activity.csv")}
    assert {key: row["detections"] for key, row in found.items()} == {
        ("2026-05-01", "6"): "2", ("2026-05-01", "23"): "1", ("2026-05-02", "0"): "1",
    }  # fmt: skip
    hours = {key: float(row["hours"]) for key, row in found.items()}
    assert hours["2026-05-01", "6"] == pytest.approx(13 * 60 / 3600, abs=1e-6)
    assert hours["2026-05-01", "23"] == hours["2026-05-02", "0"] == pytest.approx(30 / 3600, abs=1e-6)


def test_the_fast_way_says_what_the_thorough_one_does(tmp_path: Path) -> None:
    rng = random.Random(7)
    table = tmp_path / "deployments.csv"
    table.write_text(
        "site,recorder,folder,pattern,serial,latitude,longitude,time_zone,from,until,clock_offset_s\n"
        "a,,one,,,1,2,Europe/Berlin,,,\nb,,,*_B_*,,3,4,Asia/Kathmandu,,2026-06-01,5\nc,,,,SN7,,,+05:30,,,\n"
        "d,,one,,SN8,5,6,,2026-05-01,,-3\ne,SN9,,,,,,UTC,,,\n"
    )
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "recordings.csv").write_text("recording,site,time\nx,by hand,2026-05-05T05:05:05\n")
    infos = RecordingInfos(
        tmp_path, read_deployments(table), [r"(?P<year>....)y(?P<month>..)(?P<day>..)(?P<hour>..)(?P<minute>..)"]
    )
    for _ in range(500):
        name = rng.choice(["x", "20260502_030000", "S_B_20260729_013000Z", "SN7-20260101_000000", "2026y05021234", "z"])
        path = tmp_path / rng.choice(["one", "two", "SN8", "one/deeper"]) / f"{name}.wav"
        when = rng.choice([None, datetime(2026, 10, 25, 2, 30), datetime(2026, 5, 3, tzinfo=UTC)])
        place = rng.choice([(None, None), (7.0, 8.0)])
        known = RecordingMetadata(
            when, when and "comment", *place, device=rng.choice([None, "Moth SN8", "SN9", "SN77"])
        )
        info, placed = infos.of(path, known), infos.placed(str(path), known)
        assert placed == (info.site, info.start, info.zone, placed.place)
        assert (placed.place or (None, None)) == (info.latitude, info.longitude)


def test_what_the_table_does_not_say(tmp_path: Path, archive: Path) -> None:
    with pytest.raises(InputError, match="name the folder of the recordings with -i"):
        report_activity("l", "out")
    row = "A/20260501_060000,60,rec/A/20260501_060000.wav,,,,,"
    listened(tmp_path, BERLIN, row, row)
    notes = read_listened(tmp_path / "l", tmp_path / "deployments.csv").notes
    assert "1 recordings are in" in notes[0] and "more than once" in notes[0]


CALIBRATION = (
    "coefficient: 1.0\nintercept: 0.0\nthresholds:\n  precision: 0.9\n  classes:\n    WREN: 0.75\n    OWL: null\n"
)


def calibrated(folder: Path, precision: float = 0.9) -> None:
    """Say that the labels were calibrated, by a file with thresholds of classes."""
    (folder / "models").mkdir()
    text = CALIBRATION.replace("0.9", str(precision))
    (folder / "models" / "calibration.yaml").write_text(text)
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    (folder / "l" / "manifest.yaml").write_text(
        "classes: [{name: Wren, code: WREN}, {name: <b>Owl</b>, code: OWL}]\n"
        f"inference: {{label_field: names, calibration: models/calibration.yaml}}\ncalibration: {{sha256: {sha256}}}\n"
    )


def test_thresholds_of_the_calibration(archive: Path) -> None:
    calibrated(archive)
    report = report_activity("l", "out", "rec", precision=0.9)
    # Wren at or above 0.75: 0.9, and the two of 0.8 that overlap; no score of the owl reaches the precision.
    assert report.detections == {"Wren": 2}
    assert read(archive / "out" / "thresholds.csv") == [
        {
            "name": "<b>Owl</b>",
            "threshold": "",
            "by": "calibration",
            "precision": "",
            "low": "",
            "high": "",
            "verdicts": "0",
        },
        {
            "name": "Wren",
            "threshold": "0.7500",
            "by": "calibration",
            "precision": "",
            "low": "",
            "high": "",
            "verdicts": "0",
        },
    ]
    assert "1 classes reach precision 0.9 at no score: <b>Owl</b>" in report.notes
    assert "1 classes have no detection that counts, so they are not shown: <b>Owl</b>" in report.notes
    assert "Threshold 0.75, by calibration." in (archive / "out" / "activity.html").read_text()


@pytest.mark.parametrize(
    "how, note",
    [
        ("other precision", "has thresholds of precision 0.8; britekit calibrate --precision 0.9 finds those wanted"),
        ("other file", "is not the calibration of the scores"),
        ("none", "are not calibrated"),
    ],
)
def test_a_calibration_of_something_else_is_not_used(archive: Path, how: str, note: str) -> None:
    calibrated(archive, 0.8 if how == "other precision" else 0.9)
    if how == "other file":
        (archive / "models" / "calibration.yaml").write_text(CALIBRATION + "# changed\n")
    if how == "none":
        (archive / "l" / "manifest.yaml").unlink()
    report = report_activity("l", "out", "rec", precision=0.9, min_score=0.5)
    assert any(note in each for each in report.notes), report.notes
    assert report.thresholds["Wren"].by == "min-score" and report.thresholds["Wren"].threshold == 0.5
    assert any("2 classes have neither verdicts nor a calibrated threshold" in each for each in report.notes)


def test_thresholds_by_verdicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """100 detections; those above 0.6 are right, all have a verdict: at 0.6 the precision is exactly 1."""
    monkeypatch.chdir(tmp_path)
    listened(tmp_path, BERLIN, "A/20260501_060000,3600,rec/A/20260501_060000.wav,,,,,")
    rows, verdicts = [], tmp_path / "verdicts.csv"
    for k in range(100):
        score, start = (k + 0.5) / 100, 30.0 * k
        rows.append(f"A/20260501_060000,Wren,{start},{start + 3},{score}")
        append_verdict(verdicts, Verdict(
            id=new_id(), recording="A/20260501_060000", start=start, end=start + 3, detection_start=start,
            detection_end=start + 3, name="Wren", verdict="yes" if score > 0.6 else "no", score=score,
            queue="random", share=1.0, reviewer="me", time="2026-06-01T00:00:00+00:00",
        ))  # fmt: skip
    (tmp_path / "l" / "scores.csv").write_text("recording,name,start_time,end_time,score\n" + "\n".join(rows) + "\n")
    report = report_activity("l", "out", deployments="deployments.csv", verdicts=verdicts, precision=0.95)
    found = report.thresholds["Wren"]
    # Of those above 0.57 and 0.58 the parts 40 / 43 and 40 / 42 are right: 0.58 is the first with 0.95.
    assert (found.by, found.threshold, found.verdicts) == ("verdicts", pytest.approx(0.58), 100)
    assert found.precision == pytest.approx(40 / 42, abs=0.02)
    # All rejected ones are left out, whatever the threshold.
    assert report.detections == {"Wren": 40}


@pytest.mark.parametrize("precision", [0.0, 1.0, -1.0])
def test_impossible_precisions(archive: Path, precision: float) -> None:
    with pytest.raises(InputError, match="--precision"):
        report_activity("l", "out", "rec", precision=precision)

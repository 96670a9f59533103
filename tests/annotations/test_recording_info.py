"""When and where recordings were made: every expected time is worked out by hand."""

import csv
import io
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
import soundfile

from britekit.annotations.deployments import Deployment, doubtful_deployments, read_deployments, zone_named
from britekit.annotations.recording_info import RecordingInfos
from britekit.audio.metadata import RecordingMetadata
from britekit.cli import main
from britekit.config.misc import MiscConfig
from britekit.errors import ConfigError, InputError

NOTHING = RecordingMetadata()


def table(tmp_path, text):
    path = tmp_path / "deployments.csv"
    path.write_text(text)
    return read_deployments(path)


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "zone", "instant", "offset_h"),
    [
        # Winter and summer in Berlin: one and two hours ahead of UTC.
        ("A_20240115_063000.wav", "Europe/Berlin", utc(2024, 1, 15, 5, 30), 1),
        ("A_20240715_063000.wav", "Europe/Berlin", utc(2024, 7, 15, 4, 30), 2),
        # 31 March 2024: at 02:00 clocks go to 03:00. 01:59:59 is 00:59:59 UTC, 03:00:00 is 01:00:00 UTC.
        ("A_20240331_015959.wav", "Europe/Berlin", utc(2024, 3, 31, 0, 59, 59), 1),
        ("A_20240331_030000.wav", "Europe/Berlin", utc(2024, 3, 31, 1, 0, 0), 2),
        # 27 October 2024: at 03:00 clocks go back to 02:00. 01:59:59 is 23:59:59 UTC, 03:00 is 02:00 UTC.
        ("A_20241027_015959.wav", "Europe/Berlin", utc(2024, 10, 26, 23, 59, 59), 2),
        ("A_20241027_030000.wav", "Europe/Berlin", utc(2024, 10, 27, 2, 0, 0), 1),
        # Midnight and the leap day.
        ("A_20240229_000000.wav", "Europe/Berlin", utc(2024, 2, 28, 23, 0, 0), 1),
        ("A_20240229_235959.wav", "Europe/Berlin", utc(2024, 2, 29, 22, 59, 59), 1),
        ("A_20241231_233000.wav", "America/New_York", utc(2025, 1, 1, 4, 30), -5),
        # Half and quarter hours.
        ("A_20240501_063000.wav", "Asia/Kolkata", utc(2024, 5, 1, 1, 0), 5.5),
        ("A_20240501_063000.wav", "Asia/Kathmandu", utc(2024, 5, 1, 0, 45), 5.75),
        ("A_20240701_063000.wav", "America/St_Johns", utc(2024, 7, 1, 9, 0), -2.5),
        ("A_20240701_063000.wav", "Australia/Lord_Howe", utc(2024, 6, 30, 20, 0), 10.5),
        ("A_20240501_063000.wav", "+05:30", utc(2024, 5, 1, 1, 0), 5.5),
        ("A_20240501_063000.wav", "UTC-3", utc(2024, 5, 1, 9, 30), -3),
        # A name with a zone of its own keeps its instant.
        ("A_20240501T063000+1000_x.wav", "Europe/Berlin", utc(2024, 4, 30, 20, 30), 2),
    ],
)  # fmt: skip
def test_clocks_without_a_zone_have_their_deployments(tmp_path, name, zone, instant, offset_h):
    deployments = table(tmp_path, f"site,pattern,time_zone\nMarsh,A_*,{zone}\n")
    info = RecordingInfos(tmp_path, deployments).of(tmp_path / name, NOTHING)
    assert (info.site, info.start_source, info.site_source) == ("Marsh", "name", "deployments.csv row 2")
    assert info.start == instant and info.start.utcoffset() == timedelta(hours=offset_h)
    assert info.contradictions == ()


@pytest.mark.parametrize(
    ("name", "zone", "instant", "says"),
    [
        ("A_20240331_023000.wav", "Europe/Berlin", utc(2024, 3, 31, 1, 30), "does not exist on 2024-03-31"),
        ("A_20241027_023000.wav", "Europe/Berlin", utc(2024, 10, 27, 0, 30), "occurs twice on 2024-10-27"),
        # Lord Howe goes back by half an hour: 01:45 is +11 first, which is 14:45 UTC of the day before.
        ("A_20240407_014500.wav", "Australia/Lord_Howe", utc(2024, 4, 6, 14, 45), "occurs twice"),
    ],
)  # fmt: skip
def test_nights_on_which_clocks_change(tmp_path, name, zone, instant, says):
    deployments = table(tmp_path, f"site,pattern,time_zone\nMarsh,A_*,{zone}\n")
    info = RecordingInfos(tmp_path, deployments).of(tmp_path / name, NOTHING)
    assert info.start == instant and says in info.contradictions[0]


def test_a_recorder_that_does_not_change_its_clock(tmp_path):
    """Its deployment has a fixed offset: every night has 24 hours, none is doubtful."""
    infos = RecordingInfos(tmp_path, table(tmp_path, "site,pattern,time_zone\nMarsh,A_*,+01:00\n"))
    starts = [infos.of(tmp_path / f"A_20241027_{hour:02}3000.wav", NOTHING) for hour in range(5)]
    assert [(b.start - a.start).total_seconds() for a, b in zip(starts[:-1], starts[1:], strict=True)] == [3600.0] * 4
    assert not any(info.contradictions for info in starts)


def test_the_order_of_sources(tmp_path):
    """A person, then the metadata, then the name; what disagrees is listed."""
    folder = tmp_path / "rec"
    folder.mkdir()
    path = folder / "A_20240501_063000.wav"
    infos = RecordingInfos(tmp_path)
    by_name = infos.of(path, NOTHING)
    assert by_name.start == datetime(2024, 5, 1, 6, 30) and by_name.start_source == "name"
    inside = RecordingMetadata(time=utc(2024, 5, 1, 5, 0), time_source="comment", latitude=52.5, longitude=13.4)
    by_comment = infos.of(path, inside)
    assert by_comment.start == utc(2024, 5, 1, 5, 0) and by_comment.start_source == "comment"
    assert (by_comment.latitude, by_comment.place_source) == (52.5, "metadata")
    assert by_comment.contradictions == (
        "two times: 2024-05-01 05:00:00+00:00 by comment, 2024-05-01 06:30:00 by name",
    )
    (folder / "recordings.csv").write_text(
        "recording,time,site,recorder,latitude,longitude\nA_20240501_063000,2024-05-01T07:00:00+02:00,Pond,R7,52.6,13.4\n"
    )
    written = RecordingInfos(tmp_path).of(path, inside)
    assert written.start == utc(2024, 5, 1, 5, 0) and written.start_source == "recordings.csv"
    assert (written.site, written.recorder, written.latitude) == ("Pond", "R7", 52.6)
    assert any("two places, 11.1 km apart" in text for text in written.contradictions)  # a tenth of a degree
    # The name shows neither 07:00, nor 05:00 UTC.
    assert any("06:30:00 by name" in text for text in written.contradictions)


@pytest.mark.parametrize("name", ["A_20240501_063000.wav", "A_20240501_043000.wav"])
def test_names_in_local_time_or_utc_do_not_contradict(tmp_path, name):
    """04:30 UTC is 06:30 in Berlin in May: AudioMoths may write either into the name."""
    deployments = table(tmp_path, "site,pattern,time_zone\nMarsh,A_*,Europe/Berlin\n")
    inside = RecordingMetadata(time=utc(2024, 5, 1, 4, 30), time_source="comment")
    info = RecordingInfos(tmp_path, deployments).of(tmp_path / name, inside)
    assert info.contradictions == () and info.start.isoformat() == "2024-05-01T06:30:00+02:00"


def test_a_recorder_that_moves(tmp_path):
    """One serial number at two sites in turn; until a date means to its end, by the site's clock."""
    deployments = table(
        tmp_path,
        "site,serial,time_zone,from,until,latitude,longitude\n"
        "East,SMA01,Europe/Berlin,2024-05-01,2024-05-10,52.5,13.4\n"
        "West,SMA01,Europe/London,2024-05-11T12:00,2024-05-20,51.5,-0.1\n",
    )
    infos = RecordingInfos(tmp_path, deployments)

    def at(stamp):
        return infos.of(tmp_path / f"SMA01_{stamp}.wav", NOTHING)

    first, last, moved = at("20240501_000000"), at("20240510_235959"), at("20240511_120000")
    assert (first.site, last.site, moved.site) == ("East", "East", "West")
    assert last.start == utc(2024, 5, 10, 21, 59, 59) and moved.start == utc(2024, 5, 11, 11, 0)
    assert (moved.latitude, moved.longitude, moved.place_source) == (51.5, -0.1, "deployments.csv row 3")
    assert not (first.contradictions or last.contradictions or moved.contradictions)
    between, later = at("20240511_000000"), at("20240601_000000")
    assert between.site == "East" and later.site == "West"
    assert "outside its deployment, row 2" in between.contradictions[0]
    assert "outside its deployment, row 3" in later.contradictions[0]


def test_a_drifting_clock(tmp_path):
    """Two minutes fast at the end of ten days, right at the start: a minute must come off after five."""
    deployments = table(
        tmp_path,
        "site,pattern,time_zone,from,until,clock_offset_s,clock_offset_end_s\n"
        "Marsh,A_*,UTC,2024-05-01T00:00,2024-05-11T00:00,0,-120\n"
        "Pond,B_*,UTC,,,30,\n",
    )
    infos = RecordingInfos(tmp_path, deployments)
    assert infos.of(tmp_path / "A_20240501_000000.wav", NOTHING).start == utc(2024, 5, 1)
    assert infos.of(tmp_path / "A_20240506_000000.wav", NOTHING).start == utc(2024, 5, 5, 23, 59)
    assert infos.of(tmp_path / "B_20240506_000000.wav", NOTHING).start == utc(2024, 5, 6, 0, 0, 30)


def test_folders_patterns_and_serial_numbers(tmp_path):
    deployments = table(
        tmp_path,
        "site,recorder,folder,pattern,serial\nEast,,cards/east,,\nWest,,,W*_*.wav,\nNorth,,,,24526B065D325963\n"
        "South,SM9,,,\nPond,,,,\n",
    )
    infos = RecordingInfos(tmp_path, deployments)
    moth = RecordingMetadata(device="AudioMoth 24526B065D325963")
    assert infos.of(tmp_path / "cards/east/a/x.wav", NOTHING).site == "East"
    assert infos.of(tmp_path / "cards/eastern/x.wav", NOTHING).site is None
    assert infos.of(tmp_path / "W1_20240501.wav", NOTHING).site == "West"
    assert infos.of(tmp_path / "x.wav", moth).site == "North"
    assert infos.of(tmp_path / "SM9_20240501_000000.wav", NOTHING).site == "South"
    assert infos.of(tmp_path / "SM91_20240501_000000.wav", NOTHING).site is None
    assert infos.of(tmp_path / "Pond" / "x.wav", NOTHING).site == "Pond"


def test_two_recorders_with_one_name(tmp_path):
    deployments = table(
        tmp_path, "site,recorder,from,until\nEast,R1,2024-05-01,2024-05-10\nWest,R1,2024-05-10,2024-05-20\n"
    )
    (text,) = doubtful_deployments(deployments)
    assert 'recorder "R1" is in row 2 ("East"' in text and "at the same time" in text
    apart = [
        Deployment(2, "East", "R1", end=datetime(2024, 5, 10)),
        Deployment(3, "West", "R1", begin=datetime(2024, 5, 10)),
    ]
    assert doubtful_deployments(apart) == []
    infos = RecordingInfos(tmp_path, [Deployment(2, "East", "R1", pattern="*")])
    for serial in ("A1", "A2", "A1"):
        infos.of(tmp_path / f"{serial}.wav", RecordingMetadata(device=f"SM4 {serial}"))
    assert infos.contradictions() == ['recorder "R1" at "East" is 2 devices: SM4 A1, SM4 A2']


def test_own_patterns_of_names(tmp_path):
    pattern = r"d(?P<day>\d\d)(?P<month>\d\d)(?P<year>\d{4})h(?P<hour>\d\d)(?P<minute>\d\d)(?P<zone>[+-]\d\d)?"
    infos = RecordingInfos(tmp_path, (), [pattern])
    assert infos.of(tmp_path / "x_d31122024h2359.wav", NOTHING).start == datetime(2024, 12, 31, 23, 59)
    info = infos.of(tmp_path / "x_d31122024h2359-03.wav", NOTHING)
    assert info.start == datetime(2024, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-3)))
    assert info.start_source == "time_regex"
    assert infos.of(tmp_path / "20240501_063000.wav", NOTHING).start_source == "name"
    assert MiscConfig(time_regex=[pattern]).time_regex == [pattern]
    with pytest.raises(ConfigError, match=r"misc\.time_regex: entry 1: .* has no group \(\?P<month>"):
        MiscConfig(time_regex=[r"(?P<year>\d+)"])


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("Marsh,Europe/Berln,,,,", 'time_zone "Europe/Berln" is not a time zone.*Europe/Berlin'),
        ("Marsh,../../etc/passwd,,,,", "is not a time zone"),
        ("Marsh,UTC,91,0,,", 'latitude is "91"'),
        ("Marsh,UTC,nan,0,,", 'latitude is "nan"; expected a number'),
        ("Marsh,UTC,1,,,", "latitude and longitude belong together"),
        ("Marsh,UTC,,,2024-02-30,", 'from is "2024-02-30"'),
        ("Marsh,UTC,,,2024-05-02,2024-05-01", "until"),
        (",UTC,,,,", "the site is not named"),
    ],
)
def test_rows_that_are_refused(tmp_path, row, says):
    with pytest.raises(InputError, match=rf"deployments\.csv, row 2: .*{says}"):
        table(tmp_path, f"site,time_zone,latitude,longitude,from,until\n{row}\n")
    with pytest.raises(InputError, match='unknown column "zone"'):
        table(tmp_path, "site,zone\nA,UTC\n")


def test_names_of_zones():
    assert zone_named("+05:45").utcoffset(None) == timedelta(hours=5, minutes=45)
    assert zone_named("Asia/Kathmandu").utcoffset(datetime(2024, 1, 1)) == timedelta(hours=5, minutes=45)
    with pytest.raises(ValueError, match="not a time zone"):
        zone_named("")


def test_audio_info_shows_what_was_understood(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/deployments.csv").write_text(
        "site,recorder,folder,time_zone,from,until\nMarsh,R1,rec,Europe/Berlin,2024-05-01,2024-05-31\n"
    )
    (tmp_path / "rec").mkdir()
    for stamp in ("20240501_063000", "20240615_063000"):
        soundfile.write(tmp_path / f"rec/{stamp}.wav", 0.1 * np.ones(8000), 8000)
    assert main(["audio-info", "rec"]) == 0
    out = capsys.readouterr().out
    assert "2024-05-01 06:30+02:00" in out and "Marsh" in out and "contradictions = 1" in out
    assert '20240615_063000.wav: recorded at 2024-06-15 06:30:00+02:00, outside its deployment, row 2 ("Marsh"' in out
    assert main(["audio-info", "rec", "--csv", "-"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert rows[0]["start"] == "2024-05-01T06:30:00+02:00" and rows[0]["site_source"] == "deployments.csv row 2"
    assert (rows[0]["recorder"], rows[0]["contradictions"]) == ("R1", "") and "outside" in rows[1]["contradictions"]


def test_a_row_is_about_the_recording_beside_it_and_not_its_namesakes_below(tmp_path):
    for name in ("x", "A/x", "A/y", "B/y"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.wav").touch()
    (tmp_path / "recordings.csv").write_text("recording,site\nx,pond\ny,ridge\n")
    infos = RecordingInfos(tmp_path)
    sites = {name: infos.of(tmp_path / f"{name}.wav").site for name in ("x", "A/x", "A/y", "B/y")}
    assert sites == {"x": "pond", "A/x": None, "A/y": "ridge", "B/y": "ridge"}
    assert infos.unused() == [
        f'{tmp_path / "recordings.csv"}: 1 rows are about several recordings of that name in folders below: row 3, "y"'
    ]

"""What names tell about recordings, and the table beside them."""

import pytest

from britekit.config.misc import SOURCE_PATTERNS, MiscConfig
from britekit.database.recordings import Facts
from britekit.datasets.recordings_csv import RecordingTable, group_from_name, source_from_name, with_metadata
from britekit.errors import InputError


@pytest.mark.parametrize(
    "stem, source",
    [
        ("dQw4w9WgXcQ-30", "Audioset"),
        ("XC123456", "Xeno-Canto"),
        ("N987", "iNaturalist"),
        ("555123", "Macaulay Library"),
        ("XC12b", "default"),
        ("dawn", "default"),
    ],
)
def test_source_patterns(stem, source):
    assert source_from_name(stem, SOURCE_PATTERNS) == source
    assert source_from_name(stem, MiscConfig().source_regexes) == source
    assert source_from_name(stem, None) == "default"


@pytest.mark.parametrize(
    "pattern, group", [(None, None), (r"\d+", "1"), (r"^\d+-(\d+)-", "17367"), ("x", None), (r"^(y)?1", None)]
)
def test_group_from_name(pattern, group):
    assert group_from_name("1-17367-A", pattern) == group


def test_rows_are_found_by_class_then_without(tmp_path):
    path = tmp_path / "recordings.csv"
    path.write_text("recording,class,author\na,Robin,one\na.wav,,two\n")
    table = RecordingTable(path)
    assert table.find("Robin", "a.wav").facts.author == "one"
    assert table.find("Wren", "a.wav").facts.author == "two"
    assert table.find("Wren", "b.wav") is None


def test_missing_table_has_no_rows(tmp_path):
    assert RecordingTable(tmp_path / "recordings.csv").find("Robin", "a.wav") is None


@pytest.mark.parametrize(
    "row, message",
    [
        ("a,Robin,91,", "latitude"),
        ("a,Robin,,east", "longitude"),
        (",Robin,,", "recording is empty"),
        ("a,Robin,,\na,Robin,,", "already in row 2"),
    ],
)
def test_bad_rows(tmp_path, row, message):
    path = tmp_path / "recordings.csv"
    path.write_text(f"recording,class,latitude,longitude\n{row}\n")
    with pytest.raises(InputError, match=message):
        RecordingTable(path)


def test_unused_rows_are_said_once(tmp_path, caplog):
    path = tmp_path / "recordings.csv"
    path.write_text("recording,class\na,Robin\nb,Robin\nc,Robin\n")
    table = RecordingTable(path)
    table.find("Robin", "a.mp3")
    table.report_unused()
    assert len(caplog.records) == 1 and "2 rows" in caplog.text and 'row 3 ("b" of "Robin")' in caplog.text


def test_recordings_tell_time_and_place_where_the_table_does_not(tmp_path):
    guano = b"GUANO|Version:1.0\nTimestamp:2024-05-01T06:30:00+02:00\nLoc Position:52.5 13.4\n"
    chunk = b"guan" + len(guano).to_bytes(4, "little") + guano
    path = tmp_path / "20200101_000000.wav"
    path.write_bytes(b"RIFF" + (4 + len(chunk)).to_bytes(4, "little") + b"WAVE" + chunk)
    told = with_metadata(Facts(author="A"), path)
    assert told == Facts(author="A", time="2024-05-01T06:30:00+02:00", latitude=52.5, longitude=13.4)
    stated = Facts(time="1999", latitude=1.0, longitude=2.0)
    assert with_metadata(stated, path) == stated
    assert with_metadata(Facts(latitude=1.0), path).longitude is None
    assert with_metadata(Facts(), tmp_path / "gone_20200101_000000.wav") == Facts(time="2020-01-01T00:00:00")

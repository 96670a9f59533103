"""Time, place and zone as file names tell them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from britekit.audio.recording_names import place_from_name, time_from_name, zone_of


def at(*parts, hours=None, minutes=0):
    zone = None if hours is None else timezone(timedelta(hours=hours, minutes=minutes))
    return datetime(*parts, tzinfo=zone)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("20240501_063000.WAV", at(2024, 5, 1, 6, 30)),
        ("20240501_063000T.WAV", at(2024, 5, 1, 6, 30)),
        ("20240501_063000Z.wav", at(2024, 5, 1, 6, 30, hours=0)),
        ("20240501T063000Z.wav", at(2024, 5, 1, 6, 30, hours=0)),
        ("20240501T063000+1000_site.flac", at(2024, 5, 1, 6, 30, hours=10)),
        ("20240501T063000-0330_site.flac", at(2024, 5, 1, 6, 30, hours=-3, minutes=-30)),
        ("S20240501T063000.123+1000_E20240501T073000+1000.wav", at(2024, 5, 1, 6, 30, hours=10)),
        ("SMA01234_20240501_063000.wav", at(2024, 5, 1, 6, 30)),
        ("SM4-1_0+1_20240501_063000_000.wav", at(2024, 5, 1, 6, 30)),
        ("2MM01234_20240501$063000.wav", None),
        ("20180530_213516-EPTSER-LR_0_0.5.wav", at(2018, 5, 30, 21, 35, 16)),
        ("20230322_172000_selec2.wav", at(2023, 3, 22, 17, 20)),
        ("20240501063000.wav", at(2024, 5, 1, 6, 30)),
        ("site_20240501_0630.wav", at(2024, 5, 1, 6, 30)),
        ("2024-05-01 06-30-00.mp3", at(2024, 5, 1, 6, 30)),
        ("2024-05-01_06.30.05.mp3", at(2024, 5, 1, 6, 30, 5)),
        ("2024-05-01T06:30:05Z.mp3", at(2024, 5, 1, 6, 30, 5, hours=0)),
        ("2024-05-01 06:30.wav", at(2024, 5, 1, 6, 30)),
        ("2024-05-01-birdnet-06:30:05.wav", at(2024, 5, 1, 6, 30, 5)),
        # hexadecimal seconds: 5E90A4D4 is 1586537684
        ("5E90A4D4.WAV", datetime.fromtimestamp(1586537684, UTC)),
        ("5e90a4d4.wav", None),
        ("58012345.WAV", datetime.fromtimestamp(0x58012345, UTC)),
        ("58012345.mp3", None),
        ("12345678.wav", None),
        ("XC123456.mp3", None),
        ("1-100032-A.ogg", None),
        ("20240231_063000.wav", None),
        ("20240501_253000.wav", None),
        ("120240501_063000.wav", None),
        ("00000101_000000.wav", None),
        # a day that is none before one that is
        ("19991399_000000_20240501_063000.wav", at(2024, 5, 1, 6, 30)),
        ("", None),
        (".wav", None),
    ],
)  # fmt: skip
def test_times_in_names(name, expected):
    found = time_from_name(name)
    assert found == expected
    assert expected is None or found.utcoffset() == expected.utcoffset()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("20240501T063000+1000_REC_-27.3881+152.8779.flac", (-27.3881, 152.8779)),
        ("20240501T063000Z_Five [-27.3881 +152.8779].flac", (-27.3881, 152.8779)),
        ("20180530_213516-EPTSER-LR_0_0.5.wav", None),
        ("a_99.1234+152.87.wav", None),
        ("version_1.22.wav", None),
    ],
)
def test_places_in_names(name, expected):
    assert place_from_name(name) == expected


def test_time_zones():
    assert zone_of("UTC+5:30") == timezone(timedelta(hours=5, minutes=30))
    assert zone_of("-0330") == timezone(-timedelta(hours=3, minutes=30))
    assert zone_of("Z") is UTC and zone_of("UTC") is UTC
    assert zone_of("+25:00") is None and zone_of("") is None and zone_of(None) is None and zone_of("EST") is None

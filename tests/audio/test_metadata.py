"""Recording time, place and device from chunks, comments and names; nonsense is left out, nothing fails."""

import os
import random
import struct
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from britekit.audio.metadata import RecordingMetadata, parse_audiomoth_comment, parse_guano, parse_wamd, read_metadata
from britekit.audio.recording_names import place_from_name, time_from_name
from britekit.audio.riff import read_chunks

FIELD = Path(os.environ.get("BRITEKIT_DATA", Path(__file__).parents[2].parent / "shared" / "data")) / "field"
real = pytest.mark.skipif(not FIELD.is_dir(), reason="the folder of field recordings is not there")


def at(*parts, hours=None, minutes=0):
    zone = None if hours is None else timezone(timedelta(hours=hours, minutes=minutes))
    return datetime(*parts, tzinfo=zone)


def chunk(name, body):
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def wav(*chunks, kind=b"RIFF"):
    body = b"WAVE" + b"".join(chunks)
    return kind + struct.pack("<I", len(body) if kind == b"RIFF" else 0xFFFFFFFF) + body


FORMAT = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 16000, 32000, 2, 16))
SAMPLES = chunk(b"data", bytes(2000))


def info(**entries):
    return chunk(
        b"LIST", b"INFO" + b"".join(chunk(name.encode(), text.encode() + b"\0") for name, text in entries.items())
    )


MOTH = "AudioMoth 24526B065D325963"
# One per wording that the firmware has had, from its published releases.
COMMENTS = [
    (
        f"Recorded at 10:25:00 04/04/2020 (UTC) by {MOTH} at gain setting 2 while battery state was 4.7V.",
        at(2020, 4, 4, 10, 25, 0, hours=0), MOTH, 4.7, None,
    ),
    (
        f"Recorded at 09:32:00 04/05/2018 by {MOTH} at gain setting 2 while battery state was < 3.6V",
        at(2018, 5, 4, 9, 32, 0, hours=0), MOTH, None, None,
    ),
    (
        f"Recorded at 23:59:59 31/12/2019 (UTC-3) by {MOTH} at gain setting 2 while battery state was less "
        "than 3.6V. Recording cancelled before completion due to change of switch position.",
        at(2019, 12, 31, 23, 59, 59, hours=-3), MOTH, None, None,
    ),
    (
        f"Recorded at 05:30:00 29/02/2020 (UTC+5:30) by {MOTH} at medium-high gain while battery was greater "
        "than 4.9V and temperature was -12.5C.",
        at(2020, 2, 29, 5, 30, 0, hours=5, minutes=30), MOTH, None, -12.5,
    ),
    (
        "Recorded at 12:00:00 01/06/2022 (UTC-0:30) during deployment 24526B065D325963 using external "
        "microphone at low gain while battery was 3.8V and temperature was 12.8C. Amplitude threshold was "
        "512 with 1s minimum trigger duration. Band-pass filter with frequencies of 1.0kHz and 8.0kHz "
        "applied.",
        at(2022, 6, 1, 12, 0, 0, hours=0, minutes=-30), "AudioMoth deployment 24526B065D325963", 3.8, 12.8,
    ),
    (
        f"Recorded at 12:00:00.250 01/06/2022 (UTC+12) by {MOTH} at low gain while battery was 4.9V and "
        "temperature was 0.0C.",
        at(2022, 6, 1, 12, 0, 0, 250000, hours=12), MOTH, 4.9, 0.0,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "time", "device", "battery", "temperature"), COMMENTS)
def test_every_wording_of_the_firmware(text, time, device, battery, temperature, tmp_path):
    found = parse_audiomoth_comment(text)
    assert found is not None and found.time is not None
    assert found.time == time and found.time.utcoffset() == time.utcoffset()
    assert (found.device, found.battery_v, found.temperature_c) == (device, battery, temperature)
    assert found.comment == text

    path = tmp_path / "20010101_000000.WAV"
    path.write_bytes(wav(FORMAT, info(ICMT=text), SAMPLES))
    assert read_metadata(path) == found


@pytest.mark.parametrize("suffix", ["flac", "opus", "mp3", "m4a"])
def test_comment_in_compressed_files(suffix, tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / f"x.{suffix}"
    with av.open(str(path), "w") as container:
        codec = {"flac": "flac", "opus": "libopus", "mp3": "libmp3lame", "m4a": "aac"}[suffix]
        stream = container.add_stream(codec, rate=48000, layout="mono")
        container.metadata["comment"] = COMMENTS[3][0]
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 48000), np.int16), "s16", "mono")
        frame.rate = 48000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    found = read_metadata(path)
    assert (found.time, found.temperature_c, found.time_source) == (COMMENTS[3][1], -12.5, "comment")


def test_comment_in_sixteen_bit_letters(tmp_path):
    """ID3v2.3 as Windows programs write it: a COMM frame in UTF-16."""
    body = b"\x01eng\xff\xfe\0\0" + COMMENTS[3][0].encode("utf-16")
    frame = b"COMM" + len(body).to_bytes(4, "big") + b"\0\0" + body
    (tmp_path / "x.mp3").write_bytes(b"ID3\3\0\0\0\0\x07\x7f" + frame + bytes(500))
    assert read_metadata(tmp_path / "x.mp3").time == COMMENTS[3][1]


def test_clock_that_was_never_set_tells_no_time():
    text = COMMENTS[0][0].replace("04/04/2020", "01/01/1970")
    found = parse_audiomoth_comment(text)
    assert found is not None and found.time is None and found.battery_v == 4.7


def test_impossible_date_keeps_the_rest():
    found = parse_audiomoth_comment(COMMENTS[0][0].replace("04/04/2020", "31/02/2020"))
    assert found is not None and found.time is None and found.device == "AudioMoth 24526B065D325963"


GUANO = (
    "GUANO|Version: 1.0\nTimestamp: 2026-08-21T21:45:32+02:00\nMake: Wildlife Acoustics, Inc.\n"
    "Model: Song Meter Mini Bat\nSerial: SMU06612\nSamplerate: 256000\nLoc Position: 52.519400 -13.401200\n"
    "Loc Elevation: 34.5\nTemperature Int: 20.75\nNote: field note\nSpecies Manual ID: Птица\n"
)


def test_guano_chunk(tmp_path):
    path = tmp_path / "1_20250302_205009.wav"
    path.write_bytes(wav(FORMAT, SAMPLES, chunk(b"guan", GUANO.encode())))
    assert read_metadata(path) == RecordingMetadata(
        time=at(2026, 8, 21, 21, 45, 32, hours=2), time_source="GUANO", latitude=52.5194, longitude=-13.4012,
        device="Wildlife Acoustics, Inc. Song Meter Mini Bat SMU06612", temperature_c=20.75,
        comment="field note",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2025-03-02 20:50:09+13:00", at(2025, 3, 2, 20, 50, 9, hours=13)),
        ("2025-03-02T20:50:09Z", at(2025, 3, 2, 20, 50, 9, hours=0)),
        ("2025-03-02T20:50:09.123456789-0330", at(2025, 3, 2, 20, 50, 9, 123456, hours=-3, minutes=-30)),
        ("2025-03-02T20:50:09.5", at(2025, 3, 2, 20, 50, 9, 500000)),
        ("2025-03-02 20:50", at(2025, 3, 2, 20, 50)),
        ("2025-13-02 20:50:09", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_guano_timestamps(value, expected):
    found = parse_guano(f"GUANO|Version:1.0\nTimestamp:{value}\n")
    assert found.time == expected
    assert expected is None or found.time.utcoffset() == expected.utcoffset()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("-37.00403 174.57577", (-37.00403, 174.57577)),
        ("-37.00403, 174.57577", (-37.00403, 174.57577)),
        ("(-37.00403, 174.57577)", (-37.00403, 174.57577)),
        ("0.0 0.0", (None, None)),
        ("97.0 12.0", (None, None)),
        ("nan nan", (None, None)),
        ("here", (None, None)),
    ],
)
def test_guano_positions(value, expected):
    found = parse_guano(f"Loc Position: {value}\0\0")
    assert (found.latitude, found.longitude) == expected


def test_audiomoth_place_from_guano_time_from_either(tmp_path):
    path = tmp_path / "x.wav"
    guano = b"GUANO|Version:1.0\nLoc Position:-1.500000 36.800000\nOAD|Loc Source:GPS\nOAD|Battery Voltage:4.1\n"
    path.write_bytes(
        wav(FORMAT, info(ICMT=COMMENTS[0][0], IART="AudioMoth 24526B065D325963"), SAMPLES, chunk(b"guan", guano))
    )
    found = read_metadata(path)
    assert (found.latitude, found.longitude, found.battery_v) == (-1.5, 36.8, 4.1)
    assert (found.time, found.time_source) == (COMMENTS[0][1], "comment")


def test_wildlife_acoustics_chunk(tmp_path):
    entries = {
        0: b"\1\0",
        1: b"SM4BAT-FS",
        2: b"S4U01234",
        5: b"2018-04-27 20:15:30-05:00",
        6: b"WGS84,42.31410,N,71.25000,W,31",
    }
    body = b"".join(struct.pack("<HI", number, len(text)) + text for number, text in entries.items())
    found = parse_wamd(body)
    assert found.time == at(2018, 4, 27, 20, 15, 30, hours=-5)
    assert (found.latitude, found.longitude) == (42.3141, -71.25)
    assert found.device == "Wildlife Acoustics SM4BAT-FS S4U01234"
    path = tmp_path / "x.wav"
    path.write_bytes(wav(FORMAT, chunk(b"wamd", body), SAMPLES))
    assert read_metadata(path) == found


def test_broadcast_wave_comes_after_the_name(tmp_path):
    body = bytes(320) + b"2021-07-08" + b"09:10:11" + bytes(300)
    for name, expected in (("zoom.wav", at(2021, 7, 8, 9, 10, 11)), ("20210101_000000.wav", at(2021, 1, 1))):
        (tmp_path / name).write_bytes(wav(FORMAT, chunk(b"bext", body), SAMPLES))
        assert read_metadata(tmp_path / name).time == expected


def test_rf64_with_metadata_after_the_samples(tmp_path):
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 0, 2000, 1000, 0))
    samples = b"data" + struct.pack("<I", 0xFFFFFFFF) + bytes(2000)
    path = tmp_path / "x.wav"
    path.write_bytes(wav(ds64, FORMAT, samples, chunk(b"guan", GUANO.encode()), kind=b"RF64"))
    assert read_metadata(path).latitude == 52.5194


def test_missing_file_and_directory_give_what_the_name_tells(tmp_path):
    assert read_metadata(tmp_path / "20240501_063000.wav").time == at(2024, 5, 1, 6, 30)
    (tmp_path / "x.wav").mkdir()
    assert read_metadata(tmp_path / "x.wav") == RecordingMetadata()


def test_every_truncation_and_random_damage_is_survived(tmp_path):
    whole = wav(FORMAT, info(ICMT=COMMENTS[4][0]), chunk(b"wamd", struct.pack("<HI", 6, 90000) + b"WGS84,"),
                SAMPLES, chunk(b"guan", GUANO.encode()))  # fmt: skip
    rng = random.Random(1)
    path = tmp_path / "x.wav"
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        read_metadata(path)
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(rng.randrange(1, 20)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        assert isinstance(read_metadata(path), RecordingMetadata)


def test_endless_chunks_end(tmp_path):
    path = tmp_path / "x.wav"
    path.write_bytes(wav(*[chunk(b"junk", b"")] * 50_000))
    assert read_chunks(path, frozenset({b"guan"})) == {}


@given(st.text(max_size=80))
def test_any_text_is_read_or_left_out(text):
    time_from_name(text)
    place_from_name(text)
    parse_guano(text)
    parse_audiomoth_comment("Recorded at " + text)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_left_out(body):
    parse_wamd(body)


@given(st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2099, 12, 31)), st.integers(-12 * 4, 14 * 4))
def test_what_the_standard_library_writes_is_read(when, quarters):
    when = when.replace(tzinfo=timezone(timedelta(minutes=15 * quarters)))
    found = parse_guano(f"Timestamp: {when.isoformat()}")
    assert found.time == when and found.time.utcoffset() == when.utcoffset()
    name = when.replace(microsecond=0)
    assert time_from_name(name.strftime("SITE_%Y%m%dT%H%M%S%z.wav")) == name


@real
def test_field_recordings():
    moth, gps = read_metadata(FIELD / "metadata.wav"), read_metadata(FIELD / "audiomoth_gps.wav")
    assert moth.time == at(2020, 4, 4, 10, 25, 0, hours=0) and moth.device == "AudioMoth 24526B065D325963"
    assert gps.time == at(2024, 5, 28, 10, 0, 0, hours=0) and (gps.battery_v, gps.temperature_c) == (3.8, 12.8)
    assert gps.comment.endswith("temperature was 12.8C.")
    assert read_metadata(FIELD / "1min.wav").time == at(2018, 5, 4, 9, 32, 0, hours=0)
    assert read_metadata(FIELD / "20230322_172000_selec2.wav").time == at(2023, 3, 22, 17, 20)
    assert read_metadata(FIELD / "silence_10s.mp3") == RecordingMetadata()


def test_metadata_leave_the_file_as_it_is(tmp_path):
    path = tmp_path / "x.wav"
    soundfile.write(path, np.zeros(100), 8000)
    before = path.read_bytes()
    read_metadata(path)
    assert path.read_bytes() == before

"""The table of detections: values by hand, on a night on which clocks change, as CSV and as Parquet."""

import csv
import io
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from britekit import formats
from britekit.annotations.recording_info import RecordingInfo
from britekit.formats import Facts, Recording

ZONE = ZoneInfo("Europe/Berlin")
INFO = RecordingInfo(
    Path("x.wav"), site="old pond", start=datetime(2026, 10, 25, 2, 59, 58, tzinfo=ZONE), zone=ZONE,
    latitude=52.5, longitude=13.25,
)  # fmt: skip
FACTS = Facts(100, 8000, False, {"model": "m1 m2", "calibrated": True, "threshold": 0.5, "thresholds": {"Wren": 0.3}})
LABELS = [("WR", "Wren", "WR", 0.0, 1.5, 0.25, False), ("OW", "Owl", "", 1.25, 4.0, 0.75, False)]


def content(name: str, recording: Recording, facts: Facts = FACTS) -> bytes:
    return formats.get(name).render(recording, formats.grouped(LABELS), facts)


def test_a_row_holds_all_that_is_known() -> None:
    text = content("detections", Recording("pond/x", "/rec/pond/x.wav", 60.0, None, INFO)).decode()
    owl, wren = csv.DictReader(io.StringIO(text))
    assert owl == {
        "recording": "pond/x", "site": "old pond", "start": "1.25", "end": "4.0",
        # Summer time ends two seconds into the recording: 3:00 CEST is 2:00 CET.
        "time_start": "2026-10-25T02:59:59.250+02:00", "time_end": "2026-10-25T02:00:02.000+01:00",
        "class": "Owl", "code": "", "score": "0.750000", "probability": "0.750000", "model": "m1 m2",
        "threshold": "0.500000", "latitude": "52.500000", "longitude": "13.250000", "channel": "",
    }  # fmt: skip
    assert wren["threshold"] == "0.300000"


def test_what_is_not_known_is_empty() -> None:
    facts = Facts(100, 8000, False, {"model": "m", "calibrated": False, "threshold": 0.5})
    (owl, _) = csv.DictReader(io.StringIO(content("detections", Recording("x"), facts).decode()))
    empty = ("site", "time_start", "time_end", "code", "probability", "latitude", "longitude")
    assert all(owl[name] == "" for name in empty)


def test_parquet_holds_the_same() -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    recording = Recording("pond/x", "/rec/pond/x.wav", 60.0, None, INFO)
    table = parquet.read_table(io.BytesIO(content("detections-parquet", recording)))
    rows = list(csv.DictReader(io.StringIO(content("detections", recording).decode())))
    assert table.num_rows == 2 and table.schema.metadata[b"britekit.format_version"] == b"2"
    for typed, text in zip(table.to_pylist(), rows, strict=True):
        for name, value in typed.items():
            assert (text[name] or None) == value if isinstance(value, (str, type(None))) else float(text[name]) == value


def test_verdicts_are_no_annotations(tmp_path: Path) -> None:
    from britekit.annotations.verdicts import Verdict, append_verdict
    from britekit.errors import InputError

    append_verdict(
        tmp_path / "verdicts.csv",
        Verdict(id="1", recording="a", start=0, end=1, detection_start=0, detection_end=1, name="Wren", verdict="yes"),
    )
    with pytest.raises(InputError, match="they are not annotations; use `britekit rpt-precision"):
        formats.read_any_annotations(tmp_path / "verdicts.csv")

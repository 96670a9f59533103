"""A thousand files of which some are bad: the others complete, each bad one is listed with its reason."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from britekit.annotations.labels import read_labels
from britekit.errors import InferenceError
from britekit.inference.analysis import analyze_recordings
from britekit.inference.ensemble import load_ensemble
from britekit.inference.model_files import resolve_for_models
from tests.inference.conftest import CLASSES, write_recording
from tests.inference.fakes import make_fake_member


def _many(count: int) -> tuple[list[Path], dict[str, str]]:
    """Write recordings; return all paths, and what is wrong with the bad ones by name."""
    make_fake_member(Path("models/ckpt"), CLASSES)
    good = write_recording(Path("good.wav"), 3.0).read_bytes()
    bad: dict[str, str] = {}
    paths = []
    Path("rec").mkdir()
    for number in range(count):
        path = Path(f"rec/r{number:04d}.wav")
        kind = {3: "corrupt", 7: "empty", 11: "vanished", 13: "unreadable", 17: "cut", 19: "text"}.get(number % 31)
        path.write_bytes(good)
        if kind == "corrupt":
            path.write_bytes(os.urandom(500))
        elif kind == "empty":
            path.write_bytes(b"")
        elif kind == "vanished":
            path.unlink()
        elif kind == "unreadable":
            path.chmod(0)
            if os.geteuid() == 0:  # root may read anything: a directory cannot be read by anybody
                path.unlink()
                path.mkdir()
        elif kind == "cut":
            path.write_bytes(good[: len(good) // 2])
        elif kind == "text":
            path.write_text("This is no recording.\n")
        if kind not in (None, "cut"):
            bad[path.stem] = str(kind)
        paths.append(path)
    return paths, bad


@pytest.mark.slow
def test_bad_files_among_a_thousand(place: Path, caplog: pytest.LogCaptureFixture):
    paths, bad = _many(1000)
    handles = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    cfg, members = resolve_for_models(None, {"infer.min_score": 0.001, "misc.force_cpu": True})
    summary = analyze_recordings(cfg, load_ensemble(cfg, members), paths, "out", root=Path("rec"))
    assert summary.done == 1000 - len(bad) and len(bad) == 162
    assert {path.stem for path in summary.failed} == set(bad)
    with open("out/failed.csv", encoding="utf-8", newline="") as file:
        rows = {row["recording"]: row for row in csv.DictReader(file)}
    assert rows.keys() == bad.keys()
    words = {"empty": "empty file", "vanished": "No such file"}
    for name, kind in bad.items():
        assert rows[name]["file"] == f"rec/{name}.wav"
        assert words.get(kind, "") in rows[name]["reason"] and rows[name]["reason"]
        assert sum(f"{name}.wav is left out" in record.message for record in caplog.records) == 1
    assert len(list(Path("out").glob("*_scores.txt"))) == 1000 - len(bad)
    assert {x.recording for x in read_labels("out")} == {path.stem for path in paths} - bad.keys()
    with pytest.raises(InferenceError, match="^162 of 1000 recordings could not be scored"):
        summary.raise_for_failures()
    if handles:
        assert len(os.listdir("/proc/self/fd")) <= handles + 4


def test_meter_says_recordings_hours_speed_and_time_left(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    from britekit import progress
    from britekit.inference.meter import RecordingMeter

    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    long, short = write_recording(Path("long.wav"), 90.0), write_recording(Path("short.wav"), 10.0)
    sizes = [long.stat().st_size, short.stat().st_size]
    meter = RecordingMeter(2, sum(sizes))
    meter.begin_recording(long, sizes[0])
    now = 110.0
    meter.tick(50.0)  # half of all seconds, none complete
    line = capsys.readouterr().err
    assert line.startswith("0/2 recordings, 0.01 h, 5 times real time, 0:10 left")
    meter.begin_recording(short, sizes[1])
    now = 118.0
    meter.finish_recording(90.0)
    assert capsys.readouterr().err.startswith("1/2 recordings, 0.03 h, 5 times real time, 0:02 left")
    now = 120.0
    meter.finish_recording(100.0)
    meter.finish()
    assert capsys.readouterr().err.splitlines()[-1] == "2 recordings, 0.03 h, 5 times real time, 0:20"

"""Downloads that a person or a power cut ends, run as programs of their own."""

import csv
import os
import signal
import subprocess
import sys
import time

import pytest

from .fake_sites import KEY


def start(settings, out):
    command = [sys.executable, "-m", "britekit", "xeno", "--sci", "Strix varia", "-o", str(out), "-c", settings]
    return subprocess.Popen(
        command, env=os.environ | {"XCKEY": KEY}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(condition):
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("sent, code", [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_what_is_interrupted_goes_on(site, settings, tmp_path, sent, code):
    out = tmp_path / "out"
    for number in range(1, 9):
        path = site.add_recording(number, q="A" if number <= 2 else "B")
        site.faults[path] = ["crawl"] if number > 2 else []
    program = start(settings, out)
    wait_for(lambda: site.count("/audio/5/download") and site.count("/audio/4/download"))
    time.sleep(0.3)
    program.send_signal(sent)
    said = program.communicate(timeout=60)[1]
    assert program.returncode == code and "Traceback" not in said
    assert {path.name for path in out.glob("*.mp3")} <= {"XC1.mp3", "XC2.mp3"}
    with open(out / "recordings.csv", newline="") as stream:
        recorded = {row["recording"] for row in csv.DictReader(stream)}
    assert {path.stem for path in out.glob("*.mp3")} <= recorded, "no file without its record"
    site.faults.clear()
    site.asked.clear()
    program = start(settings, out)
    assert program.communicate(timeout=60)[0].endswith("failed = 0\n") and program.returncode == 0
    for number in range(1, 9):
        whole = site.files[f"/audio/{number}/download"][0]
        assert (out / f"XC{number}.mp3").read_bytes() == whole
    with open(out / "recordings.csv", newline="") as stream:
        rows = [row["recording"] for row in csv.DictReader(stream)]
    assert sorted(rows) == [f"XC{number}" for number in range(1, 9)]
    assert [path.name for path in out.iterdir() if "partial" in path.name or "fresh" in path.name] == []
    continued = [asked for asked in site.asked if asked[2].get("Range")]
    assert continued, "something was continued instead of begun again"


def test_several_come_at_a_time_and_no_more(site, settings, tmp_path):
    from britekit.commands import xeno

    for number in range(1, 9):
        # each is answered only when three more are being asked for
        site.faults[site.add_recording(number)] = ["meet"]
    options = {"key": KEY, "name": "Barred Owl", "cfg_path": settings}
    assert xeno(output_dir=str(tmp_path / "out"), jobs=4, **options) == 8
    assert site.most_at_once == 4

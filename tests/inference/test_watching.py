"""Recordings that arrive: each is analyzed once when it is complete, to the bytes of one analyze over the folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from britekit.audio.decoding import AudioReader
from britekit.audio.files import find_recordings
from britekit.cli import main
from britekit.commands import watch as watch_command
from britekit.errors import InferenceError, InputError
from britekit.files import unwritable
from britekit.inference import watching
from britekit.inference.arrivals import listing
from britekit.inference.ensemble import load_ensemble
from britekit.inference.journal import JOURNAL
from britekit.inference.model_files import resolve_for_models
from britekit.inference.output import OutputFolder
from britekit.inference.recording_names import identity_of, recording_name
from tests.inference.conftest import CLASSES, content, write_recording
from tests.inference.fakes import make_fake_member

ROOT = Path(__file__).parents[2]
FORMATS = "audacity,csv,detections,raven-all"
LEAST = "0.3"


@pytest.fixture(autouse=True)
def project(place: Path) -> Path:
    make_fake_member(Path("models/ckpt"), CLASSES)
    Path("rec").mkdir()
    Path("data").mkdir()
    Path("data/deployments.csv").write_text("site,folder,latitude,longitude,time_zone\npond,pond,52,13,+01:00\n")
    return place


class Watching:
    """A watch in a thread of its own."""

    def __init__(self, output: str = "out", **options) -> None:
        self.lines: list[str] = []
        self.stop = threading.Event()
        self.result: object = None
        cfg, members = resolve_for_models(None, {"infer.min_score": float(LEAST), "misc.force_cpu": True})
        ensemble = load_ensemble(cfg, members)
        settings = {"rtype": FORMATS, "recursive": True, "settle_s": 0.3, "every_s": 0.05, "patience_s": 60.0} | options

        def work() -> None:
            try:
                self.result = watching.watch_recordings(
                    cfg, ensemble, "rec", output, calibration=ensemble.calibration(False),
                    stop=self.stop, say=self.lines.append, **settings,
                )  # fmt: skip
            except Exception as error:
                self.result = error

        self._thread = threading.Thread(target=work)
        self._thread.start()

    def until(self, *texts: str, count: int = 1) -> None:
        """Wait until as many lines hold one of the texts."""
        deadline = time.monotonic() + 60
        while sum(any(text in line for text in texts) for line in list(self.lines)) < count:
            assert time.monotonic() < deadline and self._thread.is_alive(), (texts, self.lines, self.result)
            time.sleep(0.02)

    def end(self):
        self.stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.result


@contextmanager
def watched(**options):
    running = Watching(**options)
    try:
        yield running
    finally:
        running.end()


def analyzed(folder: str = "whole") -> dict[str, bytes]:
    """Return what analyze writes about all that is there."""
    assert main(["analyze", "rec", "-o", folder, "--recursive", "-r", FORMATS, "-m", LEAST]) == 0
    return content(folder)


def left(folder: str = "out") -> dict[str, bytes]:
    """Return what a watch wrote; its journal stays."""
    found = content(folder)
    assert found.pop(JOURNAL)
    found.pop(f"{JOURNAL}-journal", None)  # SQLite's own, after a kill
    return found


def times_of(lines: list[str], name: str) -> int:
    return sum(f"{name}: " in line and "label" in line for line in lines)


def test_recordings_arrive_in_every_way(place):
    write_recording(Path("rec/pond/20260501_060000.wav"), 8.0, 1)
    made = [write_recording(Path(f"made/{n}.wav"), 5.0 + n, n) for n in range(6)]
    with watched() as running:
        running.until("tables: 1 recording,")
        # renamed when complete, as rsync and FTP servers do
        shutil.copy(made[0], "rec/.renamed.wav.Xy12")
        shutil.copy(made[1], "rec/uploaded.wav.part")
        # moved in, with its folder
        Path("made/card").mkdir()
        shutil.copy(made[2], "made/card/20260501_070000.wav")
        os.rename("made/card", "rec/pond/card")
        # written slowly, then longer than the settling time
        data = made[3].read_bytes()
        with open("rec/slow.wav", "wb", buffering=0) as file:
            for at in range(0, len(data), len(data) // 8):
                file.write(data[at : at + len(data) // 8])
                time.sleep(0.1)
        running.until("slow.wav: ")
        assert not [line for line in running.lines if ".renamed" in line or "uploaded" in line]
        os.rename("rec/.renamed.wav.Xy12", "rec/renamed.wav")
        os.rename("rec/uploaded.wav.part", "rec/uploaded.wav")
        running.until("tables: 5 recordings")
        summary = running.end()
    assert (summary.done, summary.analyzed, summary.failed, summary.waiting) == (5, 5, {}, {})
    for name in ("slow.wav", "renamed.wav", "uploaded.wav", "060000.wav", "070000.wav"):
        assert times_of(running.lines, name) == 1, (name, running.lines)
    assert left() == analyzed()
    detections = Path("out/detections.csv").read_text().splitlines()
    assert any("2026-05-01T07:00:" in line and ",52.000000,13.000000" in line for line in detections)


@pytest.mark.parametrize("recursive", [True, False])
@pytest.mark.parametrize("links", [False, True])
def test_it_finds_what_analyze_finds(place, recursive, links):
    """Odd names, hidden and foreign files, folders called like recordings, links to files, folders and nothing."""
    for name in ("a", "b.c", "ü e", "sub/d", "sub/deep/e", ".hidden", "card.wav/f", ".dir/g"):
        write_recording(Path(f"rec/{name}.wav"), 3.0, 1)
    write_recording(Path("elsewhere/h.wav"), 3.0, 1)
    Path("rec/upper.WAV").write_bytes(Path("rec/a.wav").read_bytes())
    for name in ("note.txt", "x.wav.part", "wav"):
        Path(f"rec/{name}").write_bytes(b"x")
    os.mkfifo("rec/pipe.wav")
    if links:
        Path("rec/again.wav").symlink_to("a.wav")
        Path("rec/other.wav").symlink_to(place / "elsewhere/h.wav")
        Path("rec/linked").symlink_to(place / "elsewhere")
        Path("rec/gone.wav").symlink_to("nothing.wav")
    expected = {
        recording_name(path, Path("rec")): (path, identity_of(path))
        for path in find_recordings("rec", recursive, none_is_fine=True)
    }
    assert {name: (Path(path), identity) for name, path, identity in listing(Path("rec"), recursive)} == expected
    # of links to one file, or to what is there itself, one is taken; one to nothing is a recording that is missing
    assert len(expected) == (7 if recursive else 4) + (links and (2 if recursive else 3))


def test_what_stops_in_the_middle_waits_with_its_reason(place):
    data = write_recording(Path("made/a.wav"), 10.0, 1).read_bytes()
    Path("rec/a.wav").write_bytes(data[: len(data) // 2])
    Path("rec/b.wav").write_bytes(b"")
    with AudioReader("rec/a.wav", warn=False) as reader:
        seconds = sum(block.shape[-1] for block in reader.blocks()) / reader.rate
    with watched() as running:
        running.until("a.wav is not complete", "b.wav is not complete", count=2)
        time.sleep(0.5)
        assert not Path("out/scores.csv").exists() and times_of(running.lines, "a.wav") == 0
        assert any(f"its sound ends at {seconds:.1f} s" in line for line in running.lines)
        assert any("b.wav is not complete: is an empty file" in line for line in running.lines)
        with open("rec/a.wav", "ab") as file:
            file.write(data[len(data) // 2 :])
        Path("rec/b.wav").write_bytes(data)
        running.until("tables: 2 recordings")
        summary = running.end()
    assert sum("is not complete" in line for line in running.lines) == 2, running.lines
    summary.raise_for_failures()
    assert left() == analyzed()


def test_what_stays_incomplete_is_taken_as_it_is(place):
    data = write_recording(Path("made/a.wav"), 10.0, 1).read_bytes()
    Path("rec/cut.wav").write_bytes(data[: len(data) // 2])
    Path("rec/none.wav").write_bytes(b"no sound")
    write_recording(Path("rec/whole.wav"), 5.0, 2)
    with watched(patience_s=1.0) as running:
        running.until("cut.wav: ", "none.wav is left out", count=2)
        running.until("tables: 2 recordings")
        summary = running.end()
    assert list(map(str, summary.failed)) == ["rec/none.wav"] and summary.damaged == 1
    with pytest.raises(InferenceError, match="1 of 3 recordings could not be scored"):
        summary.raise_for_failures()
    assert main(["analyze", "rec", "-o", "whole", "--recursive", "-r", FORMATS, "-m", LEAST]) == 1
    assert left() == left("whole")
    assert "none,rec/none.wav" in Path("out/failed.csv").read_text()
    # it is repaired while nobody watches, and taken up by the next watch
    Path("rec/none.wav").write_bytes(data)
    with watched() as again:
        again.until("tables: 3 recordings")
    assert not Path("out/failed.csv").exists() and left() == analyzed("repaired")


def test_long_there_is_not_waited_for(place):
    """A card that is mounted holds files of last week: what is cut there stays so."""
    data = write_recording(Path("made/a.wav"), 10.0, 1).read_bytes()
    Path("rec/cut.wav").write_bytes(data[: len(data) // 2])
    os.utime("rec/cut.wav", (time.time() - 1000, time.time() - 1000))
    with watched(patience_s=500.0) as running:
        running.until("cut.wav: ")
    assert not [line for line in running.lines if "is not complete" in line]


def test_a_changed_recording_is_analyzed_again(place):
    write_recording(Path("rec/a.wav"), 6.0, 1)
    write_recording(Path("rec/b.wav"), 6.0, 2)
    with watched() as running:
        running.until("tables: 2 recordings")
        before = left()
        write_recording(Path("rec/a.wav"), 12.0, 3)
        running.until("a.wav has changed")
        running.until("a.wav: ", count=2)
        running.until("tables: 2 recordings", count=2)
    assert times_of(running.lines, "b.wav") == 1
    assert left() != before and left() == analyzed()


def test_a_recording_that_changes_to_nothing_is_taken_back(place):
    write_recording(Path("rec/a.wav"), 6.0, 1)
    write_recording(Path("rec/b.wav"), 6.0, 2)
    with watched(patience_s=0.5) as running:
        running.until("tables: 2 recordings")
        Path("rec/a.wav").write_bytes(b"no sound")
        running.until("a.wav is left out")
        running.until("tables: 1 recording,")
    assert main(["analyze", "rec", "-o", "whole", "--recursive", "-r", FORMATS, "-m", LEAST]) == 1
    assert left() == left("whole")


def test_what_is_moved_away_stays_in_the_tables(place):
    """Space is made on the disk: labels, time and site of what was there stay."""
    for hour in (6, 7):
        write_recording(Path(f"rec/pond/20260501_0{hour}0000.wav"), 6.0, hour)
    expected = analyzed()
    with watched() as running:
        running.until("tables: 2 recordings")
        Path("rec/pond/20260501_060000.wav").unlink()
        write_recording(Path("rec/pond/20260501_080000.wav"), 6.0, 8)
        running.until("tables: 3 recordings")
    with watched() as again:  # and after another start
        again.until("tables: 3 recordings")
    found = left()
    for name in ("detections.csv", "scores.csv", "analyzed.csv"):
        lines = set(found[name].splitlines())
        assert set(expected[name].splitlines()) < lines
    assert found["pond/20260501_060000_scores.txt"] == expected["pond/20260501_060000_scores.txt"]


def test_deployments_may_be_corrected_while_it_runs(place):
    write_recording(Path("rec/pond/20260501_060000.wav"), 6.0, 1)
    with watched() as running:
        running.until("tables: 1 recording,")
        Path("data/deployments.csv").write_text("site,folder,latitude,longitude,time_zone\nlake,pond,53,13,+02:00\n")
        write_recording(Path("rec/pond/20260501_070000.wav"), 6.0, 2)
        running.until("tables: 2 recordings")
    assert b",lake," in left()["detections.csv"] and left() == analyzed()


def test_two_names_that_differ_in_the_extension(place):
    write_recording(Path("rec/a.wav"), 6.0, 1)
    with watched() as running:
        running.until("tables: 1 recording,")
        shutil.copy("rec/a.wav", "rec/a.wave")
        running.until("a.wave is left out: a.wav has the same name")
        write_recording(Path("rec/b.wav"), 6.0, 1)
        running.until("tables: 2 recordings")
        summary = running.end()
    with pytest.raises(InferenceError, match="a.wave"):
        summary.raise_for_failures()


def test_of_two_namesakes_that_are_there_at_the_start_neither_is_analyzed(place):
    write_recording(Path("rec/a.wav"), 6.0, 1)
    shutil.copy("rec/a.wav", "rec/a.wave")
    write_recording(Path("rec/b.wav"), 6.0, 1)
    with watched() as running:
        running.until("a.wav is left out: a.wave has the same name")
        running.until("a.wave is left out: a.wav has the same name")
        running.until("tables: 1 recording,")
        summary = running.end()
    assert {path.name for path in summary.namesakes} == {"a.wav", "a.wave"}


def test_a_folder_that_goes_and_comes(place):
    write_recording(Path("rec/a.wav"), 6.0, 1)
    with watched() as running:
        running.until("tables: 1 recording,")
        os.rename("rec", "unmounted")
        running.until("rec does not exist", count=1)
        write_recording(Path("unmounted/b.wav"), 6.0, 2)
        os.rename("unmounted", "rec")
        running.until("tables: 2 recordings")
    assert sum("rec does not exist" in line for line in running.lines) == 1
    assert left() == analyzed()


def test_a_full_disk_is_reported_and_tried_again(place, monkeypatch):
    monkeypatch.setattr(watching, "RETRY_S", 0.1)
    full = threading.Event()
    add, finish = OutputFolder.add, OutputFolder.finish
    refused = unwritable("out", OSError(28, "No space left on device"))

    def guarded(function):
        def call(self, *arguments):
            if full.is_set():
                raise refused
            return function(self, *arguments)

        return call

    monkeypatch.setattr(OutputFolder, "add", guarded(add))
    monkeypatch.setattr(OutputFolder, "finish", guarded(finish))
    write_recording(Path("rec/a.wav"), 6.0, 1)
    with watched() as running:
        running.until("tables: 1 recording,")
        full.set()
        write_recording(Path("rec/b.wav"), 6.0, 2)
        running.until("out could not be written: no space left on device; trying again", count=2)
        full.clear()
        running.until("tables: 2 recordings")
        full.set()
        write_recording(Path("rec/c.wav"), 6.0, 2)
        running.until("trying again", count=4)
        assert isinstance(running.end(), InputError)  # its tables are not up to date
    assert times_of(running.lines, "a.wav") == 1


def test_settings_that_differ_discard_nothing(place):
    write_recording(Path("rec/a.wav"), 6.0, 1)
    with watched() as running:
        running.until("tables: 1 recording,")
    before = content("out")
    error = Watching(rtype="csv").end()
    assert isinstance(error, InferenceError) and "rtype differs; start over with --no-resume" in str(error)
    assert content("out") == before
    with watched(rtype="csv", restart=True) as running:
        running.until("tables: 1 recording,")
    assert sorted(left()) == ["analyzed.csv", "manifest.yaml", "scores.csv"]


def test_analyze_goes_on_from_a_watch_and_ends_it(place):
    write_recording(Path("rec/a.wav"), 6.0, 1)
    with watched() as running:
        running.until("tables: 1 recording,")
    write_recording(Path("rec/b.wav"), 6.0, 2)
    expected = analyzed()
    assert analyzed("out") == expected and not Path("out", JOURNAL).exists()


def test_the_command(place, capsys):
    for number in range(3):
        write_recording(Path(f"rec/r{number}.wav"), 5.0, number)
    command = ["watch", "rec", "-o", "out", "-m", LEAST, "-r", FORMATS, "--once", "--recursive"]
    quick = ["--settle", "0.2", "--every", "0.1"]
    assert main([*command, *quick]) == 0
    text = capsys.readouterr().out
    assert "recordings = 3\nanalyzed_now = 3\n" in text and "watching rec: 0 recordings done before" in text
    assert left() == analyzed()
    assert main([*command, *quick]) == 0  # nothing new
    assert "recordings = 3\nanalyzed_now = 0\n" in capsys.readouterr().out
    Path("rec/bad.wav").write_bytes(b"no sound")
    assert main([*command, *quick]) == 1
    assert "1 of 4 recordings could not be scored (rec/bad.wav" in capsys.readouterr().err
    Path("rec/bad.wav").unlink()
    summary = watch_command(
        input_path="rec",
        output_path="out",
        min_score=float(LEAST),
        rtype=FORMATS,
        recursive=True,
        settle=0,
        every=0.05,
        once=True,
    )
    assert summary.done == 3 and not Path("out/failed.csv").exists()
    for wrong in (["watch", "nowhere"], ["watch"], ["watch", "rec", "--settle", "-1"], ["watch", "rec", "-i", "rec"]):
        assert main(wrong) == 1


# --- killed and stopped ---


def start(*arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "britekit", "watch", "rec", "-o", "out", "--recursive", "-r", FORMATS, "-m", LEAST]
    quick = ["--settle", "0.1", "--every", "0.05", *arguments]
    return subprocess.Popen(
        [*command, *quick], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip


def wait_for(process: subprocess.Popen[str], text: str) -> list[str]:
    lines = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError("".join(lines))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_it_with_tables_up_to_date(place, name):
    write_recording(Path("rec/a.wav"), 6.0, 1)
    process = start()
    wait_for(process, "tables: 1 recording,")
    process.send_signal(getattr(signal, name))
    rest = process.communicate(timeout=60)[0]
    assert process.returncode == 0, rest
    assert "stopping: the tables are brought up to date" in rest and "recordings = 1" in rest
    assert left() == analyzed()


def kill_while_recordings_arrive(kills: int, seed: int) -> None:
    """Recordings arrive, whole and in pieces, while the watch is killed again and again."""
    rng = np.random.default_rng(seed)
    made = [write_recording(Path(f"made/r{n:03d}.wav"), 3.0 + 4 * (n % 5), n) for n in range(4 * kills)]
    waiting = list(made)
    scored: dict[str, int] = {}
    killed = 0
    for _ in range(kills):
        process = start()
        lines = wait_for(process, "watching rec")
        for path in waiting[:4]:
            data = path.read_bytes()
            cut = int(rng.integers(0, len(data)))
            target = Path("rec", *(["pond"] if rng.random() < 0.5 else []), path.name)
            target.parent.mkdir(exist_ok=True)
            with open(target, "wb", buffering=0) as file:
                file.write(data[:cut])
                time.sleep(float(rng.uniform(0, 0.15)))
                file.write(data[cut:])
        del waiting[:4]
        time.sleep(float(rng.uniform(0, 1.2)))
        os.kill(process.pid, signal.SIGKILL)
        lines += process.communicate(timeout=60)[0].splitlines()
        killed += process.returncode == -signal.SIGKILL
        for path in made:
            scored[path.name] = scored.get(path.name, 0) + times_of(lines, path.name)
    process = start("--once")
    lines = process.communicate(timeout=300)[0].splitlines()
    assert process.returncode == 0, lines
    assert killed == kills
    assert left() == analyzed()
    # What a kill can cost is what was scored in the second before it.
    assert sum(scored.values()) + sum(times_of(lines, path.name) for path in made) <= len(made) + 4 * kills


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_three_times(place):
    kill_while_recordings_arrive(3, seed=1)


@pytest.mark.soak
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_twenty_times(place):
    kill_while_recordings_arrive(20, seed=2)

"""Interrupted runs: what was done is kept, nothing half-written counts, the results are the same bytes."""

from __future__ import annotations

import contextlib
import csv
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import soundfile

from britekit.cli import main
from britekit.inference.journal import JOURNAL, Done, Journal
from tests.inference.conftest import CLASSES, content, write_recording
from tests.inference.fakes import make_fake_member


def analyze(*arguments: str) -> int:
    return main(["analyze", "-i", "rec", *arguments])


@pytest.fixture
def recordings(place: Path) -> list[Path]:
    make_fake_member(Path("models/ckpt"), CLASSES, frames=12)
    return [write_recording(Path(f"rec/r{n:02d}.wav"), 2.0 + 5 * n, n) for n in range(8)]


@pytest.fixture
def stopped_after(monkeypatch: pytest.MonkeyPatch):
    """Return a function that runs analyze and stops it after so many recordings."""
    from britekit.inference.output import OutputFolder

    def run(count: int, *arguments: str) -> None:
        add = OutputFolder.add

        def counting(self: OutputFolder, *given: Any) -> int:
            labels = add(self, *given)
            if len(self.journal.names()) == count:
                raise KeyboardInterrupt
            return labels

        with monkeypatch.context() as patch:
            patch.setattr(OutputFolder, "add", counting)
            assert analyze(*arguments) == 130

    return run


def scored(capsys: pytest.CaptureFixture[str]) -> int:
    return sum(": " in line and line.endswith(" labels") for line in capsys.readouterr().out.splitlines())


@pytest.mark.parametrize("arguments", [("-m", "0"), ("-m", "0.3", "-r", "raven,both"), ("-m", "0.3", "-r", "csv")])
def test_goes_on_where_it_stopped(recordings, stopped_after, capsys, arguments: tuple[str, ...]):
    assert analyze("-o", "whole", *arguments) == 0
    stopped_after(5, "-o", "out", *arguments)
    assert Path("out", JOURNAL).is_file() and not Path("out/manifest.yaml").exists()
    scored(capsys)
    assert analyze("-o", "out", *arguments) == 0
    assert scored(capsys) == 3
    assert content("out") == content("whole")
    assert not Path("out", JOURNAL).exists()


def test_damaged_recordings_are_listed_also_by_the_run_that_goes_on(recordings, stopped_after, capsys):
    whole = Path("rec/r03.wav").read_bytes()
    for name in ("r03", "r06"):
        path = Path(f"rec/{name}.flac")
        samples, rate = soundfile.read(f"rec/{name}.wav")
        Path(f"rec/{name}.wav").unlink()
        soundfile.write(path, samples, rate)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    stopped_after(5, "-o", "out", "-m", "0.3", "--threads", "1")
    capsys.readouterr()
    assert analyze("-o", "out", "-m", "0.3") == 0
    assert "damaged = 2" in capsys.readouterr().out.splitlines()
    with open("out/damaged.csv", encoding="utf-8") as file:
        found = {row["recording"]: float(row["damaged_at"]) for row in csv.DictReader(file)}
    # A FLAC file of noise is about half as long where it is cut in the middle.
    assert found == {"r03": pytest.approx(17 / 2, rel=0.2), "r06": pytest.approx(32 / 2, rel=0.2)}
    for name in found:
        Path(f"rec/{name}.flac").unlink()
        Path(f"rec/{name}.wav").write_bytes(whole)
    assert analyze("-o", "out", "-m", "0.3") == 0
    assert not Path("out/damaged.csv").exists() and "damaged" not in capsys.readouterr().out


def test_an_earlier_result_stays_whole_until_the_end(recordings, stopped_after):
    assert analyze("-o", "out", "-m", "0.3") == 0
    before = content("out")
    assert analyze("-o", "new", "-m", "0.6", "--overlap", "1") == 0
    stopped_after(4, "-o", "out", "-m", "0.6", "--overlap", "1")
    assert {name: data for name, data in content("out").items() if JOURNAL not in name} == before
    assert analyze("-o", "out", "-m", "0.6", "--overlap", "1") == 0
    assert content("out") == content("new") != before


def test_files_held_back_by_an_interrupted_run_are_not_written_over(recordings, stopped_after):
    arguments = ("-o", "out", "-m", "0.3", "-r", "raven,both", "--threads", "1")
    Path("away").mkdir()
    for name in ("r00", "r01"):
        Path(f"rec/{name}.wav").rename(f"away/{name}.wav")
    assert analyze(*arguments, "--overlap", "1") == 0
    for path in Path("away").iterdir():
        path.rename(f"rec/{path.name}")
    # The new ones get their names at once; the labels of the others wait for the end.
    stopped_after(4, *arguments)
    stopped_after(6, *arguments)
    assert analyze(*arguments) == 0
    assert analyze("-o", "fresh", *arguments[2:]) == 0
    assert content("out") == content("fresh")


@pytest.mark.parametrize("what", ["settings", "model", "rtype", "calibration"])
def test_starts_anew_where_something_changed(recordings, stopped_after, capsys, what: str):
    Path("cal.yaml").write_text("coefficient: 2\nintercept: 1\n")
    Path("params.yaml").write_text("infer: {calibration: cal.yaml}\n")
    stopped_after(5, "-o", "out", "-m", "0.3")
    arguments = ["-m", "0.3"]
    if what == "settings":
        arguments = ["-m", "0.4"]
    elif what == "model":
        make_fake_member(Path("models/ckpt"), CLASSES, frames=12, seed=7)
    elif what == "rtype":
        arguments += ["-r", "csv"]
    else:
        Path("cal.yaml").write_text("coefficient: 2\nintercept: 1.5\n")
    capsys.readouterr()
    assert analyze("-o", "out", *arguments, "--resume") == 1
    errors = capsys.readouterr().err
    name = {"settings": "inference.min_score", "model": "model 1", "rtype": "rtype", "calibration": "intercept"}[what]
    assert "cannot be continued" in errors and name in errors
    assert analyze("-o", "out", *arguments) == 0
    captured = capsys.readouterr()
    assert "all recordings are scored again" in captured.err and captured.out.count(" labels\n") == 8
    assert analyze("-o", "fresh", *arguments) == 0
    for path, data in content("fresh").items():
        assert Path("out", path).read_bytes() == data


def test_a_changed_recording_is_scored_again_and_a_removed_one_forgotten(recordings, stopped_after, capsys):
    stopped_after(6, "-o", "out", "-m", "0")
    with contextlib.closing(sqlite3.connect(Path("out", JOURNAL))) as db:
        done = [name for (name,) in db.execute("SELECT name FROM done ORDER BY name")]
    write_recording(Path(f"rec/{done[0]}.wav"), 9.0, 77)
    Path(f"rec/{done[1]}.wav").unlink()
    scored(capsys)
    assert analyze("-o", "out", "-m", "0") == 0
    assert scored(capsys) == 3
    assert analyze("-o", "fresh", "-m", "0") == 0
    assert content("out") == content("fresh")


def test_no_resume_scores_all_again(recordings, stopped_after, capsys):
    stopped_after(6, "-o", "out", "-m", "0")
    scored(capsys)
    assert analyze("-o", "out", "-m", "0", "--no-resume") == 0
    assert scored(capsys) == 8
    assert analyze("-o", "out", "--resume", "--no-resume") == 1


def test_failed_recordings_are_tried_again_and_only_those(recordings, capsys):
    good = Path("rec/r03.wav").read_bytes()
    Path("rec/r03.wav").write_bytes(b"RIFF and no more")
    Path("rec/gone.wav").symlink_to("nowhere.wav")
    Path("rec/empty.wav").touch()
    assert analyze("-o", "out", "-m", "0.3") == 1
    lines = Path("out/failed.csv").read_text().splitlines()
    assert lines[0] == "recording,file,reason" and len(lines) == 4
    assert lines[1].startswith("empty,rec/empty.wav,is an empty file")
    assert lines[2] == "gone,rec/gone.wav,cannot be read (No such file or directory)"
    assert lines[3].startswith("r03,rec/r03.wav,")
    errors = capsys.readouterr().err
    assert "rec/empty.wav is left out" in errors and "Error: 3 of 10 recordings could not be scored" in errors
    Path("rec/gone.wav").unlink()
    Path("rec/r03.wav").write_bytes(good)
    Path("rec/empty.wav").unlink()
    assert analyze("-o", "out", "-m", "0.3") == 0
    assert scored(capsys) == 1
    assert analyze("-o", "fresh", "-m", "0.3") == 0
    assert content("out") == content("fresh")


def test_labels_of_another_sort_do_not_outlive_their_manifest(recordings):
    for rtype in ("both", "raven", "csv", "audacity,raven", "audacity"):
        assert analyze("-o", "out", "-m", "0.3" if rtype == "both" else "0.6", "-r", rtype) == 0
        if rtype != "both":
            assert analyze("-o", f"fresh {rtype}", "-m", "0.6", "-r", rtype) == 0
            assert content("out") == content(f"fresh {rtype}")
    # What another program wrote stays.
    _made("theirs")
    Path("theirs/r00_scores.txt").write_text("0\t1\tmine\n")
    assert analyze("-o", "theirs", "-r", "raven") == 0
    assert Path("theirs/r00_scores.txt").read_text() == "0\t1\tmine\n"


@pytest.mark.skipif(os.name == "nt", reason="Windows removes no file that is open")
def test_a_run_that_begins_as_another_ends_keeps_its_journal(place: Path, monkeypatch: pytest.MonkeyPatch):
    folder = _made("out")
    first = _noted(folder, "r0")
    began: list[Journal] = []
    unlink = Path.unlink

    def unlink_and_begin(self: Path, missing_ok: bool = False) -> None:
        unlink(self, missing_ok)
        if self.name == JOURNAL and not began:
            began.append(_noted(folder, "r1"))

    monkeypatch.setattr(Path, "unlink", unlink_and_begin)
    first.close(remove=True)
    assert began
    began[0].close(remove=False)
    last = Journal(folder, {"a": 1})
    assert last.resumed == {"r1"}
    last.close(remove=True)
    assert os.listdir(folder) == []


def test_two_runs_do_not_write_into_one_folder(recordings, capsys):
    journal = Journal(_made("out"), {"a": 1})
    assert analyze("-o", "out", "-m", "0.3") == 1
    assert "another analyze is writing to out" in capsys.readouterr().err
    journal.close(remove=False)
    assert analyze("-o", "out", "-m", "0.3") == 0


def test_a_damaged_piece_makes_its_recording_count_as_not_done(place: Path):
    folder = _made("out")
    _noted(folder, *(f"r{number}" for number in range(4))).close(remove=False)
    content = (folder / JOURNAL).read_bytes()
    assert content.count(b"row of r1") == 1
    (folder / JOURNAL).write_bytes(content.replace(b"row of r1", b"row of r7"))
    journal = Journal(folder, {"a": 1})
    assert journal.resumed == {"r0", "r2", "r3"} and journal.entry("r1") is None
    assert [b"".join(journal.pieces(f"r{k}", "labels")) for k in (0, 1)] == [b"row of r0", b""]
    journal.close(remove=False)
    (folder / JOURNAL).write_bytes(b"no database" * 1000)
    journal = Journal(folder, {"a": 1})
    assert journal.names() == []
    journal.close(remove=True)


def test_what_fails_half_way_is_forgotten(place: Path):
    journal = _noted(_made("out"), "r0")
    for name in ("r0", "r1"):
        with pytest.raises(ValueError), journal.adding(name) as add:
            add("labels", b"another")
            raise ValueError
    assert journal.names() == ["r0"] and list(journal.pieces("r0", "labels")) == [b"row of r0"]
    journal.close(remove=True)


def test_an_older_journal_is_refused_until_told_to_start_over(recordings, capsys):
    Path("out", JOURNAL).mkdir(parents=True)
    Path("out", JOURNAL, "run.json").write_text("{}")
    for arguments in ((), ("--resume",)):
        assert analyze("-o", "out", *arguments) == 1
        assert "was written by an older version, and this one cannot continue it" in capsys.readouterr().err
    assert Path("out", JOURNAL, "run.json").exists()
    assert analyze("-o", "out", "--no-resume") == 0
    assert not Path("out", JOURNAL).exists()


def test_an_edited_label_file_is_written_again(recordings, stopped_after, capsys):
    stopped_after(5, "-o", "out", "-m", "0.3")
    edited = sorted(Path("out").glob("*_scores.txt"))[:2]
    edited[0].write_text("edited\n")
    edited[1].unlink()
    scored(capsys)
    assert analyze("-o", "out", "-m", "0.3") == 0
    assert scored(capsys) == 3
    assert analyze("-o", "fresh", "-m", "0.3") == 0
    assert content("out") == content("fresh")


def test_nothing_is_left_where_nothing_was_done(recordings, stopped_after, monkeypatch: pytest.MonkeyPatch):
    from britekit.inference import analysis

    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(analysis, "LocalScorer", broken)
    assert analyze("-o", "out") == 130
    assert os.listdir("out") == []


def _made(name: str) -> Path:
    Path(name).mkdir()
    return Path(name)


def _noted(folder: Path, *names: str) -> Journal:
    """Return a journal in which recordings are finished."""
    journal = Journal(folder, {"a": 1})
    for name in names:
        with journal.adding(name) as add:
            add("labels", f"row of {name}".encode())
            journal.finish(Done(name, 1, 2, 3.0, 4, 0, None, "_scores.txt"))
    return journal

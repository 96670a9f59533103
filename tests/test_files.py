"""Files are written whole or not at all."""

import csv
import errno
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from britekit.annotations.classes import read_ignore_list
from britekit.annotations.tables import has_columns, iter_rows
from britekit.annotations.text_files import read_text
from britekit.config.yaml_reader import read_yaml
from britekit.errors import BriteKitError, InputError
from britekit.files import (
    atomic_path,
    csv_text,
    refuse_overwriting,
    sha256_of,
    together,
    waiting_path,
    write_json,
    write_text,
)
from britekit.inference.platt import read_calibration
from britekit.leftovers import create, is_held, temporary_folder
from britekit.models.checkpoint import read_archive


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("cell", ["a\rb", "a\nb", "a\r\nb", 'a"b', "a,b", "\r", "\n", "plain", "", "a\u2028b"])
def test_rows_read_back_whatever_is_in_them(cell):
    text = csv_text([["name", "value"], [cell, 1], ["end", 2]])
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert rows == [["name", "value"], [cell, "1"], ["end", "2"]]
    assert text.startswith("name,value\n") and text.endswith("\nend,2\n")


def test_written_file_takes_the_name_and_leaves_nothing_else(tmp_path):
    target = tmp_path / "new" / "deep" / "a.csv"
    with atomic_path(target) as partial:
        assert partial.parent == target.parent and partial.suffix == ".csv"
        partial.write_text("x")
        assert not target.exists()
    assert target.read_text() == "x"
    assert names(target.parent) == ["a.csv"]


def test_failure_keeps_what_was_there(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_path(target) as partial:
        partial.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_files_written_together_appear_together_or_not_at_all(tmp_path):
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    write_text(first, "old")
    with pytest.raises(ZeroDivisionError), together():
        write_text(first, "new")
        with together():  # part of the block around it
            write_text(second, "new")
        assert waiting_path(first).read_text() == "new" and first.read_text() == "old"
        raise ZeroDivisionError
    assert first.read_text() == "old" and names(tmp_path) == ["a.txt"]
    with together():
        write_text(first, "new")
        write_text(second, "new")
        assert not second.exists()
    assert first.read_text() == second.read_text() == "new" and names(tmp_path) == ["a.txt", "b.txt"]
    assert waiting_path(first) == first


def killed(code, folder=None):
    """Run code that prints a line and then waits, and kill it, as the out-of-memory killer would."""
    environment = {**os.environ, "TMPDIR": str(folder or tempfile.gettempdir())}
    process = subprocess.Popen(
        [sys.executable, "-c", f"import time\n{code}    print('ready', flush=True)\n    time.sleep(60)"],
        stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGKILL)
    process.wait()


def written_by_another(path):
    code = f"from britekit.files import write_text\nwrite_text({str(path)!r}, 'new')"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_kill_keeps_what_was_there_and_a_later_run_removes_the_rest(tmp_path):
    target, other = tmp_path / "a.txt", tmp_path / "b.csv"
    target.write_text("old")
    code = "from britekit.files import atomic_path\n"
    killed(f"{code}with atomic_path({str(target)!r}) as p:\n    p.write_text('half')\n")
    assert target.read_text() == "old"
    (left,) = [path for path in tmp_path.iterdir() if path != target]
    assert ".partial" in left.name
    written_by_another(other)  # whatever that one writes
    assert target.read_text() == "old" and names(tmp_path) == ["a.txt", "b.csv"]


def test_a_running_writers_file_is_not_removed(tmp_path):
    """However old it is, and whatever process number it has: each container counts from 1."""
    with atomic_path(tmp_path / "a.txt") as partial, temporary_folder("test") as folder:
        partial.write_text("mine")
        (tmp_path / f"{partial.stem}-journal").write_text("")  # as SQLite puts beside a file
        moved = tmp_path / folder.name
        folder.rename(moved)
        for path in (partial, moved):
            os.utime(path, (time.time() - 1e6,) * 2)
        written_by_another(tmp_path / "b.txt")
        assert names(tmp_path) == sorted([partial.name, f"{partial.stem}-journal", moved.name, "b.txt"])
        shutil.rmtree(moved)
    assert (tmp_path / "a.txt").read_text() == "mine"


def test_temporary_folders_of_killed_runs_go_with_the_next(tmp_path):
    code = "from britekit.leftovers import temporary_folder\n"
    killed(f"{code}with temporary_folder('bento') as p:\n    (p / 'model').write_text('x')\n", tmp_path)
    (tmp_path / ".somebody.elses").mkdir()
    assert len(names(tmp_path)) == 2
    code = f"{code}with temporary_folder('serve') as p:\n    print(p.name.split('.')[1])"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    output = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert output == "britekit-serve\n"
    assert names(tmp_path) == [".somebody.elses"]


def test_a_name_as_long_as_possible_can_be_written(tmp_path):
    write_text(tmp_path / ("ü" * 125 + ".txt"), "x")
    assert len(os.fsencode(names(tmp_path)[0])) == 254


def test_writing_through_a_link_replaces_the_link(tmp_path):
    """A DVC cache that is linked into the project must not change."""
    cached = tmp_path / "cache"
    cached.write_text("cached")
    target = tmp_path / "a.txt"
    target.symlink_to(cached)
    write_text(target, "new")
    assert cached.read_text() == "cached" and not target.is_symlink()


@pytest.mark.skipif(os.geteuid() == 0 and not os.path.isdir("/proc/self"), reason="needs a read-only place")
def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="could not be written"):
        write_text(tmp_path / "file" / "a.txt", "x")
    with pytest.raises(InputError, match="is a directory"):
        write_text(tmp_path, "x")
    with pytest.raises(InputError, match="could not be written"):
        write_text("/proc/self/nowhere/a.txt", "x")
    with pytest.raises(InputError, match="too long"):
        write_text(tmp_path / ("n" * 300), "x")
    assert names(tmp_path) == ["file"]


def test_a_full_disk_is_one_sentence(tmp_path, monkeypatch):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(InputError, match="no space left"), atomic_path(target):
        raise OSError(errno.ENOSPC, "No space left on device")
    # Libraries hide it in errors of their own.
    monkeypatch.setattr("britekit.files._disk_is_full", lambda folder: True)
    with pytest.raises(InputError, match="no space left"), atomic_path(target):
        raise RuntimeError("unexpected pos 64 vs 0")
    assert target.read_text() == "old"


def test_errors_of_other_files_stay_what_they_are(tmp_path):
    with pytest.raises(PermissionError), atomic_path(tmp_path / "a.txt"):
        raise PermissionError(errno.EACCES, "Permission denied", "/elsewhere/input.wav")


def test_writing_nothing_is_an_error(tmp_path):
    with pytest.raises(InputError, match="nothing was produced"), atomic_path(tmp_path / "a.txt"):
        pass


def test_json_is_plain_and_ordered(tmp_path):
    path = tmp_path / "m.json"
    write_json(path, {"b": np.float32(0.5), "a": float("nan"), "c": (1, np.arange(2)), 3: path, "é": None})
    text = path.read_text(encoding="utf-8")
    assert text.endswith("}\n") and "é" in text
    assert json.loads(text) == {"b": 0.5, "a": None, "c": [1, [0, 1]], "3": str(path), "é": None}
    assert list(json.loads(text))[:2] == ["b", "a"]


def test_sha256(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"abc" * 100000)
    assert sha256_of(path) == hashlib.sha256(b"abc" * 100000).hexdigest()


def test_what_is_read_is_not_overwritten(tmp_path):
    source = tmp_path / "annotations.csv"
    source.write_text("recording,class\n")
    (tmp_path / "link.csv").symlink_to(source)
    for output in (source, tmp_path / "link.csv", f"{tmp_path}/x/../annotations.csv"):
        (tmp_path / "x").mkdir(exist_ok=True)
        with pytest.raises(InputError, match="is read here, so it is not overwritten"):
            refuse_overwriting(output, None, "postgresql://host/db", source)
    refuse_overwriting(tmp_path / "new.csv", source)
    refuse_overwriting("-", source)
    refuse_overwriting(None, source)


@pytest.mark.parametrize("kind", ["device", "pipe"])
def test_what_may_go_on_without_end_is_not_read(tmp_path, kind):
    path = Path("/dev/zero")
    if kind == "pipe":
        path = tmp_path / "table.csv"
        os.mkfifo(path)
    for read in (
        lambda: list(iter_rows(path, ["a"])),
        lambda: read_text(path),
        lambda: read_yaml(path),
        lambda: read_ignore_list(path, required=True),
        lambda: read_calibration(path),
        lambda: read_archive(path),
    ):
        with pytest.raises(BriteKitError, match="a device or a pipe, not a file"):
            read()
    assert not has_columns(path, ["a"]) and read_ignore_list(os.devnull, required=True) == set()


@pytest.mark.parametrize("name", ["params.yaml", "dvc.yaml", "data/classes.csv", "data/../params.yaml"])
def test_settings_of_the_project_are_not_overwritten(tmp_path, monkeypatch, name):
    (tmp_path / "data").mkdir()
    (tmp_path / name).write_text("audio: {}")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="holds settings of the project"):
        refuse_overwriting(name)
    with pytest.raises(InputError, match="holds settings of the project"):
        refuse_overwriting(tmp_path / name)


def test_what_a_process_holds_is_told_from_what_a_dead_one_left(tmp_path):
    """Process numbers would say nothing: each container counts from 1."""
    mine = create(tmp_path / "worker")
    code = f"from pathlib import Path\nx = create(Path({str(tmp_path / 'x')!r}))\n"
    killed(f"from britekit.leftovers import create\n{code}if x:\n")
    (dead,) = [path for path in tmp_path.iterdir() if path != mine.path]
    assert is_held(mine.path) and not is_held(dead) and not is_held(tmp_path / "none")
    mine.discard()
    assert not is_held(mine.path)

"""`kill -9` at random moments: whole recordings only, and the same command again reaches its end."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from britekit import commands
from britekit.annotations.classes import ClassInfo
from britekit.config import AudioConfig
from tests.database.contents import contents, problems
from tests.inference.fakes import make_fake_member

ROOT = Path(__file__).parents[2]
RATE = 8000
PARAMS = """misc:
  search_ckpt_path: search
audio:
  spec_duration: 1.0
  spec_height: 32
  spec_width: 32
  sampling_rate: 8000
  max_freq: 3600
  win_length: 0.03
"""
# Imports everything once, then runs each command in a fork of its own: so the kill meets the work and not
# Python's start, and a hundred kills take minutes.
RUN = """
import os, sys, traceback
import britekit.database.session, britekit.datasets.storing, britekit.datasets.reextraction
import britekit.datasets.hand_edits, britekit.datasets.pickling, britekit.tracking.run
import britekit.inference.embed_database, britekit.inference.embedding
from britekit import commands
from britekit.errors import BriteKitError
for line in sys.stdin:
    name, options = eval(line)
    function = getattr(commands, name)
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.dup2(2, 1)
        try:
            function(**options)
        except BriteKitError:
            os._exit(1)
        except BaseException:
            traceback.print_exc()
            os._exit(3)
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
COMMANDS = {
    "extract-all": ("extract_all", {"class_name": "Robin", "class_code": "ROB", "dir_path": "in/Robin"}),
    "reextract": ("reextract", {"class_name": "Wren"}),
    "del-cat": ("del_cat", {"name": "birds"}),
    "pickle": ("pickle", {"output_path": "out.pkl"}),
    "embed": ("embed", {}),
}
DB = Path("data/training.db")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A database with ten recordings of two classes; ten recordings of a third wait in a folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    Path("params.yaml").write_text(PARAMS)
    rng = np.random.default_rng(0)
    for name in ("Wren", "Owl", "Robin"):
        Path("in", name).mkdir(parents=True)
        for number in range(8):
            samples = 0.1 * rng.standard_normal(RATE * 20)
            soundfile.write(f"in/{name}/{name}{number}.wav", samples, RATE)
    audio = {**yaml.safe_load(PARAMS)["audio"]}
    make_fake_member(Path("search"), [ClassInfo("Wren", "W"), ClassInfo("Owl", "O")], AudioConfig(**audio))
    commands.add_cat(str(DB), "birds")
    for name, category in (("Wren", "birds"), ("Owl", "default")):
        commands.extract_all(class_name=name, class_code=name.upper(), cat_name=category, dir_path=f"in/{name}")
    return tmp_path


class Runner:
    """Runs commands in processes of their own, and kills them if wanted."""

    def __init__(self):
        self._parent = subprocess.Popen(
            [sys.executable, "-c", RUN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )

    def run(self, function, options, after=None):
        """Run a command, killed ``after`` seconds; return its seconds and its exit code."""
        self._parent.stdin.write(f"{(function, options)!r}\n")
        self._parent.stdin.flush()
        child = int(self._parent.stdout.readline())
        start = time.perf_counter()
        if after is not None:
            time.sleep(after)
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        code = int(self._parent.stdout.readline())
        return time.perf_counter() - start, code

    def close(self):
        self._parent.stdin.close()
        self._parent.stdout.close()
        self._parent.wait(30)


@pytest.fixture
def runner():
    runner = Runner()
    yield runner
    runner.close()


def of_recordings(found):
    """Return what a database says about each recording, from every table that knows it."""
    rows = {}
    for table in ("recordings", "segments", "links", "spectrograms"):
        for row in found[table]:
            rows.setdefault(row[1], []).append((table, row))
    return rows


def check_killed(runner, name, times):
    function, options = COMMANDS[name]
    shutil.copytree("data", "before")
    if name == "reextract":  # with other settings, so that old and new spectrograms can be told apart
        Path("params.yaml").write_text(PARAMS + "  min_freq: 500\n")
    before = of_recordings(contents(DB))
    took, code = runner.run(function, options)
    assert code == 0
    wanted = contents(DB)
    after = of_recordings(wanted)
    output = Path("out.pkl").read_bytes() if name == "pickle" else None
    rng = random.Random(name)
    died = 0
    for _time in range(times):
        shutil.rmtree("data")
        shutil.copytree("before", "data")
        Path("out.pkl").unlink(missing_ok=True)
        _took, code = runner.run(function, options, rng.uniform(0.0, 1.1 * took))
        died += code == -signal.SIGKILL
        assert code in (0, -signal.SIGKILL)
        assert problems(DB) == []
        for recording, rows in of_recordings(contents(DB)).items():
            assert rows in (before.get(recording), after.get(recording)), recording
        if output is not None and Path("out.pkl").exists():
            assert Path("out.pkl").read_bytes() == output
        _took, again = runner.run(function, options)
        # What was done already before the kill cannot be removed again.
        assert again == 0 or name == "del-cat"
        assert contents(DB) == wanted
        assert output is None or Path("out.pkl").read_bytes() == output
        assert os.listdir("data") == ["training.db"]
    assert died or times < 5


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_killed(project, runner, name):
    check_killed(runner, name, 5)


@pytest.mark.soak
@pytest.mark.parametrize("name", COMMANDS)
def test_killed_a_hundred_times(project, runner, name):
    check_killed(runner, name, 100)

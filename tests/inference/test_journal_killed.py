"""Killed runs go on, to the bytes of an uninterrupted one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from britekit.inference.journal import JOURNAL
from tests.inference.conftest import CLASSES, content, write_recording
from tests.inference.fakes import make_fake_member

ROOT = Path(__file__).parents[2]


def start(*arguments: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "britekit", "analyze", "-i", "rec", *arguments]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def has_begun(folder: str) -> bool:
    path = Path(folder, JOURNAL)
    return path.exists() and path.stat().st_size > 0


def kill_at_random(moments: int, seed: int, count: int) -> None:
    """Kill runs at random moments of their work; continue each; compare with an uninterrupted one."""
    make_fake_member(Path("models/ckpt"), CLASSES, frames=12)
    for number in range(count):
        write_recording(Path(f"rec/r{number:03d}.wav"), 5.0 + 12 * (number % 7), number)
    arguments = ("-m", "0", "-r", "raven,both")
    whole = start("-o", "whole", *arguments)
    began = time.monotonic()
    while not has_begun("whole"):
        assert whole.poll() is None
        time.sleep(0.002)
    ready = time.monotonic()
    assert whole.wait(120) == 0
    working = time.monotonic() - ready
    expected = content("whole")
    rng = np.random.default_rng(seed)
    interrupted = killed = 0
    shutil.copytree("whole", "out")  # an earlier result is there half of the time
    for moment in rng.uniform(0, 1.1 * working, moments):
        run = start("-o", "out", *arguments)
        while not has_begun("out") and run.poll() is None:
            time.sleep(0.002)
        time.sleep(float(moment))
        if run.poll() is None:
            os.kill(run.pid, signal.SIGKILL)
            killed += 1
        run.wait(120)
        interrupted += Path("out", JOURNAL).exists()
        if rng.random() < 0.5:  # else the next run is killed on the way too
            assert start("-o", "out", *arguments).wait(120) == 0
            assert content("out") == expected
            if rng.random() < 0.5:
                shutil.rmtree("out")
    assert start("-o", "out", *arguments).wait(120) == 0
    assert content("out") == expected
    assert killed and interrupted, f"no run was killed at work ({began - ready:.1f} s to begin)"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_at_three_moments():
    kill_at_random(3, seed=1, count=40)


@pytest.mark.soak
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_at_fifty_moments():
    kill_at_random(50, seed=2, count=120)

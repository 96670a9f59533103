"""Whole processes, measured: seconds on the wall, seconds of processor time, largest resident memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Measured:
    """One process from start to end.

    Attributes
    ----------
    wall_s, cpu_s
        Seconds; processor time of all its threads, user and system.
    peak_mb
        Largest resident memory, 10**6 bytes.
    most_files
        Most files it had open at once; 0 where that was not watched.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float
    most_files: int = 0

    def __str__(self) -> str:
        return f"{self.wall_s:7.2f} s, {self.cpu_s:7.2f} s of processor, {self.peak_mb:6.0f} MB"


def measure(
    command: Sequence[str | Path], cwd: Path | None = None, codes: Sequence[int] = (0,), watch: bool = False
) -> Measured:
    """Run a command to its end.

    Parameters
    ----------
    codes
        Exit codes that are no failure; another one ends the benchmark with what the command said.
    watch
        Also count its open files, ten times a second.
    """
    with tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        process = subprocess.Popen(list(map(str, command)), cwd=cwd, stdout=said, stderr=said)
        most_files = _watch(process.pid) if watch else 0
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in codes:
            said.seek(0)
            raise SystemExit(
                f"{' '.join(map(str, command))} ended with {process.returncode}:\n"
                + said.read().decode(errors="replace")[-3000:]
            )
    # Linux counts in KiB, macOS in bytes.
    unit = 1024 if sys.platform != "darwin" else 1
    return Measured(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 1e6, most_files)


def _watch(process: int) -> int:
    most = 0
    while os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        try:
            most = max(most, len(os.listdir(f"/proc/{process}/fd")))
        except OSError:
            break
        time.sleep(0.1)
    return most


def ours(*arguments: str | Path) -> list[str | Path]:
    """Return a command of this package's program."""
    return [sys.executable, "-m", "britekit", *arguments]

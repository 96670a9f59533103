"""Whole runs of `extract-all`, ours beside public britekit: time, peak memory and their ratios, in one run.

    python benchmarks/extraction.py --public /path/to/public/venv/bin/britekit [--data DIR] [--quick]

Two tasks: the 320 clips of ESC-10, and four recordings of half an hour (WAV, FLAC, Ogg Vorbis, MP3) made by
joining those clips. Each run is a fresh process with its own database; the programs alternate, and the best
of each counts, so that a busy machine disturbs both alike. ``--quick``: 40 clips and one minute each, once.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import soundfile

FORMATS = ("wav", "flac", "ogg", "mp3")
RATE = 44100


@dataclass(frozen=True)
class Run:
    """One process: wall clock and processor seconds, peak resident memory in MB, rows stored."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    spectrograms: int


def main() -> int:
    """Measure both tasks and print the ratios; 1 if a program failed."""
    options = _options()
    clips = sorted((options.data / "esc10" / "recordings").rglob("*.ogg"))
    if not clips:
        print(f"Error: {options.data} has no esc10/recordings; give the folder with --data", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="extraction-") as name:
        work = Path(name)
        tasks = {"clips": work / "clips", "long": work / "long"}
        for folder in tasks.values():
            folder.mkdir()
        chosen = clips[::8] if options.quick else clips
        for clip in chosen:
            shutil.copy(clip, tasks["clips"] / clip.name)
        minutes = 1 if options.quick else options.minutes
        for extension in FORMATS:
            write_joined(clips, tasks["long"] / f"{extension}.{extension}", minutes * 60)
        print(f"clips: {len(chosen)}; long: {len(FORMATS)} recordings of {minutes} min")
        programs = {"ours": [sys.executable, "-m", "britekit"]}
        if options.public:
            programs["public"] = [options.public]
        return measure(tasks, programs, work, 1 if options.quick else options.rounds)


def measure(tasks: dict[str, Path], programs: dict[str, list[str]], work: Path, rounds: int) -> int:
    """Run every program on every task and print ``name = value`` lines."""
    for task, folder in tasks.items():
        best: dict[str, Run] = {}
        for number in range(rounds):
            for program, command in programs.items():
                run = extract(command, folder, work / f"{task}-{program}-{number}.db", work)
                if run is None:
                    print(f"Error: {program} failed on {task}", file=sys.stderr)
                    return 1
                if program not in best or run.wall_s < best[program].wall_s:
                    best[program] = run
        for program, run in best.items():
            print(
                f"{task}_{program} = {run.wall_s:.2f} s, {run.cpu_s:.2f} s of processor time, "
                f"peak {run.peak_mb:.0f} MB, {run.spectrograms} spectrograms"
            )
        if len(best) == 2:
            ours, public = best["ours"], best["public"]
            print(f"{task}_times_faster = {public.wall_s / ours.wall_s:.2f}")
            print(f"{task}_memory_ratio = {ours.peak_mb / public.peak_mb:.3f}")
    return 0


def extract(command: list[str], folder: Path, database: Path, work: Path) -> Run | None:
    """Run `extract-all` in a fresh process; None if it failed."""
    arguments = [*command, "extract-all", "-d", str(database), "--name", "Any", "--code", "ANY"]
    arguments += ["--dir", str(folder), "--overlap", "0"]
    log = work / "log.txt"
    start = time.perf_counter()
    process = os.posix_spawnp(
        arguments[0],
        arguments,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )
    # Of this child alone: RUSAGE_CHILDREN would keep the largest of all.
    _, status, usage = os.wait4(process, 0)
    wall_s = time.perf_counter() - start
    if os.waitstatus_to_exitcode(status):
        print(log.read_text()[-2000:], file=sys.stderr)
        return None
    connection = sqlite3.connect(database)
    (count,) = connection.execute("SELECT count(*) FROM SpecValue").fetchone()
    connection.close()
    return Run(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, count)


def write_joined(clips: list[Path], path: Path, seconds: int) -> None:
    """Write a recording of that length by joining clips, over and over where they do not suffice."""
    wanted = seconds * RATE
    written = number = 0
    with soundfile.SoundFile(path, "w", RATE, 1) as file:
        while written < wanted:
            samples = soundfile.read(clips[number % len(clips)], dtype="float32")[0][: wanted - written]
            # libsndfile crashes when it encodes a long Vorbis buffer in one call.
            for at in range(0, len(samples), RATE):
                file.write(samples[at : at + RATE])
            written += len(samples)
            number += 1


def _options() -> argparse.Namespace:
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--public", default=os.environ.get("BRITEKIT_PUBLIC"), help="the public program")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("BRITEKIT_DATA") or beside))
    parser.add_argument("--minutes", type=int, default=30, help="of each long recording (default: 30)")
    parser.add_argument("--rounds", type=int, default=2, help="runs of each program (default: 2)")
    parser.add_argument("--quick", action="store_true", help="small and once, to try the script")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

"""Ultrasound: memory on long recordings, and bats from training to labels.

    python benchmarks/ultrasound.py memory WORK [--minutes 6 60] [--rate 384000]
    python benchmarks/ultrasound.py bats WORK [--epochs 8] [--noise 10]

``memory`` analyzes recordings of such lengths with a small model at the settings of the profile ``bats``, each in a
process of its own, and prints the process's highest memory and its seconds of CPU. ``bats`` synthesizes calls of three
imaginary bats (a sweep from 80 to 40 kHz, a steady tone at 110 kHz, a shallow sweep from 25 to 20 kHz) at 384 kHz and
time-expanded 10 and 8 times, trains effnet.1 on recordings as they were by the commands of a project, with as many
recordings without a call in the class Noise (``--noise 0``: without), and prints recall (calls within a label of 0.5 or
more) and precision (such labels that hold a call of their class) for each way of storing the test.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

RATE = 384_000
# Class: first and last frequency in Hz, seconds.
CALLS = {"Sweep": (80_000, 40_000, 0.004), "Steady": (110_000, 110_000, 0.02), "Shallow": (25_000, 20_000, 0.012)}


def run(*arguments: str, cwd: Path) -> str:
    """Run a command of britekit and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "britekit", *arguments], cwd=cwd, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "WANDB_MODE": "disabled"},
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"britekit {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def memory(work: Path, minutes: list[float], rate: int) -> None:
    """Print the highest memory of analyze by length of the recording."""
    from britekit.annotations.classes import ClassInfo
    from britekit.config.layers import from_dict
    from britekit.config.profiles import profile
    from tests.inference.fakes import make_fake_member

    work.mkdir(parents=True, exist_ok=True)
    audio = from_dict(profile("bats")[0]).audio
    if not (work / "models").exists():
        make_fake_member(work / "models/ckpt", [ClassInfo("High", "HIGH"), ClassInfo("Low", "LOW")], audio)
    for length in minutes:
        path = work / f"r{length:g}" / "long.wav"
        path.parent.mkdir(exist_ok=True)
        rng = np.random.default_rng(1)
        with soundfile.SoundFile(path, "w", rate, 1, subtype="PCM_16") as file:
            second = (rng.standard_normal(rate) * 300).astype(np.int16)
            for _ in range(round(length * 60)):
                file.write(np.roll(second, int(rng.integers(rate))))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        code = (
            "import resource, sys; from britekit.cli import main; "
            "failed = main(['analyze', '-i', sys.argv[1], '-o', sys.argv[1] + '-out', '-m', '0.9']); "
            "print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024); sys.exit(failed)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, path.parent.name], cwd=work, capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "WANDB_MODE": "disabled"},
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        peak = done.stdout.split("peak ")[1].split()[0]
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"{length:g} min at {rate} Hz: peak {peak} MB, {seconds:.0f} s of CPU", flush=True)
        path.unlink()


def synthesize(path: Path, kinds: list[str], gap_s: float, seed: int, expansion: float = 1.0, seconds: float = 2.0):
    """Write a recording with calls of some kinds in turn, or of none; return class, start and end of each."""
    rng = np.random.default_rng(seed)
    samples = 0.002 * rng.standard_normal(round(seconds * RATE))
    found, at = [], float(rng.uniform(0.02, gap_s))
    while kinds and at < seconds - 0.05:
        kind = kinds[len(found) % len(kinds)]
        low, high, length = CALLS[kind]
        time = np.arange(round(length * RATE)) / RATE
        shift = rng.uniform(0.95, 1.05)
        phase = 2 * np.pi * shift * (low * time + (high - low) / length * time**2 / 2)
        first = round(at * RATE)
        samples[first : first + len(time)] += 10 ** rng.uniform(-2.2, -0.7) * np.sin(phase) * np.hanning(len(time))
        found.append((kind, at, at + length))
        at += float(rng.uniform(0.7, 1.3)) * gap_s
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.clip(samples, -1, 1), round(RATE / expansion), subtype="PCM_16")
    return found


def bats(work: Path, epochs: int, noise: int) -> None:
    """Train on recordings as they were, and test on such, and on ones that were stored slowed down."""
    run("init", "--profile", "bats", "--dest", str(work), cwd=ROOT)
    kinds = list(CALLS)
    for number, kind in enumerate([*kinds, "Noise"]):
        takes = noise if kind == "Noise" else 10
        for take in range(takes):
            calls = [] if kind == "Noise" else [kind]
            synthesize(work / f"train/{kind}/{kind}-{take}.wav", calls, 0.1, 100 * number + take)
        if takes:
            named = ("--dir", f"train/{kind}", "--name", kind, "--code", kind.upper())
            run("extract-all", "-d", "t.db", *named, "--force", cwd=work)
    run("pickle-train", "-d", "t.db", "-o", "t.pkl", cwd=work)
    settings = (
        f"train: {{model_type: effnet.1, num_epochs: {epochs}, train_pickle: t.pkl}}\nmisc: {{force_cpu: true}}\n"
    )
    (work / "s.yaml").write_text(settings)
    run("train", "-c", "s.yaml", "--seed", "1", "--publish", cwd=work)
    for name, factor in (("x1", 1.0), ("x8", 8.0), ("x10", 10.0)):
        rows = []
        for take in range(8):
            chosen = [kinds[take % 3]] if take < 6 else kinds
            calls = synthesize(work / f"{name}/test-{take}.wav", chosen, 0.4, 9000 + take, factor)
            rows += [(f"test-{take}", kind, f"{start:.6f}", f"{end:.6f}") for kind, start, end in calls]
        with open(work / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("recording", "class", "start_time", "end_time"), *rows])
        expanded = [] if factor == 1 else ["--time-expansion", f"{factor:g}"]
        run("analyze", "-i", name, "-o", f"{name}-labels", "-c", "s.yaml", "-m", "0", *expanded, cwd=work)
        with open(work / f"{name}-labels/scores.csv", newline="", encoding="utf-8") as file:
            labels = [row for row in csv.DictReader(file) if float(row["score"]) >= 0.5]
        heard = sum(
            any(
                x["recording"] == recording and x["name"] == kind.upper()
                and float(x["start_time"]) <= float(end) and float(x["end_time"]) >= float(start)
                for x in labels
            )
            for recording, kind, start, end in rows
        )  # fmt: skip
        wrong = sum(
            not any(
                row[0] == x["recording"] and row[1].upper() == x["name"]
                and float(x["start_time"]) <= float(row[3]) and float(x["end_time"]) >= float(row[2])
                for row in rows
            )
            for x in labels
        )  # fmt: skip
        right = len(labels) - wrong
        print(
            f"{name}: recall {heard / len(rows):.3f} ({heard} of {len(rows)} calls), "
            f"precision {right / max(1, len(labels)):.3f} ({right} of {len(labels)} labels)"
        )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("memory", "bats"))
    parser.add_argument("work", type=Path)
    parser.add_argument("--minutes", type=float, nargs="+", default=[6.0, 60.0])
    parser.add_argument("--rate", type=int, default=RATE)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--noise", type=int, default=10)
    options = parser.parse_args()
    if options.what == "memory":
        memory(options.work.resolve(), options.minutes, options.rate)
    else:
        bats(options.work.resolve(), options.epochs, options.noise)


if __name__ == "__main__":
    main()

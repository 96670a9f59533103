"""Screening: cost and detections of an ensemble with and without a student, where one window in fifty holds a call.

    python benchmarks/screening.py WORK --members DIR --student CKPT [--hours 24] [--fit-hours 6] [--lose 0.01]
        [--costly effnet.4]

--members holds trained checkpoints with exports, of the species of `sample`; --student is a small network of the same
training set. Soundscapes of ten minutes are synthesized into WORK (others for the screen than for the measurement),
`screen` makes the screen, and `analyze` runs with and without it; what is done already is not done again. --costly
also times three networks of that size with drawn weights against the student, on the same windows: its cost with
screening is time(student) + share computed x time(three). Prints CPU seconds, since other work may run beside it.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from britekit.collect.synth.soundscape import Bout, synthesize, write_flac  # noqa: E402
from britekit.collect.synth.species import first_species  # noqa: E402
from britekit.inference.screen_file import upper_bound  # noqa: E402

MINUTES, WINDOW_S, ONE_IN = 10, 5.0, 50


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--members", type=Path, required=True)
    parser.add_argument("--student", type=Path, required=True)
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--fit-hours", type=float, default=6)
    parser.add_argument("--fit-one-in", type=int, default=ONE_IN, help="windows per call where the screen is made")
    parser.add_argument("--lose", type=float, default=0.01)
    parser.add_argument("--min-score", type=float, default=0.5)
    parser.add_argument("--costly", default="effnet.4")
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    members, student = options.members.resolve(), options.student.resolve()
    os.chdir(work)
    fit, heard = Path(f"fit-{options.fit_hours:g}"), Path(f"soundscapes-{options.hours:g}")
    synthesize_all(fit, options.fit_hours, options.fit_one_in, seed=1)
    synthesize_all(heard, options.hours, ONE_IN, seed=2)
    screen = Path(f"screen-{options.lose:g}.yaml")
    low = str(options.min_score)
    common = ["--ckpt", str(members), "--min-score", low]
    Path("ignore.txt").write_text("Noise\n")
    settings = {"misc": {"force_cpu": True, "ignore_file": "ignore.txt"}}
    Path("without.yaml").write_text(yaml.safe_dump(settings))
    Path("with.yaml").write_text(yaml.safe_dump({**settings, "infer": {"screen": str(screen)}}))
    if not screen.exists():
        given = ["-i", str(fit), "--student", str(student), "-o", str(screen), "--lose", str(options.lose)]
        britekit("screen", "-c", "without.yaml", *given, *common)
    for name in ("with", "without"):
        done = Path(f"{name}-{options.hours:g}.json")
        if not done.exists():
            output = f"{name}-{options.hours:g}"
            seconds, text = britekit(
                "analyze", "-c", f"{name}.yaml", "-i", str(heard), "-o", output, "-r", "csv", *common
            )
            facts = dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)
            done.write_text(json.dumps({"cpu_s": seconds, "screened": facts.get("screened")}))
    report(options.hours, heard)
    cost(members, student, options.costly, heard, options.hours)
    return 0


def synthesize_all(folder: Path, hours: float, one_in: int, seed: int) -> None:
    """Write recordings of ten minutes in which one window in so many holds a call of one of six species."""
    folder.mkdir(exist_ok=True)
    species = first_species(6)
    for number in range(round(hours * 60 / MINUTES)):
        path = folder / f"r{number:03}.flac"
        if path.exists():
            continue
        rng = np.random.default_rng([seed, number])
        parts = []
        for _ in range(MINUTES):  # a minute at a time: a background of ten takes twice as long
            bouts = [
                Bout(species[int(rng.integers(6))], WINDOW_S * k + 0.3, WINDOW_S * k + 4.0, (-6.0, 12.0))
                for k in np.flatnonzero(rng.random(round(60 / WINDOW_S)) < 1 / one_in)
            ]
            parts.append(synthesize(rng, 60.0, bouts)[0])
        samples = np.concatenate(parts)
        write_flac(folder / "partial.flac", samples)
        (folder / "partial.flac").rename(path)


def britekit(*arguments: str) -> tuple[float, str]:
    """Run a command; return its CPU seconds and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-m", "britekit", *arguments], stdout=subprocess.PIPE, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(done.stdout[-1500:], flush=True)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def report(hours: float, folder: Path) -> None:
    """Print detections and CPU with and without."""
    rows = {name: detections(Path(f"{name}-{hours:g}")) for name in ("with", "without")}
    facts = {name: json.loads(Path(f"{name}-{hours:g}.json").read_text()) for name in rows}
    kept, every = len(rows["with"] & rows["without"]), len(rows["without"])
    share = 1 - upper_bound(every - kept, every)
    print(f"{hours:g} h, {len(list(folder.glob('r*.flac')))} recordings: {facts['with']['screened']}")
    print(f"detections {every} without, {kept} of them with the screen ({kept / every:.2%}; at least {share:.2%})")
    print(f"new with the screen: {len(rows['with'] - rows['without'])}")
    print(f"CPU of analyze: {facts['without']['cpu_s']:.0f} s without, {facts['with']['cpu_s']:.0f} s with")


def detections(folder: Path) -> set[tuple[str, ...]]:
    """Return the rows of a table of labels, without scores."""
    with open(folder / "scores.csv", encoding="utf-8", newline="") as file:
        return {tuple(row[:4]) for row in list(csv.reader(file))[1:]}


def cost(members: Path, student: Path, costly: str, folder: Path, hours: float) -> None:
    """Print the CPU of windows: spectrogram, student, ensemble; of those given, and of a larger ensemble."""
    from made_models import own_models

    text = json.loads(Path(f"with-{hours:g}.json").read_text())["screened"]
    computed = 1 - int(text.split()[0]) / int(text.split()[2])
    pairs = {"trained": (student, members)}
    small = own_models(Path("small"), "effnet.1", 1, classes=7) / "seed-1.ckpt"
    pairs[f"three {costly}, student effnet.1"] = small, own_models(Path("costly"), costly, 3, classes=7)
    for name, (one, several) in pairs.items():
        before, looked, scored = spent(one, several, sorted(folder.glob("r*.flac"))[0])
        screened = looked + computed * scored
        network, whole = scored / screened, (before + scored) / (before + screened)
        print(
            f"{name}: CPU per window {1000 * before:.2f} ms for the spectrogram, {1000 * looked:.2f} for the student, "
            f"{1000 * scored:.2f} for the ensemble; {computed:.1%} computed: networks {network:.1f} times as fast, "
            f"with spectrograms {whole:.1f} times"
        )


def spent(student: Path, members: Path, path: Path) -> tuple[float, float, float]:
    """Return CPU seconds per window of spectrogram, student and ensemble, each the best of three."""
    from britekit.audio.windows import Windows
    from britekit.inference.ensemble import load_ensemble
    from britekit.inference.model_files import resolve_for_models

    cfg, paths = resolve_for_models(None, None, str(members))
    began = time.process_time()
    images = next(Windows(path, cfg.audio, [5.0 * k for k in range(64)]).batches(64)).spectrograms
    found = [(time.process_time() - began) / 64]
    for files in ([student], paths):
        ensemble = load_ensemble(cfg, files)
        ensemble.score(images[:8])
        times = []
        for _ in range(3):
            began = time.process_time()
            ensemble.score(images)
            times.append(time.process_time() - began)
        found.append(min(times) / 64)
    return found[0], found[1], found[2]


if __name__ == "__main__":
    sys.exit(main())

"""Screening: cost and detections of an ensemble with and without a student, where one window in fifty holds a call.

    python benchmarks/screening.py WORK --members DIR --student CKPT [--hours 24] [--fit-hours 24] [--lose 0.01]
        [--costly effnet.4] [--small hgnet.1] [--small-size 64 160] [--cost-hours 1] [--public PROGRAM]

--members holds trained checkpoints with exports, of the species of `sample`; --student is a small network of the same
training set. Soundscapes of ten minutes are synthesized into WORK (of another seed for the screen than for the
measurement, and as rarely with a call), `screen --together` makes the screen, and `analyze` runs with and without it;
what is done already is not done again.

Networks trained in minutes are small, so the cost of large ones is measured beside: three of --costly and a student
--small, with drawn weights and the default spectrograms, in a screen that lets the same share of windows pass; whole
commands `analyze` on --cost-hours of these recordings, and that of a public britekit if its program is named. Prints
CPU seconds, since other work may run beside it.
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
    parser.add_argument("--fit-hours", type=float, default=24)
    parser.add_argument("--fit-one-in", type=int, default=ONE_IN, help="windows per call where the screen is made")
    parser.add_argument("--seeds", type=int, nargs=2, default=[11, 12], help="of the recordings of fit and measurement")
    parser.add_argument("--lose", type=float, default=0.01)
    parser.add_argument("--min-score", type=float, default=0.5)
    parser.add_argument("--costly", default="effnet.4")
    parser.add_argument("--small", default="hgnet.1")
    parser.add_argument("--small-size", type=int, nargs=2, default=[64, 160], help="height and width it looks at")
    parser.add_argument("--cost-hours", type=float, default=1)
    parser.add_argument("--public", type=Path, help="program of a public britekit, with OpenVINO")
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    members, student = options.members.resolve(), options.student.resolve()
    os.chdir(work)
    fit, heard = Path(f"fit-{options.fit_hours:g}"), Path(f"soundscapes-{options.hours:g}")
    synthesize_all(fit, options.fit_hours, options.fit_one_in, options.seeds[0])
    synthesize_all(heard, options.hours, ONE_IN, options.seeds[1])
    screen = Path(f"screen-{options.lose:g}.yaml")
    low = str(options.min_score)
    common = ["--ckpt", str(members), "--min-score", low]
    Path("ignore.txt").write_text("Noise\n")
    write_settings("without.yaml")
    write_settings("with.yaml", screen=str(screen))
    if not screen.exists():
        given = ["-i", str(fit), "--student", str(student), "-o", str(screen), "--lose", str(options.lose)]
        britekit("screen", "-c", "without.yaml", "--together", *given, *common)
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
    cost(options, heard)
    return 0


def write_settings(path: str, **infer: object) -> None:
    """Write settings of `analyze`, on one thread of the CPU."""
    content = {"misc": {"force_cpu": True, "ignore_file": "ignore.txt"}, "infer": {"num_threads": 1, **infer}}
    Path(path).write_text(yaml.safe_dump(content))


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
    """Run a command of britekit; return its CPU seconds and what it printed."""
    return cpu_of([sys.executable, "-m", "britekit", *arguments])


def cpu_of(command: list[str]) -> tuple[float, str]:
    """Run a program; return its CPU seconds and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
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


def cost(options: argparse.Namespace, folder: Path) -> None:
    """Print the CPU of whole commands, with and without a screen that lets as many windows pass as the trained one."""
    from made_models import own_models, public_models

    text = json.loads(Path(f"with-{options.hours:g}.json").read_text())["screened"]
    share = 1 - int(text.split()[0]) / int(text.split()[2])
    small = own_models(Path("small"), options.small, 1, None, 7, tuple(options.small_size)) / "seed-1.ckpt"
    costly = own_models(Path("costly"), options.costly, 3, None, 7)
    part = Path(f"part-{options.cost_hours:g}")
    part.mkdir(exist_ok=True)
    for path in sorted(folder.glob("r*.flac"))[: round(options.cost_hours * 60 / MINUTES)]:
        if not (part / path.name).exists():
            os.link(path, part / path.name)
    let_pass(share, costly, small, part)
    write_settings("with-costly.yaml", screen="costly.yaml")
    spent, computed = {}, ""
    for name in ("without", "with-costly"):
        given = ["-i", str(part), "-o", f"cost-{name}", "--ckpt", str(costly), "--min-score", "1"]
        spent[name], found = britekit("analyze", "-c", f"{name}.yaml", *given)
        computed = next((line for line in found.splitlines() if line.startswith("screened")), computed)
    print(
        f"three {options.costly}, student {options.small} at {options.small_size[0]} x {options.small_size[1]}, "
        f"{options.cost_hours:g} h: {computed}; CPU of analyze {spent['without']:.1f} s without, "
        f"{spent['with-costly']:.1f} s with: {spent['without'] / spent['with-costly']:.2f} times as fast"
    )
    if options.public is not None:
        theirs = public_models(options.public.absolute(), Path("public"), options.costly, 3)
        Path("data").mkdir(exist_ok=True)
        Path("data/exclude.txt").touch()  # it does nothing without this list
        given = ["-i", str(part), "-o", "cost-public", "--ckpt", str(theirs)]
        seconds, _ = cpu_of([str(options.public.absolute()), "analyze", *given])
        print(f"public: {seconds:.1f} s of CPU, {seconds / spent['with-costly']:.2f} times those with the screen")
    for name, seconds in parts(costly, small, part).items():
        print(f"CPU per window: {name} {1000 * seconds:.2f} ms")


def let_pass(share: float, members: Path, student: Path, folder: Path) -> None:
    """Write a screen whose student, of drawn weights, lets a share of the windows of a folder pass."""
    from britekit.audio.windows import Windows
    from britekit.inference.ensemble import load_ensemble
    from britekit.inference.model_files import resolve_for_models
    from britekit.inference.screen_file import ClassScreen, ScreenFile
    from britekit.inference.screening import load_student, smaller, student_scores

    ensemble = load_ensemble(*resolve_for_models("without.yaml", None, members))
    network = load_student(ensemble.cfg, ensemble, student)
    small = smaller(network, ensemble)
    best = np.concatenate([
        student_scores(network, batch.spectrograms).max(axis=1)
        for path in sorted(folder.glob("*.flac"))
        for batch in Windows(path, ensemble.audio, ensemble.grid()).batches(64, small=small)
    ])  # fmt: skip
    threshold = float(np.sort(best)[-max(1, round(share * len(best)))])
    classes = {info.name: ClassScreen(0, threshold, 0, 0.0) for info in ensemble.classes}
    file = network.members[0]
    ScreenFile(
        str(file.path), file.sha256, sorted(ensemble.sha256s), 0.01, 0.5, None, together=True, passing=share,
        classes=classes,
    ).save(Path("costly.yaml"))  # fmt: skip


def parts(members: Path, student: Path, folder: Path) -> dict[str, float]:
    """Return CPU seconds per window of spectrograms, student and ensemble, each the best of three."""
    from britekit.audio.windows import Windows
    from britekit.inference.ensemble import load_ensemble
    from britekit.inference.model_files import resolve_for_models
    from britekit.inference.screening import load_student, smaller, student_scores

    ensemble = load_ensemble(*resolve_for_models("without.yaml", None, members))
    network = load_student(ensemble.cfg, ensemble, student)
    small = smaller(network, ensemble)
    path = sorted(folder.glob("*.flac"))[0]
    windows = Windows(path, ensemble.audio, ensemble.grid())
    few = next(windows.batches(64, small=small)).spectrograms
    images = next(windows.batches(64)).spectrograms
    works = {
        "decoding": lambda: list(windows.batches(64, sound=True)),
        "decoding and spectrogram of the student": lambda: list(windows.batches(64, small=small)),
        "decoding and spectrogram of the ensemble": lambda: list(windows.batches(64)),
        "student": lambda: student_scores(network, few),
        "ensemble": lambda: ensemble.score(images),
    }
    found = {}
    for name, work in works.items():
        times = []
        for _ in range(3):
            began = time.process_time()
            work()
            times.append(time.process_time() - began)
        found[name] = min(times) / (MINUTES * 60 / WINDOW_S if name.startswith("decoding") else 64)
    return found


if __name__ == "__main__":
    sys.exit(main())

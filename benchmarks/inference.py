"""How fast is analyze beside a public britekit? Whole processes, both in one run; prints ratios and memory.

    python benchmarks/inference.py --public PROGRAM [--quick] [--rounds N] [--work DIR] [--precision bf16]

PROGRAM is the program of a public britekit with OpenVINO, installed elsewhere (or BRITEKIT_PUBLIC names it);
its models are trained by itself, once, for one epoch on a few clips. Without it our side alone is measured.
Recordings are joined clips of ESC-10, once; both go into the work folder and are kept there. Rounds
alternate, and the best of each side counts. What is wanted depends on the processor, which is named: where it has
bfloat16, public britekit computes in that by itself, and ours only if --precision says so.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from made_models import own_models, public_models
from made_recordings import clips, joined
from processes import Measured, measure, ours

FORMATS = ("wav", "flac", "ogg", "mp3")


@dataclass(frozen=True)
class Task:
    """What both programs do, and what is wanted of ours."""

    name: str
    source: Path
    model_type: str
    members: int = 1
    times_faster: float | None = None
    most_mb: float | None = None
    most_s: float | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--public", default=os.environ.get("BRITEKIT_PUBLIC"), help="program to compare with")
    parser.add_argument("--quick", action="store_true", help="two minutes for thirty, ten clips for eighty")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", default="", help="only tasks with this in their names")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "britekit-benchmark")
    parser.add_argument("--precision", default="f32", choices=("f32", "bf16"), help="infer.precision of ours")
    options = parser.parse_args()
    work: Path = options.work
    print(f"{processor()[0]}, {os.cpu_count()} cores, {options.precision}", flush=True)
    public = Path(options.public).absolute() if options.public else None
    for task in tasks(work, options.quick, options.precision):
        if options.only in task.name:
            compare(task, work, public, options.rounds, options.precision)


def processor() -> tuple[str, bool]:
    """Return the name of the processor, and whether it computes in bfloat16."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine(), False
    found: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        found.setdefault(name.strip(), value.strip())
    flags = {"avx2", "avx512f", "avx512_bf16", "amx_bf16"} & set(found.get("flags", "").split())
    return f"{found.get('model name', platform.machine())} ({' '.join(sorted(flags))})", bool(
        flags & {"avx512_bf16", "amx_bf16"}
    )


def tasks(work: Path, quick: bool, precision: str = "f32") -> list[Task]:
    """Make the inputs that are not there yet."""
    # Without bfloat16 both compute in single precision.
    one, three = (5.0, 2.5) if not processor()[1] else (4.0, 2.5 if precision == "bf16" else 1.55)
    seconds, count = (120, 10) if quick else (1800, 80)
    long = work / f"recordings-{seconds}"
    for number, ending in enumerate(FORMATS):
        joined(long / f"{ending}.{ending}", seconds, number)
    some = work / f"clips-{count}"
    some.mkdir(parents=True, exist_ok=True)
    for clip in clips(count):
        if not (some / clip.name).exists():
            shutil.copy(clip, some)
    single = work / "clip"
    single.mkdir(exist_ok=True)
    shutil.copy(clips(1)[0], single / "clip.ogg")
    return [
        Task(f"four recordings of {seconds} s, one effnet.1", long, "effnet.1", 1, one, 1000),
        Task(f"four recordings of {seconds} s, three effnet.4", long, "effnet.4", 3, three),
        Task(f"{count} clips of 5 s, one effnet.1", some, "effnet.1", 1, 10.0),
        Task("one clip of 5 s, one effnet.1", single, "effnet.1", 1, None, None, 1.5),
    ]


def compare(task: Task, work: Path, public: Path | None, rounds: int, precision: str = "f32") -> None:
    """Run a task by both and print what came out."""
    name = f"{task.model_type}-{task.members}"
    sides = {"ours": own_models(work / "ours" / name, task.model_type, task.members)}
    if public is not None:
        sides["public"] = public_models(public, work / "public" / name, task.model_type, task.members)
    found: dict[str, list[Measured]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, models in sides.items():
            program = ours() if side == "ours" else [public]
            with tempfile.TemporaryDirectory(dir=work) as place:
                # A public britekit does nothing without a list of classes to leave out.
                Path(place, "data").mkdir()
                Path(place, "data", "exclude.txt").touch()
                output = Path(place, "labels")
                command = [*program, "analyze", "-i", task.source, "-o", output, "--ckpt", models]
                if side == "ours" and precision != "f32":
                    Path(place, "settings.yaml").write_text(f"infer: {{precision: {precision}}}\n")
                    command += ["-c", "settings.yaml"]
                found[side].append(measure([*command, "-r", "both"], cwd=Path(place)))
                if len(list(output.glob("*_scores.txt"))) != len(list(task.source.iterdir())):
                    raise SystemExit(f"{side} wrote no labels for some recordings of {task.source}")
    print(task.name)
    best = {side: min(runs, key=lambda run: run.wall_s) for side, runs in found.items()}
    for side, run in best.items():
        print(f"  {side:7}{run}")
    mine = best["ours"]
    if "public" in best:
        ratio = best["public"].wall_s / mine.wall_s
        print(f"  times faster = {ratio:.2f}{_verdict(ratio, task.times_faster, 'at least')}")
        print(f"  share of the memory = {mine.peak_mb / best['public'].peak_mb:.2f}")
    if task.most_mb is not None:
        print(f"  largest memory = {mine.peak_mb:.0f} MB{_verdict(mine.peak_mb, task.most_mb, 'at most')}")
    if task.most_s is not None:
        print(f"  seconds = {mine.wall_s:.2f}{_verdict(mine.wall_s, task.most_s, 'at most')}")


def _verdict(value: float, bound: float | None, kind: str) -> str:
    if bound is None:
        return ""
    held = value >= bound if kind == "at least" else value <= bound
    return f" ({kind} {bound:g} wanted: {'held' if held else 'MISSED'})"


if __name__ == "__main__":
    main()

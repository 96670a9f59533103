"""Macro PR-AUC of the demo's 30 test recordings by seed: five networks alone, and pairs of them as the demo uses them.

    python benchmarks/demo_seeds.py PROJECT WORK [--seeds 1 2 3 4 5] [--set train.num_epochs=20 ...]

PROJECT is a folder in which `make demo` has run: its training file and test recordings are used, and networks of
`models/ckpt` too where no setting differs. Each seed is trained by `britekit train`; seed i alone, and seeds i and
i + 1 (the last with the first) as an ensemble, are scored by `analyze` and `rpt-test`. What WORK holds is not done
again. Prints CPU seconds, since other work may run beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Train, score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings that differ from the demo's"
    )
    options = parser.parse_args()
    project, work = options.project.resolve(), options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    settings = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    for one in options.set:
        name, value = one.split("=", 1)
        section, field = name.split(".")
        settings[section][field] = yaml.safe_load(value)
    settings["misc"] |= {"force_cpu": True, "ignore_file": str(project / "data/ignore.txt")}
    settings["train"]["train_pickle"] = str(project / "data/training.pkl")
    (work / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    for seed in options.seeds:
        train(project, work, seed, reuse=not options.set)
    groups = [[seed] for seed in options.seeds]
    if len(options.seeds) > 1:
        groups += [[seed, after] for seed, after in zip(options.seeds, options.seeds[1:] + options.seeds[:1])]
    found = {"+".join(map(str, group)): score(project, work, group) for group in groups}
    for title, size in (("one network", 1), ("two networks", 2)):
        values = np.array([value for name, value in found.items() if name.count("+") == size - 1])
        if len(values) > 1:
            half = 2.776 if len(values) == 5 else float("nan")  # Student's t of four degrees of freedom
            print(
                f"{title}: {values.mean():.3f} +- {half * values.std(ddof=1) / len(values) ** 0.5:.3f} of {len(values)}"
            )
    return 0


def train(project: Path, work: Path, seed: int, reuse: bool) -> None:
    """Train a seed unless WORK, or the demo itself, has it."""
    folder = work / f"seed-{seed}"
    if (folder / f"seed-{seed}.ckpt").exists():
        return
    folder.mkdir(exist_ok=True)
    demo = sorted((project / "models/ckpt").glob(f"seed-{seed}.*")) if reuse else []
    if not demo:
        seconds = britekit(work, "train", "--seed", str(seed), "--publish")
        print(f"seed {seed}: {seconds:.0f} s of CPU for training", flush=True)
        demo = sorted((work / "models/ckpt").glob(f"seed-{seed}.*"))
    # The checkpoint comes last: where it is, all is.
    for path in sorted(demo, key=lambda path: path.suffix == ".ckpt"):
        shutil.copy(path, folder / path.name)


def score(project: Path, work: Path, seeds: list[int]) -> float:
    """Return the macro PR-AUC of an ensemble of seeds."""
    name = "+".join(map(str, seeds))
    target = work / f"{name}.json"
    if not target.exists():
        members = work / f"members-{name}"
        members.mkdir(exist_ok=True)
        for seed in seeds:
            for path in (work / f"seed-{seed}").iterdir():
                shutil.copy(path, members / path.name)
        labels = str(work / f"labels-{name}")
        given = ["-i", str(project / "data/test"), "-o", labels, "--min-score", "0", "--raw", "--ckpt", str(members)]
        seconds = britekit(work, "analyze", *given)
        annotations = str(project / "data/test/annotations.csv")
        report = ["-g", "segment", "-a", annotations, "-l", labels, "-o", str(work / f"test-{name}")]
        britekit(work, "rpt-test", *report, "--metrics", str(target))
        print(f"{name}: {seconds:.0f} s of CPU for analyze", flush=True)
    value = float(json.loads(target.read_text())["macro_pr"])
    print(f"seeds {name}: macro PR-AUC {value:.4f}", flush=True)
    return value


def britekit(folder: Path, *arguments: str) -> float:
    """Run a command in a folder; return its CPU time in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "WANDB_MODE": "disabled", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "britekit", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}: {done.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    sys.exit(main())

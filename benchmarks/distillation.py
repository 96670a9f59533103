"""What does a small network learn from an ensemble? One student of five teachers on the made recordings of `sample`.

    python benchmarks/distillation.py --work DIR [--teachers 5] [--seeds 3] [--epochs 30] [--teacher effnet.2]
        [--student effnet.1] [--height 32] [--width 192] [--test 90] [--unlabeled 240] [--windows 2] [--power 1]

Builds a project in DIR: labeled clips, annotated soundscapes for the test, and soundscapes of another seed without
labels, which the teachers label (`pseudo-label`, half overlapping windows). All networks are trained for equally many
epochs of the clips, 16 clips per step; beside them, the student with teachers gets --windows unlabeled windows per
clip, without label smoothing. Prints multiply-adds of student and teachers; macro PR-AUC on the test of each teacher,
of their ensemble, and by seed of the student without and with teachers, with the 95 % interval of the paired
difference (Student's t over seeds); CPU seconds of `analyze` on the test recordings, all teachers against the student.
What is done already is not done again, so a killed run goes on.
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
from scipy import stats

# The limit of the issue: a student costs at most this share of three effnet.4.
LIMIT, LARGE = 0.08, "effnet.4"
CLIPS, WINDOW_S = 16, 5.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    numbers = {
        "teachers": 5, "seeds": 3, "epochs": 30, "height": 32, "width": 192, "test": 90, "unlabeled": 240, "windows": 2,
    }  # fmt: skip
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--teacher", default="effnet.2")
    parser.add_argument("--student", default="effnet.1")
    parser.add_argument("--power", type=float, default=1.0)
    options = parser.parse_args()
    work = options.work.absolute()
    make_data(work, options)
    os.chdir(work)
    show_cost(options)
    base = {"num_epochs": options.epochs, "batch_size": CLIPS, "min_steps": 1, "num_workers": 1}
    teachers = [
        train(f"teacher-{n}", n, {**base, "model_type": options.teacher}) for n in range(1, options.teachers + 1)
    ]
    gather("teachers", teachers)
    if not Path("windows.npz").exists():
        half = str(WINDOW_S / 2)
        labeled = ["--ckpt", "teachers", "--power", str(options.power), "--num", "1000000", "--overlap", half]
        print(britekit("pseudo-label", "-i", "unlabelled", "-o", "windows.npz", *labeled), flush=True)
    alone = {**base, "model_type": options.student}
    taught = {
        **alone, "batch_size": CLIPS * (1 + options.windows), "pseudo_labels": "windows.npz",
        "pseudo_share": round(options.windows / (1 + options.windows), 4),
        "pos_label_smoothing": 0.0, "neg_label_smoothing": 0.0,
    }  # fmt: skip
    found: list[tuple[float, float]] = []
    for seed in range(1, options.seeds + 1):
        found.append((test_of(train(f"alone-{seed}", seed, alone)), test_of(train(f"taught-{seed}", seed, taught))))
        print(f"seed {seed}: macro PR-AUC {found[-1][0]:.4f} without teachers, {found[-1][1]:.4f} with", flush=True)
    together, single = test_of(Path("teachers")), [test_of(path) for path in teachers]
    print(f"macro PR-AUC of teachers: {', '.join(f'{x:.4f}' for x in single)}; together {together:.4f}", flush=True)
    show_difference("with - without teachers", [b - a for a, b in found])
    show_difference("with - ensemble of teachers", [b - together for _, b in found])
    for _ in range(3):
        slow, quick = cpu_of(Path("teachers")), cpu_of(Path("taught-1"))
        print(f"analyze: teachers {slow:.2f} s of CPU, student {quick:.2f} s, {slow / quick:.2f} times", flush=True)


def show_difference(what: str, values: list[float]) -> None:
    """Print the mean of paired differences with its interval."""
    line = f"{what}: {np.mean(values):+.4f}"
    if len(values) > 1:
        low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
        line += f" (95 %: {low:+.4f} to {high:+.4f}, n = {len(values)})"
    print(line, flush=True)


def britekit(*arguments: str) -> str:
    """Run a command of britekit and return what it prints; one that fails ends the program."""
    done = subprocess.run(
        [sys.executable, "-m", "britekit", *arguments], env=os.environ | {"WANDB_MODE": "disabled"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"britekit {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


def make_data(work: Path, options: argparse.Namespace) -> None:
    """Make the project with its training file."""
    if (work / "data/training.pkl").exists():
        return
    britekit("init", "--dest", str(work))
    os.chdir(work)
    change("data/sources.csv", {"*,sample,*,": f"*,sample,*,{options.test},test"})
    change(
        "params.yaml",
        {"  spec_height:": f"  spec_height: {options.height}", "  spec_width:": f"  spec_width: {options.width}"},
    )
    britekit("collect")
    britekit("extract", "-d", "data/training.db")
    if not Path("unlabelled").exists():
        britekit("sample", "-o", "other", "--recordings", "1", "--test", str(options.unlabeled), "--seed", "2")
        for path in Path("other/test").glob("*.flac"):  # the tested recordings have the same names
            path.rename(path.with_name(f"other-{path.name}"))
        Path("other/test").rename("unlabelled")
        shutil.rmtree("other")
    britekit("pickle", "-d", "data/training.db", "--classes", "data/classes.csv")


def change(path: str, lines: dict[str, str]) -> None:
    """Replace the lines of a file that begin with the keys."""
    old = Path(path).read_text(encoding="utf-8").splitlines()
    new = [next((text for begin, text in lines.items() if line.startswith(begin)), line) for line in old]
    Path(path).write_text("\n".join(new) + "\n", encoding="utf-8")


def show_cost(options: argparse.Namespace) -> None:
    """Print multiply-adds of the student beside its limit."""
    rows = [line.split() for line in britekit("models", "--classes", "7").splitlines()]
    costs = {row[0]: float(row[2]) for row in rows if row and row[0] in (options.student, options.teacher, LARGE)}
    share = costs[options.student] / (3 * costs[LARGE])
    print(f"{options.student}: {share:.1%} of the multiply-adds of three {LARGE} (at most {LIMIT:.0%})")
    ratio = options.teachers * costs[options.teacher] / costs[options.student]
    print(f"{options.teachers} {options.teacher}: {ratio:.1f} times those of the student", flush=True)


def train(name: str, seed: int, settings: dict[str, object]) -> Path:
    """Train and publish one network, and return its folder; done already, it is not trained again."""
    folder = Path(name)
    if not list(folder.glob("*.ckpt")):
        lines = [f"  {key}: {value}" for key, value in settings.items()]
        Path(f"{name}.yaml").write_text("\n".join(["train:", *lines, "misc:", f"  ckpt_folder: {name}"]) + "\n")
        britekit("train", "-c", f"{name}.yaml", "--seed", str(seed), "--publish")
    return folder


def gather(name: str, folders: list[Path]) -> None:
    """Copy checkpoints and exports into one folder."""
    Path(name).mkdir(exist_ok=True)
    for folder in folders:
        for path in folder.iterdir():
            shutil.copyfile(path, Path(name, path.name))


def test_of(folder: Path) -> float:
    """Return the macro PR-AUC of the models of a folder on the test."""
    metrics = Path(f"test-{folder.name}.json")
    if not metrics.exists():
        labels = f"labels-{folder.name}"
        britekit("analyze", "-i", "data/test", "-o", labels, "--ckpt", str(folder), "--min-score", "0", "--raw")
        britekit(
            "rpt-test", "-a", "data/test/annotations.csv", "-l", labels, "-o", f"test-{folder.name}", "-g", "segment",
            "--metrics", str(metrics),
        )  # fmt: skip
    return float(json.loads(metrics.read_text(encoding="utf-8"))["macro_pr"])


def cpu_of(folder: Path) -> float:
    """Return the CPU seconds of analyzing the test recordings, the start of the program included."""
    shutil.rmtree("timed", ignore_errors=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    britekit("analyze", "-i", "data/test", "-o", "timed", "--ckpt", str(folder), "--raw")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()

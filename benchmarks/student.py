"""What do unlabeled recordings bring? Rounds of students on made soundscapes, tested at sites that no one heard.

    python benchmarks/student.py --work DIR [--seeds 1 2 3] [--rounds 2] [--recordings 20] [--archive 72] [--unseen 40]
        [--epochs 20] [--model effnet.1] [--teacher NAME=VALUE ...] [--student NAME=VALUE ...] [--label default]

For each seed: a labeled set of six species, an archive of other sites without labels, and annotated soundscapes of
further sites (`sample`); a network trained without the archive, then one after each round, each alone. Seed = that of
the sounds and of training. Prints macro PR-AUC and ROC-AUC on the segments of the unseen sites, and the 95 % interval
of the paired difference (Student's t over seeds). What is done already is not done again; --label keeps several
recipes apart, which share the data and the network without the archive.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
from pathlib import Path

import numpy as np
from scipy import stats

import britekit as bk
from britekit.collect.sample import write_samples
from britekit.config import resolve
from britekit.config.yaml_reader import dump_plain

AUDIO = {"spec_height": 64, "spec_width": 160}
STEPS = {"batch_size": 16, "min_steps": 1, "num_workers": 1}
STUDENT = {"batch_size": 32, "num_epochs": 12, "drop_path_rate": 0.15, "prob_mixup": 0.5, "prob_simple_merge": 0.25}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    for name, default in (("rounds", 2), ("recordings", 20), ("archive", 72), ("unseen", 40), ("epochs", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--model", default="effnet.1")
    parser.add_argument("--label", default="default")
    parser.add_argument("--teacher", nargs="*", default=[], help="settings of section train for all networks")
    parser.add_argument("--student", nargs="*", default=[], help="settings of section train for students")
    options = parser.parse_args()
    work = options.work.absolute()
    os.environ.setdefault("WANDB_MODE", "disabled")
    found = [measure(work / f"seed-{seed}", seed, options) for seed in options.seeds]
    for place, name in enumerate(("macro PR-AUC", "macro ROC-AUC")):
        before = np.array([rows[0][place] for rows in found])
        print(f"{name} without: {before.mean():.4f} ({', '.join(f'{x:.4f}' for x in before)})")
        for number in range(1, options.rounds + 1):
            after = np.array([rows[number][place] for rows in found])
            print(
                f"{name} after {number}: {after.mean():.4f} ({', '.join(f'{x:.4f}' for x in after)}), "
                f"difference {interval(after - before)}"
            )


def interval(difference: np.ndarray) -> str:
    """Return the mean with its 95 % interval."""
    if len(difference) < 2:
        return f"{difference.mean():+.4f}"
    half = stats.t.ppf(0.975, len(difference) - 1) * stats.sem(difference)
    return f"{difference.mean():+.4f} (95 %: {difference.mean() - half:+.4f} to {difference.mean() + half:+.4f})"


def measure(folder: Path, seed: int, options: argparse.Namespace) -> list[tuple[float, float]]:
    """Return macro PR-AUC and ROC-AUC of each round of one seed, the first without the archive."""
    if not (folder / "data/classes.csv").exists():
        write_samples(folder / "data", 6, options.recordings, 0, seed, options.archive, options.unseen)
    os.chdir(folder)
    settings: dict[str, object] = {"model_type": options.model, "num_epochs": options.epochs, **STEPS}
    settings |= assigned(options.teacher)
    teacher = write_settings(folder / "teacher.yaml", settings)
    student = write_settings(folder / f"{options.label}.yaml", settings | STUDENT | assigned(options.student))
    if not Path("training.pkl").exists():
        quietly(bk.commands.extract, cfg_path=teacher, db_path="training.db")
        quietly(
            bk.commands.pickle, cfg_path=teacher, db_path="training.db", classes_path="data/classes.csv",
            output_path="training.pkl",
        )  # fmt: skip
    rows, model = [], ""
    for number in range(options.rounds + 1):
        name = f"{options.label}-{number}" if number else "teacher"
        place = Path("runs", name)
        pseudo = None
        if number:
            pseudo = str(place / "pseudo.npz")
            if not Path(pseudo).exists():
                quietly(
                    bk.commands.pseudo_label, cfg_path=student, input_path="data/archive", output_path=pseudo,
                    ckpt_path=model, test_path="data/unseen",
                )  # fmt: skip
        model = str(place / f"seed-{seed}.ckpt")
        if not Path(model).exists():
            train(student if number else teacher, seed, pseudo, Path(model))
        metrics = place / "test.json"
        if not metrics.exists():
            test(teacher, model, place, metrics)
        values = json.loads(metrics.read_text(encoding="utf-8"))
        rows.append((values["macro_pr"], values["macro_roc"]))
        print(f"seed {seed}, {name}: macro PR-AUC {rows[-1][0]:.4f}, ROC-AUC {rows[-1][1]:.4f}", flush=True)
    return rows


def assigned(texts: list[str]) -> dict[str, object]:
    """Return settings given as NAME=VALUE."""
    return {name: json.loads(value) for name, _, value in (text.partition("=") for text in texts)}


def write_settings(path: Path, train: dict[str, object]) -> str:
    """Write a settings file; return its name."""
    misc = {"force_cpu": True, "classes_file": "data/classes.csv"}
    content = {"audio": AUDIO, "train": {**train, "train_pickle": "training.pkl"}, "misc": misc}
    path.write_text(dump_plain(content), encoding="utf-8")
    return str(path)


def train(settings: str, seed: int, pseudo: str | None, target: Path) -> None:
    """Train one network, with or without windows of the archive."""
    from britekit.training.trainer import train as run

    cfg = resolve(settings, {"train.pseudo_labels": pseudo})
    target.parent.mkdir(parents=True, exist_ok=True)
    run(cfg, seed=seed, publish=target, log_root=target.parent / "logs", resume=True)


def test(settings: str, model: str, place: Path, metrics: Path) -> None:
    """Test one network on the soundscapes of unseen sites."""
    quietly(
        bk.commands.analyze, cfg_path=settings, input_path="data/unseen", output_path=str(place / "labels"),
        ckpt_path=model, min_score=0.0, raw=True,
    )  # fmt: skip
    quietly(
        bk.commands.rpt_test, cfg_path=settings, annotations_path="data/unseen/annotations.csv",
        label_dir=str(place / "labels"), output_path=str(place / "test"), granularity="segment",
        metrics_path=str(metrics),
    )  # fmt: skip


def quietly(command: object, **arguments: object) -> None:
    """Run a command without its lines."""
    with contextlib.redirect_stdout(io.StringIO()):
        command(**arguments)  # type: ignore[operator]


if __name__ == "__main__":
    main()

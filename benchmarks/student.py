"""What do unlabeled recordings bring? Rounds of students on made soundscapes, tested at sites that no one heard.

    python benchmarks/student.py --work DIR [--seeds 1 2 3] [--rounds 2] [--recordings 20] [--archive 72] [--unseen 40]
        [--epochs 30] [--model hgnet.1] [--teacher NAME=VALUE ...] [--student NAME=VALUE ...] [--power 1.5]
        [--members 1] [--earlier] [--truth] [--label default]

For each seed: a labeled set of six species, an archive of other sites without labels, and annotated soundscapes of
further sites (`sample`); a network trained without the archive, then one after each round. All take as many steps, and
as many labeled spectrograms per step. Seed = that of the sounds and of training; with --members N, each round trains N
networks, of seeds 1000 and more apart: their mean teaches the next round, as in the pipeline, and what is compared is
the mean of their areas, each network alone. With --earlier, all networks so far teach. --truth gives the archive's
windows their true labels instead of a teacher's, which is what students could reach at best.

Prints macro PR-AUC and ROC-AUC over the windows of the unseen sites, and the 95 % interval of the paired difference
(Student's t over seeds). Labels are made by the functions of `pseudo-label`, but spectrograms are computed once, so
that trying a recipe costs little more than its training. What is done already is not done again; --label keeps several
recipes apart, which share the data and the network without the archive.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

import britekit as bk
from britekit.annotations.classes import read_classes
from britekit.annotations.held import is_held
from britekit.annotations.segments import Annotation
from britekit.archive.pseudo_labeling import confidence, sharpen
from britekit.audio.windows import Windows
from britekit.collect.sample import SampleRecording, plan_sites, write_samples
from britekit.collect.synth.soundscape import synthesize
from britekit.collect.synth.species import first_species
from britekit.config import resolve
from britekit.config.yaml_reader import dump_plain
from britekit.database.spectrograms import encode
from britekit.datasets.pseudo_labels import PseudoLabels, write_pseudo_labels
from britekit.metrics.ranking import average_precision, roc_auc
from britekit.models.checkpoint import load_checkpoint
from britekit.training.trainer import train as run_training

SPECIES, WINDOW_S = 6, 5.0
AUDIO = {"spec_height": 32, "spec_width": 192}
STEPS = {"batch_size": 8, "min_steps": 1, "num_workers": 1}
# Half of a batch are windows of the archive.
STUDENT = {"batch_size": 16, "drop_path_rate": 0.15, "prob_mixup": 0.0, "prob_simple_merge": 0.5}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    numbers = {"rounds": 2, "recordings": 20, "archive": 72, "unseen": 40, "epochs": 30, "members": 1}
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--model", default="hgnet.1")
    parser.add_argument("--label", default="default")
    parser.add_argument("--power", type=float, default=1.5)
    parser.add_argument("--earlier", action="store_true", help="networks of all earlier rounds teach")
    parser.add_argument("--truth", action="store_true")
    parser.add_argument("--teacher", nargs="*", default=[], help="settings of section train for all networks")
    parser.add_argument("--student", nargs="*", default=[], help="settings of section train for students")
    options = parser.parse_args()
    work = options.work.absolute()
    os.environ.setdefault("WANDB_MODE", "disabled")
    torch.set_num_threads(1)
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
        write_samples(folder / "data", SPECIES, options.recordings, 0, seed, options.archive, options.unseen)
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
    plans = {
        "archive": list(plan_sites(first_species(SPECIES), options.archive, seed)),
        "unseen": list(plan_sites(first_species(SPECIES), options.unseen, seed, unseen=True)),
    }
    archive, unseen = (spectrograms(name, plan, teacher) for name, plan in plans.items())
    heard = truth("unseen", plans["unseen"])
    rows: list[tuple[float, float]] = []
    teachers: list[NDArray[np.float32]] = []
    for number in range(options.rounds + 1):
        name, pseudo = f"{options.label}-{number}" if number else "teacher", None
        if number:
            labels = truth("archive", plans["archive"]) if options.truth else np.mean(teachers, axis=0)
            pseudo = str(write_labels(Path("runs", f"{name}.npz"), archive, sharpen(labels, options.power), student))
        models = [
            train(student if number else teacher, seed + 1000 * n, pseudo, Path("runs", f"{name}-{n}.ckpt"))
            for n in range(options.members)
        ]
        teachers = [*(teachers if options.earlier else ()), *(scores(model, archive) for model in models)]
        found = [scores(model, unseen) for model in models]
        rows.append((macro(average_precision, heard, found), macro(roc_auc, heard, found)))
        together = macro(average_precision, heard, [np.mean(found, axis=0)])
        print(
            f"seed {seed}, {name}: macro PR-AUC {rows[-1][0]:.4f}, ROC-AUC {rows[-1][1]:.4f}, "
            f"PR-AUC together {together:.4f}",
            flush=True,
        )
    return rows


def macro(area: Callable[..., float], heard: NDArray[np.float32], found: Sequence[NDArray[np.float32]]) -> float:
    """Return the mean area over species of networks that score the same windows."""
    return float(np.mean([area(heard[:, c], one[:, c]) for one in found for c in range(SPECIES)]))


def assigned(texts: list[str]) -> dict[str, object]:
    """Return settings given as NAME=VALUE."""
    return {name: json.loads(value) for name, _, value in (text.partition("=") for text in texts)}


def write_settings(path: Path, train: dict[str, object]) -> str:
    """Write a settings file; return its name."""
    misc = {"force_cpu": True, "classes_file": "data/classes.csv"}
    content = {"audio": AUDIO, "train": {**train, "train_pickle": "training.pkl"}, "misc": misc}
    path.write_text(dump_plain(content), encoding="utf-8")
    return str(path)


def starts_of(recording: SampleRecording) -> list[float]:
    """Return the starts of the windows of a recording."""
    return [WINDOW_S * k for k in range(int(recording.seconds // WINDOW_S))]


def spectrograms(name: str, plan: Sequence[SampleRecording], settings: str) -> NDArray[np.uint8]:
    """Return the spectrograms (N, H, W) of all windows."""
    path = Path(f"{name}.npy")
    if not path.exists():
        audio = resolve(settings).audio
        images = [
            image
            for each in plan
            for _, image in Windows(Path("data", name, f"{each.stem}.flac"), audio, starts_of(each), read_on=False)
        ]
        with open(path.with_suffix(".partial"), "wb") as file:
            np.save(file, np.rint(np.stack(images) * 255).astype(np.uint8))
        path.with_suffix(".partial").rename(path)
    return np.load(path)


def truth(name: str, plan: Sequence[SampleRecording]) -> NDArray[np.float32]:
    """Return whether windows hold each species, and noise alone (N, C)."""
    path = Path(f"{name}-truth.npy")
    if not path.exists():
        species = first_species(SPECIES)
        rows = []
        for each in plan:
            _, heard = synthesize(np.random.default_rng(each.key), each.seconds, each.bouts, each.site)
            calls = [(species.index(x.species), Annotation("", "", x.start_s, x.end_s)) for x in heard]
            for start in starts_of(each):
                row = np.zeros(SPECIES + 1, np.float32)
                for column, call in calls:
                    row[column] = max(row[column], is_held(call, start, WINDOW_S))
                row[SPECIES] = not row.any()
                rows.append(row)
        np.save(path, np.stack(rows))
    return np.load(path)


def scores(model: Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what a network says about spectrograms, (N, C)."""
    network = load_checkpoint(model).recognizer.eval()
    found = []
    with torch.inference_mode():
        for first in range(0, len(images), 64):
            batch = torch.from_numpy(images[first : first + 64]).float().div(255).unsqueeze(1)
            found.append(torch.sigmoid(network(batch)[0]).numpy())
    return np.concatenate(found)


def write_labels(path: Path, images: NDArray[np.uint8], labels: NDArray[np.float32], settings: str) -> Path:
    """Write windows with soft labels, as `pseudo-label` does."""
    encoded = [encode(image.astype(np.float32) / 255) for image in images]
    values = path.with_suffix(".values")
    values.write_bytes(b"".join(encoded))
    count = len(images)
    content = PseudoLabels(
        read_classes("data/classes.csv"), ["archive"], np.zeros(count, np.int32), WINDOW_S * np.arange(count),
        confidence(labels), labels, None, {"audio": dataclasses.asdict(resolve(settings).audio)},
    )  # fmt: skip
    write_pseudo_labels(path, content, [len(each) for each in encoded], values)
    values.unlink()
    return path


def train(settings: str, seed: int, pseudo: str | None, target: Path) -> Path:
    """Train one network, with or without windows of the archive."""
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        began = time.process_time()
        cfg = resolve(settings, {"train.pseudo_labels": pseudo})
        run_training(cfg, seed=seed, publish=target, log_root=target.parent / f"logs-{target.stem}", resume=True)
        print(f"{target.stem}: {time.process_time() - began:.0f} s of CPU", file=sys.stderr)
    return target


def quietly(command: object, **arguments: object) -> None:
    """Run a command without its lines."""
    with contextlib.redirect_stdout(io.StringIO()):
        command(**arguments)  # type: ignore[operator]


if __name__ == "__main__":
    main()

"""Accuracy on ESC-10 by family: folds held out in turn, settings never chosen on the fold they are tested on.

    python benchmarks/esc10.py prepare PATH/TO/esc10 WORK
    python benchmarks/esc10.py run WORK [--jobs N] [--epochs N]     # hours on a CPU, minutes on a GPU
    python benchmarks/esc10.py report WORK

Choice of settings, for each held-out fold: every candidate is trained without that fold and without one of
the other three, and tested on this other one, for each of the three; the candidate with the most clips right
wins. Then every family is trained on three folds and `analyze`d on the fourth, with one seed; the best family
with two more. Clips of one original recording lie in one fold. Nothing but the clips is used.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import itertools
import json
import multiprocessing
import os
import pickle
import shutil
import sys
import tempfile
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[1]
FOLDS = (1, 2, 3, 4)
# Stands for all where settings are chosen.
CHOICE_MODEL = "effnet.2"
# One size of 1 to 2 million parameters of each family.
FAMILIES = ("effnet.4", "dla.4", "gernet.4", "vovnet.5", "hgnet.4")
# What all candidates share was fixed beforehand: the spectrograms and the recipe (one label, roll, masks,
# mixup) of the first report on these clips, masks of a twelfth of each side, epochs as there was time for.
BASE = {
    "multi_label": False,
    "num_epochs": 300,
    "batch_size": 16,
    "min_steps": 1,
    "drop_rate": 0.2,
    "drop_path_rate": 0.1,
    "prob_simple_merge": 0.0,
    "prob_mixup": 0.5,
    "mixup_alpha": 0.4,
    "prob_fade1": 0.0,
}
# Of the spectrograms and of inference.
SETTINGS: dict[str, dict[str, Any]] = {
    "audio": {
        "sampling_rate": 44100,
        "min_freq": 50,
        "max_freq": 20000,
        "spec_height": 96,
        "spec_width": 256,
        "win_length": 0.04,
        "decibels": True,
    },
    "infer": {"audio_power": 1.0, "label_field": "codes"},
    "misc": {"group_regex": r"^\d-(\d+)-"},
}
MASKS = [
    {"name": "add_real_noise", "prob": 0.0},
    {"name": "shift_horizontal", "prob": 1.0, "params": {"max_shift": 128}},
    {"name": "freq_mask", "prob": 1.0, "params": {"max_width1": 8}},
    {"name": "time_mask", "prob": 1.0, "params": {"max_width2": 21}},
]
VARIED = [
    {"name": "stretch", "prob": 0.5, "params": {"max_stretch": 0.25}},
    {"name": "shift_vertical", "prob": 0.5, "params": {"max_rows": 4}},
    {"name": "equalize", "prob": 0.5, "params": {"min_gain": 0.7, "max_gain": 1.3}},
]
CANDIDATES: dict[str, dict[str, Any]] = {
    "plain": {},
    "varied": {"augmentations": VARIED},
    "varied, mixed": {"augmentations": VARIED, "prob_mixup": 1.0, "mixup_alpha": 1.0},
}


def prepare(data: Path, work: Path) -> None:
    """Store the spectrograms of all clips by the commands of a project, and the clips by fold."""
    from sqlalchemy import select

    sys.path.insert(0, str(ROOT))
    from britekit import commands
    from britekit.config import template_text
    from britekit.database.schema import Recording, Segment
    from britekit.database.session import open_database
    from britekit.datasets.training_set import read_training_set
    from examples.esc10.prepare import prepare as lay_out

    work.mkdir(parents=True)
    project = work / "project"
    lay_out(data, project)
    (project / "params.yaml").write_text(template_text(SETTINGS), encoding="utf-8")
    clips = data.resolve() / "recordings"
    sources = f'class,source,query,limit,split\n*,folder,"{clips}/*/[1-4]-*",,train\n'
    os.chdir(project)
    Path("data/sources.csv").write_text(sources + f'*,folder,"{clips}/*/4-*",,test\n')
    commands.collect()
    commands.extract()
    commands.pickle(classes_path="data/classes.csv")
    samples = read_training_set("data/training.pkl")
    with open_database("data/training.db") as session:
        rows = session.execute(select(Segment.id, Recording.filename).join(Recording)).all()
    names = dict(rows)
    os.chdir(work)
    stems = [Path(names[int(segment)]).stem for segment in samples.segment_ids]
    np.savez_compressed(
        "clips.npz",
        images=samples.images,
        labels=samples.labels.argmax(1),
        stems=stems,
        folds=[int(stem[0]) for stem in stems],
        groups=samples.group_ids,
        classes=[info.name for info in samples.classes],
        codes=[info.code for info in samples.classes],
    )
    for fold in FOLDS:
        Path(f"fold-{fold}").mkdir()
        for path in sorted(clips.glob(f"*/{fold}-*")):
            shutil.copy(path, f"fold-{fold}/{path.name}")


def train_and_score(job: dict[str, Any]) -> dict[str, Any]:
    """One network: trained without the folds of ``held_out``, and what it gives the clips in these."""
    import torch

    from britekit import commands
    from britekit.annotations.scores import ScoreTable
    from britekit.config.layers import from_dict
    from britekit.models.checkpoint import load_checkpoint
    from britekit.training.trainer import train

    begun = time.monotonic()
    clips = np.load(Path(job["work"]) / "clips.npz")
    inside = ~np.isin(clips["folds"], job["held_out"])
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(sys.stderr):
        folder = Path(name)
        write_pickle(folder / "training.pkl", clips, np.flatnonzero(inside))
        settings = settings_of(job)
        settings["train"]["train_pickle"] = str(folder / "training.pkl")
        cfg = from_dict(settings)
        checkpoint = folder / "one.ckpt"
        result = train(cfg, seed=job["seed"], publish=checkpoint, log_root=folder / "logs")
        stored = load_checkpoint(checkpoint)
        network = stored.recognizer.eval()
        images = torch.from_numpy(clips["images"][~inside]).float().div_(255.0)[:, None]
        with torch.inference_mode():
            scores = torch.softmax(network(images)[0], 1).numpy()
        found = {
            **job,
            "stems": clips["stems"][~inside].tolist(),
            "scores": scores.tolist(),
            "loss": result.loss,
            "spectrograms_per_second": result.spectrograms_per_second,
        }
        if len(job["held_out"]) == 1:
            fold = Path(job["work"]) / f"fold-{job['held_out'][0]}"
            # On the CPU, as most people will: what is measured does not depend on where it was trained.
            analysis = {"infer": settings["infer"], "misc": {"force_cpu": True}}
            (folder / "settings.yaml").write_text(yaml.safe_dump(analysis))
            commands.analyze(
                cfg_path=str(folder / "settings.yaml"),
                input_path=str(fold),
                output_path=str(folder / "labels"),
                min_score=0.0,
                ckpt_path=str(checkpoint),
            )
            table = ScoreTable.load(folder / "labels/scores.npz")
            assert [info.name for info in table.classes] == clips["classes"].tolist()
            by_clip = {
                stem: table.scores[table.row_recording == row].max(0).tolist()
                for row, stem in enumerate(table.recordings)
            }
            found["analyzed"] = [by_clip[stem] for stem in found["stems"]]
    found["seconds"] = time.monotonic() - begun
    return found


def settings_of(job: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that all candidates share, and over them what this one has of its own."""
    settings = copy.deepcopy(SETTINGS)
    more = copy.deepcopy(CANDIDATES[job["candidate"]])
    augmentations = more.pop("augmentations", []) + copy.deepcopy(MASKS)
    settings["train"] = {**BASE, **more, "model_type": job["model"], "augmentations": augmentations}
    if job["epochs"] is not None:
        settings["train"]["num_epochs"] = job["epochs"]
    return settings


def write_pickle(path: Path, clips: Any, rows: np.ndarray) -> None:
    """A training file of some of the clips."""
    count = len(clips["classes"])
    images, labels, groups = clips["images"], clips["labels"], clips["groups"]
    content = {
        "class_names": clips["classes"].tolist(),
        "class_codes": clips["codes"].tolist(),
        "alt_names": [""] * count,
        "alt_codes": [""] * count,
        "spec_values": [zlib.compress(images[row].tobytes(), 1) for row in rows],
        "spec_class_indexes": [[int(labels[row])] for row in rows],
        "spec_segment_ids": rows.tolist(),
        "spec_recording_ids": rows.tolist(),
        "spec_group_ids": groups[rows].tolist(),
        "spec_height": images.shape[1],
        "spec_width": images.shape[2],
        "audio": {},
    }
    path.write_bytes(pickle.dumps(content, protocol=4))


def run(work: Path, jobs: int, epochs: int | None) -> None:
    """Choose, train the families, train the best one twice more; results so far are in results.json."""
    truth = truth_of(work)
    results: list[dict[str, Any]] = []
    common = {"work": str(work), "epochs": epochs}

    def wave(what: str, listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
        begun, found = time.monotonic(), []
        for result in pool.imap_unordered(train_and_score, [{**common, **job} for job in listed], 1):
            found.append(result)
            results.append(result)
            (work / "results.json").write_text(json.dumps(results))
            right = accuracy(truth, result["stems"], result["scores"])
            print(
                f"{what}: {len(found)} of {len(listed)}, {result['model']} {result['candidate']} without "
                f"{result['held_out']}: {right:.3f}, {result['seconds']:.0f} s, "
                f"{result['spectrograms_per_second']:.0f} spectrograms/s",
                flush=True,
            )
        print(f"{what}: {time.monotonic() - begun:.0f} s", flush=True)
        return found

    with multiprocessing.get_context("spawn").Pool(jobs, initializer=begin_worker) as pool:
        pairs = list(itertools.combinations(FOLDS, 2))
        tried = wave(
            "choice",
            [
                {"model": CHOICE_MODEL, "candidate": name, "held_out": list(pair), "seed": 1}
                for pair in pairs
                for name in CANDIDATES
            ],
        )
        chosen = choose(truth, tried)
        print("chosen:", chosen, flush=True)
        families = wave("families", [job for model in FAMILIES for job in final_jobs(model, chosen, 1)])
        best = best_family(truth, families)
        print("best:", best, flush=True)
        wave("seeds", [job for seed in (2, 3) for job in final_jobs(best, chosen, seed)])


def begin_worker() -> None:
    """One thread each, and everything loaded."""
    import torch

    sys.path.insert(0, str(ROOT))
    torch.set_num_threads(1)
    import britekit.commands
    import britekit.training.trainer  # noqa: F401


def final_jobs(model: str, chosen: dict[int, str], seed: int) -> list[dict[str, Any]]:
    """One network for each held-out fold."""
    return [{"model": model, "candidate": name, "held_out": [fold], "seed": seed} for fold, name in chosen.items()]


def choose(truth: dict[str, int], tried: Sequence[dict[str, Any]]) -> dict[int, str]:
    """The candidate for each fold, by what was learned and tested without it."""
    chosen = {}
    for fold in FOLDS:
        right = dict.fromkeys(CANDIDATES, 0)
        for result in tried:
            if fold not in result["held_out"]:
                continue
            for stem, scores in zip(result["stems"], result["scores"], strict=True):
                if int(stem[0]) != fold:
                    right[result["candidate"]] += int(np.argmax(scores) == truth[stem])
        chosen[fold] = max(right, key=lambda name: right[name])
        print(f"fold {fold}: clips right {right}", flush=True)
    return chosen


def best_family(truth: dict[str, int], results: Sequence[dict[str, Any]]) -> str:
    """The family with the most clips right over all folds, with its first seed."""
    right = {
        model: np.mean([accuracy(truth, r["stems"], r["analyzed"]) for r in results if r["model"] == model])
        for model in FAMILIES
    }
    return max(right, key=lambda model: right[model])


def truth_of(work: Path) -> dict[str, int]:
    """Class of each clip."""
    clips = np.load(work / "clips.npz")
    return dict(zip(clips["stems"].tolist(), clips["labels"].tolist(), strict=True))


def accuracy(truth: dict[str, int], stems: Sequence[str], scores: Any) -> float:
    """Share of the clips whose own class has the highest score."""
    return float(np.mean(np.argmax(scores, 1) == [truth[stem] for stem in stems]))


def report(work: Path) -> None:
    """Print figures with 95 % intervals, by resampling original recordings within folds."""
    results = [r for r in json.loads((work / "results.json").read_text()) if "analyzed" in r]
    clips = np.load(work / "clips.npz")
    row_of = {stem: row for row, stem in enumerate(clips["stems"].tolist())}

    def filled(model: str, seed: int) -> np.ndarray:
        scores = np.full((len(row_of), len(clips["classes"])), np.nan)
        for result in results:
            if result["model"] == model and result["seed"] == seed:
                scores[[row_of[stem] for stem in result["stems"]]] = result["analyzed"]
        assert not np.isnan(scores).any(), f"{model} with seed {seed} lacks a fold"
        return scores

    differences = [np.abs(np.array(r["scores"]) - r["analyzed"]).max() for r in results]
    print(f"scores of 8-bit spectrograms and of `analyze` differ by at most {max(differences):.3f}")
    print(f"{'':28}{'accuracy':>22}{'macro PR-AUC':>22}{'macro ROC-AUC':>22}  by fold")
    for model in FAMILIES:
        line(f"{model}, seed 1", filled(model, 1), clips)
    best = max(FAMILIES, key=lambda m: sum(r["seed"] > 1 for r in results if r["model"] == m))
    seeds = [filled(best, seed) for seed in (1, 2, 3)]
    for seed, scores in enumerate(seeds, 1):
        if seed > 1:
            line(f"{best}, seed {seed}", scores, clips)
    single = np.array([figures(scores, clips, np.arange(len(row_of))) for scores in seeds])
    means = "".join(
        f"{f'{m:.3f} (stdev {s:.3f})':>22}" for m, s in zip(single.mean(0), single.std(0, ddof=1), strict=True)
    )
    print(f"{f'{best}, mean of three seeds':28}{means}")
    line(f"{best}, ensemble of three", np.mean(seeds, axis=0), clips)
    line("five families, seed 1", np.mean([filled(m, 1) for m in FAMILIES], axis=0), clips)


def line(name: str, scores: np.ndarray, clips: Any) -> None:
    """Print one row: the figure and its interval."""
    rng = np.random.default_rng(0)
    folds, groups = clips["folds"], clips["groups"]
    whole = figures(scores, clips, np.arange(len(folds)))
    drawn = []
    for _ in range(500):
        rows = []
        for fold in FOLDS:
            inside = np.flatnonzero(folds == fold)
            of_group = [inside[groups[inside] == group] for group in np.unique(groups[inside])]
            rows += [of_group[pick] for pick in rng.integers(len(of_group), size=len(of_group))]
        drawn.append(figures(scores, clips, np.concatenate(rows)))
    low, high = np.nanquantile(np.array(drawn), [0.025, 0.975], axis=0)
    cells = "".join(f"{f'{a:.3f} ({b:.3f}-{c:.3f})':>22}" for a, b, c in zip(whole, low, high, strict=True))
    right = scores.argmax(1) == clips["labels"]
    print(f"{name:28}{cells}  {' '.join(f'{right[folds == fold].mean():.3f}' for fold in FOLDS)}")


def figures(scores: np.ndarray, clips: Any, rows: np.ndarray) -> np.ndarray:
    """Accuracy, macro PR-AUC and macro ROC-AUC, each the mean over the folds' own."""
    from britekit.metrics.ranking import average_precision, roc_auc

    found = []
    for fold in FOLDS:
        inside = rows[clips["folds"][rows] == fold]
        truth = clips["labels"][inside]
        classes = [c for c in range(scores.shape[1]) if 0 < (truth == c).sum() < len(truth)]
        found.append(
            [
                np.mean(scores[inside].argmax(1) == truth),
                np.mean([average_precision(truth == c, scores[inside, c]) for c in classes]),
                np.mean([roc_auc(truth == c, scores[inside, c]) for c in classes]),
            ]
        )
    return np.mean(found, axis=0)


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    for step in ("prepare", "run", "report"):
        sub = steps.add_parser(step)
        if step == "prepare":
            sub.add_argument("data", type=Path)
        sub.add_argument("work", type=Path)
        if step == "run":
            sub.add_argument("--jobs", type=int, default=1, help="networks trained side by side")
            sub.add_argument("--epochs", type=int, help="default: those of the settings")
    options = parser.parse_args()
    work = options.work.resolve()
    if options.step == "prepare":
        prepare(options.data.resolve(), work)
    elif options.step == "run":
        run(work, options.jobs, options.epochs)
    else:
        report(work)
    return 0


if __name__ == "__main__":
    sys.exit(main())

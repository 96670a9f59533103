"""ESC-10 in minutes per network: recipes chosen by nested cross-validation, single networks and ensembles.

    python benchmarks/esc10_short.py choose WORK --only NAME ...   # WORK as of `benchmarks/recipes.py prepare`
    python benchmarks/esc10_short.py outer WORK [--seeds 1 2 3] [--members NAME ...]
    python benchmarks/esc10_short.py report WORK

``choose`` trains each recipe on two folds and scores the other two apart, for the pairs 1 + 2 and 3 + 4. The score of
fold g chooses the recipe of its partner f, for which f itself was not used: the mean of accuracy and macro PR-AUC.
``outer`` trains the recipe chosen for f on the other three folds and scores f once. Clips of one original recording lie
in one fold. Every run is a line in WORK/short.csv, and its scores, of the clip as it is and rolled in time, and its
checkpoint lie in WORK/short; what is there is not run again. Training is measured in seconds of CPU.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from recipes import AUDIO, FOLDS, PAIRS, SIZE, Data, read_runs, write_pickle

FIELDS = ("held_out", "recipe", "seed", "fold", "top1", "top1_shifts", "macro_pr", "pr_shifts", "steps", "cpu_s")
SHIFTS = (0, -6, 6, -16, 16, -40, 40)
# What all recipes share is what `examples/esc10` trains with, for the shorter time.
BASE: dict[str, Any] = {
    "multi_label": False,
    "batch_size": 16,
    "min_steps": 1,
    "drop_rate": 0.2,
    "drop_path_rate": 0.1,
    "prob_simple_merge": 0.0,
    "prob_mixup": 0.5,
    "mixup_alpha": 0.4,
    "prob_fade1": 0.0,
    "swa_portion": 0.25,
}
ROLL = [{"name": "add_real_noise", "prob": 0.0}, {"name": "shift_horizontal", "prob": 1.0, "params": {"max_shift": 64}}]
MASKS = [
    {"name": "freq_mask", "prob": 1.0, "params": {"max_width1": 5}},
    {"name": "time_mask", "prob": 1.0, "params": {"max_width2": 10}},
]
VARIED = [
    {"name": "stretch", "prob": 0.5, "params": {"max_stretch": 0.25}},
    {"name": "shift_vertical", "prob": 0.5, "params": {"max_rows": 2}},
]
STYLE = [{"name": "freq_mix_style", "prob": 0.5}]
DECIBELS = {"decibels": True}
ALL = ROLL + MASKS + VARIED + STYLE
LARGER = {"spec_height": 96, "spec_width": 256}
EXAMPLE = {
    "epochs": 50,
    "model_type": "effnet.2",
    "swa_portion": 0.0,
    "augmentations": [
        {"name": "add_real_noise", "prob": 0.0},
        {"name": "shift_horizontal", "prob": 1.0, "params": {"max_shift": 128}},
        {"name": "freq_mask", "prob": 1.0, "params": {"max_width1": 6}},
        {"name": "time_mask", "prob": 1.0, "params": {"max_width2": 16}},
    ],
}
RECIPES: dict[str, dict[str, Any]] = {
    "vovnet": {"audio": DECIBELS, "epochs": 90, "model_type": "vovnet.1", "augmentations": ALL},
    "vovnet, PCEN": {"audio": {}, "epochs": 85, "model_type": "vovnet.1", "front": "pcen", "augmentations": ALL},
    "dla, PCEN": {"audio": {}, "epochs": 46, "model_type": "dla.1", "front": "pcen", "augmentations": ALL},
    "vovnet, PCEN, variants": {
        "audio": {}, "epochs": 85, "model_type": "vovnet.1", "front": "pcen", "augmentations": ALL, "variants": 4,
    },
    # On folds 1 and 2 only: the former settings of `examples/esc10` for fewer epochs, with PCEN, and today's.
    "example": {"audio": {**LARGER, **DECIBELS}, **EXAMPLE},
    "example, PCEN": {"audio": LARGER, **EXAMPLE, "front": "pcen"},
    "example, longer": {"audio": {}, "epochs": 170, "model_type": "vovnet.1", "front": "pcen", "augmentations": ALL},
}  # fmt: skip


def train_and_score(data: Data, work: Path, held_out: tuple[int, ...], recipe: str, seed: int) -> list[dict[str, Any]]:
    """Train without some folds, and return a row for each of them; scores and checkpoint go to WORK/short."""
    from britekit.config.layers import from_dict
    from britekit.training.trainer import train

    settings = dict(RECIPES[recipe])
    audio, epochs, count = settings.pop("audio"), settings.pop("epochs"), settings.pop("variants", 0)
    images, owner = data.images(audio)
    out = np.isin(data.folds[owner], held_out)
    stem = f"{recipe}-{'+'.join(map(str, held_out))}-{seed}".replace(", ", "-")
    checkpoint = work / "short" / f"{stem}.ckpt"
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(sys.stderr):
        folder = Path(name)
        inside = np.flatnonzero(~out)
        varied = [v[inside] for v in variants(data, audio, count)]
        write_pickle(folder / "training.pkl", data, images, owner, inside, varied)
        section = {**BASE, "num_epochs": epochs, "train_pickle": str(folder / "training.pkl"), **settings}
        sizes = {**SIZE, **AUDIO[data.name], **audio}
        cfg = from_dict({"audio": sizes, "train": section, "misc": {"force_cpu": True}})
        result = train(cfg, seed=seed, publish=checkpoint, log_root=folder / "logs")
    seconds = time.process_time() - begun
    scores = score(checkpoint, images[out])
    np.savez(checkpoint.with_suffix(".npz"), scores=scores, recordings=owner[out])
    rows = []
    for fold in held_out:
        found = [figures(data, scores[:shifts].mean(0), owner[out], fold) for shifts in (1, len(SHIFTS))]
        values = (found[0][0], found[1][0], found[0][1], found[1][1])
        cells = [f"{value:.5f}" for value in values]
        row = ("+".join(map(str, held_out)), recipe, seed, fold, *cells, result.epochs[-1]["step"], f"{seconds:.1f}")
        rows.append(dict(zip(FIELDS, map(str, row), strict=True)))
    return rows


def variants(data: Data, audio: dict[str, Any], count: int) -> list[np.ndarray]:
    """Return stored variants of the spectrograms, each (N, H, W); computed once."""
    from britekit.config.layers import from_dict
    from britekit.database.spectrograms import decode
    from britekit.datasets.waveform_variants import WaveformVariants

    path = data.work / f"{data.name}-variants-{count}-{'-'.join(audio) or 'plain'}.npz"
    if count and not path.exists():
        sizes = {**SIZE, **AUDIO[data.name], **audio}
        cfg = from_dict({"audio": sizes, "pipeline": {"extract_variants": count}})
        maker, found = WaveformVariants(cfg), []
        for recording in data.recordings:
            made = list(maker.of(Path(recording["path"]), [0.0], cfg.audio))[0]
            found.append([decode(value, SIZE["spec_height"], SIZE["spec_width"]) for value in made])
        np.savez_compressed(path, images=np.array(found).swapaxes(0, 1))
    return list(np.load(path)["images"]) if count else []


def score(checkpoint: Path, images: np.ndarray) -> np.ndarray:
    """Return the probabilities (S, N, C) of spectrograms (N, H, W), each rolled in time by the shifts."""
    import torch

    from britekit.models.checkpoint import load_checkpoint

    network = load_checkpoint(checkpoint).recognizer.eval()
    found = []
    with torch.inference_mode():
        x = torch.from_numpy(images).float().div_(255.0)[:, None]
        for shift in SHIFTS:
            parts = [torch.softmax(network(part)[0], 1) for part in torch.roll(x, shift, 3).split(16)]
            found.append(torch.cat(parts).numpy())
    return np.stack(found)


def figures(data: Data, scores: np.ndarray, owner: np.ndarray, fold: int) -> tuple[float, float]:
    """Return the accuracy and the macro PR-AUC of a fold, by scikit-learn."""
    from sklearn.metrics import average_precision_score

    inside = data.folds[owner] == fold
    truth = data.truth[owner[inside]]
    right = truth[np.arange(len(truth)), scores[inside].argmax(1)].mean()
    return float(right), float(average_precision_score(truth, scores[inside], average="macro"))


def run(data: Data, work: Path, held_out: tuple[int, ...], recipe: str, seed: int) -> list[dict[str, Any]]:
    """Return the rows of a run, from the table if it is there."""
    path, name = work / "short.csv", "+".join(map(str, held_out))
    done = [r for r in read_runs(path) if (r["held_out"], r["recipe"], r["seed"]) == (name, recipe, str(seed))]
    if len(done) == len(held_out):
        return done
    rows = train_and_score(data, work, held_out, recipe, seed)
    new = not path.exists()
    with open(path, "a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS)
        if new:
            writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    return rows


def chosen(work: Path, fold: int) -> list[str]:
    """Return the recipes for an outer fold, the best of its partner first."""
    partner = next(g for pair in PAIRS if fold in pair for g in pair if g != fold)
    found = {
        row["recipe"]: (float(row["top1_shifts"]) + float(row["pr_shifts"])) / 2
        for row in read_runs(work / "short.csv")
        if "+" in row["held_out"]
        and row["fold"] == str(partner)
        and row["seed"] == "1"
        and not row["recipe"].startswith("example")
    }
    return sorted(found, key=lambda name: -found[name])


def outer(data: Data, work: Path, places: list[int], seeds: list[int]) -> None:
    """Train, for each fold, the recipes in these places of its choice."""
    for place in places:
        for seed in seeds:
            for fold in FOLDS:
                ranked = chosen(work, fold)
                print(f"fold {fold}: {', '.join(ranked)}", flush=True)
                run(data, work, (fold,), ranked[place], seed)


def report(data: Data, work: Path) -> None:
    """Print the means over the four folds for each place of the choice and seed, and of ensembles."""
    rows = [row for row in read_runs(work / "short.csv") if "+" not in row["held_out"]]
    members: dict[int, dict[tuple[str, str], np.ndarray]] = {fold: {} for fold in FOLDS}
    for row in rows:
        stem = f"{row['recipe']}-{row['held_out']}-{row['seed']}".replace(", ", "-")
        members[int(row["fold"])][row["recipe"], row["seed"]] = np.load(work / "short" / f"{stem}.npz")["scores"]
    for shifts in (1, len(SHIFTS)):
        table: dict[str, list[tuple[float, float]]] = {}
        for fold in FOLDS:
            owner = np.flatnonzero(data.folds == fold)
            order = sorted(members[fold], key=lambda key: (chosen(work, fold).index(key[0]), key[1]))
            own = [members[fold][key][:shifts].mean(0) for key in order]
            for number, scores in enumerate(own):
                table.setdefault(f"network {number + 1}", []).append(figures(data, scores, owner, fold))
            for size in range(2, len(own) + 1):
                mean = np.mean(own[:size], axis=0)
                table.setdefault(f"ensemble of {size}", []).append(figures(data, mean, owner, fold))
        print(f"\n{shifts} of the shifts")
        for name, values in table.items():
            by_fold = " ".join(f"{right:.3f}" for right, _ in values)
            right, precision = np.mean(values, axis=0)
            print(f"  {name:14} accuracy {right:.3f}, macro PR-AUC {precision:.3f} ({len(values)} folds: {by_fold})")


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    for step in ("choose", "outer", "report"):
        sub = steps.add_parser(step)
        sub.add_argument("work", type=Path)
        if step == "choose":
            sub.add_argument("--pairs", type=int, nargs="+", default=(1, 2), choices=(1, 2), help="1: folds 1 and 2")
            sub.add_argument("--only", nargs="+", default=list(RECIPES), choices=RECIPES, metavar="NAME")
        if step == "outer":
            sub.add_argument("--seeds", nargs="+", type=int, default=[1])
            sub.add_argument("--places", nargs="+", type=int, default=[0], help="0: what was chosen, 1: the next")
    options = parser.parse_args()
    os.environ["WANDB_MODE"] = "disabled"
    work = options.work.resolve()
    (work / "short").mkdir(exist_ok=True)
    data = Data(work, "esc10")
    if options.step == "report":
        report(data, work)
    elif options.step == "outer":
        outer(data, work, options.places, options.seeds)
    else:
        for recipe in options.only:
            for number in options.pairs:
                run(data, work, PAIRS[number - 1], recipe, 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())

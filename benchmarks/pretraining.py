"""Does pre-training help where clips are few? Networks from new weights against networks from `pretrain`, paired.

    python benchmarks/recipes.py prepare WORK --data DIR        # DIR holds esc10/ and insects/
    python benchmarks/pretraining.py run WORK [--sets esc10 insects sample] [--folds 1 2 3 4] [--seeds 3] [--clips 5]
    python benchmarks/pretraining.py report WORK

For each set and fold, a backbone (effnet.1, 64 x 128) is pre-trained on the recordings of the other three folds without
their labels. A few clips per class of these folds then train a network from new weights and one from the backbone, with
the same clips, steps and seed; both are scored once on the held-out fold. ``probe`` is the macro PR-AUC of a logistic
regression on the frozen backbone's features with the same clips, for new weights too. Every run is a line in
WORK/pretraining.csv; what is there is not run again.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import recipes

FIELDS = ("set", "fold", "seed", "clips", "steps", "start", "macro_pr", "top1", "probe", "loss", "cpu_s")


def settings(data: recipes.Data, start: Path | None, **train: Any) -> Any:
    """Return the settings of a run."""
    from britekit.config.layers import from_dict

    section = {"model_type": recipes.MODEL, "load_ckpt_path": None if start is None else str(start), **train}
    audio = {**recipes.SIZE, **recipes.AUDIO[data.name]}
    return from_dict({"audio": audio, "train": section, "misc": {"force_cpu": True}})


def pretrained(work: Path, data: recipes.Data, fold: int, steps: int) -> Path:
    """Return the backbone that learned from the other folds, pre-trained once."""
    from britekit.collect.test_recordings import TestRecordings
    from britekit.pretraining.run import pretrain

    path = work / f"backbone-{data.name}-{fold}-{steps}.ckpt"
    if not path.exists():
        cfg = settings(data, None)
        cfg.pretrain.num_steps = steps
        paths = [Path(r["path"]) for r in data.recordings if r["fold"] != fold]
        root = Path(os.path.commonpath(paths))
        pretrain(cfg, paths, root, TestRecordings((), work / "none", None), path, log_root=work / "logs")
    return path


def choose(data: recipes.Data, fold: int, clips: int, seed: int) -> np.ndarray:
    """Return the recordings to train with: so many of each class, from the other folds."""
    rng, chosen = np.random.default_rng(seed), []
    for column in range(len(data.classes)):
        rows = np.flatnonzero((data.truth[:, column] > 0) & (data.folds != fold))
        chosen += rng.permutation(rows)[:clips].tolist()
    return np.unique(chosen)


def run_one(work: Path, data: recipes.Data, fold: int, seed: int, clips: int, epochs: int, start: Path | None) -> Any:
    """Train and score one network; return macro PR-AUC, top-1, probe, loss and seconds of CPU time."""
    import torch

    from britekit.models.checkpoint import load_checkpoint
    from britekit.training.preparation import make_recognizer
    from britekit.training.trainer import train

    images, owner = data.images({})
    rows, begun = np.flatnonzero(np.isin(owner, choose(data, fold, clips, seed))), time.process_time()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recipes.write_pickle(folder / "training.pkl", data, images, owner, rows)
        cfg = settings(data, start, num_epochs=epochs, train_pickle=str(folder / "training.pkl"))
        result = train(cfg, seed=seed, publish=folder / "one.ckpt", log_root=folder / "logs")
        stored = load_checkpoint(folder / "one.ckpt")
    torch.manual_seed(seed)
    untrained = make_recognizer(cfg, stored.classes).eval()
    x = torch.from_numpy(images).float().div_(255.0)[:, None]
    with torch.inference_mode():
        scores = torch.cat([torch.sigmoid(stored.recognizer(part)[0]) for part in x.split(64)]).numpy()
        features = torch.cat([untrained.embed(part) for part in x.split(64)]).numpy()
    precision, right = data.score(scores, owner, fold)
    probe, _ = data.score(probed(features, data.truth[owner], rows), owner, fold)
    return precision, right, probe, result.loss, time.process_time() - begun, int(result.epochs[-1]["step"])


def probed(features: np.ndarray, truth: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the scores (N, C) of a logistic regression per class."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    x = StandardScaler().fit(features[rows]).transform(features)
    fits = [LogisticRegression(C=0.1, max_iter=500).fit(x[rows], truth[rows, c]) for c in range(truth.shape[1])]
    return np.stack([fit.predict_proba(x)[:, 1] for fit in fits], axis=1)


def run(work: Path, sets: list[str], folds: list[int], seeds: int, clips: int, epochs: int, steps: int) -> None:
    """Run what is not in the table yet."""
    path = work / "pretraining.csv"
    done = {tuple(row[name] for name in FIELDS[:6]) for row in recipes.read_runs(path)}
    for name in sets:
        data = recipes.Data(work, name)
        for fold in folds:
            for seed in range(1, seeds + 1):
                for start in ("new", "pretrained"):
                    key = (name, str(fold), str(seed), str(clips), str(steps), start)
                    if key in done:
                        continue
                    backbone = pretrained(work, data, fold, steps) if start == "pretrained" else None
                    *found, count = run_one(work, data, fold, seed, clips, epochs, backbone)
                    new = not path.exists()
                    with open(path, "a", newline="", encoding="utf-8") as file:
                        lines = csv.writer(file)
                        lines.writerows([FIELDS] if new else [])
                        lines.writerow([*key, *(f"{value:.4f}" for value in found)])
                    print(
                        *key, f"{count} training steps, macro PR-AUC {found[0]:.3f}, probe {found[2]:.3f}", flush=True
                    )


def report(work: Path) -> None:
    """Print the paired differences of each set, with their 95 % intervals over folds and seeds."""
    rows = recipes.read_runs(work / "pretraining.csv")
    for key in dict.fromkeys((row["set"], row["clips"], row["steps"]) for row in rows):
        for figure in ("macro_pr", "probe"):
            own = [row for row in rows if (row["set"], row["clips"], row["steps"]) == key]
            values = {(row["fold"], row["seed"], row["start"]): float(row[figure]) for row in own}
            pairs = [
                (value, values[fold, seed, "pretrained"])
                for (fold, seed, start), value in values.items()
                if start == "new" and (fold, seed, "pretrained") in values
            ]
            if pairs:
                new, pre = np.array(pairs).T
                low, high = recipes.interval(pre - new)
                where = f"{key[0]}, {key[1]} clips per class, {key[2]} steps: {figure}"
                gain = f"{(pre - new).mean():+.3f} ({low:+.3f} to {high:+.3f}; {len(pairs)} pairs)"
                print(f"{where} {new.mean():.3f} new, {pre.mean():.3f} pre-trained: {gain}")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "report"))
    parser.add_argument("work", type=Path)
    parser.add_argument("--sets", nargs="+", default=list(recipes.SETS), choices=recipes.SETS)
    parser.add_argument("--folds", nargs="+", type=int, default=list(recipes.FOLDS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--clips", type=int, default=5, help="clips per class")
    parser.add_argument("--epochs", type=int, default=None, help="of the training (default: about 2,500 steps)")
    parser.add_argument("--steps", type=int, default=300, help="of the pre-training")
    given = parser.parse_args()
    if given.what == "report":
        report(given.work)
    else:
        run(given.work, given.sets, given.folds, given.seeds, given.clips, given.epochs, given.steps)


if __name__ == "__main__":
    main()

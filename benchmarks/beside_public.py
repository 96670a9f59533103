"""Insects beside public britekit 1.8.4: the same spectrograms and CPU time of training, held-out sources.

    python benchmarks/beside_public.py WORK --python PATH [--seconds 60]   # WORK as of `benchmarks/recipes.py prepare`

PATH is the Python of an environment that has public britekit 1.8.4. The split is that of `split.csv` (87 recordings for
training, 53 for testing, sources whole). Each run first trains two epochs, and from their CPU time takes the number of
epochs that fill the given seconds. Scores are the maximum over a recording's windows; macro PR-AUC is scikit-learn's.
Runs are lines in WORK/public.csv; what is there is not run again.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from recipes import AUDIO, ROOT, SIZE, Data, read_runs, write_pickle

FIELDS = ("program", "settings", "seed", "epochs", "cpu_s", "macro_pr", "top1")
PLAIN = {"front": None, "prob_simple_merge": 0.32, "prob_mixup": 0.0}
MIXUP = {"front": None, "prob_simple_merge": 0.0, "prob_mixup": 0.5}
# Of public britekit, its defaults with their own epochs, then five sets chosen by hand, which fill the time; of this
# version the defaults and candidates for `--preset few`. "power" is the exponent of the spectrograms.
PUBLIC: dict[str, dict[str, Any]] = {
    "defaults, 10 epochs": {"num_epochs": 10},
    "defaults": {},
    "batch 16": {"batch_size": 16},
    "batch 8": {"batch_size": 8},
    "batch 16, rate 0.002, AdamW": {"batch_size": 16, "learning_rate": 0.002, "optimizer": "adamw"},
    "batch 8, mixup for merge": {"batch_size": 8, "prob_simple_merge": 0.0, "prob_mixup": 0.5},
}
OURS: dict[str, dict[str, Any]] = {
    "defaults": PLAIN,
    "mixup for merge": MIXUP,
    "PCEN": {**PLAIN, "front": "pcen"},
    "PCEN, mixup for merge": {**MIXUP, "front": "pcen"},
}
# Run by either interpreter, one thread: train, score the test's spectrograms, say how long it took.
RUN = """
import glob, json, os, sys, time
job = json.load(open(sys.argv[1]))
if job["public"]:
    sys.modules["openvino"] = None
import numpy as np, torch
import britekit as bk
torch.set_num_threads(1)
def train(epochs, folder):
    cfg = bk.get_config()
    for key, value in job["audio"].items():
        setattr(cfg.audio, key, value)
    more = {"num_workers": 0, "num_epochs": epochs, "seed": job["seed"], "train_pickle": job["pickle"]}
    for key, value in {**more, **job["train"]}.items():
        setattr(cfg.train, key, value)
    cfg.misc.force_cpu, cfg.misc.ckpt_folder = True, folder
    if job["public"]:
        bk.Trainer().run()
        return max(glob.glob("**/*.ckpt", recursive=True), key=os.path.getmtime)
    from britekit.training.trainer import train
    train(cfg, seed=job["seed"], publish=folder + "/one.ckpt", log_root=folder + "/logs")
    return folder + "/one.ckpt"
fixed = job["train"].pop("num_epochs", None)
train(1, job["folder"] + "/a")
begun = time.process_time(); train(2, job["folder"] + "/b"); each = (time.process_time() - begun) / 2
epochs = fixed or max(1, round(job["seconds"] / each))
begun = time.process_time(); path = train(epochs, job["folder"] + "/c"); seconds = time.process_time() - begun
if job["public"]:
    network = bk.load_from_checkpoint(path).eval()
else:
    from britekit.models.checkpoint import load_checkpoint
    network = load_checkpoint(path).recognizer.eval()
x = torch.from_numpy(np.load(job["test"])).float().div_(255)[:, None]
with torch.inference_mode():
    scores = torch.cat([torch.sigmoid(network(part)[0]) for part in x.split(16)]).numpy()
np.save(job["folder"] + "/scores.npy", scores)
print("DONE", json.dumps([epochs, seconds]))
"""


def run(data: Data, python: str, name: str, settings: dict[str, Any], seed: int, seconds: float) -> dict[str, Any]:
    """Train and score one set of settings."""
    from sklearn.metrics import average_precision_score

    settings = dict(settings)
    audio = {"power": settings.pop("power")} if "power" in settings else {}
    images, owner = data.images(audio)
    test = data.folds[owner] == 1
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_pickle(place / "training.pkl", data, images, owner, np.flatnonzero(~test))
        np.save(place / "test.npy", images[test])
        job = {
            "public": name == "public",
            "train": settings,
            "audio": {**SIZE, **AUDIO["insects"], **audio},
            "seed": seed,
            "pickle": str(place / "training.pkl"),
            "test": str(place / "test.npy"),
            "folder": folder,
            "seconds": seconds,
        }
        (place / "job.json").write_text(json.dumps(job))
        (place / "run.py").write_text(RUN)
        env = {**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}
        env.pop("PYTHONPATH", None)
        if name != "public":
            env["PYTHONPATH"] = str(ROOT)
        done = subprocess.run(
            [python, "run.py", "job.json"], cwd=place, env=env, capture_output=True, text=True, check=False
        )
        lines = [line for line in done.stdout.splitlines() if line.startswith("DONE")]
        if not lines:
            raise SystemExit(f"{name} {settings}: no result\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}")
        epochs, spent = json.loads(lines[0][5:])
        scores = np.load(place / "scores.npy")
    inside = np.flatnonzero(data.folds == 1)
    best = np.stack([scores[owner[test] == number].max(0) for number in inside])
    truth = data.truth[inside]
    heard = truth.any(0)
    return {
        "seed": seed,
        "epochs": epochs,
        "cpu_s": f"{spent:.1f}",
        "macro_pr": f"{average_precision_score(truth[:, heard], best[:, heard], average='macro'):.5f}",
        "top1": f"{truth[np.arange(len(inside)), best.argmax(1)].mean():.5f}",
    }


def main() -> int:
    """Read the command line, and run what is not in the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--python", required=True, help="interpreter with public britekit 1.8.4")
    parser.add_argument("--seconds", type=float, default=60.0, help="CPU time of each training")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    options = parser.parse_args()
    work = options.work.resolve()
    data = Data(work, "insects")
    with open(Path(data.recordings[0]["path"]).parents[2] / "split.csv", encoding="utf-8") as file:
        side = {row["recording"]: row["split"] for row in csv.DictReader(file)}
    data.folds = np.array([1 if side[Path(r["path"]).stem] == "test" else 2 for r in data.recordings])
    path = work / "public.csv"
    for seed in options.seeds:
        for program, python, listed in (("this", sys.executable, OURS), ("public", options.python, PUBLIC)):
            for name, settings in listed.items():
                key = (program, name, str(seed))
                if any((r["program"], r["settings"], r["seed"]) == key for r in read_runs(path)):
                    continue
                row = {
                    "program": program,
                    "settings": name,
                    **run(data, python, program, settings, seed, options.seconds),
                }
                new = not path.exists()
                with open(path, "a", newline="", encoding="utf-8") as file:
                    writer = csv.DictWriter(file, FIELDS)
                    if new:
                        writer.writeheader()
                    writer.writerow(row)
                print(row, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

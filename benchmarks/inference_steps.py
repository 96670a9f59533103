"""What each step of inference gains at unseen sites, and on ESC-10, without training again.

    python benchmarks/inference_steps.py sites WORK     # WORK as of `benchmarks/recipes.py prepare`
    python benchmarks/inference_steps.py esc10 WORK     # after `benchmarks/esc10_short.py outer`

``sites``: two networks with SED heads (effnet.1 with basic_sed) are trained on sites 3 and 4 of `recipes.py`, and score
24 recordings of a minute, synthesized at sites 1 and 2, in which animals call now and then. ``esc10``: the networks of
the outer folds, which have no frames, score the clips of their folds. `analyze` scores, and scikit-learn gives the
macro PR-AUC of segments; intervals of the difference are of resampled recordings (300 draws).
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from recipes import FOLDS, MODEL, SIZE, Data, site_response, write_pickle

SED = {"segment_len": 5.0}
STEPS: dict[str, dict[str, Any]] = {
    "none": {},
    "window_s: 10": {"window_s": 10.0},
    "overlap: 2.5": {"overlap": 2.5},
    "overlap: 2.5, frame_taper: true": {"overlap": 2.5, "frame_taper": True},
    "initial_offsets: [0, 2.5]": {"initial_offsets": [0.0, 2.5]},
    "shift_s: 0.5": {"shift_s": 0.5},
    "quantile: 0.9": {"quantile": 0.9},
    "quantile: 0.75": {"quantile": 0.75},
    "quantile: 0.5": {"quantile": 0.5},
    "smoothing_s: 5": {"smoothing_s": 5.0},
    "smoothing_s: 10": {"smoothing_s": 10.0},
    "top_weight: 0.5": {"top_weight": 0.5},
    "top_weight: 1": {"top_weight": 1.0},
    "overlap: 2.5, frame_taper: true, top_weight: 0.5": {"overlap": 2.5, "frame_taper": True, "top_weight": 0.5},
}
CLIP_STEPS = {
    "none": {},
    "shift_s: 0.25": {"shift_s": 0.25},
    "shift_s: 0.5": {"shift_s": 0.5},
    "shift_s: 1": {"shift_s": 1.0},
}
DRAWS = 300


def make_minutes(folder: Path, per_site: int = 12) -> Path:
    """Synthesize recordings of a minute at sites 1 and 2, and return the annotations of their calls."""
    from britekit.collect.synth.calls import RATE
    from britekit.collect.synth.soundscape import Bout, synthesize, write_flac
    from britekit.collect.synth.species import first_species

    species, rows = first_species(6), [("recording", "class", "start_time", "end_time")]
    size = 60 * RATE
    for site in (1, 2):
        place = np.random.default_rng((17, site))  # the site of `recipes.make_sites`
        response, hum = site_response(place, size, RATE), site_response(place, size, RATE)
        for number in range(per_site):
            rng = np.random.default_rng((23, site, number))
            bouts = []
            for kind in rng.choice(len(species), 3, replace=False):
                start = float(rng.uniform(0, 40))
                bouts.append(Bout(species[kind], start, start + float(rng.uniform(8, 20)), (-18.0, 8.0)))
            samples, heard = synthesize(rng, 60.0, bouts)
            steady = np.fft.irfft(np.fft.rfft(rng.normal(size=size)) * hum**2, size)
            mixed = np.fft.irfft(np.fft.rfft(samples) * response, size)
            mixed += steady * (mixed.std() / steady.std()) * 10 ** (-6 / 20)
            name = f"minute{site}-{number:02d}"
            write_flac(folder / f"{name}.flac", (mixed / np.abs(mixed).max() * 0.7).astype(np.float32))
            rows += [(name, call.species.info.name, call.start_s, call.end_s) for call in heard]
    path = folder / "annotations.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def train_members(work: Path, folder: Path) -> None:
    """Train two networks with frames on sites 3 and 4."""
    from britekit.config.layers import from_dict
    from britekit.training.trainer import train

    data = Data(work, "sample")
    images, owner = data.images({})
    inside = np.flatnonzero(np.isin(data.folds[owner], (3, 4)))
    write_pickle(folder / "training.pkl", data, images, owner, inside)
    for seed in (1, 2):
        section = {"model_type": MODEL, "head_type": "basic_sed", "num_epochs": 32, "front": "pcen"}
        section["train_pickle"] = str(folder / "training.pkl")
        cfg = from_dict({"audio": SIZE, "train": section, "misc": {"force_cpu": True}})
        begun = time.process_time()
        train(cfg, seed=seed, publish=folder / f"members/seed-{seed}.ckpt", log_root=folder / "logs")
        print(f"seed {seed}: {time.process_time() - begun:.0f} s of CPU", file=sys.stderr)


def scored(
    folder: Path, members: Path, recordings: Path, annotations: Path, infer: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return truth (N, C), scores (N, C) and the recording (N,) of each segment, by `analyze`."""
    from britekit import commands
    from britekit.evaluation.scored_segments import read_scored_segments
    from britekit.inference.model_files import resolve_for_models

    settings = folder / "settings.yaml"
    content = {"infer": {"backend": "torch", **infer}, "misc": {"force_cpu": True, "ckpt_folder": str(members)}}
    settings.write_text(yaml.safe_dump(content))
    shutil.rmtree(folder / "labels", ignore_errors=True)
    with contextlib.redirect_stdout(sys.stderr):
        commands.analyze(
            cfg_path=str(settings), input_path=str(recordings), output_path=str(folder / "labels"), min_score=0.0
        )
        found = read_scored_segments(annotations, folder / "labels", None, resolve_for_models(str(settings), None)[0])
    kept = found.annotated
    return found.truth_NC[:, kept], found.scores_NC[:, kept], found.groups_N


def macro(truth: np.ndarray, scores: np.ndarray) -> float:
    """Return the macro PR-AUC over the classes that are heard."""
    from sklearn.metrics import average_precision_score

    heard = truth.any(0)
    return float(average_precision_score(truth[:, heard], scores[:, heard], average="macro"))


def compare(plain: Sequence[Any], other: Sequence[Any]) -> tuple[float, float, float]:
    """Return the difference of the means over parts, each (truth, scores, recordings), and its 95 % interval."""
    rng = np.random.default_rng(0)
    found = np.mean([macro(b[0], b[1]) - macro(a[0], a[1]) for a, b in zip(plain, other, strict=True)])
    drawn = []
    for _ in range(DRAWS):
        own = []
        for a, b in zip(plain, other, strict=True):
            rows = [np.flatnonzero(a[2] == group) for group in np.unique(a[2])]
            picked = np.concatenate([rows[i] for i in rng.integers(len(rows), size=len(rows))])
            own.append(macro(b[0][picked], b[1][picked]) - macro(a[0][picked], a[1][picked]))
        drawn.append(np.mean(own))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(found), float(low), float(high)


def show(name: str, parts: Sequence[Any], plain: Sequence[Any], seconds: float) -> None:
    """Print a row of the table."""
    value = np.mean([macro(truth, scores) for truth, scores, _ in parts])
    gain, low, high = compare(plain, parts)
    print(f"| `{name}` | {value:.3f} | {gain:+.3f} ({low:+.3f} to {high:+.3f}) | {seconds:.1f} s", flush=True)


def sites(work: Path) -> None:
    """Print the table of unseen sites."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rec").mkdir()
        (folder / "members").mkdir()
        with contextlib.redirect_stdout(sys.stderr):
            annotations = make_minutes(folder / "rec")
            train_members(work, folder)
        plain: list[Any] = []
        for step, infer in STEPS.items():
            begun = time.process_time()
            parts = [scored(folder, folder / "members", folder / "rec", annotations, {**SED, **infer})]
            plain = plain or parts
            show(step, parts, plain, time.process_time() - begun)


def esc10(work: Path) -> None:
    """Print the table of clips: the first network of each outer fold."""
    data = Data(work, "esc10")
    tables: dict[str, list[Any]] = {step: [] for step in CLIP_STEPS}
    spent = dict.fromkeys(CLIP_STEPS, 0.0)
    with open(work / "short.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if "+" not in row["held_out"] and row["seed"] == "1"]
    for fold in FOLDS:
        recipe = next(row["recipe"] for row in rows if row["fold"] == str(fold))
        stem = f"{recipe}-{fold}-1".replace(", ", "-")
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "rec").mkdir()
            (folder / "members").mkdir()
            shutil.copy(work / "short" / f"{stem}.ckpt", folder / "members")
            lines = ["recording,class,start_time,end_time"]
            for recording in data.recordings:
                if recording["fold"] == fold:
                    path = Path(recording["path"])
                    (folder / "rec" / path.name).symlink_to(path)
                    lines.append(f"{path.stem},{recording['classes'][0]},0,5")
            (folder / "rec/annotations.csv").write_text("\n".join(lines) + "\n")
            for step, infer in CLIP_STEPS.items():
                begun = time.process_time()
                audio = {"audio_power": 1.0, **infer}
                tables[step].append(
                    scored(folder, folder / "members", folder / "rec", folder / "rec/annotations.csv", audio)
                )
                spent[step] += time.process_time() - begun
    for step, parts in tables.items():
        right = np.mean([truth[np.arange(len(truth)), scores.argmax(1)].mean() for truth, scores, _ in parts])
        print(f"accuracy {right:.3f} ", end="")
        show(step, parts, tables["none"], spent[step])


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("step", choices=("sites", "esc10"))
    parser.add_argument("work", type=Path)
    options = parser.parse_args()
    os.environ["WANDB_MODE"] = "disabled"
    {"sites": sites, "esc10": esc10}[options.step](options.work.resolve())
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Which training settings help? Each alone and the best together, on three small data sets.

    python benchmarks/recipes.py prepare WORK --data DIR       # DIR holds esc10/ and insects/
    python benchmarks/recipes.py screen WORK [--epochs 16] [--only NAME ...]
    python benchmarks/recipes.py nested WORK [--epochs 48] [--best 5] [--seeds 3]
    python benchmarks/recipes.py report WORK [--csv FILE]
    python benchmarks/recipes.py cost [--model NAME] [--batch 64] [--size 128 480]

The sets are ESC-10 (folds 1 to 4), nine grasshoppers and crickets (four folds, sources whole), and `sample` (six
species and noise at four sites that differ in microphone and background; a fold is a site). Spectrograms are 64 x 128,
one or two windows of 5 s per recording, and the network is effnet.1, so that a run takes seconds.

``screen`` trains each switch on folds 3 and 4 and scores folds 1 and 2 apart, and the other way round: four scores per
set and seed, each paired with the default's on the same fold. A score of fold g in a run that also left out fold f
chooses settings for f: ``nested`` takes for each outer fold f the best of its partner g, trains on the other three
folds, and scores f once, beside the default, with several seeds. Every run is a line in WORK/runs.csv; what is there is
not run again. ``report`` prints the paired differences with their 95 % intervals (Student's t over folds and seeds).
``cost`` prints what each switch adds to the CPU time of a step.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import csv
import json
import os
import pickle
import re
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

SETS = ("esc10", "insects", "sample")
FOLDS = (1, 2, 3, 4)
PAIRS = ((1, 2), (3, 4))
FIELDS = ("set", "held_out", "switch", "seed", "epochs", "model", "fold", "macro_pr", "top1", "steps", "loss", "cpu_s")
SIZE = {"spec_height": 64, "spec_width": 128}
AUDIO: dict[str, dict[str, Any]] = {
    "esc10": {"sampling_rate": 44100, "min_freq": 50, "max_freq": 20000, "win_length": 0.04},
    "insects": {"sampling_rate": 44100, "min_freq": 1000, "max_freq": 20000, "win_length": 0.04},
    "sample": {},
}
MODEL = "effnet.1"
# Settings that came with this benchmark; `cost` measures the switches that use them.
NEW = {
    "ema_decay", "swa_portion", "loss", "soft_auc_weight", "sampling", "mix_sources", "confusion_smoothing", "front",
    "prob_mixup",
}  # fmt: skip


def augmented(*changes: dict[str, Any]) -> dict[str, Any]:
    """Return settings that change entries of the default list of augmentations."""
    return {"augmentations": list(changes)}


# In the order in which they are run; a switch is what it changes of the section train, and of audio under "audio".
SWITCHES: dict[str, dict[str, Any]] = {
    "default": {},
    "epochs x 4": {"epochs": 4.0},
    "epochs x 2": {"epochs": 2.0},
    "rate 0.004": {"learning_rate": 0.004},
    "rate 0.001": {"learning_rate": 0.001},
    "effnet.2": {"model_type": "effnet.2"},
    "batch 16": {"batch_size": 16, "min_steps": 1},
    "decibels": {"audio": {"decibels": True}},
    "mixup 0.5 for merge": {"prob_simple_merge": 0.0, "prob_mixup": 0.5},
    "merge 0.6": {"prob_simple_merge": 0.6},
    "no merge": {"prob_simple_merge": 0.0},
    "cutmix 0.3": {"prob_cutmix": 0.3},
    "no label smoothing": {"pos_label_smoothing": 0.0, "neg_label_smoothing": 0.0},
    "no augmentation": {"augment": False},
    "roll": augmented({"name": "shift_horizontal", "prob": 1.0, "params": {"max_shift": 64}}),
    "masks of a twelfth": augmented(
        {"name": "freq_mask", "prob": 1.0, "params": {"max_width1": 5}},
        {"name": "time_mask", "prob": 1.0, "params": {"max_width2": 11}},
    ),
    "varied": augmented(
        {"name": "stretch", "prob": 0.5, "params": {"max_stretch": 0.25}},
        {"name": "shift_vertical", "prob": 0.5, "params": {"max_rows": 2}},
        {"name": "equalize", "prob": 0.5, "params": {"min_gain": 0.7, "max_gain": 1.3}},
    ),
    "no fade": {"prob_fade1": 0.0},
    "dropout 0.2, path 0.1": {"drop_rate": 0.2, "drop_path_rate": 0.1},
    "class weights": {"use_class_weights": True},
    "EMA 0.99": {"ema_decay": 0.99},
    "SWA of a quarter": {"swa_portion": 0.25},
    "focal": {"loss": "focal"},
    "asymmetric": {"loss": "asymmetric"},
    "soft AUC 1": {"soft_auc_weight": 1.0},
    "sampling by class": {"sampling": "class"},
    "sampling by recording": {"sampling": "recording"},
    "merge of five": {"mix_sources": 5},
    "mixup of five for merge": {"prob_simple_merge": 0.0, "prob_mixup": 0.5, "mix_sources": 5},
    "mixup 1.0, alpha 1": {"prob_simple_merge": 0.0, "prob_mixup": 1.0, "mixup_alpha": 1.0},
    "FreqMixStyle 0.5": augmented({"name": "freq_mix_style", "prob": 0.5}),
    "confusion smoothing 0.1": {"confusion_smoothing": 0.1},
    "mixup 0.5, epochs x 4": {"prob_simple_merge": 0.0, "prob_mixup": 0.5, "epochs": 4.0},
    "band_norm": {"front": "band_norm"},
    "linear power": {"audio": {"power": 2.0}},
    "PCEN, linear power": {"front": "pcen", "audio": {"power": 2.0}},
    "weight decay 0.05": {"opt_weight_decay": 0.05},
    "mixup 0.5, SWA": {"prob_simple_merge": 0.0, "prob_mixup": 0.5, "swa_portion": 0.25},
    "decibels, band_norm": {"front": "band_norm", "audio": {"decibels": True}},
    "root, band_norm": {"front": "band_norm", "audio": {"power": 0.5}},
    "PCEN, amplitude": {"front": "pcen"},
    "band_norm, mixup 0.5, SWA": {
        "front": "band_norm", "prob_simple_merge": 0.0, "prob_mixup": 0.5, "swa_portion": 0.25,
    },
    "PCEN, linear power, mixup 0.5, SWA": {
        "front": "pcen", "audio": {"power": 2.0}, "prob_simple_merge": 0.0, "prob_mixup": 0.5, "swa_portion": 0.25,
    },
}  # fmt: skip


def prepare(work: Path, data: Path) -> None:
    """List the recordings of each set with their classes and folds, and synthesize those of the sites."""
    work.mkdir(parents=True, exist_ok=True)
    for name, listed in (("esc10", list_esc10(data)), ("insects", list_insects(data)), ("sample", make_sites(work))):
        (work / f"{name}.json").write_text(json.dumps(listed))
        print(f"{name}: {len(listed)} recordings, {[sum(r['fold'] == f for r in listed) for f in FOLDS]} by fold")


def list_esc10(data: Path) -> list[dict[str, Any]]:
    """Folds 1 to 4 of ESC-10; fold 5 is not looked at."""
    found = []
    for path in sorted((data / "esc10/recordings").glob("*/[1-4]-*.ogg")):
        fold, source = path.name.split("-")[:2]
        found.append({"path": str(path), "classes": [path.parent.name], "fold": int(fold), "group": int(source)})
    return found


def list_insects(data: Path) -> list[dict[str, Any]]:
    """All recordings, sources whole, classes in proportion."""
    from britekit.datasets.splits import assign_groups

    with open(data / "insects/split.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    paths = {path.stem: path for path in (data / "insects/recordings").rglob("*.ogg")}
    kinds = sorted({row["class"] for row in rows})
    classes = np.array([kinds.index(row["class"]) for row in rows])
    groups = np.array([int(row["source"]) for row in rows])
    sides = assign_groups(classes, groups, [0.25] * 4, 1)
    return [
        {"path": str(paths[row["recording"]]), "classes": [row["class"]], "fold": int(side) + 1, "group": int(group)}
        for row, side, group in zip(rows, sides, groups, strict=True)
    ]


def make_sites(work: Path, per_class: int = 6) -> list[dict[str, Any]]:
    """Four sites: each has a microphone and a steady background of its own; a third of recordings hold two species."""
    from britekit.collect.synth.calls import RATE
    from britekit.collect.synth.soundscape import Bout, synthesize, write_flac
    from britekit.collect.synth.species import NOISE, first_species

    folder, species = work / "sites", first_species(6)
    folder.mkdir(exist_ok=True)
    found = []
    for site in FOLDS:
        place = np.random.default_rng((17, site))
        for number in range(per_class * (len(species) + 1)):
            rng = np.random.default_rng((17, site, number))
            own = number % (len(species) + 1)
            chosen = [] if own == len(species) else [species[own]]
            if chosen and rng.uniform() < 1 / 3:
                chosen.append(species[(own + int(rng.integers(1, len(species)))) % len(species)])
            bouts = [Bout(kind, float(rng.uniform(0, 0.8)), 5.0, (-18.0, 8.0)) for kind in chosen]
            samples, _ = synthesize(rng, 5.0, bouts)
            if number == 0:
                response = site_response(place, len(samples), RATE)
                hum = site_response(place, len(samples), RATE)
            spectrum = np.fft.rfft(samples) * response
            steady = np.fft.irfft(np.fft.rfft(rng.normal(size=len(samples))) * hum**2, len(samples))
            heard = np.fft.irfft(spectrum, len(samples))
            heard += steady * (heard.std() / steady.std()) * 10 ** (-6 / 20)
            path = folder / f"site{site}-{number:03d}.flac"
            write_flac(path, (heard / np.abs(heard).max() * 0.7).astype(np.float32))
            names = [kind.info.name for kind in chosen] or [NOISE.name]
            found.append({"path": str(path), "classes": names, "fold": site, "group": 1000 * site + number})
    return found


def site_response(rng: np.random.Generator, count: int, rate: int) -> np.ndarray:
    """Factor of each frequency: eight octave bands that differ by 8 dB (standard deviation), interpolated."""
    hertz = np.fft.rfftfreq(count, 1 / rate)
    centers = np.log2(np.geomspace(80, rate / 2, 8))
    decibels = np.interp(np.log2(np.maximum(hertz, 80)), centers, rng.normal(0, 8, 8))
    return 10 ** (decibels / 20)


class Data:
    """The segments of one set with their labels, folds and spectrograms."""

    def __init__(self, work: Path, name: str):
        from britekit.datasets.splits import first_class

        self.work, self.name = work, name
        self.recordings = json.loads((work / f"{name}.json").read_text())
        self.classes = sorted({c for r in self.recordings for c in r["classes"]})
        self.truth = np.array([[c in r["classes"] for c in self.classes] for r in self.recordings], np.uint8)
        self.folds = np.array([r["fold"] for r in self.recordings])
        self.groups = np.array([r["group"] for r in self.recordings])
        self.single = bool((self.truth.sum(1) == 1).all()) and (first_class(self.truth) >= 0).all()
        self._images: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def images(self, audio: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """(N, H, W) uint8 and (N,) the recording of each; computed once per settings."""
        key = re.sub(r"\W+", "-", json.dumps(audio, sort_keys=True)).strip("-") or "plain"
        path = self.work / f"{self.name}-{key}.npz"
        if key not in self._images:
            if not path.exists():
                images, owner = self._compute(audio)
                partial = path.with_suffix(f".{os.getpid()}.npz")  # several may run at once
                np.savez_compressed(partial, images=images, owner=owner)
                partial.replace(path)
            with np.load(path) as stored:
                self._images[key] = stored["images"], stored["owner"]
        return self._images[key]

    def _compute(self, audio: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        from britekit.api.audio import Audio
        from britekit.config.layers import from_dict

        cfg = from_dict({"audio": {**SIZE, **AUDIO[self.name], **audio}}).audio
        images, owner = [], []
        for number, recording in enumerate(self.recordings):
            heard = Audio.from_file(recording["path"], cfg)
            starts = [0.0, 5.0] if heard.seconds() >= 9 else [0.0]
            pictures, _ = heard.get_spectrograms(starts)
            images += list(np.round(pictures * 255).astype(np.uint8))
            owner += [number] * len(pictures)
        return np.stack(images), np.array(owner)

    def score(self, scores: np.ndarray, owner: np.ndarray, fold: int) -> tuple[float, float]:
        """Macro PR-AUC of a fold over recordings (maximum of their windows), and the share whose top class is right."""
        from britekit.metrics.ranking import average_precision

        inside = np.flatnonzero(self.folds == fold)
        best = np.stack([scores[owner == number].max(0) for number in inside])
        truth = self.truth[inside] > 0
        counted = [c for c, name in enumerate(self.classes) if truth[:, c].any() and name != "Noise"]
        precision = [average_precision(truth[:, c], best[:, c]) for c in counted]
        return float(np.mean(precision)), float(np.mean(truth[np.arange(len(inside)), best.argmax(1)]))


class Runs:
    """The table of runs: what is in it is not run again."""

    def __init__(self, work: Path):
        self.work, self.path = work, work / "runs.csv"
        self.rows = read_runs(self.path)
        self.data = {name: Data(work, name) for name in SETS}

    def run(
        self,
        name: str,
        held_out: Sequence[int],
        switch: str,
        settings: dict[str, Any],
        seed: int,
        epochs: int,
        model: str,
    ) -> list[dict[str, Any]]:
        """Return the rows of a run, one per fold that it left out."""
        key = (name, "+".join(map(str, held_out)), switch, str(seed), str(epochs), model)
        done = [row for row in self.rows if tuple(row[field] for field in FIELDS[:6]) == key]
        if len(done) == len(held_out):
            return done
        found = train_and_score(self.data[name], held_out, settings, seed, epochs, model)
        rows = [dict(zip(FIELDS, (*key, *map(str, values)), strict=True)) for values in found]
        new = not self.path.exists()
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, FIELDS)
            if new:
                writer.writeheader()
            writer.writerows(rows)
        self.rows += rows
        shown = ", ".join(f"fold {row['fold']} {float(row['macro_pr']):.3f}" for row in rows)
        print(f"{name} {switch}, seed {seed}: {shown} ({float(rows[0]['cpu_s']):.0f} s of CPU)", flush=True)
        return rows


def read_runs(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a table of runs, if there is one."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def train_and_score(
    data: Data, held_out: Sequence[int], settings: dict[str, Any], seed: int, epochs: int, model: str
) -> Iterator[tuple[Any, ...]]:
    """Train without some folds, and score each of them."""
    import torch

    from britekit.config.layers import from_dict
    from britekit.models.checkpoint import load_checkpoint
    from britekit.training.trainer import train

    begun = time.process_time()
    own = copy.deepcopy(settings)
    audio, factor = own.pop("audio", {}), own.pop("epochs", 1.0)
    images, owner = data.images(audio)
    out = np.isin(data.folds[owner], held_out)
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(sys.stderr):
        folder = Path(name)
        write_pickle(folder / "training.pkl", data, images, owner, np.flatnonzero(~out))
        section = {"model_type": model, "num_epochs": round(epochs * factor), **own}
        section["train_pickle"] = str(folder / "training.pkl")
        # A narrow picture; masks and shifts of the default list are meant for 128 x 480.
        cfg = from_dict({"audio": {**SIZE, **AUDIO[data.name], **audio}, "train": section, "misc": {"force_cpu": True}})
        result = train(cfg, seed=seed, publish=folder / "one.ckpt", log_root=folder / "logs")
        network = load_checkpoint(folder / "one.ckpt").recognizer.eval()
    scores = np.zeros((len(images), len(data.classes)), np.float32)
    with torch.inference_mode():
        for rows in np.array_split(np.flatnonzero(out), 8):
            if len(rows):
                x = torch.from_numpy(images[rows]).float().div_(255.0)[:, None]
                scores[rows] = torch.sigmoid(network(x)[0]).numpy()
    steps, seconds = int(result.epochs[-1]["step"]), time.process_time() - begun
    for fold in held_out:
        precision, right = data.score(scores, owner, fold)
        yield fold, f"{precision:.5f}", f"{right:.5f}", steps, f"{result.loss:.5f}", f"{seconds:.1f}"


def write_pickle(
    path: Path, data: Data, images: np.ndarray, owner: np.ndarray, rows: np.ndarray, variants: Sequence[np.ndarray] = ()
) -> None:
    """Write a training file of some of the segments, with variants of them, each (rows, H, W), if there are any."""
    names = list(data.classes)
    content = {
        "class_names": names,
        "class_codes": [f"C{number}" for number in range(len(names))],
        "alt_names": [""] * len(names),
        "alt_codes": [""] * len(names),
        "spec_values": [zlib.compress(images[row].tobytes(), 1) for row in rows],
        "spec_class_indexes": [np.flatnonzero(data.truth[owner[row]]).tolist() for row in rows],
        "spec_segment_ids": rows.tolist(),
        "spec_recording_ids": owner[rows].tolist(),
        "spec_group_ids": data.groups[owner[rows]].tolist(),
        "spec_height": images.shape[1],
        "spec_width": images.shape[2],
        "audio": {},
    }
    if variants:
        content["spec_variants"] = [zlib.compress(image.tobytes(), 1) for varied in variants for image in varied]
    path.write_bytes(pickle.dumps(content, protocol=4))


def screen(
    work: Path,
    epochs: int,
    only: Sequence[str],
    seed: int,
    pairs: Sequence[tuple[int, int]],
    sets: Sequence[str] = SETS,
) -> None:
    """Run every switch on every set, the default first."""
    runs = Runs(work)
    for pair in pairs:
        for switch in only or SWITCHES:
            for name in sets:
                runs.run(name, pair, switch, SWITCHES[switch], seed, epochs, MODEL)


def nested(work: Path, screened: int, epochs: int, best: int, seeds: int, sets: Sequence[str]) -> None:
    """For each outer fold, take what was best on its partner, train on the other three folds, and score once."""
    runs = Runs(work)
    shown = [row["switch"] for row in summary(runs.rows, screened)][:best]
    for name in sets:
        for fold in FOLDS:
            partner = next(g for pair in PAIRS if fold in pair for g in pair if g != fold)
            inner = {
                row["switch"]: float(row["macro_pr"])
                for row in runs.rows
                if row["set"] == name and row["fold"] == str(partner) and row["epochs"] == str(screened)
                and "+" in row["held_out"] and row["seed"] == "1" and row["switch"] in (*shown, "default")
            }  # fmt: skip
            chosen = max(inner, key=lambda switch: inner[switch])
            print(f"{name}, outer fold {fold}: {chosen} (fold {partner}: {inner[chosen]:.3f})", flush=True)
            for seed in range(1, seeds + 1):
                for switch in dict.fromkeys(("default", chosen)):
                    runs.run(name, (fold,), switch, SWITCHES[switch], seed, epochs, MODEL)


def paired(rows: Sequence[dict[str, Any]], switch: str, epochs: int, sets: Sequence[str] = SETS) -> np.ndarray:
    """Return the differences of macro PR-AUC from the default, one per set, fold and seed that both have."""
    table = {
        (row["set"], row["held_out"], row["fold"], row["seed"], row["switch"]): float(row["macro_pr"])
        for row in rows
        if row["epochs"] == str(epochs) and row["set"] in sets
    }
    found = [value - table[*key[:4], "default"] for key, value in table.items() if key[4] == switch]
    return np.array(found)


def interval(differences: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of the mean."""
    if len(differences) < 2:
        return float("nan"), float("nan")
    half = stats.t.ppf(0.975, len(differences) - 1) * stats.sem(differences)
    return float(differences.mean() - half), float(differences.mean() + half)


def summary(rows: Sequence[dict[str, Any]], epochs: int) -> list[dict[str, Any]]:
    """Return a row per switch: differences by set and over all of them with their interval, the best first."""
    found = []
    for switch in dict.fromkeys(row["switch"] for row in rows if row["epochs"] == str(epochs)):
        every = paired(rows, switch, epochs)
        low, high = interval(every)
        row: dict[str, Any] = {"switch": switch, "scores": len(every)}
        for name in SETS:
            own = paired(rows, switch, epochs, [name])
            row[name] = f"{own.mean():+.3f} ({len(own)})" if len(own) else ""
        found.append(row | {"all": f"{every.mean():+.3f}", "low": f"{low:+.3f}", "high": f"{high:+.3f}"})
    return sorted(found, key=lambda row: -float(row["all"]))


def report(work: Path, target: Path | None) -> None:
    """Print the table of the screening and, if there are any, of the outer folds; write it as CSV if wanted."""
    rows = read_runs(work / "runs.csv")
    tables = []
    for title, chosen in (
        ("screening (two folds for training)", [row for row in rows if "+" in row["held_out"]]),
        ("outer folds (three for training)", [row for row in rows if "+" not in row["held_out"]]),
    ):
        for epochs in sorted({int(row["epochs"]) for row in chosen}):
            part = [row for row in chosen if row["epochs"] == str(epochs)]
            print(f"\n{title}, {epochs} epochs, {MODEL}")
            for name in SETS:
                own = [float(r["macro_pr"]) for r in part if r["set"] == name and r["switch"] == "default"]
                if own:
                    print(f"  default on {name}: macro PR-AUC {np.mean(own):.3f} (mean of {len(own)} scores)")
            for row in summary(part, epochs):
                if row["switch"] != "default":
                    cells = "".join(f"{row[name]:>14}" for name in SETS)
                    print(f"  {row['switch']:28}{cells}   {row['all']} ({row['low']} to {row['high']})")
                    tables.append({"part": title, "epochs": epochs, **row})
    if target is not None and tables:
        with open(target, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(tables[0]))
            writer.writeheader()
            writer.writerows(tables)


def cost(model: str, batch: int, size: Sequence[int], rounds: int) -> None:
    """Print the CPU time of a step, and the share that each switch adds to it.

    What a switch does is timed by itself, as a step varies by more than 5 % on a busy machine.
    """
    import torch

    from britekit.annotations.classes import ClassInfo
    from britekit.config.layers import from_dict
    from britekit.datasets.bank import Bank
    from britekit.datasets.batches import TrainingBatches
    from britekit.datasets.training_set import TrainingSet
    from britekit.models.fronts import build_front
    from britekit.training import configured
    from britekit.training.losses import compute_loss
    from britekit.training.optimizers import build_optimizer

    rng, classes = np.random.default_rng(0), 10
    labels = np.eye(classes, dtype=np.uint8)[np.arange(4 * batch) % classes]
    images = rng.integers(0, 255, (4 * batch, *size)).astype(np.uint8)
    infos = [ClassInfo(f"C{n}", f"C{n}", "", "") for n in range(classes)]
    samples = TrainingSet(infos, images, labels, np.arange(4 * batch) // 2)

    def timed(work: Callable[[], Any]) -> float:
        work()
        times = []
        for _ in range(rounds):
            begun = time.process_time()
            work()
            times.append(time.process_time() - begun)
        return float(np.median(times))

    def parts(settings: dict[str, Any]) -> dict[str, Callable[[], Any]]:
        given = {k: v for k, v in settings.items() if k not in ("audio", "epochs")}
        cfg = from_dict(
            {"audio": {"spec_height": size[0], "spec_width": size[1]}, "train": {"model_type": model, **given}}
        )
        order = configured.make_order(samples, np.arange(4 * batch), cfg)
        batches = TrainingBatches(
            Bank(samples), torch.arange(4 * batch), batch, 1, configured.make_chain(cfg), configured.make_mixing(cfg),
            0, shares=order,
        )  # fmt: skip
        batches.begin_epoch(0)
        index = next(iter(batches.indices(0)))
        made, loss = batches.make(index), configured.loss_settings(cfg)
        logits = torch.randn(batch, classes, requires_grad=True)
        confusion = configured.make_confusion(cfg, classes, torch.device("cpu"))

        def losses() -> None:
            targets = made.targets
            if confusion is not None:
                targets = confusion(targets)
                confusion.watch(logits, made.targets)
            compute_loss(logits, None, targets, made.merged, loss).backward()

        found: dict[str, Callable[[], Any]] = {"batch": lambda: batches.make(index), "loss": losses}
        found["order"] = lambda: batches.order(1)
        if cfg.train.ema_decay > 0:
            average = configured.make_average(network, cfg, 10)
            found["average"] = average.after_step if average else list
        if cfg.train.front is not None:
            front = build_front(cfg.train.front, size[0])
            found["front"] = lambda: front(made.images).sum().backward()
        return found

    plain = from_dict({"audio": {"spec_height": size[0], "spec_width": size[1]}, "train": {"model_type": model}})
    network = configured.make_recognizer(plain, infos)
    network.train()
    optimizer = build_optimizer(network, "adamw", 1e-4, 0.01, 0.9, 0.999)
    pictures = torch.rand(batch, 1, *size)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        network(pictures)[0].sum().backward()
        optimizer.step()

    base = {name: timed(work) for name, work in parts({}).items()}
    base["order"] /= 4  # four batches are an epoch
    whole = timed(step) + sum(base.values())
    print(f"{model}, {batch} spectrograms of {size[0]} x {size[1]}: {1000 * whole:.0f} ms of CPU per step")
    for switch, settings in SWITCHES.items():
        if settings.keys() & NEW or "augmentations" in settings:
            own = {name: timed(work) for name, work in parts(settings).items()}
            own["order"] /= 4
            more = sum(value - base.get(name, 0.0) for name, value in own.items())
            print(f"  {switch:28}{100 * more / whole:+6.1f} %  ({1000 * more:+.1f} ms)", flush=True)


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    for step in ("prepare", "screen", "nested", "report", "cost"):
        sub = steps.add_parser(step)
        if step == "cost":
            sub.add_argument("--model", default=MODEL)
            sub.add_argument("--batch", type=int, default=64)
            sub.add_argument("--size", type=int, nargs=2, default=(128, 480), metavar=("ROWS", "COLUMNS"))
            sub.add_argument("--rounds", type=int, default=5)
            continue
        sub.add_argument("work", type=Path)
        if step == "report":
            sub.add_argument("--csv", type=Path, help="also write the table here")
        if step == "nested":
            for option, value in (("screened", 16), ("epochs", 48), ("best", 5), ("seeds", 3)):
                sub.add_argument(f"--{option}", type=int, default=value)
            sub.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
        if step == "prepare":
            sub.add_argument("--data", type=Path, required=True)
        if step == "screen":
            sub.add_argument("--only", nargs="+", default=(), metavar="NAME")
            sub.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
            sub.add_argument("--seed", type=int, default=1)
            sub.add_argument("--pairs", type=int, nargs="+", default=(1, 2), choices=(1, 2), help="1: folds 1 and 2")
            sub.add_argument("--epochs", type=int, default=16)
    options = parser.parse_args()
    os.environ["WANDB_MODE"] = "disabled"
    if options.step == "cost":
        cost(options.model, options.batch, options.size, options.rounds)
        return 0
    work = options.work.resolve()
    if options.step == "report":
        report(work, options.csv)
    elif options.step == "nested":
        nested(work, options.screened, options.epochs, options.best, options.seeds, options.sets)
    elif options.step == "prepare":
        prepare(work, options.data.resolve())
    elif options.step == "screen":
        pairs = [PAIRS[number - 1] for number in options.pairs]
        screen(work, options.epochs, options.only, options.seed, pairs, options.sets)
    return 0


if __name__ == "__main__":
    sys.exit(main())

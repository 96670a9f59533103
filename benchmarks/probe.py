"""Few labels: a probe on embeddings against a network trained from scratch, with 5, 10, 20 clips per class.

    python benchmarks/probe.py run WORK --set esc10=DIR --set insects=DIR --embedder EMBEDDER.yaml
        [--seeds 3] [--clips 5,10,20] [--samples 12000] [--model effnet.2]
    python benchmarks/probe.py report WORK

Tested on clips of other originals (ESC-10: fold 4; insects: the test side of split.csv): the mean score of a
clip's windows, macro average precision over classes and the share of clips whose own class scores highest.
Both learn from the same windows of 3 s, at most four per clip. The network sees so many spectrograms in
training, whatever the number of clips, with the recipe of `esc10.py`. A third learner is a probe on the
network that was trained from scratch on the *other* set with most clips: an embedder without foreign weights.
Run it again to continue after an interruption; --seeds counts from 1, so more seeds can be added later.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from britekit.annotations.classes import ClassInfo  # noqa: E402
from britekit.archive.labeled import Labeled  # noqa: E402
from britekit.archive.probe import fit_probe  # noqa: E402
from britekit.archive.store import Archive  # noqa: E402
from britekit.audio.windows import Windows  # noqa: E402
from britekit.commands.embed import embed  # noqa: E402
from britekit.config.layers import from_dict  # noqa: E402
from britekit.metrics.ranking import average_precision  # noqa: E402

WINDOW_S = 3.0
MOST_LEARNED, MOST_TESTED = 4, 10
AUDIO = {
    "sampling_rate": 44100, "min_freq": 50, "max_freq": 20000, "spec_height": 96, "spec_width": 160,
    "spec_duration": WINDOW_S, "win_length": 0.04, "decibels": True,
}  # fmt: skip


@dataclass(frozen=True)
class Clips:
    """The recordings of a set, as an archive names them."""

    names: list[str]
    classes: list[str]
    label_N: np.ndarray
    group_N: np.ndarray
    """Clips of one original recording share a number."""
    test_N: np.ndarray


def read_clips(name: str, folder: Path) -> Clips:
    """Read a set of shared/data."""
    table = "folds.csv" if name == "esc10" else "split.csv"
    with open(folder / table, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    files = {p.stem: p.relative_to(folder / "recordings").with_suffix("").as_posix() for p in folder.rglob("*.ogg")}
    classes = sorted({row["class"] for row in rows})
    sources = [row["recording"].split("-")[1] if name == "esc10" else f"{row['class']} {row['source']}" for row in rows]
    numbers = {source: place for place, source in enumerate(dict.fromkeys(sources))}
    return Clips(
        [files[row["recording"]] for row in rows],
        classes,
        np.array([classes.index(row["class"]) for row in rows]),
        np.array([numbers[source] for source in sources]),
        np.array([row["fold"] == "4" if name == "esc10" else row["split"] == "test" for row in rows]),
    )


def chosen(clips: Clips, count: int, seed: int) -> np.ndarray:
    """Return ``count`` clips per class for training, fewer where there are no more; larger draws hold smaller."""
    rng = np.random.default_rng([seed, 24])
    order = rng.permutation(np.flatnonzero(~clips.test_N))
    rows = [order[clips.label_N[order] == label][:count] for label in range(len(clips.classes))]
    return np.sort(np.concatenate(rows))


def windows_of(archive: Archive, name: str, most: int) -> np.ndarray:
    """Return rows of a recording's windows, evenly spread if there are more than ``most``."""
    entry = archive.entries[name]
    places = np.linspace(0, entry.windows - 1, min(most, entry.windows)).round().astype(int)
    return entry.first + np.unique(places)


def figures(scores_NC: np.ndarray, label_N: np.ndarray) -> dict[str, float]:
    """Return macro average precision and accuracy."""
    areas = [average_precision(label_N == c, scores_NC[:, c]) for c in range(scores_NC.shape[1])]
    return {"ap": float(np.mean(areas)), "accuracy": float(np.mean(scores_NC.argmax(1) == label_N))}


def by_clip(scores: np.ndarray, of_clip: np.ndarray) -> np.ndarray:
    """Return the mean score of each clip's windows."""
    return np.stack([scores[of_clip == clip].mean(axis=0) for clip in np.unique(of_clip)])


def run_probe(archive: Archive, clips: Clips, learned: np.ndarray) -> tuple[np.ndarray, str]:
    """Fit a probe on clips; return the scores of the test clips and the method that was chosen."""
    parts = [windows_of(archive, clips.names[clip], MOST_LEARNED) for clip in learned]
    of_clip = np.repeat(learned, [len(part) for part in parts])
    truth = clips.label_N[of_clip][:, None] == np.arange(len(clips.classes))
    _, groups = np.unique(clips.group_N[of_clip], return_inverse=True)
    infos = [ClassInfo(name, name) for name in clips.classes]
    vectors = np.asarray(archive.vectors[np.concatenate(parts)], np.float32)
    probe = fit_probe(Labeled(vectors, truth, groups.astype(np.int64), infos, []))
    tested = np.flatnonzero(clips.test_N)
    parts = [windows_of(archive, clips.names[clip], MOST_TESTED) for clip in tested]
    logits = probe.classifier.logits(np.asarray(archive.vectors[np.concatenate(parts)], np.float32))
    return by_clip(1 / (1 + np.exp(-logits)), np.repeat(tested, [len(p) for p in parts])), probe.method


def run_network(
    images: np.ndarray, of_clip: np.ndarray, clips: Clips, learned: np.ndarray, options: Any, seed: int, publish: Path
) -> tuple[np.ndarray, int]:
    """Train a network from scratch; return the scores of the test clips and the number of epochs."""
    import torch
    import yaml

    from benchmarks.esc10 import settings_of, write_pickle
    from britekit.models.checkpoint import load_checkpoint
    from britekit.training.trainer import train

    torch.set_num_threads(1)
    inside = np.flatnonzero(np.isin(of_clip, learned))
    inside = np.concatenate([rows[:MOST_LEARNED] for clip in learned if len(rows := inside[of_clip[inside] == clip])])
    epochs = max(20, round(options.samples / len(inside)))
    job = {"model": options.model, "candidate": "varied", "epochs": epochs}
    settings = {**yaml.safe_load(yaml.safe_dump(settings_of(job))), "audio": AUDIO, "misc": {"force_cpu": True}}
    with tempfile.TemporaryDirectory() as name:
        pickle = Path(name) / "training.pkl"
        content = {"classes": np.array(clips.classes), "codes": np.array(clips.classes), "images": images,
                   "labels": clips.label_N[of_clip], "groups": clips.group_N[of_clip]}  # fmt: skip
        write_pickle(pickle, content, inside)
        settings["train"] |= {"train_pickle": str(pickle)}
        train(from_dict(settings), seed=seed, publish=publish, log_root=Path(name) / "logs")
    network = load_checkpoint(publish).recognizer.eval()
    tested = np.flatnonzero(np.isin(of_clip, np.flatnonzero(clips.test_N)))
    pixels = torch.from_numpy(images[tested]).float().div_(255.0)[:, None]
    with torch.inference_mode():
        scores = torch.softmax(network(pixels)[0], 1).numpy()
    return by_clip(scores, of_clip[tested]), epochs


def run(options: Any) -> None:
    """Embed, draw, train and test; results so far are in results.json."""
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    places = {name: Path(folder).resolve() for name, folder in (part.split("=") for part in options.set)}
    sets = {name: read_clips(name, folder) for name, folder in places.items()}
    store = work / "results.json"
    done: dict[str, Any] = json.loads(store.read_text()) if store.exists() else {}

    def keep(key: str, scores: np.ndarray, clips: Clips, **more: Any) -> None:
        label = clips.label_N[clips.test_N]
        done[key] = {**figures(scores, label), **more, "scores": scores.round(6).tolist(), "label": label.tolist(),
                     "group": clips.group_N[clips.test_N].tolist()}  # fmt: skip
        store.write_text(json.dumps(done))
        print(key, {k: v for k, v in done[key].items() if k not in ("scores", "label", "group")}, flush=True)

    archives = {}
    for name, folder in places.items():
        place = work / f"archive-{name}"
        if not place.exists():
            embed(input_path=str(folder / "recordings"), archive=str(place), model=str(options.embedder))
        archives[name] = Archive(place)
    counts = [int(text) for text in options.clips.split(",")]
    cases = [(s, k, n) for s in range(1, options.seeds + 1) for k in counts for n in sets]
    for seed, count, name in cases:
        key, begun = f"{name} {count} {seed} probe", time.monotonic()
        if key not in done:
            learned = chosen(sets[name], count, seed)
            scores, method = run_probe(archives[name], sets[name], learned)
            keep(key, scores, sets[name], learned=len(learned), method=method, seconds=time.monotonic() - begun)
    if options.samples == 0:
        return
    stored = {name: spectrograms(work, name, places[name], archives[name], sets[name]) for name in sets}
    for seed, count, name in cases:
        key, begun = f"{name} {count} {seed} scratch", time.monotonic()
        if key not in done:
            learned = chosen(sets[name], count, seed)
            publish = work / f"{name}-{count}-{seed}.ckpt"
            scores, epochs = run_network(*stored[name], sets[name], learned, options, seed, publish)
            keep(key, scores, sets[name], learned=len(learned), epochs=epochs, seconds=time.monotonic() - begun)
    for seed in range(1, options.seeds + 1):
        for name, other in zip(sets, reversed(list(sets)), strict=True):
            place = work / f"archive-{name}-by-{other}-{seed}"
            if not place.exists():
                model = work / f"{other}-{counts[-1]}-{seed}.ckpt"
                embed(input_path=str(places[name] / "recordings"), archive=str(place), model=str(model))
            for count in counts:
                key, begun = f"{name} {count} {seed} probe on {other}", time.monotonic()
                if key not in done:
                    learned = chosen(sets[name], count, seed)
                    scores, method = run_probe(Archive(place), sets[name], learned)
                    keep(key, scores, sets[name], learned=len(learned), method=method, seconds=time.monotonic() - begun)


def spectrograms(work: Path, name: str, folder: Path, archive: Archive, clips: Clips) -> tuple[np.ndarray, np.ndarray]:
    """Return 8-bit spectrograms of the windows that are learned or tested, and the clip of each."""
    path = work / f"{name}.npz"
    if not path.exists():
        audio = from_dict({"audio": AUDIO}).audio
        images, of_clip = [], []
        for clip, recording in enumerate(clips.names):
            rows = windows_of(archive, recording, MOST_TESTED if clips.test_N[clip] else MOST_LEARNED)
            file = folder / "recordings" / archive.entries[recording].file
            for batch in Windows(file, audio, np.asarray(archive.starts[rows]).tolist()).batches():
                images.append((batch.spectrograms * 255).round().astype(np.uint8))
                of_clip += [clip] * len(batch.starts)
        np.savez(path, images=np.concatenate(images), of_clip=of_clip)
    with np.load(path) as stored:
        return stored["images"], stored["of_clip"]


def report(work: Path) -> None:
    """Print means over seeds, and the paired difference with its 95 % interval (originals and seeds resampled)."""
    done = json.loads((work / "results.json").read_text())
    keys = [(key.split(" ", 3), value) for key, value in done.items()]
    for name, count in sorted({(k[0], int(k[1])) for k, _ in keys}):
        mine = {(k[3], int(k[2])): value for k, value in keys if (k[0], int(k[1])) == (name, count)}
        learners = list(dict.fromkeys(learner for learner, _ in mine))
        for learner in learners:
            found = [value for (which, _), value in mine.items() if which == learner]
            text = " ".join(f"{key} {np.mean([v[key] for v in found]):.3f}" for key in ("ap", "accuracy", "seconds"))
            print(f"{name}, {count} per class ({found[0]['learned']} clips), {learner}: {text} ({len(found)} seeds)")
        for other in learners:
            seeds = [s for which, s in mine if which == "probe" and (other, s) in mine]
            if other != "probe" and seeds:
                pairs = [(mine["probe", s], mine[other, s]) for s in seeds]
                low, middle, high = difference(pairs)
                print(f"   probe - {other}: macro AP {middle:+.3f} ({low:+.3f} to {high:+.3f})")


def difference(pairs: list[tuple[Any, Any]]) -> tuple[float, float, float]:
    """Return the difference of macro AP with its interval, by 1,000 draws."""
    rng = np.random.default_rng(0)
    label, group = np.array(pairs[0][0]["label"]), np.array(pairs[0][0]["group"])
    of_group = [np.flatnonzero(group == each) for each in np.unique(group)]
    scores = [(np.array(a["scores"]), np.array(b["scores"])) for a, b in pairs]
    drawn = []
    while len(drawn) < 1000:
        rows = np.concatenate([of_group[place] for place in rng.integers(len(of_group), size=len(of_group))])
        if len(np.unique(label[rows])) < label.max() + 1:
            continue
        picks = [scores[place] for place in rng.integers(len(scores), size=len(scores))]
        drawn.append(np.mean([figures(a[rows], label[rows])["ap"] - figures(b[rows], label[rows])["ap"]
                              for a, b in picks]))  # fmt: skip
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(np.mean([a["ap"] - b["ap"] for a, b in pairs])), float(high)


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    step = steps.add_parser("run")
    step.add_argument("work", type=Path)
    step.add_argument("--set", action="append", required=True, metavar="NAME=DIR")
    step.add_argument("--embedder", type=Path, required=True)
    step.add_argument("--seeds", type=int, default=3)
    step.add_argument("--clips", default="5,10,20")
    step.add_argument("--samples", type=int, default=12000, help="spectrograms seen in training (0: only probes)")
    step.add_argument("--model", default="effnet.2")
    steps.add_parser("report").add_argument("work", type=Path)
    options = parser.parse_args()
    if options.step == "run":
        run(options)
    else:
        report(options.work.resolve())
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What do verdicts bring? A reviewer that knows the truth judges detections in a made archive.

    python benchmarks/verdicts.py --work DIR [--seeds 3] [--recordings 100] [--epochs 10] [--verdicts 200]
        [--model effnet.2] [--queue uncertain] [--others]

Builds the demo as a project of its own in DIR, and an archive of recordings like those of the test, which are in no
test. (1) Precision at 0.8, estimated from 60 verdicts per class (queue strata), beside the true one. (2) Macro PR-AUC
on the test before and after training with verdicts on 200 other detections, by seed: each with the 95 % interval of
the paired difference over test recordings (as `britekit compare`), and over seeds (Student's t). With --others the
reviewer also names the other species that a window holds. What is done already is not done again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from scipy import stats
from sklearn.metrics import average_precision_score

from britekit.annotations.held import least_held
from britekit.annotations.label_table import read_label_table
from britekit.annotations.segments import Annotation, read_annotations, write_annotations
from britekit.annotations.verdicts import read_verdicts
from britekit.collect.sample import DEFAULT_CLASSES, plan_test
from britekit.collect.synth.species import SPECIES, first_species
from britekit.evaluation.compare import CELLS_NAME, Cells, compare_tests, read_cells
from britekit.results.candidates import read_candidates
from britekit.results.precision import pooled
from britekit.results.precision_report import report_precision
from britekit.results.recordings import unknown_place
from britekit.results.review import Review
from britekit.results.review_queue import build_review

PER_CLASS, THRESHOLD, LOWEST = 60, 0.8, 0.1


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    for name, default in (("seeds", 3), ("recordings", 100), ("epochs", 10), ("verdicts", 200)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--model", default="effnet.2")
    parser.add_argument("--queue", default="uncertain")
    parser.add_argument("--others", action="store_true")
    options = parser.parse_args()
    work = options.work.absolute()
    if not (work / "before.pkl").exists():
        britekit(Path.cwd(), "init", "--dest", str(work))
        set_training(work, options.epochs, options.model)
        make_data(work, "before")
    os.chdir(work)
    make_archive(Path("archive"), options.recordings)
    train(1, "before")
    if not Path("detections").exists():
        with_models("before", 1)
        britekit(work, "analyze", "-i", "archive", "-o", "detections", "--min-score", str(LOWEST), "--raw")
    show_precision()
    after = f"after-{options.queue}{'-others' * options.others}"
    gather_verdicts(after, options.queue, options.verdicts, options.others)
    found: list[tuple[float, float]] = []
    pairs: list[list[Cells]] = []
    for seed in range(1, options.seeds + 1):
        found.append((test_of(seed, "before"), test_of(seed, after)))
        pairs.append([read_cells(Path(f"test-{phase}-{seed}", CELLS_NAME)) for phase in ("before", after)])
        print(
            f"seed {seed}: macro PR-AUC {found[-1][0]:.4f} before, {found[-1][1]:.4f} after; "
            f"{compare_tests(*pairs[-1]).verdict()}", flush=True,
        )  # fmt: skip
    difference = np.array([after - before for before, after in found])
    low, high = stats.t.interval(
        0.95, len(difference) - 1, loc=difference.mean(), scale=stats.sem(difference)
    ) if len(difference) > 1 else (np.nan, np.nan)  # fmt: skip
    print(f"difference over {len(found)} seeds: {difference.mean():+.4f} (95 %: {low:+.4f} to {high:+.4f})")
    low, high = over_recordings(pairs)
    print(f"of these networks, over test recordings: 95 % {low:+.4f} to {high:+.4f}")
    means = [macro(pairs[0][k].truth, np.mean([pair[k].scores for pair in pairs], axis=0)) for k in (0, 1)]
    print(f"ensemble of the seeds: {means[0]:.4f} before, {means[1]:.4f} after")


def macro(truth_NC: np.ndarray, scores_NC: np.ndarray) -> float:
    """Return the mean average precision of the classes that occur."""
    there = np.flatnonzero(truth_NC.any(axis=0))
    return float(np.mean([average_precision_score(truth_NC[:, c], scores_NC[:, c]) for c in there]))


def over_recordings(pairs: list[list[Cells]]) -> tuple[float, float]:
    """Return the 95 % interval of the mean difference, by 1,000 samples of the test recordings."""
    recordings = pairs[0][0].recordings
    rows = [np.flatnonzero(recordings == name) for name in np.unique(recordings)]
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(1000):
        chosen = np.concatenate([rows[place] for place in rng.integers(0, len(rows), len(rows))])
        after, before = (
            np.mean([macro(pair[k].truth[chosen], pair[k].scores[chosen]) for pair in pairs]) for k in (1, 0)
        )
        drawn.append(after - before)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def britekit(folder: Path, *arguments: str) -> None:
    """Run a command of britekit in a folder; one that fails ends the program."""
    done = subprocess.run(
        [sys.executable, "-m", "britekit", *arguments], cwd=folder, env=os.environ | {"WANDB_MODE": "disabled"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"britekit {' '.join(arguments)}: {done.stdout}{done.stderr}")


def set_training(work: Path, epochs: int, model: str) -> None:
    """Write the number of epochs and the model into the project's settings."""
    path = work / "params.yaml"
    lines = path.read_text(encoding="utf-8").splitlines()
    given = {"num_epochs": str(epochs), "model_type": model}
    lines = [f"  {name}: {given[name]}" if (name := line.strip().split(":")[0]) in given else line for line in lines]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def make_data(work: Path, name: str) -> None:
    """Collect, extract and pickle; the training file is kept under the name."""
    britekit(work, "collect")
    britekit(work, "extract", "-d", "data/training.db")
    britekit(work, "pickle", "-d", "data/training.db", "--classes", "data/classes.csv")
    shutil.copyfile(work / "data/training.pkl", work / f"{name}.pkl")


def make_archive(folder: Path, count: int) -> None:
    """Write test-like recordings, drawn by another seed than the test's, and the truth beside the folder."""
    if Path("truth.csv").exists():
        return
    folder.mkdir(exist_ok=True)
    truth: list[Annotation] = []
    for number, recording in enumerate(plan_test(first_species(DEFAULT_CLASSES), count, 7001)):
        name = f"night{number:03d}"
        calls = recording.write(folder / f"{name}.flac")
        truth += [Annotation(name, call.label, call.start, call.end) for call in calls]
    write_annotations("truth.csv", truth)


def true_calls() -> dict[tuple[str, str], list[Annotation]]:
    """Return the truth by recording and name of class."""
    names = {key: info.info.name for info in SPECIES for key in (info.info.name, info.info.code)}
    calls: dict[tuple[str, str], list[Annotation]] = {}
    for item in read_annotations("truth.csv"):
        if item.label:  # empty where nothing calls
            calls.setdefault((item.recording, names[item.label]), []).append(item)
    return calls


def is_true(calls: list[Annotation], start: float, end: float) -> bool:
    """Return whether a stretch holds enough of a call, by the rule of tests."""
    return any(
        min(call.end, end) - max(call.start, start) >= least_held(call.end - call.start, end - start) - 1e-9
        for call in calls
    )


def judge_all(review: Review, most: int | None = None, others: bool = False) -> int:
    """Let the reviewer that knows the truth go through a queue."""
    calls = true_calls()
    names = {key: info.info.name for info in SPECIES for key in (info.info.name, info.info.code)}
    for item in review.items[:most]:
        heard = {
            name for (recording, name), spans in calls.items()
            if recording == item.recording and is_true(spans, item.start, item.end)
        }  # fmt: skip
        name = names[item.name]
        also = sorted(heard - {name}) if others else ()
        review.judge(item.number, "yes" if name in heard else "no", also)
    return len(review.items[:most])


def show_precision() -> None:
    """Print estimated and true precision at the threshold."""
    path = Path("precision-verdicts.csv")
    path.unlink(missing_ok=True)
    review, _ = build_review("archive", "detections", "strata", PER_CLASS, verdicts=path, reviewer="truth")
    judge_all(review)
    report = report_precision(path, "detections", "precision")
    calls, names = true_calls(), {k: s.info.name for s in SPECIES for k in (s.info.name, s.info.code)}
    candidates = read_candidates(read_label_table(Path("detections")), unknown_place)
    right = np.array([
        is_true(calls.get((candidates.recordings[r], names[candidates.names[n]]), []), start, end)
        for r, n, start, end in zip(
            candidates.recording_M, candidates.name_M, candidates.start_M, candidates.end_M, strict=True
        )
    ])  # fmt: skip
    above = candidates.score_M >= THRESHOLD
    print(f"precision at {THRESHOLD}, from {PER_CLASS} verdicts per class: estimate (95 % interval), truth")
    for each in report.classes:
        part = above & (np.array(candidates.names)[candidates.name_M] == each.name)
        found = each.sample.precision(THRESHOLD)
        if found is not None:
            print(
                f"  {each.name}: {found.value:.3f} ({found.low:.3f} to {found.high:.3f}), {right[part].mean():.3f} "
                f"of {part.sum()}"
            )
    joint = pooled([each.sample for each in report.classes], THRESHOLD)
    if joint is not None:
        print(f"  all: {joint.value:.3f} ({joint.low:.3f} to {joint.high:.3f}), {right[above].mean():.3f}", flush=True)


def gather_verdicts(after: str, queue: str, count: int, others: bool) -> None:
    """Judge detections from which a recognizer can learn, and make the training file that holds them."""
    if Path(f"{after}.pkl").exists():
        return
    num = -(-count // DEFAULT_CLASSES)
    table = Path("data/verdicts.csv")
    table.unlink(missing_ok=True)
    review, _ = build_review("archive", "detections", queue, num, verdicts=table, reviewer="truth")
    judged = judge_all(review, count, others)
    sources, row = Path("data/sources.csv"), "*,verdicts,archive,,train\n"
    if row not in (text := sources.read_text(encoding="utf-8")):
        sources.write_text(text + row, encoding="utf-8")
    make_data(Path.cwd(), after)
    answers = Counter(row.verdict for row in read_verdicts(table))
    print(f"verdicts = {judged}: {dict(answers)}", flush=True)


def train(seed: int, phase: str) -> Path:
    """Train one member; return its folder."""
    folder = Path(f"models-{phase}-{seed}")
    if not folder.exists():
        shutil.copyfile(f"{phase}.pkl", "data/training.pkl")
        britekit(Path.cwd(), "train", "--seed", str(seed), "--publish")
        folder.mkdir()
        for path in Path("models/ckpt").glob(f"seed-{seed}.*"):
            path.rename(folder / path.name)
    return folder


def with_models(phase: str, seed: int) -> None:
    """Put one member, alone, where inference looks for it."""
    for path in Path("models/ckpt").iterdir():
        path.unlink()
    for path in Path(f"models-{phase}-{seed}").iterdir():
        shutil.copyfile(path, Path("models/ckpt", path.name))


def test_of(seed: int, phase: str) -> float:
    """Return the macro PR-AUC of one member on the test."""
    train(seed, phase)
    folder, metrics = f"test-{phase}-{seed}", Path(f"test-{phase}-{seed}.json")
    if not metrics.exists():
        with_models(phase, seed)
        britekit(Path.cwd(), "analyze", "-i", "data/test", "-o", f"labels-{folder}", "--min-score", "0", "--raw")
        britekit(
            Path.cwd(), "rpt-test", "-a", "data/test/annotations.csv", "-l", f"labels-{folder}", "-o", folder,
            "-g", "segment", "--metrics", str(metrics),
        )  # fmt: skip
    return float(json.loads(metrics.read_text(encoding="utf-8"))["macro_pr"])


if __name__ == "__main__":
    main()

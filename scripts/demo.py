"""`make demo`: the whole pipeline on synthesised recordings, then what came out and what to type next."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
console = Console()


def main() -> int:
    """Run ``dvc repro`` unless everything is up to date, and show the results."""
    if not (ROOT / ".git").exists():
        # An unpacked archive has no Git history; DVC works without it once told.
        dvc("config", "--local", "core.no_scm", "true")
    if dvc("status", "--quiet").returncode == 0:
        console.print("Everything is up to date: nothing was run.")
    else:
        start = time.monotonic()
        if dvc("repro").returncode != 0:
            print(
                "Error: the pipeline stopped; the lines above say at which stage and why. "
                "What is done stays done: type make demo again to go on.",
                file=sys.stderr,
            )
            return 1
        minutes, seconds = divmod(round(time.monotonic() - start), 60)
        console.print(f"\nThe pipeline took {minutes} min {seconds} s.")
    show_metrics()
    show_next_steps()
    return 0


def dvc(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run DVC in the repository."""
    return subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=ROOT, check=False)


def git(*arguments: str) -> str:
    """Return what Git prints in the repository; nothing where there is none."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout


def show_metrics() -> None:
    """Print the metrics files as one table."""
    test = read("metrics/test.json")
    calibration = read("metrics/calibration.json")
    table = Table(title="The recognizer on recordings it has not heard", title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("meaning")
    rows = [
        ("macro PR-AUC", test["macro_pr"], "average precision, mean over species"),
        ("micro PR-AUC", test["micro_pr"], "average precision, all species in one list"),
        ("macro ROC-AUC", test["macro_roc"], "a true window outranks a false one, mean over species"),
        ("micro ROC-AUC", test["micro_roc"], "the same, all species in one list"),
        ("precision", test["precision"], f"share of detections that are right, at {test['threshold']:g}"),
        ("recall", test["recall"], f"share of sounds that are detected, at {test['threshold']:g}"),
        ("calibration error before", calibration["ece_before"], "raw score against observed frequency"),
        ("calibration error after", calibration["ece_after"], "the same after calibration, cross-fitted"),
    ]
    for path in sorted(ROOT.glob("metrics/train-*.json")):
        run = json.loads(path.read_text(encoding="utf-8"))
        seed = path.stem.removeprefix("train-")
        speed = f"{run['spectrograms_per_second']:.0f} spectrograms per second, {run['seconds']:.0f} s"
        rows.append((f"loss of seed {seed}", run["loss"], f"last epoch; {speed} on {run['device']}"))
    for name, value, meaning in rows:
        table.add_row(name, "undefined" if value is None else f"{value:.3f}", meaning)
    console.print(table)


def show_next_steps() -> None:
    """Print where the pictures are and the lines to type next."""
    runs = sorted((ROOT / "wandb").glob("offline-run-*"))
    steps = [
        ("See the curves of training", "tensorboard --logdir logs"),
        (
            "Compare experiments",
            "dvc exp run -S train.model_type=effnet.4 && dvc metrics diff",
        ),
        ("Detect species in a recording of your own", "britekit analyze -i RECORDING -o detections"),
        ("Serve the recognizer at http://127.0.0.1:3000", "make serve"),
    ]
    if runs:
        steps.insert(1, ("Look at the W&B runs in the terminal", "wandb leet wandb"))
        steps.insert(2, ("Send them to W&B", "wandb sync"))
    results = ["dvc.lock", "metrics", "models"]
    if git("status", "--porcelain", "--", *results):
        keep = f'git add {" ".join(results)} && git commit -m "Demo"'
        steps.insert(0, ("Keep this result, so that others are compared with it", keep))
    pictures = sorted(path for path in ROOT.glob("results/**/*.png"))
    console.print("\n[bold]Pictures[/bold]")
    for path in pictures:
        console.print(f"  {path.relative_to(ROOT)}", highlight=False)
    console.print("\n[bold]Next[/bold]")
    # Also puts the environment's python on the PATH of DVC's stages.
    console.print("  Use the environment:\n      source .venv/bin/activate", highlight=False)
    for what, line in steps:
        console.print(f"  {what}:\n      {line}", highlight=False, soft_wrap=True)


def read(name: str) -> dict[str, object]:
    """Read one metrics file."""
    return json.loads((ROOT / name).read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())

"""`make demo`: run the whole pipeline on synthesized recordings, then print the results and the next commands."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from britekit.project.summary import summary_text

ROOT = Path(__file__).resolve().parent.parent
BENTO = ROOT / "models/britekit-ensemble.bento"
console = Console()


def main() -> int:
    """Run ``dvc repro`` unless everything is up to date, and show the results."""
    if not (ROOT / ".git").exists():
        # An unpacked archive has no Git history; DVC needs this setting to work without it.
        dvc("config", "--local", "core.no_scm", "true")
    before = packaged_at()
    if dvc("status", "--quiet").returncode == 0:
        console.print("Everything is up to date: nothing was run.")
    else:
        start = time.monotonic()
        if dvc("repro").returncode != 0:
            print(
                "Error: the pipeline stopped; see the lines above for the stage and the reason. "
                "Finished stages are kept: run make demo again to continue.",
                file=sys.stderr,
            )
            return 1
        minutes, seconds = divmod(round(time.monotonic() - start), 60)
        console.print(f"\nThe pipeline took {minutes} min {seconds} s.")
    if packaged_at() == before:  # else the last stage has just printed it
        console.print(f"\n{summary_text(ROOT)}", highlight=False, soft_wrap=True)
    show_next_steps()
    return 0


def packaged_at() -> float | None:
    """Return when the Bento was written; None if there is none."""
    return BENTO.stat().st_mtime if BENTO.exists() else None


def dvc(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run DVC in the repository."""
    return subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=ROOT, check=False)


def git(*arguments: str) -> str:
    """Return what Git prints in the repository; nothing without a repository."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout


def show_next_steps() -> None:
    """Print the location of the pictures and the next commands."""
    runs = sorted((ROOT / "wandb").glob("offline-run-*"))
    steps = [
        ("See the training curves", "tensorboard --logdir logs"),
        ("Try another setting and compare (commit first)", "britekit exp train.model_type=effnet.4"),
        ("Detect species in your own recording", "britekit analyze -i RECORDING -o detections"),
        ("Serve the recognizer at http://127.0.0.1:3000", "make serve"),
    ]
    if runs:
        steps.insert(1, ("Look at the W&B runs in the terminal", "wandb leet wandb"))
        steps.insert(2, ("Send them to W&B", "wandb sync"))
    results = ["dvc.lock", "metrics", "models"]
    if git("status", "--porcelain", "--", *results):
        keep = f'git add {" ".join(results)} && git commit -m "Demo"'
        steps.insert(0, ("Keep this result to compare others with it", keep))
    pictures = sorted(path for path in ROOT.glob("results/**/*.png"))
    console.print("\n[bold]Pictures[/bold]")
    for path in pictures:
        console.print(f"  {path.relative_to(ROOT)}", highlight=False)
    console.print("\n[bold]Next[/bold]")
    # Also puts the environment's python on the PATH of DVC's stages.
    console.print("  Use the environment:\n      source .venv/bin/activate", highlight=False)
    for what, line in steps:
        console.print(f"  {what}:\n      {line}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())

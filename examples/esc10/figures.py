"""Print the figures of each member and of the ensemble of a finished project: mean, spread and interval over the seeds.

python ../britekit/examples/esc10/figures.py     # in the project, after dvc repro
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import statistics
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table
from scipy.stats import t as student

from britekit import commands, get_config
from britekit.errors import BriteKitError, InputError
from britekit.tracking.metrics_file import FIGURES_NAME

FIGURES = {
    "accuracy": "accuracy",
    "macro_pr": "macro PR-AUC",
    "micro_pr": "micro PR-AUC",
    "macro_roc": "macro ROC-AUC",
    "micro_roc": "micro ROC-AUC",
}


def test_member(checkpoint: Path, annotations: str) -> dict[str, float]:
    """Score the test recordings with one checkpoint alone and return its figures."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        labels = f"{folder}/labels"
        recordings = str(Path(annotations).parent)
        commands.analyze(input_path=recordings, output_path=labels, min_score=0.0, ckpt_path=str(checkpoint))
        commands.rpt_test(
            annotations_path=annotations, label_dir=labels, output_path=f"{folder}/test", calibration_path="none"
        )
        return json.loads(Path(folder, "test", FIGURES_NAME).read_text(encoding="utf-8"))


def spread_of(values: list[float]) -> list[str]:
    """Return mean, standard deviation and 95 % interval of the mean; one seed has no spread."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return [f"{mean:.3f}", "-", "-"]
    spread = statistics.stdev(values)
    half = student.ppf(0.975, len(values) - 1) * spread / math.sqrt(len(values))
    return [f"{mean:.3f}", f"{spread:.3f}", f"{mean - half:.3f} to {mean + half:.3f}"]


def show_figures() -> None:
    """Print the table of the project in the working directory."""
    results = Path("results/test") / FIGURES_NAME
    if not results.is_file():
        raise InputError(f"{results} does not exist; run dvc repro in the project first")
    pipeline, folder = get_config().pipeline, Path(get_config().misc.ckpt_folder)
    members = {seed: test_member(folder / f"seed-{seed}.ckpt", pipeline.test_annotations) for seed in pipeline.seeds}
    ensemble = json.loads(results.read_text(encoding="utf-8"))
    table = Table(title="ESC-10, trained on folds 1 to 3, tested on fold 4", title_justify="left")
    headings = ["figure", *(f"seed {seed}" for seed in members), "mean", "stdev", "95 % interval", "ensemble"]
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "figure" else "right")
    for key, name in FIGURES.items():
        values = [figures[key] for figures in members.values()]
        cells = [*(f"{value:.3f}" for value in values), *spread_of(values)]
        table.add_row(name, *cells, f"{ensemble[key]:.3f}")
    Console(width=110).print(table)
    for seed in members:
        run = json.loads(Path(f"results/runs/train-{seed}.json").read_text(encoding="utf-8"))
        print(f"seed {seed}: {run['seconds'] / 60:.1f} minutes of training on {run['device']}")


def main() -> int:
    """Read the command line."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    try:
        show_figures()
    except BriteKitError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

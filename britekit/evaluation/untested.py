"""Write the outputs of pipeline stages while no test recording is annotated.

DVC requires every output of a stage, and a project should train, analyze and package before a test is annotated. So
each stage of the test writes files without metrics that state the reason.
"""

from __future__ import annotations

import logging
from pathlib import Path

from britekit.audio.files import is_recording
from britekit.evaluation.html_page import PAGE_NAME
from britekit.files import together, write_text
from britekit.formats import read_any_annotations
from britekit.plots.reliability import plot_message
from britekit.tracking.facts import is_dvc_stage
from britekit.tracking.metrics_file import FIGURES_NAME, write_figures, write_metrics

WHY = "no test recording is annotated yet"
NEXT = (
    "put annotations (annotations.csv or Audacity labels) beside recordings that are not used for training, list "
    "their folder in data/sources.csv with split test, and run britekit collect --refresh && dvc repro"
)
_FIGURES = ("macro_pr", "micro_pr", "macro_roc", "precision", "recall")

log = logging.getLogger(__name__)


def is_untested(annotations: str | Path) -> bool:
    """Return whether this process is a pipeline stage whose table of annotations is empty.

    Outside the pipeline, commands raise an error for an empty table.
    """
    return is_dvc_stage() and Path(annotations).is_file() and not read_any_annotations(annotations)


def leave_uncalibrated(
    folder: Path, published: str | Path | None, plot: str | Path | None, metrics: str | Path | None
) -> None:
    """Write the outputs of `calibrate` without a fit."""
    log.warning("not calibrated, because %s. Next: %s", WHY, NEXT)
    with together():
        write_text(folder / "calibration.csv", "score,fraction\n")
        write_text(published or folder / "calibration.yaml", f"fitted: false\nreason: {WHY}\n")
        if plot is not None:
            plot_message(plot, f"Not calibrated: {WHY}")
        if metrics is not None:
            write_metrics(metrics, {"ece_after": None})


def leave_untested(folder: Path, metrics: str | Path | None) -> None:
    """Write the outputs of `rpt-test` without metrics."""
    log.warning("not tested, because %s. Next: %s", WHY, NEXT)
    text = f"Not tested: {WHY}.\nNext: {NEXT}.\n"
    with together():
        write_text(folder / "summary_report.txt", text)
        page = "<p>".join(["<!doctype html><meta charset=utf-8><title>Not tested</title>", *text.splitlines()])
        write_text(folder / PAGE_NAME, page)
        write_figures(folder / FIGURES_NAME, {"recordings": 0})
        if metrics is not None:
            write_metrics(metrics, dict.fromkeys(_FIGURES))


def is_unscored(folder: str | Path) -> bool:
    """Return whether this process is a pipeline stage whose test has tables but no recordings."""
    return is_dvc_stage() and Path(folder).is_dir() and not any(map(is_recording, Path(folder).iterdir()))


def leave_unscored(folder: Path) -> None:
    """Write the output of `analyze` for a test without recordings."""
    log.warning("not analyzed, because %s and there are no test recordings", WHY)
    write_text(folder / "no-recordings.txt", f"{WHY}. Next: {NEXT}.\n")

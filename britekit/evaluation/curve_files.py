"""Write precision-recall and ROC curves of a test as tables and pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from britekit.evaluation.matrix_file import write_columns
from britekit.evaluation.seconds import THRESHOLDS
from britekit.evaluation.unit_report import UnitReport
from britekit.metrics.counts import ThresholdCounts
from britekit.metrics.curves import Curve, coarse, curve_at, curve_of, rounded_thresholds, thin
from britekit.metrics.ranking import area_under_pr, area_under_roc
from britekit.plots.curves import plot_inverted_roc_curve, plot_pr_curve, plot_pr_per_threshold, plot_roc_curve

# As many points as DVC plots can draw; pictures use the same number.
CURVE_POINTS = 2000


def write_curves(
    report: UnitReport, counts: ThresholdCounts, which: str, ending: str, folder: Path, pictures: bool
) -> list[Path]:
    """Write the tables and pictures of one set of classes; return their paths.

    Parameters
    ----------
    counts
        Counts over the cells of these classes.
    which
        ``annotated`` or ``trained``.
    """
    table = curve_at(counts, rounded_thresholds(counts) if report.data.unit == "segment" else THRESHOLDS)
    full = curve_of(coarse(counts, 10 * CURVE_POINTS))
    pr = full.take(thin(full.recall, full.precision, CURVE_POINTS))
    written = [
        _threshold_table(report, table, which, folder / _table_name(report, ending)),
        write_columns(folder / f"pr_curve{ending}.csv", {"precision": pr.precision, "recall": pr.recall}),
    ]
    drawings = [folder / f"{name}{ending}.png" for name in ("pr_per_threshold", "pr_curve")]
    roc_tables = [folder / f"{name}{ending}.csv" for name in ("roc_per_threshold", "roc_inverted_curve")]
    roc_drawings = [folder / f"{name}{ending}.png" for name in ("roc_classic_curve", "roc_inverted_curve")]
    title = f"{which.capitalize()} classes, per {report.data.unit}"
    if pictures:
        # If the threshold applies to probabilities, a line at this score would be wrong.
        chosen = None if report.decisions.fitted else report.threshold
        plot_pr_per_threshold(drawings[0], table.thresholds, table.precision, table.recall, chosen, title)
        prevalence = counts.positives / (counts.positives + counts.negatives)
        plot_pr_curve(drawings[1], pr.recall, pr.precision, area_under_pr(counts), prevalence, title)
        written += drawings
    if not counts.negatives:
        for old in roc_tables + roc_drawings:
            old.unlink(missing_ok=True)  # left by an earlier run; there is no ROC curve this time
        return written
    rates = {
        "threshold": table.thresholds,
        "true positive rate": table.recall,
        "false positive rate": table.false_positive_rate,
    }
    written.append(write_columns(roc_tables[0], rates, 4))
    roc = full.take(thin(full.false_positive_rate, full.recall, CURVE_POINTS))
    inverted = {"roc_recall": roc.recall, "one_minus_fpr": 1 - roc.false_positive_rate, "roc_precision": roc.precision}
    written.append(write_columns(roc_tables[1], inverted, 4))
    if pictures:
        area = area_under_roc(counts)
        plot_roc_curve(roc_drawings[0], roc.false_positive_rate, roc.recall, area, title)
        plot_inverted_roc_curve(roc_drawings[1], roc.false_positive_rate, roc.recall, area, title)
        written += roc_drawings
    return written


def _table_name(report: UnitReport, ending: str) -> str:
    return "pr_table.csv" if report.data.unit == "recording" else f"pr_per_threshold{ending}.csv"


def _threshold_table(report: UnitReport, table: Curve, which: str, path: Path) -> Path:
    columns: dict[str, NDArray[np.floating]] = {"threshold": table.thresholds}
    if report.data.unit != "block":
        return write_columns(path, {**columns, "precision": table.precision, "recall": table.recall})
    columns |= {"recall (blocks)": table.recall, "precision (blocks)": table.precision}
    if report.seconds is not None:
        chosen = report.data.annotated if which == "annotated" else None
        columns["precision (seconds)"] = report.seconds.precision_T(chosen)
    return write_columns(path, columns)

"""Log the output of a test to its tracked run: metrics, the table of classes, curves."""

from __future__ import annotations

import math
from pathlib import Path

from britekit.evaluation.report_tables import annotated_class_rows
from britekit.evaluation.unit_report import UnitReport
from britekit.metrics.curves import coarse, curve_of, thin
from britekit.tracking.run import StageRun

# Enough for a chart; each point is a step of the run.
_POINTS = 200
_PICTURES = (
    "pr_curve_annotated", "roc_classic_curve_annotated", "pr_per_threshold_annotated", "pr_curve",
    "roc_classic_curve", "detection_curves", "confusion",
)  # fmt: skip


def track_report(run: StageRun, report: UnitReport, output_dir: str | Path) -> None:
    """Log a report with files in ``output_dir``; a no-op if nothing is tracked."""
    if not run.active:
        return
    figures = report.metrics()
    run.summary({k: v for k, v in figures.items() if not (isinstance(v, float) and math.isnan(v))})
    for name, found in report.intervals.items():
        if not math.isnan(found.low):
            run.summary({f"{name}_low": found.low, f"{name}_high": found.high})
    header, *rows = annotated_class_rows(report)
    # Columns have one type: an undefined AUC is empty, not text.
    typed = [[row[0], *(None if cell == "" else float(str(cell)) for cell in row[1:])] for row in rows]
    run.table("classes", [str(name) for name in header], typed)
    full = curve_of(coarse(report.annotated, _POINTS))
    pr = full.take(thin(full.recall, full.precision, _POINTS))
    run.curve("precision and recall", "recall", "precision", zip(pr.recall.tolist(), pr.precision.tolist()))
    if report.annotated.negatives:
        roc = full.take(thin(full.false_positive_rate, full.recall, _POINTS))
        points = zip(roc.false_positive_rate.tolist(), roc.recall.tolist())
        run.curve("ROC", "false positive rate", "true positive rate", points)
    for name in _PICTURES:
        picture = Path(output_dir) / f"{name}.png"
        if picture.is_file():
            run.image(name, picture)

"""Detection curves of each class over thresholds, and what was detected where it was missed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from britekit.evaluation.matrix_file import write_table
from britekit.evaluation.seconds import THRESHOLDS
from britekit.evaluation.unit_report import UnitReport
from britekit.metrics.confusion import MissedFor, count_missed_for
from britekit.plots.classes import plot_detection_curves, plot_missed_for
from britekit.plots.lettering import shorten

NOTHING = "(nothing)"
# With more, the picture is unreadable; the table has all.
_MOST_ROWS, _MOST_COLUMNS = 40, 40


@dataclass(frozen=True)
class DetectionCurves:
    """Detections of each annotated class at each of `THRESHOLDS`. T: thresholds, A: annotated classes."""

    precision_TA: NDArray[np.float64]
    """NaN where nothing is detected."""
    recall_TA: NDArray[np.float64]
    """NaN for a class that marks no unit."""
    detections_TA: NDArray[np.int64]
    false_TA: NDArray[np.int64]


def detection_curves(report: UnitReport) -> DetectionCurves:
    """Count detections of each annotated class at thresholds from 0.01 to 1.00."""
    data, steps = report.data, len(THRESHOLDS)
    counts = np.zeros((2, steps + 1, len(data.annotated)), dtype=np.int64)
    for k, c in enumerate(data.annotated):
        values = report.decisions.values_NC[:, c]
        place = np.clip(np.floor(values * np.float32(steps)).astype(np.int64), 0, steps)
        index = data.truth_NC[:, c] * np.int64(steps + 1) + place
        counts[:, :, k] = np.bincount(index, minlength=2 * (steps + 1)).reshape(2, steps + 1)
    reached = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]
    false, true = reached[0, 1:], reached[1, 1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        return DetectionCurves(true / (true + false), true / reached[1, :1], true + false, false)


def write_class_views(report: UnitReport, folder: Path, pictures: bool) -> list[Path]:
    """Write detection curves and the confusion view as tables and pictures; returns their paths."""
    curves = detection_curves(report)
    missed = count_missed_for(report.data.truth_NC, report.found_NC)
    written = [
        write_table(folder / "detection_curves.csv", _curve_rows(report, curves)),
        write_table(folder / "confusion.csv", _confusion_rows(report, missed)),
    ]
    if pictures:
        labels = [report.data.labels[c] for c in report.data.annotated]
        path = folder / "detection_curves.png"
        plot_detection_curves(
            path, THRESHOLDS, curves.precision_TA, curves.recall_TA, labels, report.threshold, report.data.unit
        )
        written.append(path)
        written += _draw_confusion(report, missed, folder / "confusion.png")
    return written


def _draw_confusion(report: UnitReport, missed: MissedFor, path: Path) -> list[Path]:
    labels = report.data.labels
    rows = [c for c in np.argsort(-missed.misses_C, kind="stable")[:_MOST_ROWS] if missed.misses_C[c]]
    if not rows:
        path.unlink(missing_ok=True)  # left by an earlier run; nothing was missed this time
        return []
    wrong = missed.wrong_CC[rows]
    order = np.argsort(-wrong.sum(axis=0), kind="stable")[:_MOST_COLUMNS]
    columns = [c for c in order if wrong[:, c].any()]
    # Follow the order of the rows where possible, so that mutual confusions lie opposite each other.
    columns.sort(key=lambda c: (rows.index(c) if c in rows else len(rows), c))
    shares = np.column_stack([wrong[:, columns], missed.nothing_C[rows]]) / missed.misses_C[rows][:, None]
    said = [labels[c] for c in columns] + [NOTHING]
    named = [f"{shorten(labels[c], 32)} ({missed.misses_C[c]})" for c in rows]
    plot_missed_for(path, shares, named, said, report.data.unit)
    return [path]


def _curve_rows(report: UnitReport, curves: DetectionCurves) -> Iterator[Sequence[object]]:
    hours = float(report.data.seconds_R.sum()) / 3600
    yield ("class", "threshold", "precision", "recall", "detections", "false positives", "false positives per hour")
    for k, c in enumerate(report.data.annotated):
        for t, threshold in enumerate(THRESHOLDS):
            rates = (curves.precision_TA[t, k], curves.recall_TA[t, k])
            yield (
                report.data.labels[c], f"{threshold:.2f}",
                *("" if np.isnan(rate) else f"{rate:.3f}" for rate in rates),
                int(curves.detections_TA[t, k]), int(curves.false_TA[t, k]),
                f"{curves.false_TA[t, k] / hours:.3f}",
            )  # fmt: skip


def _confusion_rows(report: UnitReport, missed: MissedFor) -> Iterator[Sequence[object]]:
    """Yield, for each missed class, what was detected instead, most frequent first."""
    unit, labels = report.data.unit, report.data.labels
    yield "missed", "misses", "said", f"{unit}s", "share", f"wrongly in {unit}s"
    for c in np.flatnonzero(missed.misses_C):
        said = missed.wrong_CC[c] + missed.right_CC[c]
        found = [(int(said[k]), labels[k], int(missed.wrong_CC[c, k])) for k in np.flatnonzero(said)]
        if missed.nothing_C[c]:
            found.append((int(missed.nothing_C[c]), NOTHING, 0))
        for count, name, wrongly in sorted(found, key=lambda item: (-item[0], item[1])):
            misses = int(missed.misses_C[c])
            yield labels[c], misses, name, count, f"{count / misses:.3f}", wrongly

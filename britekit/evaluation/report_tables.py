"""Tables of a test as rows of cells, header first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from britekit.evaluation.unit_report import UnitReport
from britekit.metrics.thresholds import count_ranges

Rows = Iterator[Sequence[object]]


def range_rows(report: UnitReport) -> Rows:
    """Yield the number of scores in each interval of 0.1."""
    yield "min", "max", "count"
    for k, count in enumerate(count_ranges(report.data.scores_NC)):
        yield f"{k / 10:.1f}", f"{(k + 1) / 10:.1f}", int(count)


def detail_rows(report: UnitReport) -> Rows:
    """Yield true positives, false positives and misses of each unit; units of a recording are numbered."""
    data = report.data
    whole = data.unit == "recording"
    unit, ending = (("directory", "recording"), "es") if whole else (("recording", "segment"), "")
    yield (
        *unit, "TP count", "FP count", "FN count",
        f"TP class{ending}", f"FP class{ending}", f"FN class{ending}",
    )  # fmt: skip
    named = [_names_per_row(mask, data.labels) for mask in _outcomes(report)]
    rows = zip(data.groups_N.tolist(), data.numbers_N.tolist(), strict=True)
    for n, (recording, number) in enumerate(rows):
        cells = [names[n] for names in named]
        place = directory_and_stem(data.recordings[recording]) if whole else (data.recordings[recording], number)
        yield *place, *map(len, cells), *(", ".join(names) for names in cells)


def recording_rows(report: UnitReport) -> Rows:
    """Yield counts of true positives, false positives and misses of each recording."""
    whole = report.data.unit == "recording"
    yield *(("directory", "recording") if whole else ("recording",)), "TP count", "FP count", "FN count"
    recordings = len(report.data.recordings)
    sums = [
        np.bincount(report.data.groups_N, np.count_nonzero(mask, axis=1), minlength=recordings).astype(int).tolist()
        for mask in _outcomes(report)
    ]
    for name, *counts in zip(report.data.recordings, *sums, strict=True):
        yield *(directory_and_stem(name) if whole else (name,)), *counts


def annotated_class_rows(report: UnitReport) -> Rows:
    """Yield the metrics of each annotated class."""
    unit = "recordings" if report.data.unit == "recording" else "segments"
    by = "segments" if report.seconds is None else "seconds"
    yield (
        "class", "PR-AUC", "ROC-AUC", "precision", "recall", f"annotated {unit}", f"TP {by}", f"FP {by}",
    )  # fmt: skip
    found, ranked = report.detections, report.per_class
    precision, recall = found.precision_C, found.recall_C
    if report.seconds is not None:
        tp = [f"{x:.1f}" for x in report.seconds.true_RC.sum(axis=0)]
        fp = [f"{x:.1f}" for x in report.seconds.false_RC.sum(axis=0)]
    else:
        tp, fp = [str(x) for x in found.tp_C.tolist()], [str(x) for x in found.fp_C.tolist()]
    for k, c in enumerate(report.data.annotated):
        yield (
            report.data.labels[c], _rate(ranked.pr_auc_C[k]), _rate(ranked.roc_auc_C[k]), _rate(precision[c]),
            _rate(recall[c]), int(ranked.positives_C[k]), tp[c], fp[c],
        )  # fmt: skip


def other_class_rows(report: UnitReport) -> Rows:
    """Yield how often the models detected a class without annotations."""
    yield "class", "predictions >= .25", "predictions >= .5", "predictions >= .75"
    known = set(report.data.annotated)
    for c, label in enumerate(report.data.labels):
        if c not in known:
            scores = report.data.scores_NC[:, c]
            yield label, *(int(np.count_nonzero(scores >= level)) for level in (0.25, 0.5, 0.75))


def interval_rows(report: UnitReport) -> Rows:
    """Yield each metric with its interval."""
    yield "figure", "value", "low", "high"
    for name, found in report.intervals.items():
        yield name, *(f"{x:.4f}" if not math.isnan(x) else "" for x in (found.value, found.low, found.high))


def directory_and_stem(recording: str) -> tuple[str, str]:
    """Split a recording that is named by its path below the recordings directory."""
    path = Path(recording)
    return path.parent.as_posix(), path.name


def _outcomes(report: UnitReport) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return true positives, false positives and misses as (N, C) masks."""
    truth, found = report.data.truth_NC, report.found_NC
    return truth & found, found & ~truth, truth & ~found


def _names_per_row(mask_NC: NDArray[np.bool_], labels: Sequence[str]) -> list[list[str]]:
    """Return the labels of the true columns of each row."""
    named: list[list[str]] = [[] for _ in range(len(mask_NC))]
    for row, column in zip(*(index.tolist() for index in np.nonzero(mask_NC)), strict=True):
        named[row].append(labels[column])
    return named


def _rate(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"

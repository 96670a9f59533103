"""A test per segment as text, tables and pictures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from britekit.evaluation.matrix_file import csv_line, write_score_matrix, write_truth_matrix
from britekit.evaluation.segment_report import SegmentReport
from britekit.files import together, write_text
from britekit.metrics.counts import ThresholdCounts
from britekit.metrics.curves import curve_at, curve_of, rounded_thresholds, thin
from britekit.metrics.ranking import area_under_pr, area_under_roc
from britekit.metrics.thresholds import count_ranges
from britekit.plots.curves import (
    plot_inverted_roc_curve,
    plot_pr_curve,
    plot_pr_per_threshold,
    plot_roc_curve,
)

# What DVC plots and a page can still draw; the pictures use as many.
CURVE_POINTS = 2000


def write_segment_files(
    report: SegmentReport, output_dir: str | Path, save_matrices: bool = True, pictures: bool = True
) -> list[Path]:
    """Write every file of a test per segment; returns their paths.

    Segments are counted from 0: segment k begins at k steps.
    """
    with together():
        return _write_files(report, Path(output_dir), save_matrices, pictures)


def _write_files(report: SegmentReport, folder: Path, save_matrices: bool, pictures: bool) -> list[Path]:
    written = [folder / "summary_report.txt"]
    write_text(written[0], summary_text(report))
    written += _write_curves(report.annotated, "annotated", report, folder, pictures)
    written += _write_curves(report.trained, "trained", report, folder, pictures)
    tables = {
        "prediction_range_counts.csv": _range_rows(report),
        "recording_details.csv": _detail_rows(report),
        "recording_summary.csv": _recording_rows(report),
        "classes_annotated.csv": annotated_class_rows(report),
        "classes_non_annotated.csv": _other_class_rows(report),
    }
    for name, rows in tables.items():
        written.append(_write_table(folder / name, rows))
    if save_matrices:
        written += _write_matrices(report, folder)
    return written


def summary_text(report: SegmentReport) -> str:
    """Return the summary a person reads first."""
    data, figures = report.data, report.metrics()
    grid, source = data.grid, data.source

    def area(key: str) -> str:
        return "not defined" if math.isnan(figures[key]) else f"{figures[key]:.4f}"

    def line(name: str, value: str) -> str:
        return f"  {name + ':':<34}{value}"

    silent = (
        f", {len(data.without_scores)} of them without scores (counted as 0)" if data.without_scores else ""
    )
    lines = [
        "Test per segment",
        "",
        line("Recordings", f"{len(data.recordings)}{silent}"),
        line("Segments", f"{grid.rows} of {grid.length_s:g} s, every {grid.step_s:g} s"),
        line("Scores", f"{source.path.name} ({'unrounded' if source.unrounded else 'label files'})"),
        line("Threshold", f"{report.threshold:g}, on {report.decisions.basis}"),
        "",
        f"Annotated classes ({len(data.annotated)}; {report.annotated.positives} true cells)",
        line("Macro PR-AUC", area("macro_pr")),
        line("Micro PR-AUC", area("micro_pr")),
        line("Macro ROC-AUC", area("macro_roc")),
        line("Micro ROC-AUC", area("micro_roc")),
        line("Precision at the threshold", f"{100 * figures['precision']:.1f} %"),
        line("Recall at the threshold", f"{100 * figures['recall']:.1f} %"),
        "",
        f"All trained classes ({len(data.labels)})",
        line("Micro PR-AUC", area("micro_pr_trained")),
        line("Micro ROC-AUC", area("micro_roc_trained")),
        line("Precision at the threshold", f"{100 * figures['precision_trained']:.1f} %"),
        line("Recall at the threshold", f"{100 * figures['recall_trained']:.1f} %"),
        "",
        line(
            "Mean true-positive score",
            "none detected" if math.isnan(report.mean_tp_score) else f"{report.mean_tp_score:.3f}",
        ),
    ]
    if not math.isnan(report.accuracy):
        lines.append(
            line("Accuracy by highest score", f"{100 * report.accuracy:.1f} % of {grid.rows} segments")
        )
    notes = data.left_out.sentences(data.labels)
    if report.without_positives:
        notes.append(
            f"no segment is marked by {_listed(report.without_positives)}: left out of the macro means"
        )
    if report.always_positive:
        notes.append(
            f"every segment is marked by {_listed(report.always_positive)}: no ROC-AUC, left out of its mean"
        )
    if data.without_scores:
        notes.append(f"nothing was scored in {_listed(data.without_scores)}")
    if notes:
        lines += ["", "Left out or missing", *(f"  - {note}" for note in notes)]
    return "\n".join(lines) + "\n"


def annotated_class_rows(report: SegmentReport) -> Iterator[Sequence[object]]:
    """Yield the table of annotated classes, header first."""
    yield (
        "class", "PR-AUC", "ROC-AUC", "precision", "recall",
        "annotated segments", "TP segments", "FP segments",
    )  # fmt: skip
    found, ranked = report.detections, report.per_class
    precision, recall = found.precision_C, found.recall_C
    for k, c in enumerate(report.data.annotated):
        yield (
            report.data.labels[c], _rate(ranked.pr_auc_C[k]), _rate(ranked.roc_auc_C[k]), _rate(precision[c]),
            _rate(recall[c]), int(ranked.positives_C[k]), int(found.tp_C[c]), int(found.fp_C[c]),
        )  # fmt: skip


def _write_curves(
    counts: ThresholdCounts, which: str, report: SegmentReport, folder: Path, pictures: bool
) -> list[Path]:
    """Write the tables and pictures of one set of classes."""
    full = curve_of(counts)
    table = curve_at(counts, rounded_thresholds(counts))
    pr = full.take(thin(full.recall, full.precision, CURVE_POINTS))
    written = [
        _write_columns(
            folder / f"pr_per_threshold_{which}.csv",
            threshold=table.thresholds, precision=table.precision, recall=table.recall,
        ),
        _write_columns(folder / f"pr_curve_{which}.csv", precision=pr.precision, recall=pr.recall),
    ]  # fmt: skip
    drawings = [folder / f"{name}_{which}.png" for name in ("pr_per_threshold", "pr_curve")]
    roc_tables = [folder / f"{name}_{which}.csv" for name in ("roc_per_threshold", "roc_inverted_curve")]
    roc_drawings = [folder / f"{name}_{which}.png" for name in ("roc_classic_curve", "roc_inverted_curve")]
    title = f"{which.capitalize()} classes, per segment"
    if pictures:
        # Where the threshold applies to probabilities, a line at it would stand in the wrong place.
        chosen = None if report.decisions.fitted else report.threshold
        plot_pr_per_threshold(drawings[0], table.thresholds, table.precision, table.recall, chosen, title)
        prevalence = counts.positives / (counts.positives + counts.negatives)
        plot_pr_curve(drawings[1], pr.recall, pr.precision, area_under_pr(counts), prevalence, title)
        written += drawings
    if not counts.negatives:
        for old in roc_tables + roc_drawings:
            old.unlink(missing_ok=True)  # of an earlier run: there is no ROC curve now
        return written
    rates = {"true positive rate": table.recall, "false positive rate": table.false_positive_rate}
    written.append(_write_columns(roc_tables[0], 4, threshold=table.thresholds, **rates))
    roc = full.take(thin(full.false_positive_rate, full.recall, CURVE_POINTS))
    inverted = {"roc_recall": roc.recall, "one_minus_fpr": 1 - roc.false_positive_rate}
    written.append(_write_columns(roc_tables[1], 4, **inverted, roc_precision=roc.precision))
    if pictures:
        area = area_under_roc(counts)
        plot_roc_curve(roc_drawings[0], roc.false_positive_rate, roc.recall, area, title)
        plot_inverted_roc_curve(roc_drawings[1], roc.false_positive_rate, roc.recall, area, title)
        written += roc_drawings
    return written


def _range_rows(report: SegmentReport) -> Iterator[Sequence[object]]:
    yield "min", "max", "count"
    for k, count in enumerate(count_ranges(report.data.scores_NC)):
        yield f"{k / 10:.1f}", f"{(k + 1) / 10:.1f}", int(count)


def _outcomes(report: SegmentReport) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return true positives, false positives and misses as (N, C) masks."""
    truth, found = report.data.truth_NC, report.decisions.values_NC >= report.threshold
    return truth & found, found & ~truth, truth & ~found


def _detail_rows(report: SegmentReport) -> Iterator[Sequence[object]]:
    yield (
        "recording", "segment", "TP count", "FP count", "FN count", "TP class", "FP class", "FN class",
    )  # fmt: skip
    data = report.data
    named = [_names_per_row(mask, data.labels) for mask in _outcomes(report)]
    rows = zip(data.grid.row_recording_N.tolist(), data.grid.row_index_N.tolist(), strict=True)
    for n, (recording, segment) in enumerate(rows):
        cells = [names[n] for names in named]
        yield data.recordings[recording], segment, *map(len, cells), *(", ".join(names) for names in cells)


def _recording_rows(report: SegmentReport) -> Iterator[Sequence[object]]:
    yield "recording", "TP count", "FP count", "FN count"
    recordings = len(report.data.recordings)
    sums = [
        np.bincount(report.data.groups_N, np.count_nonzero(mask, axis=1), minlength=recordings)
        .astype(int)
        .tolist()
        for mask in _outcomes(report)
    ]
    for name, *counts in zip(report.data.recordings, *sums, strict=True):
        yield name, *counts


def _other_class_rows(report: SegmentReport) -> Iterator[Sequence[object]]:
    yield "class", "predictions >= .25", "predictions >= .5", "predictions >= .75"
    known = set(report.data.annotated)
    for c, label in enumerate(report.data.labels):
        if c not in known:
            scores = report.data.scores_NC[:, c]
            yield label, *(int(np.count_nonzero(scores >= level)) for level in (0.25, 0.5, 0.75))


def _write_matrices(report: SegmentReport, folder: Path) -> list[Path]:
    data = report.data
    paths = []
    for which, columns in (("annotated", data.annotated), ("trained", list(range(len(data.labels))))):
        names = [data.labels[c] for c in columns]
        paths += [folder / f"y_true_{which}.csv", folder / f"y_pred_{which}.csv"]
        write_truth_matrix(paths[-2], data.row_names, names, data.truth_NC[:, columns])
        write_score_matrix(paths[-1], data.row_names, names, data.scores_NC[:, columns])
    return paths


def _names_per_row(mask_NC: NDArray[np.bool_], labels: Sequence[str]) -> list[list[str]]:
    """Return the labels of the true columns of each row."""
    named: list[list[str]] = [[] for _ in range(len(mask_NC))]
    for row, column in zip(*(index.tolist() for index in np.nonzero(mask_NC)), strict=True):
        named[row].append(labels[column])
    return named


def _write_columns(path: Path, decimals: int = 3, **columns: NDArray[np.floating]) -> Path:
    """Write columns of numbers; lines that look alike once rounded are written once."""
    template = ",".join(f"%.{decimals}f" for _ in columns)
    # + 0.0 turns a negative zero, from 1 - 1, into one without a sign
    lines = [
        template % values
        for values in zip(*(np.round(c, decimals) + 0.0 for c in columns.values()), strict=True)
    ]
    write_text(path, "\n".join([csv_line(list(columns)).rstrip("\n"), *dict.fromkeys(lines)]) + "\n")
    return path


def _write_table(path: Path, rows: Iterable[Sequence[object]]) -> Path:
    write_text(path, "".join(csv_line(row) for row in rows))
    return path


def _rate(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"


def _listed(names: Sequence[str], most: int = 10) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more

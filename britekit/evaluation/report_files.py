"""Write the files of a test per segment, block or recording."""

from __future__ import annotations

from pathlib import Path

from britekit.evaluation import report_tables as tables
from britekit.evaluation.class_curves import write_class_views
from britekit.evaluation.curve_files import write_curves
from britekit.evaluation.matrix_file import write_score_matrix, write_table, write_truth_matrix
from britekit.evaluation.summary import summary_text
from britekit.evaluation.unit_report import UnitReport
from britekit.files import together, write_text


def write_report(
    report: UnitReport, output_dir: str | Path, save_matrices: bool = True, pictures: bool = True, pr_table: bool = True
) -> list[Path]:
    """Write the tables and pictures of a test; return their paths.

    Segments are counted from 0 (segment k begins at k steps), blocks from 1, as in the annotations.

    Parameters
    ----------
    save_matrices
        Whether to write the truth and score matrices.
    pr_table
        Per block: whether to write the tables and pictures over all thresholds.
    """
    folder, unit = Path(output_dir), report.data.unit
    with together():
        written = [folder / "summary_report.txt"]
        write_text(written[0], summary_text(report))
        written.append(write_table(folder / "intervals.csv", tables.interval_rows(report)))
        if unit == "recording":
            written += write_curves(report, report.annotated, "annotated", "", folder, pictures)
        elif pr_table or unit == "segment":
            written += write_curves(report, report.annotated, "annotated", "_annotated", folder, pictures)
            written += write_curves(report, report.trained, "trained", "_trained", folder, pictures)
        written += [write_table(folder / name, rows) for name, rows in _tables(report).items()]
        written += write_class_views(report, folder, pictures)
        if save_matrices:
            written += _write_matrices(report, folder)
        return written


def _tables(report: UnitReport) -> dict[str, tables.Rows]:
    unit = report.data.unit
    which = "_trained" if unit == "block" else ""
    found = {
        f"recording_details{which}.csv": tables.detail_rows(report),
        f"recording_summary{which}.csv": tables.recording_rows(report),
    }
    classes = tables.annotated_class_rows(report)
    if unit == "recording":
        return {**found, "class.csv": classes, "class_non_annotated.csv": tables.other_class_rows(report)}
    plural = "classes" if unit == "segment" else "class"
    return {
        "prediction_range_counts.csv": tables.range_rows(report),
        **found,
        f"{plural}_annotated.csv": classes,
        f"{plural}_non_annotated.csv": tables.other_class_rows(report),
    }


def _write_matrices(report: UnitReport, folder: Path) -> list[Path]:
    data = report.data
    paths = []
    for which, columns in (("annotated", data.annotated), ("trained", list(range(len(data.labels))))):
        names = [data.labels[c] for c in columns]
        every = len(columns) == len(data.labels)
        paths += [folder / f"y_true_{which}.csv", folder / f"y_pred_{which}.csv"]
        truth = data.truth_NC if every else data.truth_NC[:, columns]
        write_truth_matrix(paths[-2], data.row_names, names, truth)
        scores = data.scores_NC if every else data.scores_NC[:, columns]
        write_score_matrix(paths[-1], data.row_names, names, scores)
    return paths

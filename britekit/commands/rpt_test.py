"""Measure the ensemble: metrics from annotations and labels.

Compares what people annotated with what analyze said, per segment, and writes a summary, tables per class
and per recording, precision-recall and ROC curves. Unrounded scores are used where analyze left them
(scores.npz, written with --min-score 0). Only recordings that the annotations name belong to the test; those
without scores count as 0.

    britekit rpt-test -a data/test/annotations.csv -l results/labels -o results/test
"""

from dataclasses import dataclass
from typing import Optional

from britekit.options import config_option, option


@dataclass(kw_only=True)
class Options:
    """Options of `rpt-test`."""

    cfg_path: Optional[str] = config_option()
    granularity: str = option(
        "-g",
        "--granularity",
        default="segment",
        metavar="TEXT",
        help="unit of the test; segment or the beginning of that word (default: segment)",
    )
    annotations_path: str = option(
        "-a", "--annotations", required=True, metavar="FILE", help="annotations of the test recordings"
    )
    label_dir: str = option(
        "-l",
        "--labels",
        required=True,
        metavar="DIR",
        help="output of analyze, looked up in the recordings directory first",
    )
    output_path: str = option("-o", "--output", required=True, metavar="DIR", help="where the report goes")
    recordings_path: Optional[str] = option(
        "-r", "--recordings", metavar="DIR", help="recordings (default: the directory of the annotations)"
    )
    min_score: Optional[float] = option(
        "-m",
        "--min-score",
        metavar="SCORE",
        help="threshold of precision and recall (default: infer.min_score)",
    )
    save_matrices: bool = option(
        "--skip-matrices", default=True, help="do not write the truth and score matrices"
    )
    keep_matrices: bool = option(
        "--save-matrices", default=False, help="write the truth and score matrices (the default)"
    )
    calibration_path: Optional[str] = option(
        "--calibration",
        metavar="FILE",
        help="calibration, or none (default: infer.calibration, else models/calibration.yaml if it fits)",
    )
    metrics_path: Optional[str] = option(
        "--metrics", metavar="FILE", help="also write the figures as a small JSON file"
    )


def rpt_test(
    cfg_path: Optional[str] = None,
    granularity: str = "segment",
    annotations_path: Optional[str] = None,
    label_dir: Optional[str] = None,
    output_path: Optional[str] = None,
    recordings_path: Optional[str] = None,
    min_score: Optional[float] = None,
    save_matrices: bool = True,
    keep_matrices: bool = False,
    calibration_path: Optional[str] = None,
    metrics_path: Optional[str] = None,
) -> None:
    """Compute the figures of a test and write its report."""
    from britekit.config import resolve
    from britekit.errors import InputError
    from britekit.evaluation.scored_set import read_scored_set
    from britekit.evaluation.segment_files import write_segment_files
    from britekit.evaluation.segment_report import choose_decisions, report_segments
    from britekit.evaluation.segment_tracking import track_segments
    from britekit.files import together
    from britekit.tracking.metrics_file import write_metrics
    from britekit.tracking.run import stage_run

    if annotations_path is None or label_dir is None or output_path is None:
        raise InputError("annotations, labels and output directory are all needed")
    if keep_matrices and not save_matrices:
        raise InputError("--save-matrices and --skip-matrices contradict each other; give one of them")
    if not granularity or not "segment".startswith(granularity.lower()):
        raise InputError(f'granularity "{granularity}" is not available; this version tests per segment only')
    cfg = resolve(cfg_path, {"infer.min_score": min_score})
    with stage_run("rpt-test", cfg, [annotations_path, label_dir]) as run:
        data = read_scored_set(annotations_path, label_dir, recordings_path, cfg)
        decisions = choose_decisions(data, cfg, calibration_path)
        report = report_segments(data, cfg.infer.min_score, decisions)
        figures = report.metrics()
        with together():
            write_segment_files(report, output_path, save_matrices)
            if metrics_path is not None:
                write_metrics(metrics_path, figures)
        track_segments(run, report, output_path)
    for name, value in figures.items():
        print(f"{name} = {value:.4f}" if isinstance(value, float) else f"{name} = {value}")

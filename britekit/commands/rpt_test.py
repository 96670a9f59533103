"""Test the ensemble: compute metrics from annotations and labels.

Compares annotations with the output of analyze, per segment, block or recording. Writes a summary, tables per
class and per recording, curves, what was detected instead of missed classes, and a page (report.html) with
all of it and the worst mistakes as spectrograms. Each main figure has a 95 % interval from resampling
recordings.

Annotations per segment are a CSV with recording, class, start_time, end_time, Audacity labels or Raven
tables; per block a CSV with recording, block (or minute), classes; per recording a CSV with recording,
classes. The test consists of the annotated recordings; those without scores count as 0. Unrounded scores are
used if analyze wrote them (scores.npz, with --min-score 0).

    britekit rpt-test -a data/test/annotations.csv -l results/labels -o results/test
    britekit rpt-test -g minute -a data/test/minutes.csv -l results/labels -o results/test
"""

from typing import Annotated, Optional

from britekit.options import ConfigPath, LabelDir, MetricsPath, Recordings, Strict, opt


def rpt_test(
    cfg_path: ConfigPath = None,
    granularity: Annotated[
        str,
        opt(
            "-g",
            "--granularity",
            metavar="TEXT",
            help="unit of the test: segment, block, recording or minute (blocks of 60 s) (default: segment)",
        ),
    ] = "segment",
    annotations_path: Annotated[
        Optional[str],
        opt(
            "-a",
            "--annotations",
            required=True,
            metavar="PATH",
            help="annotations of the test: CSV, Audacity labels, a Raven table, or a folder of these",
        ),
    ] = None,
    label_dir: LabelDir = None,
    output_path: Annotated[
        Optional[str], opt("-o", "--output", required=True, metavar="DIR", help="output directory of the report")
    ] = None,
    recordings_path: Recordings = None,
    min_score: Annotated[
        Optional[float],
        opt("-m", "--min-score", metavar="SCORE", help="threshold of precision and recall (default: infer.min_score)"),
    ] = None,
    block_size: Annotated[
        Optional[int], opt("-b", "--block", metavar="SECONDS", help="length of a block (default: 60)")
    ] = None,
    precision: Annotated[
        float,
        opt(
            "--precision",
            metavar="P",
            help="per recording: report the seconds of true detections at this precision (default: 0.95)",
        ),
    ] = 0.95,
    save_matrices: Annotated[bool, opt("--skip-matrices", help="do not write the truth and score matrices")] = True,
    keep_matrices: Annotated[
        bool, opt("--save-matrices", help="write the truth and score matrices (the default)")
    ] = False,
    calibration_path: Annotated[
        Optional[str],
        opt(
            "--calibration",
            metavar="FILE",
            help="calibration file, or none (default: infer.calibration, else models/calibration.yaml if it fits)",
        ),
    ] = None,
    metrics_path: MetricsPath = None,
    strict: Strict = False,
    examples: Annotated[
        int,
        opt(
            "--examples",
            metavar="N",
            help="number of worst false positives, and of worst misses, to show as spectrograms (default: 12)",
        ),
    ] = 12,
) -> None:
    """Compute the figures of a test and write its report."""
    import logging
    import math
    from pathlib import Path

    from britekit.config import resolve
    from britekit.errors import InputError
    from britekit.evaluation.compare import CELLS_NAME, write_cells
    from britekit.evaluation.exclusions import root_of
    from britekit.evaluation.granularity import check_precision, find_granularity, read_units
    from britekit.evaluation.headline import all_figures, leading_figures
    from britekit.evaluation.html_page import PAGE_NAME, write_page
    from britekit.evaluation.in_f32 import macro_pr_in_f32
    from britekit.evaluation.mistake_sounds import cut_sounds
    from britekit.evaluation.report_files import write_report
    from britekit.evaluation.report_tracking import track_report
    from britekit.evaluation.score_reading import find_label_dir
    from britekit.evaluation.thresholded_values import choose_decisions
    from britekit.evaluation.unit_report import report_units
    from britekit.evaluation.untested import is_untested, leave_untested
    from britekit.evaluation.worst_mistakes import draw_examples, worst_examples
    from britekit.files import refuse_overwriting, together
    from britekit.tracking.facts import is_dvc_stage
    from britekit.tracking.lineage import CALIBRATION, LABELS, TABLE
    from britekit.tracking.metrics_file import FIGURES_NAME, write_figures, write_metrics
    from britekit.tracking.run import stage_run

    if annotations_path is None or label_dir is None or output_path is None:
        raise InputError("annotations, labels and output directory are all needed")
    if keep_matrices and not save_matrices:
        raise InputError("--save-matrices and --skip-matrices contradict each other; give one of them")
    if examples < 0:
        raise InputError(f"--examples is {examples}; expected 0 or more")
    if is_untested(annotations_path):
        leave_untested(Path(output_path), metrics_path)
        return
    unit, block_s = find_granularity(granularity, block_size)
    wanted = check_precision(precision) if unit == "recording" else None
    refuse_overwriting(metrics_path, annotations_path, cfg_path, calibration_path)
    cfg = resolve(cfg_path, {"infer.min_score": min_score})
    recordings_dir = root_of(annotations_path, recordings_path)
    inputs = {annotations_path: TABLE, label_dir: LABELS}
    if calibration_path is not None:
        inputs[calibration_path] = CALIBRATION
    with stage_run("rpt-test", cfg, inputs) as run:
        data = read_units(unit, annotations_path, label_dir, recordings_path, cfg, block_s, strict or is_dvc_stage())
        decisions = choose_decisions(data, cfg, calibration_path)
        report = report_units(data, cfg.infer.min_score, decisions, wanted)
        for caution in report.cautions():
            logging.getLogger("britekit.evaluation").warning("%s", caution)
        figures = report.metrics()
        in_f32 = macro_pr_in_f32(
            find_label_dir(label_dir, recordings_dir),
            lambda folder: read_units(unit, annotations_path, folder, recordings_path, cfg, block_s),
        )
        worst = worst_examples(report, examples)
        spectrograms = draw_examples(worst, recordings_dir, cfg.audio)
        sounds = cut_sounds(worst, recordings_dir)
        page = Path(output_path) / PAGE_NAME
        with together():
            write_report(report, output_path, save_matrices)
            write_figures(Path(output_path) / FIGURES_NAME, all_figures(report))
            write_cells(report, Path(output_path) / CELLS_NAME)
            write_page(page, report, output_path, worst, spectrograms, recordings_dir, sounds)
            if metrics_path is not None:
                write_metrics(metrics_path, leading_figures(report))
        track_report(run, report, output_path)
    for name, value in figures.items():
        print(f"{name} = {value:.4f}" if isinstance(value, float) else f"{name} = {value}")
        found = report.intervals.get(name)
        if found is not None and not math.isnan(found.low):
            print(f"{name}_interval = {found.low:.4f} {found.high:.4f}")
    if in_f32 is not None:
        print(f"macro_pr_in_f32 = {in_f32:.4f}")
    print(f"report = {page}")

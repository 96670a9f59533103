"""Turn scores into probabilities: fit Platt scaling to annotated recordings.

Fits P = sigmoid(a * logit(score) + b) to all scores of at least --cutoff, and to single classes with enough
recordings. The error after calibration is measured on recordings that were not used for the fit. Writes
calibration.yaml (see infer.calibration), a reliability diagram with its bins, and for each class the lowest
threshold that reaches the given precision with 95 % confidence; prints a, b and the errors.

With --verdicts it is fitted on verdicts about a sample of your own archive's detections (review, queues strata
or random), each weighted by the inverse of its sampling share.

    britekit calibrate -a data/test/annotations.csv -l results/labels -o results/calibration --cutoff 0
    britekit calibrate --verdicts data/verdicts.csv -l results/archive -o results/archive-calibration
"""

from typing import Annotated, Any, Optional

from britekit.options import ConfigPath, LabelDir, MetricsPath, Recordings, Strict, opt


def calibrate(
    annotations_path: Annotated[
        Optional[str],
        opt(
            "-a",
            "--annotations",
            metavar="PATH",
            help="annotations of the recordings: CSV, Audacity labels, a Raven table, or a folder of these",
        ),
    ] = None,
    label_dir: LabelDir = None,
    output_path: Annotated[
        Optional[str], opt("-o", "--output", required=True, metavar="DIR", help="output directory")
    ] = None,
    recordings_path: Recordings = None,
    cutoff: Annotated[
        Optional[float],
        opt("--cutoff", metavar="SCORE", help="lowest score used for the fit (default: 0.4; with --verdicts 0)"),
    ] = None,
    coef: Annotated[
        Optional[float],
        opt("--coef", metavar="A", help="evaluate this coefficient instead of fitting one (with --inter)"),
    ] = None,
    inter: Annotated[
        Optional[float],
        opt("--inter", metavar="B", help="evaluate this intercept instead of fitting one (with --coef)"),
    ] = None,
    cfg_path: ConfigPath = None,
    publish_path: Annotated[
        Optional[str],
        opt("--publish", metavar="FILE", help="calibration file (default: calibration.yaml in the output)"),
    ] = None,
    plot_path: Annotated[
        Optional[str], opt("--plot", metavar="FILE", help="also write the reliability diagram to this file")
    ] = None,
    metrics_path: MetricsPath = None,
    precision: Annotated[
        float,
        opt(
            "--precision",
            metavar="P",
            help="find the lowest threshold of each class with at least this precision (default: 0.9)",
        ),
    ] = 0.9,
    strict: Strict = False,
    verdicts_path: Annotated[
        Optional[str],
        opt("--verdicts", metavar="FILE", help="fit on verdicts about a sample of the labels, instead of annotations"),
    ] = None,
) -> tuple[float, float]:
    """Fit a calibration, write it with its reliability diagram, and return coefficient and intercept."""
    import math
    from pathlib import Path

    from britekit.config import resolve
    from britekit.errors import InputError
    from britekit.evaluation import calibrating
    from britekit.evaluation.class_thresholds import find_thresholds, write_thresholds
    from britekit.evaluation.scored_segments import read_scored_segments
    from britekit.evaluation.untested import is_untested, leave_uncalibrated
    from britekit.files import refuse_overwriting, together
    from britekit.tracking.facts import is_dvc_stage
    from britekit.tracking.lineage import CALIBRATION, LABELS, TABLE
    from britekit.tracking.metrics_file import FIGURES_NAME, write_figures, write_metrics
    from britekit.tracking.run import stage_run

    if (annotations_path is None) == (verdicts_path is None) or label_dir is None or output_path is None:
        raise InputError("annotations (-a) or verdicts (--verdicts), labels and output directory are all needed")
    if cutoff is None:
        cutoff = 0.4 if verdicts_path is None else 0.0
    if not 0 <= cutoff < 1:
        raise InputError(f"--cutoff is {cutoff:g}; expected a score from 0 to below 1")
    if not 0 < precision < 1:
        raise InputError(f"--precision is {precision:g}; expected a share above 0 and below 1")
    if (coef is None) != (inter is None):
        raise InputError("--coef and --inter go together; give both or neither")
    given = None if coef is None or inter is None else (coef, inter)
    if given is not None and not (math.isfinite(given[0]) and math.isfinite(given[1]) and given[0]):
        raise InputError(f"--coef {given[0]:g} and --inter {given[1]:g}: expected numbers, the coefficient not 0")
    if given is not None and publish_path is not None:
        raise InputError("--publish writes a fitted calibration; leave it out with --coef and --inter")
    for path in (publish_path, plot_path, metrics_path):
        refuse_overwriting(path, annotations_path or verdicts_path, cfg_path, Path(label_dir) / "scores.csv")
    cfg = resolve(cfg_path)
    folder = Path(output_path)
    if annotations_path is None:
        if given is not None or plot_path is not None or recordings_path is not None:
            raise InputError("--verdicts goes without --coef, --inter, --plot and --recordings; leave these out")
        return _on_verdicts(str(verdicts_path), label_dir, folder, publish_path, metrics_path, precision, cutoff, cfg)
    if is_untested(annotations_path):
        leave_uncalibrated(folder, publish_path, plot_path, metrics_path)
        return 1.0, 0.0
    with stage_run("calibrate", cfg, {annotations_path: TABLE, label_dir: LABELS}) as run:
        data = read_scored_segments(annotations_path, label_dir, recordings_path, cfg, strict or is_dvc_stage())
        result = calibrating.calibrate_scores(data, cutoff, given)
        a, b = result.fit.coefficient, result.fit.intercept
        picture = folder / f"calibration-{a:.2f}-{b:.2f}.png"
        figures = calibrating.calibration_metrics(result)
        thresholds = find_thresholds(data, result.probabilities_NC, precision)
        figures["classes_with_threshold"] = thresholds.reached
        with together():
            calibrating.plot_calibration(picture, result)
            calibrating.write_bins(folder / "calibration.csv", result)
            write_thresholds(folder / "thresholds.csv", thresholds, data)
            write_figures(folder / FIGURES_NAME, figures)
            target = publish_path or folder / "calibration.yaml"
            if given is None:
                calibrating.write_calibration(target, result, data, thresholds)
            if plot_path is not None:
                calibrating.plot_calibration(plot_path, result)
            if metrics_path is not None:
                write_metrics(metrics_path, {"ece_after": figures["ece_after"]})
        run.summary({k: v for k, v in figures.items() if not (isinstance(v, float) and math.isnan(v))})
        run.image("reliability", picture)
        if given is None:
            run.output(target, CALIBRATION)
    for name, value in figures.items():
        print(f"{name} = {value:.4f}" if isinstance(value, float) else f"{name} = {value}")
    scaling = data.source.scaling
    if scaling is not None:
        # The scores fitted had been scaled before; configured values start from the unscaled ones.
        print(f"configured coefficient = {a * scaling[0]:.4f}")
        print(f"configured intercept = {a * scaling[1] + b:.4f}")
    return a, b


def _on_verdicts(
    verdicts: str, labels: str, folder: Any, publish: Optional[str], metrics: Optional[str], precision: float,
    cutoff: float, cfg: Any,
) -> tuple[float, float]:  # fmt: skip
    from britekit.files import together
    from britekit.results.verdict_calibration import (
        calibrate_on_verdicts,
        write_verdict_calibration,
        write_verdict_thresholds,
    )
    from britekit.tracking.metrics_file import FIGURES_NAME, write_figures, write_metrics

    result, content = calibrate_on_verdicts(verdicts, labels, precision, cfg.infer.label_field, cutoff)
    with together():
        write_verdict_calibration(publish or folder / "calibration.yaml", content)
        write_verdict_thresholds(folder / "thresholds.csv", result)
        write_figures(folder / FIGURES_NAME, result.figures)
        if metrics is not None:
            write_metrics(metrics, {"ece_after": result.figures["ece_after"]})
    for name, value in result.figures.items():
        print(f"{name} = {value:.4f}" if isinstance(value, float) else f"{name} = {value}")
    for name, threshold in result.thresholds.items():
        print(f"{name}: threshold for precision {precision:g} = {'none' if threshold is None else f'{threshold:.3f}'}")
    for note in result.notes:
        print(f"Note: {note}")
    return result.coefficient, result.intercept

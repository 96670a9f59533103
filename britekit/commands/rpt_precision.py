"""Estimate precision and the number of true detections from verdicts.

Uses verdicts on a sample of detections (data/verdicts.csv, written by review) to estimate how many of all
detections are right: per class and overall, at each threshold, corrected for unequal sampling, with 95 %
intervals (precision.csv); and the number of true detections per site and period (density.csv). precision.html
shows both, and how many more verdicts a narrower interval needs.

    britekit rpt-precision --verdicts data/verdicts.csv -l results/labels -o results/precision
"""

from typing import Annotated, Any, Optional

from britekit.options import LowestScore, TablesDir, opt


def rpt_precision(
    verdicts: Annotated[
        str, opt("--verdicts", metavar="FILE", help="verdicts of reviewers (default: data/verdicts.csv)")
    ] = "data/verdicts.csv",
    label_dir: Annotated[
        Optional[str],
        opt("-l", "--labels", required=True, metavar="DIR", help="output of analyze, also of another model"),
    ] = None,
    output_path: TablesDir = None,
    input_path: Annotated[
        Optional[str], opt("-i", "--input", metavar="DIR", help="recordings, for their times (needed with --period)")
    ] = None,
    min_score: LowestScore = 0.0,
    period: Annotated[
        str,
        opt("--period", choices=["all", "day", "month", "year"], help="period per row of density.csv (default: all)"),
    ] = "all",
    half_width: Annotated[
        float, opt("--half-width", metavar="P", help="wanted half-width of the intervals (default: 0.05)")
    ] = 0.05,
) -> Any:
    """Estimate precision and the number of true detections from verdicts.

    Returns
    -------
    britekit.results.precision_report.PrecisionReport
        The estimates.
    """
    from britekit.errors import InputError
    from britekit.results.precision_report import report_precision

    if label_dir is None or output_path is None:
        raise InputError("labels and output directory are both needed")
    report = report_precision(verdicts, label_dir, output_path, input_path, min_score, period, half_width)
    for each in report.classes:
        threshold, found = each.rows[0]
        print(
            f"{each.name}: precision {found.value:.3f} (95 %: {found.low:.3f} to {found.high:.3f}) from "
            f"{threshold:.2f} up, {found.verdicts} verdicts, {each.more} more for +/-{half_width:g}"
        )
    for one, other, count, kappa in report.kappa:
        shown = "undefined" if kappa is None else f"{kappa:.3f}"
        print(f"agreement of {one} and {other} on {count}: kappa = {shown}")
    for note in report.notes:
        print(f"Note: {note}")
    print(f"report = {output_path}/precision.html")
    return report

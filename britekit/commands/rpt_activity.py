"""Report when and where classes are detected, and detection histories for occupancy models.

Uses the output of analyze (labels or detections, and analyzed.csv, which lists what was analyzed) and the times
of the recordings (data/deployments.csv, metadata, file names).
Writes detections per hour of recording by site, date and hour (activity.csv), presence per site and day with
first and last detection (presence.csv), detection histories of sites by occasions with 1, 0 or NA
(history-CLASS.csv), hours of recording in the same layout (effort.csv), a picture per class and a page
(activity.html). NA means that nothing was recorded, and is never written as 0.

With --precision, a class counts from the score at which that precision is reached: by verdicts, if there are any of it,
else by the calibration (calibrate --precision); thresholds.csv tells them.

    britekit rpt-activity -l results/labels -o results/activity --occasion week --precision 0.9
"""

from typing import Annotated, Any, Optional

from britekit.options import DeploymentsPath, LowestScore, TablesDir, opt


def rpt_activity(
    input_path: Annotated[
        Optional[str],
        opt(
            "-i",
            "--input",
            metavar="DIR",
            help="recordings, to read times and sites from their files again (default: what analyze noted of them)",
        ),
    ] = None,
    label_dir: Annotated[
        Optional[str], opt("-l", "--labels", required=True, metavar="DIR", help="output of analyze")
    ] = None,
    output_path: TablesDir = None,
    deployments_path: DeploymentsPath = "data/deployments.csv",
    verdicts: Annotated[
        Optional[str], opt("--verdicts", metavar="FILE", help="verdicts of reviewers; rejected detections are excluded")
    ] = None,
    occasion: Annotated[
        str, opt("--occasion", metavar="LENGTH", help="day, week or a number of days (default: day)")
    ] = "day",
    min_score: LowestScore = 0.0,
    precision: Annotated[
        Optional[float],
        opt("--precision", metavar="P", help="detections from the score on at which a class reaches this precision"),
    ] = None,
) -> Any:
    """Report when and where classes are detected, and detection histories for occupancy models.

    Returns
    -------
    britekit.results.activity.ActivityReport
        What was found.
    """
    from britekit.errors import InputError
    from britekit.results.activity import report_activity

    if not (label_dir and output_path):
        raise InputError("labels and output directory are both needed")
    report = report_activity(
        label_dir, output_path, input_path, deployments_path, verdicts, occasion, min_score, precision
    )
    for name, count in sorted(report.detections.items()):
        print(f"{name} = {count}")
    print(f"sites = {len(report.effort.sites)}")
    print(f"occasions = {report.occasions.count}")
    print(f"hours = {report.effort.hours_K.sum():.1f}")
    for note in report.notes:
        print(f"Note: {note}")
    print(f"report = {output_path}/activity.html")
    return report

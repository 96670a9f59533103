"""Compare what is scored now with an earlier period or with the test.

`service.drift_folder` names a folder in which the service and analyze keep statistics of what they score: level,
noise, spectrum, scores and detections, without sound. This compares two periods of it, or a period with the
scores of a test (a folder with scores.npz). A difference whose 95 % interval, corrected for the number of
measures, lies beyond what is tolerated is drift: 3 dB, a tenth of the windows without detections, a twentieth of
the range of the spectrogram, twice or half the detections per hour. The exit code is then 3, for cron.

    britekit rpt-drift -i drift --since 2026-11-01 --baseline-until 2026-10-31 -o results/drift
    britekit rpt-drift -i drift --baseline results/labels -o results/drift
"""

from typing import Annotated, Optional

from britekit.options import ConfigPath, TablesDir, opt


def rpt_drift(
    cfg_path: ConfigPath = None,
    input_path: Annotated[
        Optional[str], opt("-i", "--input", metavar="DIR", help="folder of statistics (default: service.drift_folder)")
    ] = None,
    output_path: TablesDir = None,
    baseline: Annotated[
        Optional[str], opt("--baseline", metavar="DIR", help="folder of statistics, or of scores.npz (default: as -i)")
    ] = None,
    since: Annotated[Optional[str], opt("--since", metavar="DATE", help="first day (default: all days)")] = None,
    until: Annotated[Optional[str], opt("--until", metavar="DATE", help="last day (default: all days)")] = None,
    baseline_since: Annotated[
        Optional[str], opt("--baseline-since", metavar="DATE", help="first day of the baseline (default: all days)")
    ] = None,
    baseline_until: Annotated[
        Optional[str], opt("--baseline-until", metavar="DATE", help="last day of the baseline (default: all days)")
    ] = None,
) -> int:
    """Compare two periods; return 3 if something drifted, else 0."""
    from datetime import date
    from pathlib import Path

    from britekit.config import resolve
    from britekit.errors import InputError
    from britekit.inference.drift_log import DriftDay, read_days
    from britekit.inference.platt import configured_calibration
    from britekit.results.drift import SCORES, report_drift

    cfg = resolve(cfg_path)
    folder = input_path or cfg.service.drift_folder
    if folder is None or output_path is None:
        raise InputError("--input (or service.drift_folder) and --output are both needed")

    def day(option: str, text: str | None) -> date | None:
        try:
            return None if text is None else date.fromisoformat(text)
        except ValueError:
            raise InputError(f'{option} is "{text}"; expected a date such as 2026-11-30') from None

    new = read_days(Path(folder), day("--since", since), day("--until", until))
    other = Path(baseline or folder)
    bounds = (day("--baseline-since", baseline_since), day("--baseline-until", baseline_until))
    if (other / SCORES).is_file():
        if bounds != (None, None):
            raise InputError(f"{other / SCORES} is one test; leave out --baseline-since and --baseline-until")
        old: Path | list[DriftDay] = other / SCORES
    else:
        old = read_days(other, *bounds)
        if both := {each.name for each in old} & {each.name for each in new} if other == Path(folder) else set():
            raise InputError(f"{len(both)} days are in both periods; set --since and --baseline-until")
    report = report_drift(new, old, Path(output_path), cfg.infer.min_score, configured_calibration(cfg))
    for note in report.notes:
        print(f"Note: {note}")
    for row in report.drifted:
        print(f"drift = {row.measure} {row.name}: {row.baseline:.4g} to {row.period:.4g}".replace(" :", ":"))
    print(f"drifted = {len(report.drifted)} of {sum(row.measure != 'scores' for row in report.rows)}")
    print(f"report = {output_path}/drift.html")
    return 3 if report.drifted else 0

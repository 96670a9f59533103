"""Summarize a training database: classes, recordings, sources, licences, settings, warnings.

Writes class_summary.csv, class_details.csv, spec_groups.csv and report.html, a page in one file.

    britekit rpt-db -o results/database
"""

from typing import Annotated

from britekit.options import ConfigPath, DbPath, opt


def rpt_db(
    cfg_path: ConfigPath = None,
    db_path: DbPath = None,
    output_path: Annotated[
        str, opt("-o", "--output", required=True, metavar="DIR", help="directory of the report")
    ] = "",
) -> None:
    """Write the summary of a database."""
    from collections import Counter
    from pathlib import Path

    from britekit.config import resolve
    from britekit.database.report import write_report
    from britekit.database.session import open_database
    from britekit.errors import InputError

    if not output_path:
        raise InputError("the report has no place; give a directory with -o")
    cfg = resolve(cfg_path)
    with open_database(db_path or cfg.train.train_db) as session:
        summary, findings = write_report(session, cfg, Path(output_path))
    print(f"classes = {len(summary.classes)}")
    print(f"recordings = {len(summary.recordings)}")
    print(f"segments = {summary.segments}")
    print(f"warnings = {len(findings)}")
    for kind, count in sorted(Counter(finding.kind for finding in findings).items()):
        print(f"  {kind} = {count}")
    print(f"report = {Path(output_path) / 'report.html'}")

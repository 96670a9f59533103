"""Writing the summary of a database: three tables and a page."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from sqlalchemy.orm import Session

from britekit.config import BaseConfig
from britekit.database.findings import Finding, find_problems
from britekit.database.samples import NearPairs, near_duplicates, stored_sizes
from britekit.database.schema import DEFAULT_NAME
from britekit.database.summary import DatabaseSummary, summarize
from britekit.database.summary_page import render_summary
from britekit.files import together, write_csv, write_text


def write_report(session: Session, cfg: BaseConfig, output: Path) -> tuple[DatabaseSummary, list[Finding]]:
    """Write ``class_summary.csv``, ``class_details.csv``, ``spec_groups.csv`` and ``report.html``.

    Parameters
    ----------
    cfg
        ``audio``, which groups are compared with.
    output
        Directory, made if missing; files there are replaced, all of them or none.
    """
    summary = summarize(session)
    audio = asdict(cfg.audio)
    sizes = {group.name: stored_sizes(session, group) for group in summary.groups}
    duration = _duration(summary, cfg)
    near = NearPairs([], 0, 0)
    # The group that `embed` fills when it is not told otherwise comes first.
    for group in sorted(summary.groups, key=lambda group: (group.name != DEFAULT_NAME, -group.spectrograms)):
        if not near.sampled and group.spectrograms:
            near = near_duplicates(session, summary.classes, group, duration)
    findings = find_problems(summary, sizes, near, audio)
    with together():
        write_csv(
            output / "class_summary.csv",
            [
                ("name", "code", "recordings", "segments"),
                *((row.name, row.code, len(row.segments_of), row.segments) for row in summary.classes),
            ],
        )
        write_csv(
            output / "class_details.csv",
            [
                ("name", "code", "recording", "segments"),
                *((row.name, row.code, filename, count) for row, filename, count in summary.details()),
            ],
        )
        write_csv(
            output / "spec_groups.csv",
            [("name", "spectrograms"), *((group.name, group.spectrograms) for group in summary.groups)],
        )
        write_text(output / "report.html", render_summary(summary, findings, near, duration))
    return summary, findings


def _duration(summary: DatabaseSummary, cfg: BaseConfig) -> float:
    """Return the length of a segment in seconds, of the largest group that says it, else as configured."""
    for group in sorted(summary.groups, key=lambda group: -group.spectrograms):
        found = group.settings.get("spec_duration")
        if group.spectrograms and isinstance(found, (int, float)) and found > 0:
            return float(found)
    return cfg.audio.spec_duration

"""The summary of a database as one HTML page that needs nothing beside it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from britekit import __version__
from britekit.database.findings import Finding
from britekit.database.samples import NEAR, NearPairs
from britekit.database.summary import DatabaseSummary, GroupSummary
from britekit.files import render_page

# Of one kind of warning; the class table shows the rest.
_MOST_PER_KIND = 200


def render_summary(summary: DatabaseSummary, findings: Sequence[Finding], near: NearPairs, duration_s: float) -> str:
    """Return the page.

    Parameters
    ----------
    duration_s
        Length of a segment, for hours of segments.
    """
    seconds = sum(recording.seconds for recording in summary.recordings.values())
    return render_page(
        Path(__file__).with_suffix(".html"),
        where=summary.where,
        version=__version__,
        date=datetime.date.today().isoformat(),
        cards=[
            (f"{len(summary.classes):,}", "classes"),
            (f"{len(summary.recordings):,}", "recordings"),
            (_hours(seconds), "hours recorded"),
            (f"{summary.segments:,}", "segments"),
            (_hours(summary.segments * duration_s), "hours of segments"),
            (f"{sum(group.spectrograms for group in summary.groups):,}", "spectrograms"),
            (f"{len(findings):,}", "warnings"),
        ],
        findings=findings,
        most_per_kind=_MOST_PER_KIND,
        classes=list(_classes(summary, findings)),
        duration_s=duration_s,
        sources=summary.tallies("source"),
        licences=summary.tallies("licence"),
        groups=summary.groups,
        settings=list(_settings(summary.groups)),
        near=near,
        similar=NEAR,
        hours=_hours,
    )


def _classes(summary: DatabaseSummary, findings: Sequence[Finding]) -> Iterator[dict[str, Any]]:
    warned: dict[str, dict[str, None]] = {}
    for finding in findings:
        warned.setdefault(finding.about, {})[finding.kind] = None
    for row in summary.classes:
        recordings = [summary.recordings[key] for key in row.segments_of]
        yield {
            "name": row.name,
            "code": row.code,
            "category": row.category,
            "recordings": len(recordings),
            "segments": row.segments,
            "seconds": sum(recording.seconds for recording in recordings),
            "sources": len({recording.source for recording in recordings}),
            "warnings": ", ".join(warned.get(row.name, {})),
        }


def _settings(groups: Sequence[GroupSummary]) -> Iterator[tuple[str, list[str], bool]]:
    """Yield each setting, its value in each group, and whether the groups differ in it."""
    for name in sorted({name for group in groups for name in group.settings}):
        values = [str(group.settings.get(name, "")) if group.settings else "not recorded" for group in groups]
        known = {value for value, group in zip(values, groups) if group.settings}
        yield name, values, len(known) > 1


def _hours(seconds: float) -> str:
    # A first folder of clips is minutes.
    return f"{seconds / 3600.0:,.{1 if seconds >= 3600 or not seconds else 3}f}"

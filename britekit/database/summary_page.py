"""The summary of a database as one HTML page that needs nothing beside it."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from itertools import groupby
from string import Template
from typing import Any

from britekit import __version__
from britekit.database.findings import Finding
from britekit.database.samples import NEAR, NearPairs
from britekit.database.summary import DatabaseSummary, Tally

# Of one kind of warning; the class table shows the rest.
_MOST_PER_KIND = 200


def render_page(
    summary: DatabaseSummary, findings: Sequence[Finding], near: NearPairs, duration_s: float
) -> str:
    """Return the page.

    Parameters
    ----------
    summary, findings, near
        What it shows.
    duration_s
        Length of a segment, for hours of segments.
    """
    template = Template((files("britekit.database") / "summary_page.html").read_text(encoding="utf-8"))
    seconds = sum(recording.seconds for recording in summary.recordings.values())
    cards = [
        (f"{len(summary.classes):,}", "classes"),
        (f"{len(summary.recordings):,}", "recordings"),
        (_hours(seconds), "hours recorded"),
        (f"{summary.segments:,}", "segments"),
        (_hours(summary.segments * duration_s), "hours of segments"),
        (f"{sum(group.spectrograms for group in summary.groups):,}", "spectrograms"),
        (f"{len(findings):,}", "warnings"),
    ]
    return template.substitute(
        title=escape(summary.where),
        version=__version__,
        date=datetime.date.today().isoformat(),
        cards="".join(f"<li><b>{value}</b>{name}</li>" for value, name in cards),
        warnings=_warnings(findings),
        classes=_classes(summary, findings, duration_s),
        sources=_tallies("Source", summary.tallies("source"), "no source"),
        licences=_tallies("Licence", summary.tallies("licence"), "not known"),
        groups=_groups(summary),
        likeness=_likeness(near),
    )


def _warnings(findings: Sequence[Finding]) -> str:
    if not findings:
        return "<p>None.</p>"
    parts = []
    for kind, same in groupby(
        sorted(findings, key=lambda finding: finding.kind), lambda finding: finding.kind
    ):
        items = list(same)
        lines = "".join(
            f'<li><span class="cut">{escape(item.sentence)}</span></li>' for item in items[:_MOST_PER_KIND]
        )
        more = f"<li>and {len(items) - _MOST_PER_KIND} more</li>" if items[_MOST_PER_KIND:] else ""
        is_open = " open" if len(items) <= 10 else ""
        name = escape(kind[0].upper() + kind[1:])
        parts.append(
            f"<details{is_open}><summary>{name}: {len(items)}</summary><ul>{lines}{more}</ul></details>"
        )
    return f'<div class="warnings">{"".join(parts)}</div>'


def _classes(summary: DatabaseSummary, findings: Sequence[Finding], duration_s: float) -> str:
    warned: dict[str, list[str]] = {}
    for finding in findings:
        warned.setdefault(finding.about, []).append(finding.kind)
    most = max((row.segments for row in summary.classes), default=0)
    rows = []
    for row in summary.classes:
        recordings = [summary.recordings[key] for key in row.segments_of]
        segments = row.segments
        rows.append(
            [
                _text(row.name),
                _text(row.code),
                _text(row.category),
                _number(len(recordings)),
                _number(segments, share=segments / most if most else 0.0),
                _decimal(sum(recording.seconds for recording in recordings) / 3600.0),
                _decimal(segments * duration_s / 3600.0),
                _number(len({recording.source for recording in recordings})),
                _text(", ".join(dict.fromkeys(warned.get(row.name, [])))),
            ]
        )
    heads = [
        "Class",
        "Code",
        "Category",
        "Recordings",
        "Segments",
        "Hours recorded",
        "Hours of segments",
        "Sources",
    ]
    return _table([*heads, "Warnings"], rows, numbers=range(3, 8), key="class-table")


def _tallies(what: str, tallies: Sequence[Tally], unnamed: str) -> str:
    most = max((tally.recordings for tally in tallies), default=1)
    rows = [
        [
            _text(tally.name or unnamed),
            _number(tally.recordings, share=tally.recordings / most),
            _number(tally.segments),
            _decimal(tally.seconds / 3600.0),
        ]
        for tally in tallies
    ]
    return _table([what, "Recordings", "Segments", "Hours"], rows, numbers=range(1, 4))


def _groups(summary: DatabaseSummary) -> str:
    groups = summary.groups
    head = "".join(f'<th scope="col"><span class="cut">{escape(group.name)}</span></th>' for group in groups)
    counts = "".join(f"<td>{group.spectrograms:,}</td>" for group in groups)
    lines = [f'<tr><th scope="row">spectrograms</th>{counts}</tr>']
    for name in sorted({name for group in groups for name in group.settings}):
        values = [_setting(group.settings, name) for group in groups]
        known = {value for value, group in zip(values, groups) if group.settings}
        mark = ' class="differs"' if len(known) > 1 else ""
        cells = "".join(f"<td{mark}>{escape(value)}</td>" for value in values)
        lines.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    if not any(group.settings for group in groups):
        lines.append(
            f'<tr><th scope="row">settings</th><td colspan="{max(1, len(groups))}">not recorded</td></tr>'
        )
    top = f'<thead><tr><th scope="col">Setting</th>{head}</tr></thead>'
    return f"<table>{top}<tbody>{''.join(lines)}</tbody></table>"


def _likeness(near: NearPairs) -> str:
    if not near.sampled:
        return "Near duplicates across classes were not looked for: there are no embeddings (britekit embed)."
    part = "all" if near.sampled >= near.of else f"{near.sampled:,} of {near.of:,}"
    return (
        f"Near duplicates across classes: {part} segments were compared by their embeddings; warned of from "
        f"similarity {NEAR:g}."
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: range, key: str = "") -> str:
    head = "".join(
        f'<th scope="col"{" class=n" if column in numbers else ""}><button type="button">{name}</button></th>'
        for column, name in enumerate(heads)
    )
    body = "".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)
    named = f' id="{key}"' if key else ""
    return f'<table class="sortable"{named}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _text(text: str) -> str:
    if len(text) <= 80:
        return f"<td>{escape(text)}</td>"
    return f'<td><span class="cut">{escape(text)}</span></td>'


def _number(value: int, share: float | None = None) -> str:
    bar = "" if share is None else f' bar" style="--w:{100 * share:.1f}%'
    return f'<td class="n{bar}" data-v="{value}">{value:,}</td>'


def _decimal(value: float) -> str:
    return f'<td class="n" data-v="{value:.6f}">{_hours(3600.0 * value)}</td>'


def _hours(seconds: float) -> str:
    # A first folder of clips is minutes.
    return f"{seconds / 3600.0:,.{1 if seconds >= 3600 or not seconds else 3}f}"


def _setting(settings: dict[str, Any], name: str) -> str:
    return str(settings[name]) if name in settings else ("not recorded" if not settings else "")

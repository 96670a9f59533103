"""Report verdicts about detections as tables, a picture and a page: ``rpt-precision``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from britekit.annotations.label_table import read_label_table
from britekit.annotations.verdicts import combine, current_verdicts, read_verdicts
from britekit.errors import InputError
from britekit.files import together, write_csv
from britekit.results.candidates import Candidates, read_candidates
from britekit.results.judged import Matches, match_verdicts
from britekit.results.page import Section, picture_of, write_page
from britekit.results.precision import FEW, Estimate, SampledDetections, cohens_kappa, pooled, verdicts_needed
from britekit.results.recordings import Recordings, unknown_place

PRECISION_COLUMNS = ("name", "threshold", "verdicts", "precision", "low", "high")
DENSITY_COLUMNS = ("name", "site", "period", "detections", "true", "low", "high")
PERIODS = ("all", "day", "month", "year")
ALL = "all classes"
_STEP = 0.05


@dataclass(frozen=True)
class ClassResult:
    """One class: its precision at every threshold, and what more verdicts would bring."""

    name: str
    sample: SampledDetections
    rows: list[tuple[float, Estimate]]
    """Thresholds with an estimate."""
    more: int
    """Verdicts that bring the first of them to the wanted half-width."""


@dataclass(frozen=True)
class PrecisionReport:
    """Result of `report_precision`."""

    classes: list[ClassResult]
    together: list[tuple[float, Estimate]]
    """All classes with verdicts: thresholds with an estimate."""
    without: dict[str, int]
    """Classes without a usable verdict, with their number of detections."""
    matches: Matches
    kappa: list[tuple[str, str, int, float | None]]
    """Pairs of reviewers: items that both judged, and Cohen's kappa."""
    notes: list[str]
    """Sentences about what was not used, and about small numbers."""


def report_precision(
    verdicts: str | Path,
    labels: str | Path,
    output: str | Path,
    recordings: str | Path | None = None,
    min_score: float = 0.0,
    period: str = "all",
    half_width: float = 0.05,
) -> PrecisionReport:
    """Estimate precision and call density; write ``precision.csv``, ``density.csv``, a picture and a page.

    Raises `InputError` if something cannot be read or written, or there is no verdict on any of the detections.

    Parameters
    ----------
    labels
        All detections, from which those with verdicts were drawn; or those of another model on the same recordings.
    recordings
        Folder of the recordings, for their times; without it there are sites (folders) but no periods.
    period
        ``all``, ``day``, ``month`` or ``year`` of ``density.csv``.
    half_width
        Of the interval that is wanted.
    """
    if period not in PERIODS:
        raise InputError(f'--period "{period}": expected {", ".join(PERIODS)}')
    if period != "all" and recordings is None:
        raise InputError(f"--period {period} needs the times of the recordings; name their folder with -i")
    if not 0 < half_width < 0.5:
        raise InputError(f"--half-width {half_width:g}: expected a number above 0 and below 0.5")
    rows = current_verdicts(read_verdicts(verdicts))
    place_of = unknown_place if recordings is None else Recordings(recordings).place
    candidates = read_candidates(read_label_table(Path(labels), channels=True), place_of, min_score=min_score)
    matches = match_verdicts(combine(rows), candidates)
    report = _estimates(candidates, matches, rows, half_width)
    if not report.classes:
        raise InputError(
            f"{verdicts} has no verdict (yes or no) on a randomly drawn detection in {labels}; "
            + (report.notes[0] if report.notes else "review some first (queues strata or random)")
        )
    density = _density(candidates, report, period)
    output = Path(output)
    with together():
        write_csv(output / "precision.csv", [PRECISION_COLUMNS, *_precision_rows(report)])
        write_csv(output / "density.csv", [DENSITY_COLUMNS, *density])
        _draw(output, report, density, Path(labels))
    return report


def _estimates(candidates: Candidates, matches: Matches, rows: Sequence, half_width: float) -> PrecisionReport:
    classes, without = [], {}
    for name, part in candidates.by_class():
        if (sampled := matches.sample(candidates, part)) is None:
            without[name] = len(part)
            continue
        _, sample = sampled
        steps = _thresholds(candidates.score_M[part])
        estimates = [(t, found) for t in steps if (found := sample.precision(t)) is not None]
        more = verdicts_needed(estimates[0][1], half_width, len(part))
        classes.append(ClassResult(name, sample, estimates, more))
    everything = [each.sample for each in classes]
    lowest = min((each.rows[0][0] for each in classes), default=0.0)
    steps = _thresholds(np.array([lowest, 1.0]))
    joint = [(t, found) for t in steps if (found := pooled(everything, t)) is not None]
    notes = _notes(matches, without, classes)
    return PrecisionReport(classes, joint, without, matches, _agreement(rows), notes)


def _thresholds(scores: NDArray[np.float64]) -> list[float]:
    """Return steps of 0.05 from the highest that all detections reach up to the highest that any does."""
    first = int(np.floor(scores.min() / _STEP + 1e-9))
    last = int(np.floor(scores.max() / _STEP + 1e-9))
    return [round(step * _STEP, 2) for step in range(first, max(first, last) + 1)]


def _notes(matches: Matches, without: dict[str, int], classes: list[ClassResult]) -> list[str]:
    notes = matches.notes()
    few = [each.name for each in classes if each.rows[0][1].verdicts < FEW]
    if few:
        notes.append(f"fewer than {FEW} verdicts, so the intervals may be too narrow: {', '.join(few)}")
    if without:
        listed = ", ".join(f"{name} ({count})" for name, count in sorted(without.items()))
        notes.append(f"no usable verdicts for: {listed}")
    return notes


def _agreement(rows: Sequence) -> list[tuple[str, str, int, float | None]]:
    by_reviewer: dict[str, dict] = {}
    for row in rows:
        by_reviewer.setdefault(row.reviewer, {})[row.item] = row.verdict
    people = sorted(by_reviewer)
    found = []
    for place, one in enumerate(people):
        for other in people[place + 1 :]:
            both = sorted(by_reviewer[one].keys() & by_reviewer[other].keys())
            if both:
                answers = [[by_reviewer[who][item] for item in both] for who in (one, other)]
                found.append((one, other, len(both), cohens_kappa(*answers)))
    return found


def _precision_rows(report: PrecisionReport) -> list[tuple[str, ...]]:
    rows = []
    for name, estimates in [*((each.name, each.rows) for each in report.classes), (ALL, report.together)]:
        for threshold, found in estimates:
            rows.append((name, f"{threshold:.2f}", str(found.verdicts), *_figures(found.value, found.low, found.high)))
    return rows


def _density(candidates: Candidates, report: PrecisionReport, period: str) -> list[tuple[str, ...]]:
    rows = []
    parts = dict(candidates.by_class())
    for each in report.classes:
        part = parts[each.name]
        keys = [(candidates.site(row), _period(candidates, row, period)) for row in part.tolist()]
        groups = sorted(set(keys))
        index = {key: place for place, key in enumerate(groups)}
        counts = Counter(keys)
        found = each.sample.density([index[key] for key in keys], len(groups))
        for key, number in zip(groups, found, strict=True):
            figures = (f"{value:.1f}" for value in (number.value, number.low, number.high))
            rows.append((each.name, *key, str(counts[key]), *figures))
    return rows


def _period(candidates: Candidates, row: int, period: str) -> str:
    if period == "all":
        return ""
    when = candidates.time(row)
    if when is None:
        return "unknown"
    return when.strftime({"day": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y"}[period])


def _draw(output: Path, report: PrecisionReport, density: list[tuple[str, ...]], labels: Path) -> None:
    from britekit.plots.precision import plot_precision

    curves = {
        each.name: [(threshold, found.value, found.low, found.high) for threshold, found in each.rows]
        for each in report.classes
    }
    plot_precision(output / "precision.png", curves)
    first = [
        (
            each.name,
            f"{each.rows[0][0]:.2f}",
            str(each.rows[0][1].verdicts),
            *_figures(each.rows[0][1].value, each.rows[0][1].low, each.rows[0][1].high),
            str(each.more),
        )
        for each in report.classes
    ]
    sections = [
        Section(
            "Precision of all detections",
            "Share of detections that are right, with its 95 % interval, and the number of further verdicts "
            "for the wanted width of the interval.",
            columns=(*PRECISION_COLUMNS, "more verdicts"),
            rows=first,
        ),
        Section(
            "Precision at each threshold",
            "A higher threshold keeps fewer detections, of which more are right. Band: 95 % interval.",
            picture_of(output / "precision.png"),
        ),
        Section(
            "Number of true detections",
            "Estimated from the precision in each score range, assuming that it is the same at all sites.",
            columns=DENSITY_COLUMNS,
            rows=density,
        ),
    ]
    if report.kappa:
        sections.append(
            Section(
                "Agreement of reviewers",
                "Cohen's kappa: 1 is full agreement, 0 is the agreement expected by chance.",
                columns=("reviewers", "items", "kappa"),
                rows=[
                    (f"{one} and {other}", str(count), "undefined" if kappa is None else f"{kappa:.3f}")
                    for one, other, count, kappa in report.kappa
                ],
            )
        )
    write_page(output / "precision.html", "Precision from verdicts", [f"Detections: {labels}", *report.notes], sections)


def _figures(*values: float) -> tuple[str, ...]:
    return tuple(f"{value:.4f}" for value in values)

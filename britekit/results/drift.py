"""Compare what was scored in two periods: level, noise, spectrum, scores and detections (``rpt-drift``).

A difference is drift if its interval lies beyond what is tolerated, on one side. Intervals are corrected for the
number of measures (Bonferroni), so that a monthly job does not cry wolf, and come from resampling blocks of recordings
(`britekit.inference.drift_log`).

K: blocks of both periods' days, W: weightings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.special import stdtrit

from britekit.annotations.scores import ScoreTable
from britekit.audio.levels import TRAITS
from britekit.errors import InputError, some
from britekit.files import together, write_csv
from britekit.inference.drift_log import BINS, DriftDay, only
from britekit.inference.platt import Calibration
from britekit.results.page import Section, picture_of, write_page

COLUMNS = ("measure", "name", "baseline", "period", "difference", "low", "high", "tolerated", "verdict")
SCORES = "scores.npz"
# What is tolerated: decibels, a share of windows, a part of the range of spectrograms, a distance, a factor.
TOLERATED_DB = 3.0
TOLERATED_SHARE = 0.1
TOLERATED_BAND = 0.05
TOLERATED_DISTANCE = 0.1
TOLERATED_FACTOR = 2.0
_REPLICATES = 2000
_FEWEST_BLOCKS = 8
_LEVEL = 0.95


@dataclass(frozen=True)
class DriftRow:
    """One measure in both periods."""

    measure: str
    """level, noise, band, silent, rate (detections per hour) or scores."""
    name: str
    """Class, or number of the band; empty otherwise."""
    baseline: float
    period: float
    difference: float
    """Period minus baseline; for rates the logarithm (base 2) of their ratio."""
    low: float
    high: float
    """Interval of the difference; NaN with too few blocks."""
    tolerated: float

    @property
    def drifted(self) -> bool:
        """Whether the whole interval lies beyond what is tolerated."""
        return self.low > self.tolerated or self.high < -self.tolerated

    @property
    def verdict(self) -> str:
        """drift, changed (the interval excludes 0), same or unknown (no interval)."""
        if math.isnan(self.low):
            return "unknown"
        if self.drifted:
            return "drift"
        return "changed" if self.low > 0 or self.high < 0 else "same"


@dataclass
class DriftReport:
    """Result of `report_drift`."""

    rows: list[DriftRow]
    notes: list[str] = field(default_factory=list)
    """Sentences about what could not be compared."""

    @property
    def drifted(self) -> list[DriftRow]:
        """Measures that drifted."""
        return [row for row in self.rows if row.drifted]


@dataclass(frozen=True)
class Period:
    """Sums per block; parts that are not known are None."""

    classes: list[str]
    windows_K: np.ndarray
    hours_K: np.ndarray
    silent_K: np.ndarray
    detections_KC: np.ndarray
    sums_KT: np.ndarray | None
    histogram_KCB: np.ndarray
    """Per block for a score table; one row per day otherwise."""


def period_of_days(days: Sequence[DriftDay]) -> Period:
    """Return the blocks of all days that hold recordings; all days must have the same classes."""
    full = [(day, np.flatnonzero(day.windows > 0)) for day in days]

    def gather(name: str) -> np.ndarray:
        return np.concatenate([getattr(day, name)[rows] for day, rows in full])

    return Period(
        days[0].classes, gather("windows"), gather("seconds") / 3600, gather("silent"), gather("detections"),
        gather("sums"), np.stack([day.histogram for day in days]),
    )  # fmt: skip


def period_of_scores(path: Path, min_score: float, calibration: Calibration) -> Period:
    """Return the scores of a test, which has no levels; every recording is a block."""
    table = ScoreTable.load(path)
    count = len(table.recordings)
    windows = np.bincount(table.row_recording, minlength=count).astype(float)
    found = calibration.apply(table.scores, table.classes) >= min_score
    detections, silent = np.zeros((count, len(table.classes))), np.zeros(count)
    np.add.at(detections, table.row_recording, found)
    np.add.at(silent, table.row_recording, ~found.any(axis=1))
    bins = np.clip((table.scores * BINS).astype(int), 0, BINS - 1)
    histogram = np.stack([np.bincount(column, minlength=BINS) for column in bins.T])
    names = [info.name for info in table.classes]
    return Period(names, windows, table.seconds / 3600, silent, detections, None, histogram[None].astype(float))


def compare_periods(old: Period, new: Period, seed: int = 1) -> list[DriftRow]:
    """Return the measures of two periods with the same classes.

    The interval of a difference comes from the standard deviation of independent resamples of both periods' blocks and
    Student's t, since percentiles so far out would need far more resamples.
    """
    traits = [] if old.sums_KT is None or new.sums_KT is None else list(TRAITS)
    measures = len(traits) + 1 + 2 * len(old.classes)
    generator = np.random.default_rng(seed)
    weights = [_weights(len(each.windows_K), generator) for each in (old, new)]
    blocks = min(len(old.windows_K), len(new.windows_K))
    reach = float(stdtrit(max(1, blocks - 1), 1 - (1 - _LEVEL) / 2 / measures))
    rows = []

    def add(
        measure: str, name: str, parts: Sequence[tuple[np.ndarray, np.ndarray]], tolerated: float, rate: bool
    ) -> None:
        values = [_ratios(weights_WK, part, whole) for weights_WK, (part, whole) in zip(weights, parts, strict=True)]
        if rate:  # half a detection more: a class that is never heard has a rate, too
            values = [
                _ratios(w, part + 0.5 / len(part), whole) for w, (part, whole) in zip(weights, parts, strict=True)
            ]
            drawn = np.log2(values[1]) - np.log2(values[0])
        else:
            drawn = values[1] - values[0]
        margin = reach * float(np.nanstd(drawn[1:])) if blocks >= _FEWEST_BLOCKS else math.nan
        exact, found = [float(part.sum() / whole.sum()) for part, whole in parts], float(drawn[0])
        rows.append(DriftRow(measure, name, exact[0], exact[1], found, found - margin, found + margin, tolerated))

    for column, trait in enumerate(traits):
        assert old.sums_KT is not None and new.sums_KT is not None
        parts = [(each.sums_KT[:, column], each.windows_K) for each in (old, new) if each.sums_KT is not None]
        measure, _, name = trait.partition(" ")
        add(measure, name, parts, TOLERATED_BAND if name else TOLERATED_DB, False)
    add("silent", "", [(each.silent_K, each.windows_K) for each in (old, new)], TOLERATED_SHARE, False)
    for column, name in enumerate(old.classes):
        parts = [(each.detections_KC[:, column], each.hours_K) for each in (old, new)]
        add("rate", name, parts, math.log2(TOLERATED_FACTOR), True)
    for column, name in enumerate(old.classes):
        rows.append(_distance(name, old.histogram_KCB[:, column].sum(0), new.histogram_KCB[:, column].sum(0)))
    return rows


def _weights(blocks: int, generator: np.random.Generator) -> np.ndarray:
    drawn = generator.multinomial(blocks, np.full(blocks, 1 / blocks), size=_REPLICATES)
    return np.concatenate([np.ones((1, blocks)), drawn])


def _ratios(weights_WK: np.ndarray, part_K: np.ndarray, whole_K: np.ndarray) -> np.ndarray:
    part, whole = weights_WK @ part_K, weights_WK @ whole_K
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def _distance(name: str, old_B: np.ndarray, new_B: np.ndarray) -> DriftRow:
    """Return the largest difference of the cumulated shares of scores (Kolmogorov-Smirnov), which has no interval."""
    shares = [np.cumsum(counts) / max(1.0, counts.sum()) for counts in (old_B, new_B)]
    middles = (np.arange(BINS) + 0.5) / BINS
    means = [float((counts * middles).sum() / max(1.0, counts.sum())) for counts in (old_B, new_B)]
    distance = float(np.abs(shares[1] - shares[0]).max())
    return DriftRow("scores", name, means[0], means[1], distance, math.nan, math.nan, TOLERATED_DISTANCE)


def report_drift(
    new: Sequence[DriftDay], old: Sequence[DriftDay] | Path, output: Path, min_score: float, calibration: Calibration
) -> DriftReport:
    """Compare a period with another one, or with a ``scores.npz``; write ``drift.csv``, ``.png`` and ``.html``.

    ``min_score`` and ``calibration`` are for the scores of ``scores.npz``.

    Raises `InputError` if the periods share no class, or a period mixes models.
    """
    from britekit.plots.drift import plot_drift

    notes: list[str] = []
    names = _shared_classes(new, "the period", notes)
    if isinstance(old, Path):
        base = period_of_scores(old, min_score, calibration)
        notes.append(f"{old.name} holds no levels, so level, noise and spectrum are not compared")
    else:
        base = period_of_days([only(day, _shared_classes(old, "the baseline", notes)) for day in old])
    shared = [name for name in names if name in set(base.classes)]
    if not shared:
        raise InputError("the period and the baseline share no class; compare statistics of the same recognizer")
    if left := sorted({*names, *base.classes} - set(shared)):
        notes.append(f"classes that only one of them has are not compared: {some(left)}")
    places = [base.classes.index(name) for name in shared]
    base = Period(
        shared, base.windows_K, base.hours_K, base.silent_K, base.detections_KC[:, places], base.sums_KT,
        base.histogram_KCB[:, places],
    )  # fmt: skip
    period = period_of_days([only(day, shared) for day in new])
    for which, each in (("baseline", base), ("period", period)):
        if len(each.windows_K) < _FEWEST_BLOCKS:
            notes.append(f"the {which} has {len(each.windows_K)} blocks of recordings; intervals need {_FEWEST_BLOCKS}")
    report = DriftReport(compare_periods(base, period), notes)
    output.mkdir(parents=True, exist_ok=True)
    with together():
        write_csv(output / "drift.csv", [COLUMNS, *(_cells(row) for row in report.rows)])
        drawn = [row for row in report.rows if not math.isnan(row.low)]
        pictures = []
        if drawn:
            picture = output / "drift.png"
            plot_drift(picture, [_scaled(row) for row in drawn])
            pictures = [Section("Differences", picture=picture_of(picture))]
        table = Section("All measures", columns=COLUMNS, rows=[_cells(row) for row in report.rows])
        write_page(output / "drift.html", "Drift", notes, [*pictures, table])
    return report


def _shared_classes(days: Sequence[DriftDay], which: str, notes: list[str]) -> list[str]:
    shared = [name for name in days[0].classes if all(name in day.classes for day in days)]
    if not shared:
        raise InputError(f"the days of {which} share no class; choose days of one recognizer")
    if len({day.model for day in days}) > 1:
        notes.append(f"{which} mixes {len({day.model for day in days})} models or calibrations")
    return shared


def _cells(row: DriftRow) -> list[str]:
    numbers = (row.baseline, row.period, row.difference, row.low, row.high, row.tolerated)
    shown = ("" if math.isnan(value) else f"{value:.4g}" for value in numbers)
    return [row.measure, row.name, *shown, row.verdict if row.measure != "scores" else ""]


def _scaled(row: DriftRow) -> tuple[str, float, float, float, bool]:
    scale = row.tolerated
    title = f"{row.measure} {row.name}".strip()
    return title, row.difference / scale, row.low / scale, row.high / scale, row.drifted

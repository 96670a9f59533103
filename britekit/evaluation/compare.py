"""Compare two tests of the same recordings: paired differences, with intervals by resampling recordings.

`write_cells` saves the data of a test that a comparison needs; `compare_tests` compares two such files.

N: units (rows), C: classes, W: weightings of `britekit.metrics.bootstrap`.
"""

from __future__ import annotations

import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from britekit.errors import InputError
from britekit.evaluation.unit_report import UnitReport
from britekit.files import atomic_path
from britekit.metrics.bootstrap import REPLICATES, Interval, Resampling, bin_ranks, resample
from britekit.metrics.counts import count_by_threshold
from britekit.metrics.ranking import area_under_pr, area_under_roc, mean_defined, rank_classes

CELLS_NAME = "cells.npz"
_EDGES = 1000


@dataclass(frozen=True)
class Cells:
    """The annotated cells of a test."""

    rows: NDArray[np.str_]
    recordings: NDArray[np.str_]
    """(N,) name of each unit and of its recording."""
    labels: NDArray[np.str_]
    """(C,) annotated classes."""
    truth: NDArray[np.bool_]
    scores: NDArray[np.float32]
    found: NDArray[np.bool_]
    """(N, C) whether the class is there, its score, whether it is detected at the threshold."""
    unit: str
    threshold: float
    """Granularity, and what a detection reaches."""


def write_cells(report: UnitReport, path: Path) -> Path:
    """Write the annotated cells of a test."""
    data, columns = report.data, report.data.annotated
    with atomic_path(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(
            file,
            rows=np.array(data.row_names),
            recordings=np.array(data.recordings)[data.groups_N],
            labels=np.array(data.labels)[columns],
            truth=data.truth_NC[:, columns],
            scores=data.scores_NC[:, columns].astype(np.float32),
            found=report.found_NC[:, columns],
            unit=data.unit,
            threshold=report.threshold,
        )
    return path


def read_cells(path: Path) -> Cells:
    """Read the cells of a test; raises `InputError` if the file is missing or was not written by `write_cells`."""
    if not path.is_file():
        raise InputError(f"{path} does not exist; expected the results of rpt-test: run dvc repro (or rpt-test) again")
    try:
        with np.load(path, allow_pickle=False) as stored:
            values: dict[str, Any] = {name: stored[name] for name in Cells.__dataclass_fields__}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read ({error}); run rpt-test again") from None
    return Cells(**values | {"unit": str(values["unit"]), "threshold": float(values["threshold"])})


@dataclass(frozen=True)
class Difference:
    """A metric of both tests, and the interval of the second minus the first."""

    name: str
    first: float
    second: float
    difference: Interval


@dataclass(frozen=True)
class Comparison:
    """The comparison of two tests."""

    figures: list[Difference]
    classes: list[Difference]
    """Differences of the figures, the leading one first, and of the PR-AUC of each class."""
    recordings: int
    """Recordings compared."""
    exclusions: list[str]
    """Sentences about recordings and classes that only one of the tests has."""

    def verdict(self) -> str:
        """Return in one line which test is better, or that no difference is detectable."""
        lead = self.figures[0]
        found = lead.difference
        if math.isnan(found.value):
            return f"no verdict: {lead.name} is not defined"
        size = f"{lead.name} {found.value:+.3f}"
        if math.isnan(found.low):
            return f"no verdict: {size}, without an interval on {self.recordings} recordings"
        size += f", 95 % interval {found.low:+.3f} to {found.high:+.3f} on {self.recordings} recordings"
        if found.low > 0 or found.high < 0:
            return f"B is {'better' if found.value > 0 else 'worse'} than A: {size}"
        return f"no difference is detectable: {size}"


def compare_tests(first: Cells, second: Cells, replicates: int = REPLICATES) -> Comparison:
    """Compare two tests cell by cell, with the same resampled recordings for both.

    Raises `InputError` if granularities or annotations differ, or the tests share no cells.
    """
    if first.unit != second.unit:
        raise InputError(f"A was tested per {first.unit}, B per {second.unit}; use the same granularity for both")
    one, two, exclusions = _common(first, second)
    names, groups = np.unique(one.recordings, return_inverse=True)
    sampling = resample(len(names), replicates)
    figures, others = (_figures(cells, groups, sampling) for cells in (one, two))
    intervals = [
        Difference(name, exact, others[name][0], sampling.interval(others[name][1] - drawn, others[name][0] - exact))
        for name, (exact, drawn) in figures.items()
    ]
    split = next(k for k, item in enumerate(intervals) if item.name.startswith("class "))
    return Comparison(intervals[:split], intervals[split:], len(names), exclusions)


def _common(first: Cells, second: Cells) -> tuple[Cells, Cells, list[str]]:
    """Return both tests restricted to shared rows and classes, and sentences about the rest."""
    rows, a_rows, b_rows = np.intersect1d(first.rows, second.rows, return_indices=True)
    labels, a_labels, b_labels = np.intersect1d(first.labels, second.labels, return_indices=True)
    if not len(rows) or not len(labels):
        raise InputError("the two tests share no recording or no annotated class; test both on the same recordings")
    exclusions = [
        f"{len(own) - len(shared)} {what} of {name} are not in the other test and are left out"
        for what, shared, owners in (
            (f"{first.unit}s", rows, (first.rows, second.rows)),
            ("annotated classes", labels, (first.labels, second.labels)),
        )
        for name, own in zip("AB", owners, strict=True)
        if len(own) > len(shared)
    ]
    one, two = _part(first, a_rows, a_labels), _part(second, b_rows, b_labels)
    if differ := int(np.count_nonzero(one.truth != two.truth)):
        raise InputError(
            f"the annotations of the two tests differ in {differ} of {one.truth.size} cells, so that a difference "
            "would not be that of the models; test both on the same annotations"
        )
    return one, two, exclusions


def _part(cells: Cells, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Cells:
    cut = np.ix_(rows, columns)
    return Cells(
        cells.rows[rows], cells.recordings[rows], cells.labels[columns], cells.truth[cut], cells.scores[cut],
        cells.found[cut], cells.unit, cells.threshold,
    )  # fmt: skip


def _figures(
    cells: Cells, groups_N: NDArray[np.intp], sampling: Resampling
) -> dict[str, tuple[float, NDArray[np.float64]]]:
    """Return each metric with its values (W,) under each weighting; per-class metrics last."""
    truth, scores, count = cells.truth, cells.scores, len(cells.labels)
    ranking = rank_classes(truth, scores, list(range(count)))
    per_class = [
        bin_ranks(truth, scores, groups_N, sampling.recordings, _EDGES, [c]).areas(sampling) for c in range(count)
    ]
    both = bin_ranks(truth, scores, groups_N, sampling.recordings, _EDGES).areas(sampling)
    whole = count_by_threshold(truth, scores)
    figures = {
        "macro PR-AUC": (mean_defined(ranking.pr_auc_C), _mean([pr for pr, _roc in per_class])),
        "micro PR-AUC": (area_under_pr(whole), both[0]),
        "macro ROC-AUC": (mean_defined(ranking.roc_auc_C), _mean([roc for _pr, roc in per_class])),
        "micro ROC-AUC": (area_under_roc(whole), both[1]),
    }

    def per_recording(mask_NC: NDArray[np.bool_]) -> NDArray[np.float64]:
        counts = np.count_nonzero(mask_NC, axis=1)
        return np.bincount(groups_N, counts, sampling.recordings).astype(np.float64)

    hits = per_recording(truth & cells.found)
    for name, of in (("precision", cells.found), ("recall", truth)):
        drawn = sampling.ratio(hits, per_recording(of))
        figures[f"{name} at the threshold"] = (float(drawn[0]), drawn)
    for c, label in enumerate(cells.labels.tolist()):
        figures[f"class {label}"] = (float(ranking.pr_auc_C[c]), per_class[c][0])
    return figures


def _mean(values: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the mean over the classes that are defined, per weighting."""
    stacked = np.stack(values)
    known = np.isfinite(stacked)
    with np.errstate(invalid="ignore"):
        return np.where(known, stacked, 0).sum(axis=0) / known.sum(axis=0)

"""A calibration, and thresholds for a wanted precision, from verdicts on a sample of an archive's detections.

Each verdict counts by the inverse of its sampling share, so that the fit is that of all detections; weights are
scaled to a mean of 1. Classes with verdicts of both kinds have values of their own, shrunk towards the common
ones as in `britekit.evaluation.platt_fit`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from britekit.annotations.label_table import read_label_table
from britekit.annotations.verdicts import combine, current_verdicts, read_verdicts
from britekit.audio.files import composed
from britekit.config.yaml_reader import dump_plain
from britekit.errors import InputError
from britekit.evaluation.applied_scaling import applied_scaling, scaling_of_classes
from britekit.evaluation.platt_fit import MIN_CELLS, PRIOR_PRECISION, fit_platt, logit
from britekit.evaluation.score_reading import model_members, read_manifest, trained_classes
from britekit.files import write_csv, write_text
from britekit.metrics.calibration import equal_mass_bins
from britekit.results.candidates import Candidates, read_candidates
from britekit.results.judged import Matches, match_verdicts
from britekit.results.recordings import unknown_place

_FEWEST = 5  # verdicts of each kind with which a class has values of its own
_FOLDS = 10
_ROUNDED = 1e-3  # scores in label files


@dataclass(frozen=True)
class VerdictCalibration:
    """The fitted calibration and its errors."""

    coefficient: float
    intercept: float
    """They act on scores before any scaling that the labels contain."""
    classes: dict[str, tuple[float, float]]
    """Those of classes with their own."""
    thresholds: dict[str, float | None]
    """Lowest probability of each class with verdicts whose precision reaches the wanted one; None: none does."""
    figures: dict[str, Any] = field(repr=False)
    notes: list[str] = field(repr=False)
    """Sentences about what was not used."""


def calibrate_on_verdicts(
    verdicts: str | Path, labels: str | Path, precision: float, label_field: str = "names", cutoff: float = 0.0
) -> tuple[VerdictCalibration, dict[str, Any]]:
    """Fit a calibration on verdicts about detections; also return the content of its file.

    Raises `InputError` if something cannot be read, or there are too few verdicts, or all say the same.

    Parameters
    ----------
    labels
        All detections, from which those with verdicts were drawn, or those of another model.
    precision
        That thresholds are to have, as the lower end of its 95 % interval.
    cutoff
        Detections of a lower score take no part.
    """
    folder = Path(labels)
    table = read_label_table(folder, channels=True)
    candidates = read_candidates(table, unknown_place, min_score=cutoff)
    matches = match_verdicts(combine(current_verdicts(read_verdicts(verdicts))), candidates)
    row = np.array(sorted(matches.yes), np.int64)
    true = np.array([matches.yes[key] for key in row.tolist()], float)
    if len(row) < MIN_CELLS or true.all() or not true.any():
        said = f", all {'yes' if true.any() else 'no'}" if len(row) and true.all() == true.any() else ""
        raise InputError(
            f"{verdicts}: {len(row)} verdicts of yes or no are about detections in {folder} that were drawn at "
            f"random{said}; a calibration needs at least {MIN_CELLS} of both kinds, so review more (queues strata "
            "or random)"
        )
    share = np.array([matches.share[key] for key in row.tolist()])
    weight = (1 / share) / np.mean(1 / share)
    manifest = read_manifest(folder)
    z_of_all = _unscaled_logits(candidates, manifest, folder, table, label_field)
    z, name = z_of_all[row], candidates.name_M[row]
    recording = candidates.recording_M[row]
    fit = _Fit.of(z, true, weight, name)
    named = {candidates.names[key]: pair for key, pair in fit.own.items()}
    thresholds = _thresholds(candidates, matches, precision, fit, z_of_all)
    unseen = _cross_fitted(z, true, weight, name, recording)
    plain = 1 / (1 + np.exp(-z))
    figures = {
        "coefficient": fit.usual[0],
        "intercept": fit.usual[1],
        "classes_calibrated_separately": len(named),
        "ece_before": weighted_error(true, plain, weight),
        "ece_after": weighted_error(true, unseen, weight),
        "brier_before": float(np.average((plain - true) ** 2, weights=weight)),
        "brier_after": float(np.average((unseen - true) ** 2, weights=weight)),
        "verdicts": len(row),
        "verdicts_effective": float(weight.sum() ** 2 / (weight @ weight)),
        "recordings": len(np.unique(recording)),
        "classes_with_threshold": sum(value is not None for value in thresholds.values()),
    }
    result = VerdictCalibration(*fit.usual, named, thresholds, figures, matches.notes())
    content = {
        "coefficient": _short(fit.usual[0]),
        "intercept": _short(fit.usual[1]),
        "classes": {key: {"coefficient": _short(a), "intercept": _short(b)} for key, (a, b) in sorted(named.items())},
        "backend": manifest.get("backend"),
        "members": model_members(manifest),
        **{key: _short(figures[key]) for key in ("ece_before", "ece_after", "brier_before", "brier_after")},
        "verdicts": len(row),
        "recordings": figures["recordings"],
        "cutoff": cutoff,
        "thresholds": {"precision": precision, "classes": thresholds},
    }
    return result, content


def write_verdict_calibration(path: str | Path, content: dict[str, Any]) -> None:
    """Write the file that `infer.calibration` names."""
    comment = (
        "# Calibration of the ensemble's mean score p: P = sigmoid(coefficient * logit(p) + intercept)\n"
        "# and of single classes, fitted on verdicts about a sample of detections, each weighted by the inverse\n"
        "# of its sampling share. ECE and Brier over all detections; after: on recordings that the fit had not\n"
        "# seen. Thresholds: the lowest probability of a class whose precision has this as its lower 95 % bound.\n"
    )
    write_text(path, comment + dump_plain(content))


def write_verdict_thresholds(path: str | Path, result: VerdictCalibration) -> None:
    """Write the threshold of each class as a table."""
    rows = [(name, "" if value is None else f"{value:.6f}") for name, value in result.thresholds.items()]
    write_csv(path, [("class", "threshold"), *rows])


def weighted_error(true_M: NDArray[Any], probability_M: NDArray[Any], weight_M: NDArray[Any]) -> float:
    """Return the expected calibration error, each value by its weight, over bins of equal numbers of values."""
    bins = equal_mass_bins(probability_M)
    off = np.bincount(bins, weight_M * (np.asarray(probability_M) - true_M))
    return float(np.abs(off).sum() / np.sum(weight_M))


@dataclass(frozen=True)
class _Fit:
    usual: tuple[float, float]
    own: dict[int, tuple[float, float]]

    @classmethod
    def of(cls, z: NDArray, true: NDArray, weight: NDArray, name: NDArray) -> _Fit:
        usual = fit_platt(z, true * weight, weight)
        own = {}
        for key in np.unique(name).tolist():
            part = name == key
            yes = int(true[part].sum())
            if min(yes, int(part.sum()) - yes) >= _FEWEST:
                own[key] = fit_platt(z[part], (true * weight)[part], weight[part], usual, usual, PRIOR_PRECISION)
        return cls(usual, own)

    def apply(self, z: NDArray, name: NDArray) -> NDArray[np.float64]:
        pairs = np.array([self.own.get(key, self.usual) for key in name.tolist()]).reshape(-1, 2)
        return np.asarray(1 / (1 + np.exp(-(pairs[:, 0] * z + pairs[:, 1]))), np.float64)


def _cross_fitted(z: NDArray, true: NDArray, weight: NDArray, name: NDArray, recording: NDArray) -> NDArray:
    """Return probabilities by fits that had not seen the recording; by one that had, where others do not suffice."""
    members = np.unique(recording)
    fold_of = dict(zip(np.random.default_rng(0).permutation(members).tolist(), np.arange(len(members)) % _FOLDS))
    fold = np.array([fold_of[key] for key in recording.tolist()])
    found = np.empty(len(z))
    for number in np.unique(fold).tolist():
        held_out = fold == number
        rest = ~held_out if 0 < true[~held_out].sum() < (~held_out).sum() else np.ones(len(z), bool)
        found[held_out] = _Fit.of(z[rest], true[rest], weight[rest], name[rest]).apply(z[held_out], name[held_out])
    return found


def _unscaled_logits(
    candidates: Candidates, manifest: dict[str, Any], folder: Path, table: Any, label_field: str
) -> NDArray[np.float64]:
    """Return the logits of all detections, before any scaling that inference applied."""
    scores = candidates.score_M
    if np.abs(scores - np.round(scores, 3)).max(initial=0) < 1e-6:
        scores = np.clip(scores, _ROUNDED / 2, 1 - _ROUNDED / 2)
    z = logit(scores)
    usual, _ = applied_scaling(manifest)
    inference = manifest.get("inference") or {}
    classes, labels = trained_classes(folder, manifest, inference.get("label_field", label_field), None, table)
    own = scaling_of_classes(manifest, classes)
    if usual is None and not own:
        return z
    pair_of = {composed(label): own.get(place, usual or (1.0, 0.0)) for place, label in enumerate(labels)}
    pairs = np.array([pair_of[composed(name)] for name in candidates.names]).reshape(-1, 2)[candidates.name_M]
    return np.asarray((z - pairs[:, 1]) / pairs[:, 0])


def _thresholds(
    candidates: Candidates, matches: Matches, precision: float, fit: _Fit, z_of_all: NDArray[np.float64]
) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name, part in candidates.by_class():
        if (sampled := matches.sample(candidates, part)) is None:
            continue
        judged, sample = sampled
        found[name] = None
        for row in judged[np.argsort(candidates.score_M[judged], kind="stable")].tolist():
            estimate = sample.precision(float(candidates.score_M[row]))
            if estimate is not None and estimate.low >= precision:
                place = np.array([candidates.name_M[row]])
                found[name] = float(np.floor(fit.apply(z_of_all[[row]], place)[0] * 1e6) / 1e6)
                break
    return found


def _short(value: float) -> float:
    return float(f"{value:.7g}")

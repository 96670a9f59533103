"""The threshold of each class at which a wanted precision is reached: by verdicts, else by the calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from britekit.annotations.label_table import LabelTable
from britekit.annotations.verdicts import Judged
from britekit.errors import InputError, some
from britekit.evaluation.score_reading import read_manifest
from britekit.files import sha256_of, write_csv
from britekit.inference.platt import PROJECT_CALIBRATION, read_calibration
from britekit.results.candidates import read_candidates
from britekit.results.judged import match_verdicts
from britekit.results.precision import FEW
from britekit.results.recordings import unknown_place

COLUMNS = ("name", "threshold", "by", "precision", "low", "high", "verdicts")
_STEP = 0.01


@dataclass(frozen=True)
class ClassThreshold:
    """The lowest score of a class that counts."""

    threshold: float
    """0 to 1; above 1 where no score reaches the precision, so that only confirmed detections count."""
    by: str
    """``verdicts``, ``calibration`` or ``min-score``, where neither says anything."""
    precision: float | None = None
    low: float | None = None
    high: float | None = None
    """At the threshold, by verdicts, with its 95 % interval."""
    verdicts: int = 0
    """Number of verdicts of yes and no behind it."""

    def sentence(self) -> str:
        """Return what a reader should know."""
        if self.threshold > 1:
            return "No score reaches the wanted precision, so only confirmed detections count."
        if self.by == "verdicts":
            return (
                f"Threshold {self.threshold:.2f}, where {self.precision:.0%} ({self.low:.0%} to {self.high:.0%}) of "
                f"detections are right by {self.verdicts} verdicts."
            )
        return f"Threshold {self.threshold:.2f}, by {self.by}."


def thresholds_of(
    table: LabelTable, labels: Path, judged: Sequence[Judged], precision: float, min_score: float, notes: list[str]
) -> dict[str, ClassThreshold]:
    """Return the threshold of each class of a label table.

    A class with verdicts on detections that were drawn at random has the lowest threshold, in steps of 0.01, at which
    their estimate of precision is reached. Another one has that of ``calibrate --precision``, if the labels were
    calibrated by that file and it was made for the same precision; else ``min_score``, which is noted.

    Raises `InputError` if the precision is not between 0 and 1.
    """
    if not 0 < precision < 1:
        raise InputError(f"--precision {precision:g}: expected a number above 0 and below 1, such as 0.9")
    found = _by_verdicts(table, judged, precision, min_score, notes)
    fitted = _by_calibration(labels, precision, notes) if len(found) < len(table.names) else {}
    without = []
    for name in table.names:
        if name in found:
            continue
        if name in fitted:
            found[name] = ClassThreshold(
                2.0 if fitted[name] is None else max(fitted[name] or 0.0, min_score), "calibration"
            )
        else:
            without.append(name)
            found[name] = ClassThreshold(min_score, "min-score")
    if without:
        notes.append(
            f"{len(without)} classes have neither verdicts nor a calibrated threshold of precision {precision:g}, so "
            f"their detections of at least {min_score:g} count: {some(sorted(without), 5)}"
        )
    unreached = sorted(name for name, each in found.items() if each.threshold > 1)
    if unreached:
        notes.append(f"{len(unreached)} classes reach precision {precision:g} at no score: {some(unreached, 5)}")
    return {name: found[name] for name in sorted(found)}


def write_thresholds(path: Path, thresholds: Mapping[str, ClassThreshold]) -> None:
    """Write the thresholds as a table; a cell is empty where nothing is known."""
    rows = [
        (
            name, "" if each.threshold > 1 else f"{each.threshold:.4f}", each.by,
            *("" if value is None else f"{value:.4f}" for value in (each.precision, each.low, each.high)),
            each.verdicts,
        )
        for name, each in thresholds.items()
    ]  # fmt: skip
    write_csv(path, [COLUMNS, *rows])


def _by_verdicts(
    table: LabelTable, judged: Sequence[Judged], precision: float, min_score: float, notes: list[str]
) -> dict[str, ClassThreshold]:
    names = sorted({item.verdict.name for item in judged} & set(table.names))
    if not names:
        return {}
    candidates = read_candidates(table, unknown_place, names, min_score)
    matches = match_verdicts(judged, candidates)
    found: dict[str, ClassThreshold] = {}
    few = []
    for name, part in candidates.by_class():
        if (sampled := matches.sample(candidates, part)) is None:
            continue
        chosen, sample = sampled
        few += [name] if len(chosen) < FEW else []
        found[name] = ClassThreshold(2.0, "verdicts", verdicts=len(chosen))
        for step in range(round(min_score / _STEP), round(1 / _STEP) + 1):
            estimate = sample.precision(step * _STEP)
            if estimate is not None and estimate.value >= precision:
                found[name] = replace(
                    found[name], threshold=step * _STEP, precision=estimate.value, low=estimate.low, high=estimate.high
                )
                break
    if few:
        notes.append(f"thresholds of fewer than {FEW} verdicts are rough: {some(few, 5)}")
    return found


def _by_calibration(labels: Path, precision: float, notes: list[str]) -> dict[str, float | None]:
    """Return the thresholds of the calibration that was applied to labels, by what labels call a class."""
    manifest = read_manifest(labels)
    applied = (manifest.get("calibration") or {}).get("sha256")
    path = Path((manifest.get("inference") or {}).get("calibration") or PROJECT_CALIBRATION)
    if applied is None:
        notes.append(f"the scores in {labels} are not calibrated, so no calibrated threshold can be used")
        return {}
    if not path.is_file() or sha256_of(path) != applied:
        notes.append(f"{path} is not the calibration of the scores in {labels}, so its thresholds are not used")
        return {}
    calibration = read_calibration(path)
    if calibration.precision is None or abs(calibration.precision - precision) > 1e-9:
        has = "no thresholds" if calibration.precision is None else f"thresholds of precision {calibration.precision:g}"
        notes.append(f"{path} has {has}; britekit calibrate --precision {precision:g} finds those wanted")
        return {}
    # The calibration calls classes by code or name, labels by one field of the class list.
    called = dict(calibration.thresholds)
    for entry in manifest.get("classes") or ():
        names = [str(value) for value in entry.values() if value] if isinstance(entry, dict) else []
        value = next((called[name] for name in names if name in called), None)
        if any(name in called for name in names):
            called |= dict.fromkeys(names, value)
    return called

"""Derive from verdicts about windows of sound which classes are heard in them, which are not; the rest is unknown."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from britekit.annotations.reconciling import Reconciler
from britekit.annotations.verdicts import Judged
from britekit.errors import some

log = logging.getLogger(__name__)

# A window lies in a stretch, or holds it, by at least this part; the rest is rounding of bounds.
_PART = 0.9


@dataclass(frozen=True)
class Stretch:
    """A stretch of a recording, with the classes heard in it and those known not to be."""

    start: float
    end: float
    """Seconds."""
    heard: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()
    whole: bool = True
    """Whether what is heard is heard throughout; else somewhere in it, most likely about the middle."""


def stretches_of(judged: Iterable[Judged]) -> list[Stretch]:
    """Return what verdicts on one recording say; ``unsure`` says nothing about its class.

    A class that was confirmed, or heard besides, is heard within the bounds as the reviewer left them, and
    throughout if these were corrected; one that was rejected is absent from the detection as the model had it.
    """
    found = []
    for item in judged:
        verdict = item.verdict
        heard = {*verdict.others, verdict.name} if item.answer == "yes" else {*verdict.others} - {verdict.name}
        if heard:
            corrected = (verdict.start, verdict.end) != (verdict.detection_start, verdict.detection_end)
            found.append(Stretch(verdict.start, verdict.end, heard=frozenset(heard), whole=corrected))
        if item.answer == "no":
            detection = verdict.detection_start, verdict.detection_end
            found.append(Stretch(*detection, absent=frozenset({verdict.name})))
    return found


def windows_of(stretch: Stretch, seconds: float, window_s: float, step_s: float) -> list[float]:
    """Return where windows begin that show a stretch: one about its middle, or several that cover a longer one.

    Parameters
    ----------
    step_s
        At most so far apart.
    """
    start, end = max(0.0, stretch.start), min(stretch.end, seconds)
    last = max(0.0, seconds - window_s)
    if start >= seconds or end <= start:
        return []
    if _PART * (end - start) <= window_s or not stretch.whole:
        return [round(min(max(0.0, (start + end - window_s) / 2), last), 3)]
    steps = math.ceil((end - start - window_s) / step_s - 1e-6)
    return [round(start + (end - start - window_s) * number / steps, 3) for number in range(steps + 1)]


def apart(starts: Iterable[float], window_s: float) -> list[float]:
    """Return starts of windows, ascending, without those whose window is all but the one before."""
    kept: list[float] = []
    for start in sorted(starts):
        if not kept or start - kept[-1] > (1 - _PART) * window_s:
            kept.append(start)
    return kept


def known_in(
    stretches: Sequence[Stretch], start: float, window_s: float, seconds: float
) -> tuple[list[str], list[str]]:
    """Return the classes heard in a window and those known not to be, each in alphabetical order.

    A stretch's classes are heard in a window that holds it, and in one that lies within it, as with an annotation.
    Where they are heard somewhere in it alone (detections of neighboring windows, joined), they are heard in the
    middle of at most two windows, and of a longer one it is not known where. A class is absent from a window that
    lies within a stretch from which it is absent. What one verdict confirms and another rejects is unknown.
    """
    end = min(start + window_s, seconds)
    heard: set[str] = set()
    absent: set[str] = set()
    for stretch in stretches:
        inside = min(end, stretch.end) - max(start, stretch.start) + 1e-6
        length = stretch.end - stretch.start
        if inside >= _PART * min(end - start, length):
            joined = not stretch.whole and _PART * length > window_s
            apart_s = abs((start + end) - (stretch.start + stretch.end)) / 2
            if not joined or (length <= 2 * window_s and apart_s <= (1 - _PART) * window_s):
                heard |= stretch.heard
        if inside >= _PART * (end - start):
            absent |= stretch.absent
    return sorted(heard - absent), sorted(absent - heard)


def of_known_classes(judged: Iterable[Judged], reconciler: Reconciler, where: Path) -> list[Judged]:
    """Return verdicts with classes called by their names; those of unknown classes are reported and left out."""
    kept, unknown = [], Counter[str]()

    def name_of(label: str) -> str | None:
        info = reconciler.find(label)
        unknown[label] += info is None
        return None if info is None else info.name

    for item in judged:
        others = tuple(name for label in item.verdict.others if (name := name_of(label)))
        name = name_of(item.verdict.name)
        # Other species may be known where the judged one is not.
        answer = "unsure" if name is None else item.answer
        if name is not None or others:
            verdict = replace(item.verdict, name=name or item.verdict.name, others=others)
            kept.append(replace(item, verdict=verdict, answer=answer))
    unknown = +unknown
    if unknown:
        listed = some([f"{name} ({count})" for name, count in unknown.most_common()], 10)
        log.warning(
            "%s: %d verdicts are left out, since they name species that are not in the class list: %s",
            where, unknown.total(), listed,
        )  # fmt: skip
    return kept

"""Verdicts matched with detections, which may be those of another model than the one that was reviewed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from britekit.annotations.verdicts import Judged
from britekit.audio.files import name_key
from britekit.results.candidates import Candidates

_EQUAL_S = 0.011  # tables round to hundredths
# A yes holds for what overlaps the call by at least this part of the shorter of the two; a no holds for
# what lies within the judged stretch by at least this part.
_YES_PART, _NO_PART = 0.5, 0.9


@dataclass
class Matches:
    """Match verdicts with detections."""

    yes: dict[int, bool] = field(default_factory=dict)
    """Detections (rows of the candidates) with a verdict of yes or no."""
    share: dict[int, float] = field(default_factory=dict)
    """Sampling share of each of them that was drawn, not chosen."""
    unsure: int = 0
    """Verdicts that are neither."""
    chosen: int = 0
    """Verdicts on detections that were chosen by score or site, so no estimate may use them."""
    rows: set[int] = field(default_factory=set)
    """Detections with any verdict."""
    elsewhere: list[Judged] = field(default_factory=list)
    """Verdicts on stretches in which there is no such detection."""


def match_verdicts(judged: Sequence[Judged], candidates: Candidates) -> Matches:
    """Find the detection that each verdict is about.

    The detection of the same stretch, else the one that overlaps most. Where verdicts on one detection
    differ, yes counts: the class is there.
    """
    rows: dict[tuple[str, str], list[int]] = defaultdict(list)
    names = [name_key(name) for name in candidates.recordings]
    heard = {name_key(item.verdict.recording) for item in judged}
    numbers = [number for number, name in enumerate(names) if name in heard]
    for row in np.flatnonzero(np.isin(candidates.recording_M, numbers)).tolist():
        rows[names[candidates.recording_M[row]], candidates.names[candidates.name_M[row]]].append(row)
    found = Matches()
    for item in judged:
        verdict = item.verdict
        yes = item.answer == "yes"
        key = name_key(verdict.recording), verdict.name
        match = _best(item, rows.get(key, ()), candidates, yes)
        if match is not None:
            found.rows.add(match)
        if item.answer == "unsure":
            found.unsure += 1
            continue
        if match is None:
            found.elsewhere.append(item)
            continue
        if verdict.share is None:
            found.chosen += 1
            continue
        found.yes[match] = yes or found.yes.get(match, False)
        found.share[match] = max(verdict.share, found.share.get(match, 0.0))
    return found


def _best(item: Judged, rows: Sequence[int], candidates: Candidates, yes: bool) -> int | None:
    verdict, best, largest = item.verdict, None, 0.0
    low, high = (verdict.start, verdict.end) if yes else (verdict.detection_start, verdict.detection_end)
    for row in rows:
        start, end = float(candidates.start_M[row]), float(candidates.end_M[row])
        if abs(start - verdict.detection_start) < _EQUAL_S and abs(end - verdict.detection_end) < _EQUAL_S:
            return row
        overlap = min(end, high) - max(start, low)
        needed = _YES_PART * min(end - start, high - low) if yes else _NO_PART * (end - start)
        if overlap > largest and overlap >= needed:
            best, largest = row, overlap
    return best

"""Verdicts matched with detections, which may be those of another model than the one that was reviewed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from britekit.annotations.verdict_matching import detections_about
from britekit.annotations.verdicts import Judged
from britekit.results.candidates import Candidates


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
    """Find the detection that each verdict is about, the closest if there are several.

    Where verdicts on one detection differ, yes counts: the class is there.
    """
    found = Matches()
    for item, rows in detections_about(judged, candidates):
        if rows:
            found.rows.add(rows[0])
        if item.answer == "unsure":
            found.unsure += 1
        elif not rows:
            found.elsewhere.append(item)
        elif item.verdict.share is None:
            found.chosen += 1
        else:
            found.yes[rows[0]] = item.answer == "yes" or found.yes.get(rows[0], False)
            found.share[rows[0]] = max(item.verdict.share, found.share.get(rows[0], 0.0))
    return found

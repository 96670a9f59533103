"""Verdicts matched with detections, which may be those of another model than the one that was reviewed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from britekit.annotations.verdict_matching import detections_about
from britekit.annotations.verdicts import Judged
from britekit.errors import counted
from britekit.results.candidates import Candidates
from britekit.results.precision import SampledDetections


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

    def sample(
        self, candidates: Candidates, part: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], SampledDetections] | None:
        """Return the judged ones of these detections, and the sample that they are; None if there are none."""
        judged = np.array(sorted(self.yes), np.int64)
        judged = judged[np.isin(judged, part)]
        if not len(judged):
            return None
        yes, share = [self.yes[row] for row in judged], [self.share[row] for row in judged]
        return judged, SampledDetections(candidates.score_M[part], np.searchsorted(part, judged), yes, share)

    def notes(self) -> list[str]:
        """Return a sentence about each kind of verdict that no estimate uses."""
        notes = []
        if self.elsewhere:
            first = self.elsewhere[0].verdict
            notes.append(
                f"{counted(len(self.elsewhere), 'verdict')} not used, because the models have no such detection there "
                f"(the first: {first.recording}, {first.detection_start:.2f} s, {first.name})"
            )
        if self.unsure:
            notes.append(f"{counted(self.unsure, 'verdict')} not used, because they are unsure or reviewers disagree")
        if self.chosen:
            notes.append(
                f"{counted(self.chosen, 'verdict')} not used, because the detections were selected instead of drawn "
                "at random (queues such as top or presence)"
            )
        return notes


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

"""Record how occurrence data changed the labels of a recording, and write two tables of it.

``occurrence.csv`` has a row per recording: area, week, what told them, how many labels were withheld, lowered or
raised, and the reason where nothing was applied. ``withheld.csv`` has a row per recording and class whose
labels are fewer or lower than without these data.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from britekit.inference.scores import RecordingScores
from britekit.occurrence.prior import RecordingPrior

if TYPE_CHECKING:
    from britekit.inference.labeling import Labeler

OCCURRENCE, WITHHELD = "occurrence.csv", "withheld.csv"
_OCCURRENCE_COLUMNS = (
    "recording", "area", "week", "place_source", "week_source", "withheld", "lowered", "raised", "reason",
)  # fmt: skip
_WITHHELD_COLUMNS = (
    "recording", "name", "occurrence", "shift", "labels_without", "labels", "score_without", "score",
)  # fmt: skip


@dataclass(frozen=True)
class Change:
    """A class whose labels differ: their number and highest score without and with occurrence data."""

    name: str
    occurrence: float
    shift: float
    labels_without: int
    labels: int
    score_without: float
    score: float


@dataclass(frozen=True)
class OccurrenceNote:
    """The applied `RecordingPrior` of a recording, and the classes that it changed.

    ``week`` is 1 to 48, None for the whole year.
    """

    area: str
    week: int | None
    place_source: str
    week_source: str
    reason: str
    changes: list[Change] = field(default_factory=list)

    def to_bytes(self) -> bytes:
        """Return it for the journal."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> OccurrenceNote:
        """Read what `to_bytes` wrote."""
        content = json.loads(data)
        return cls(**{**content, "changes": [Change(**change) for change in content["changes"]]})

    @property
    def withheld(self) -> int:
        """Number of labels that are missing because of the data."""
        return sum(max(0, x.labels_without - x.labels) for x in self.changes if x.shift < 0)

    @property
    def lowered(self) -> int:
        """Number of labels with a lower score."""
        return sum(x.labels for x in self.changes if x.shift < 0)

    @property
    def raised(self) -> int:
        """Number of labels with a higher score."""
        return sum(x.labels for x in self.changes if x.shift > 0)


@dataclass
class OccurrenceTotals:
    """Changes by occurrence data in all recordings."""

    withheld: int = 0
    lowered: int = 0
    raised: int = 0
    """Numbers of labels."""
    classes: set[str] = field(default_factory=set)
    """Names of the classes of which labels were withheld."""
    not_applied: Counter[str] = field(default_factory=Counter)
    """Number of recordings to which nothing was applied, by reason."""

    @classmethod
    def of(cls, notes: Iterable[OccurrenceNote]) -> OccurrenceTotals:
        """Count what recordings' notes say."""
        totals = cls()
        for note in notes:
            totals.withheld += note.withheld
            totals.lowered += note.lowered
            totals.raised += note.raised
            totals.classes |= {x.name for x in note.changes if x.shift < 0 and x.labels < x.labels_without}
            totals.not_applied.update([note.reason] if note.reason else [])
        return totals


def note_of(labeler: Labeler, result: RecordingScores, prior: RecordingPrior) -> OccurrenceNote:
    """Return what a prior changed in the labels of a recording.

    With a ``min_score`` of 0 each class has labels with any score, so no label is withheld and none is listed.
    """
    week = None if prior.week is None else prior.week + 1
    facts = (prior.area, week, prior.place_source, prior.week_source, prior.reason)
    places = [] if labeler.rules.min_score == 0 else np.flatnonzero(prior.shifts).tolist()
    if not places:
        return OccurrenceNote(*facts)
    before = dict(labeler.by_class(result, None, set(places)))
    after = dict(labeler.by_class(result, prior, set(places)))
    changes = []
    for place in places:
        without, found = before[place].scores, after[place].scores
        if len(without) or len(found):
            top = (float(scores.max(initial=0)) for scores in (without, found))
            facts_of_class = (labeler.classes[place].name, float(prior.values[place]), float(prior.shifts[place]))
            changes.append(Change(*facts_of_class, len(without), len(found), *top))
    return OccurrenceNote(*facts, changes)


def occurrence_rows(notes: Iterable[tuple[str, OccurrenceNote]]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of ``occurrence.csv``, the header first."""
    yield _OCCURRENCE_COLUMNS
    for name, note in notes:
        sources = (note.place_source, note.week_source)
        counts = (note.withheld, note.lowered, note.raised)
        yield name, note.area, "" if note.week is None else note.week, *sources, *counts, note.reason


def withheld_rows(notes: Iterable[tuple[str, OccurrenceNote]]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of ``withheld.csv``, the header first."""
    yield _WITHHELD_COLUMNS
    for name, note in notes:
        for x in note.changes:
            if x.shift < 0 and x.labels_without:
                numbers = (f"{x.occurrence:.6g}", f"{x.shift:.4f}", x.labels_without, x.labels)
                yield name, x.name, *numbers, f"{x.score_without:.6f}", f"{x.score:.6f}" if x.labels else ""

"""Detections that a sample is drawn from: with recording, class, stretch, score, site and clock time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from britekit.annotations.label_table import LabelTable
from britekit.errors import InputError, suggest


@dataclass(frozen=True)
class Place:
    """Where and when a recording was made; empty or None where that is not known."""

    site: str = ""
    start: datetime | None = None


def later(start: datetime, seconds: float) -> datetime:
    """Return the time some seconds later, by the same clock.

    Through UTC: adding to a local time moves the hands of the clock, also on nights on which it changes.
    """
    passed = timedelta(seconds=seconds)
    return start + passed if start.tzinfo is None else (start.astimezone(UTC) + passed).astimezone(start.tzinfo)


@dataclass(frozen=True)
class Candidates:
    """M detections by columns, sorted by recording, class and start."""

    recordings: list[str]
    """Names without extension, below the folder of recordings."""
    names: list[str]
    """Class names."""
    recording_M: NDArray[np.int32]
    name_M: NDArray[np.int32]
    """(M,) indexes into both lists."""
    start_M: NDArray[np.float64]
    end_M: NDArray[np.float64]
    """(M,) seconds."""
    score_M: NDArray[np.float64]
    places: list[Place]
    """One per recording."""
    heard_M: NDArray[np.bool_] | None = None
    """(M,) True where there is a verdict; None if that is not asked for."""
    archive: Path | None = None
    """Archive with embeddings of the recordings, if there is one."""
    channels: list[str] = field(default_factory=list)
    """Channel of each of ``recordings``, or an empty text; empty if channels are not told apart."""

    def __len__(self) -> int:
        return len(self.score_M)

    def take(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> Candidates:
        """Return some of them."""
        columns = {
            name: getattr(self, name)[which] for name in ("recording_M", "name_M", "start_M", "end_M", "score_M")
        }
        heard = None if self.heard_M is None else self.heard_M[which]
        return replace(self, **columns, heard_M=heard)

    def time(self, index: int) -> datetime | None:
        """Return the clock time at which a detection begins, or None."""
        start = self.places[self.recording_M[index]].start
        return None if start is None else later(start, float(self.start_M[index]))

    def channel(self, index: int) -> str:
        """Return the channel of a detection, or an empty text."""
        return self.channels[self.recording_M[index]] if self.channels else ""

    def site(self, index: int) -> str:
        """Return the site of a detection, or an empty text."""
        return self.places[self.recording_M[index]].site

    def by_class(self) -> list[tuple[str, NDArray[np.int64]]]:
        """Return each class that has detections, with their indexes."""
        order = np.argsort(self.name_M, kind="stable")
        counts = np.bincount(self.name_M, minlength=len(self.names))
        parts = np.split(order, np.cumsum(counts)[:-1]) if len(self.names) else []
        return [(name, part) for name, part in zip(self.names, parts, strict=True) if len(part)]


def read_candidates(
    table: LabelTable,
    place_of: Callable[[str], Place],
    names: Sequence[str] = (),
    min_score: float = 0.0,
    merge: bool = True,
) -> Candidates:
    """Return the detections of a label table.

    Raises `InputError` if a class in ``names`` has no detection.

    Parameters
    ----------
    place_of
        Site and start of a recording, by its name in the table.
    names
        Only these classes; all if empty.
    min_score
        Only detections that score at least this.
    merge
        Make one detection of those of a class that touch or overlap; it has the highest score among them.
    """
    unknown = [name for name in names if name not in table.names]
    if unknown:
        raise InputError(
            f'no detection is called "{unknown[0]}"; there are '
            + (", ".join(sorted(table.names)) or "no detections at all")
            + suggest(unknown[0], table.names)
        )
    score = table.score_M.astype(np.float64)
    kept = score >= min_score - 1e-9
    if names:
        wanted = np.isin(np.arange(len(table.names)), [table.names.index(name) for name in names])
        kept &= wanted[table.name_M]
    recording, name = table.recording_M[kept], table.name_M[kept]
    start, end, score = table.start_M[kept].astype(float), table.end_M[kept].astype(float), score[kept]
    order = np.lexsort((end, start, name, recording))
    recording, name, start = recording[order], name[order], start[order]
    end, score = end[order], score[order]
    if merge and len(score):
        first = _first_of_runs(recording, name, start, end)
        begin = np.flatnonzero(first)
        recording, name, start = recording[begin], name[begin], start[begin]
        end, score = np.maximum.reduceat(end, begin), np.maximum.reduceat(score, begin)
    places = [place_of(each) for each in table.recordings]
    return Candidates(
        table.recordings, table.names, recording, name, start, end, score, places, channels=table.channels
    )  # fmt: skip


def _first_of_runs(
    recording: NDArray[np.int32], name: NDArray[np.int32], start: NDArray[np.float64], end: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return which detections begin a run of touching ones; rows are sorted by recording, class and start."""
    group = np.cumsum(np.concatenate([[True], (recording[1:] != recording[:-1]) | (name[1:] != name[:-1])])).astype(
        np.float64
    )
    # The latest end so far within each group: groups are put far apart on one axis first.
    span = float(end.max() - min(0.0, start.min())) + 1.0
    latest = np.maximum.accumulate(end + group * span)
    apart = start[1:] + group[1:] * span > latest[:-1] + 1e-6
    return np.concatenate([[True], apart])

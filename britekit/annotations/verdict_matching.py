"""Which detections a verdict is about: those that were heard, or those of another model in the same sound."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from britekit.annotations.verdicts import Judged
from britekit.audio.files import name_key

_EQUAL_S = 0.011  # tables round to hundredths
# A yes holds for what overlaps the call by at least this part of the shorter of the two; a no holds for
# what lies within the judged stretch by at least this part.
_YES_PART, _NO_PART = 0.5, 0.9


class Detections(Protocol):
    """M detections by columns."""

    @property
    def recordings(self) -> list[str]:
        """Names of recordings."""

    @property
    def names(self) -> list[str]:
        """Names of classes."""

    @property
    def recording_M(self) -> NDArray[np.int32]:
        """(M,) indexes into ``recordings``."""

    @property
    def name_M(self) -> NDArray[np.int32]:
        """(M,) indexes into ``names``."""

    @property
    def start_M(self) -> NDArray[np.floating]:
        """(M,) seconds."""

    @property
    def end_M(self) -> NDArray[np.floating]:
        """(M,) seconds."""


def detections_about(
    judged: Sequence[Judged],
    detections: Detections,
    rows: NDArray[np.int64] | None = None,
    called: Mapping[str, Collection[int]] | None = None,
) -> Iterator[tuple[Judged, list[int]]]:
    """Yield each verdict with the rows of the detections that it is about, the closest first.

    First comes the detection of the same stretch, then those that overlap it most: a review joins detections that
    touch, so one verdict may be about several.

    Parameters
    ----------
    rows
        The detections that count; default: all.
    called
        Indexes into ``detections.names`` by what a verdict calls the class; default: the names themselves.
    """
    rows = np.arange(len(detections.recording_M)) if rows is None else rows
    called = {name: (number,) for number, name in enumerate(detections.names)} if called is None else called
    # A verdict about a channel is about its detections; one about mixed channels about those of any, and vice versa.
    channels = getattr(detections, "channels", None) or [""] * len(detections.recordings)
    keys = [name_key(name) for name in detections.recordings]
    heard = {name_key(item.verdict.recording) for item in judged}
    there = np.isin(detections.recording_M[rows], [number for number, key in enumerate(keys) if key in heard])
    rows_of: dict[tuple[str, int], list[int]] = defaultdict(list)
    for row in rows[there].tolist():
        rows_of[keys[detections.recording_M[row]], int(detections.name_M[row])].append(row)
    for item in judged:
        key = name_key(item.verdict.recording)
        mine = [
            row
            for number in called.get(item.verdict.name, ())
            for row in rows_of.get((key, number), ())
            if item.verdict.channel in ("", channel := channels[detections.recording_M[row]]) or not channel
        ]
        yield item, _about(item, np.array(mine, np.int64), detections)


def _about(item: Judged, rows: NDArray[np.int64], detections: Detections) -> list[int]:
    verdict = item.verdict
    start, end = detections.start_M[rows].astype(np.float64), detections.end_M[rows].astype(np.float64)
    same = np.abs(start - verdict.detection_start) < _EQUAL_S
    same &= np.abs(end - verdict.detection_end) < _EQUAL_S
    if item.answer == "yes":
        low, high = verdict.start, verdict.end
        needed = _YES_PART * np.minimum(end - start, high - low)
    else:
        low, high = verdict.detection_start, verdict.detection_end
        needed = _NO_PART * (end - start)
    overlap = np.minimum(end, high) - np.maximum(start, low)
    about = np.flatnonzero(same | ((overlap > 0) & (overlap >= needed)))
    return [int(row) for row in rows[about[np.lexsort((-overlap[about], ~same[about]))]]]

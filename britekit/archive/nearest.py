"""The windows of an archive that detections and verdicts are about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from britekit.annotations.names import RecordingNames
from britekit.annotations.verdicts import Verdict
from britekit.archive.store import Archive, Entry
from britekit.errors import InputError


class WindowFinder:
    """Finds the window whose middle lies nearest to that of a stretch.

    Raises `InputError` if the archive has no window of one of those.

    Parameters
    ----------
    archive
        Their embeddings.
    used_M
        Places in ``recordings`` that will be asked for.
    """

    def __init__(self, recordings: Sequence[str], archive: Archive, used_M: NDArray[np.int32]) -> None:
        self._archive = archive
        names = RecordingNames(archive.entries)
        self._entries = [None if (name := names.find(each)) is None else archive.entries[name] for each in recordings]
        missing = [
            recordings[place]
            for place in np.unique(used_M).tolist()
            if (entry := self._entries[place]) is None or not entry.windows
        ]
        if missing:
            raise InputError(
                f"{archive.folder} has no embeddings of {len(missing)} recordings with detections, such as "
                f'"{missing[0]}"; complete it with `britekit embed -i RECORDINGS --archive {archive.folder}`'
            )

    def rows(
        self, recording_M: NDArray[np.int32], start_M: NDArray[np.float64], end_M: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Return the row (M,) of each stretch."""
        found = np.empty(len(recording_M), np.int64)
        for place, (recording, start, end) in enumerate(zip(recording_M, start_M, end_M, strict=True)):
            entry = self._entries[recording]
            assert entry is not None
            found[place] = nearest_row(self._archive, entry, start, end)
        return found


def nearest_row(archive: Archive, entry: Entry, start: float, end: float) -> int:
    """Return the row of the window of a recording nearest to a stretch in seconds."""
    starts = archive.starts[entry.first : entry.first + entry.windows]
    return entry.first + int(np.argmin(np.abs(starts - (start + end - archive.window_s) / 2)))


def row_of_verdict(archive: Archive, names: RecordingNames, verdict: Verdict, yes: bool) -> int | None:
    """Return the row of the window nearest to what a verdict is about; None if its recording has no window.

    A yes is about the call, whose times the reviewer may have corrected; any other answer about the whole detection.
    """
    name = names.find(verdict.recording)
    entry = None if name is None else archive.entries[name]
    if entry is None or not entry.windows:
        return None
    low, high = (verdict.start, verdict.end) if yes else (verdict.detection_start, verdict.detection_end)
    return nearest_row(archive, entry, low, high)

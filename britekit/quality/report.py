"""Write what was measured of recordings as tables, and compare the channels of a recorder's files."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from britekit.files import atomic_path, csv_writer, write_csv
from britekit.quality.measuring import CHANNEL_COLUMNS, NOISE_COLUMNS, SEGMENT_COLUMNS, Quality, Values

SUMMARY, OVER_TIME = "quality.csv", "over_time.csv"
# Channels count as swapped if they match the others' exchanged better by so much, on average over bands.
_SWAPPED_DB, _FEWEST = 3.0, 3


class QualityTables:
    """Collects recordings one by one; segments go to disk at once, so that memory does not grow with them."""

    def __init__(self, segments: Any) -> None:
        self._segments = segments
        self._names: list[str] = []
        self._summaries: list[list[tuple[Values, list[str]]]] = []
        self.missing: dict[str, list[str]] = defaultdict(list)
        """Recordings without an index, by the sentence that gives the reason."""
        self._segments.writerow(("recording", "channel", "time", *SEGMENT_COLUMNS))

    def add(self, name: str, found: Quality, start: datetime | None) -> None:
        """Add a recording that began at ``start``."""
        for number, channel in enumerate(found.channels, 1):
            for values in channel.segments:
                when = "" if start is None else (start + timedelta(seconds=values["start"] or 0)).isoformat()
                self._segments.writerow((name, number, when, *_cells(values, SEGMENT_COLUMNS)))
        self._names.append(name)
        self._summaries.append([(channel.summary, channel.problems) for channel in found.channels])
        for index, reason in found.missing.items():
            self.missing[f"{index} {reason}"].append(name)

    def finish(self, path: Path) -> list[str]:
        """Write the table of channels; return a line for each channel with a problem."""
        for number in _swapped([[summary for summary, _ in each] for each in self._summaries]):
            for _, problems in self._summaries[number]:
                problems.append("channels 1 and 2 swapped, compared with the other recordings")
        rows: list[tuple[object, ...]] = [("recording", "channel", "problems", *CHANNEL_COLUMNS)]
        lines: list[str] = []
        for name, channels in zip(self._names, self._summaries, strict=True):
            for number, (summary, problems) in enumerate(channels, 1):
                rows.append((name, number, "; ".join(problems) or None, *_cells(summary, CHANNEL_COLUMNS)))
                which = f" channel {number}" if len(channels) > 1 else ""
                lines += [f"{name}{which}: {'; '.join(problems)}"] * bool(problems)
        write_csv(path, rows)
        return lines


@contextmanager
def quality_tables(folder: str | os.PathLike[str]) -> Iterator[QualityTables]:
    """Yield tables to fill; ``over_time.csv`` appears in the folder when the block ends without an error."""
    with atomic_path(Path(folder) / OVER_TIME) as partial, open(partial, "w", encoding="utf-8", newline="") as stream:
        yield QualityTables(csv_writer(stream))


def _cells(values: Values, columns: tuple[str, ...]) -> Iterator[object]:
    for name in columns:
        value = values[name]
        yield None if value is None else int(value) if isinstance(value, (bool, int)) else f"{value:.6g}"


def _swapped(recordings: list[list[Values]]) -> list[int]:
    """Return the recordings with two channels whose noise in bands is that of the others with channels exchanged."""
    profiles: dict[int, np.ndarray] = {}
    for number, channels in enumerate(recordings):
        if len(channels) == 2:
            levels = [[each[name] for name in NOISE_COLUMNS] for each in channels]
            profiles[number] = np.array([[np.nan if x is None else x for x in row] for row in levels], float)
    if len(profiles) < _FEWEST:
        return []
    all_NCB = np.stack(list(profiles.values()))
    known = np.isfinite(all_NCB).all(axis=(0, 1))
    if not known.any():
        return []
    usual_CB = np.median(all_NCB[:, :, known], axis=0)
    found = []
    for number, profile in profiles.items():
        # Only what distinguishes the channels: a windy day raises both.
        difference, usual = profile[0, known] - profile[1, known], usual_CB[0] - usual_CB[1]
        apart = np.abs(difference - usual).mean() - np.abs(difference + usual).mean()
        if apart >= _SWAPPED_DB:
            found.append(number)
    return found

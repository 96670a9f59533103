"""Where windows begin when a recording is heard on several grids: staggered per member, or shifted both ways."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from britekit.audio.window_grid import WindowGrid

# The start of a grid's last window is rounded down by up to 10 ms.
_ROUNDED_S = 0.012


class Role(NamedTuple):
    """The purpose of a window."""

    row_s: float
    """Start of the row of scores that it counts for, in seconds."""
    place: int | None
    """Place in ``infer.initial_offsets`` of the members that score it; None for all members."""


@dataclass(frozen=True, eq=False)
class WindowPlan(WindowGrid):
    """Several grids of windows of equal length, merged in order of start; equal starts are one window.

    Created for each recording by `staggered` or `shifted`.
    """

    grids: tuple[WindowGrid, ...] = ()
    places: tuple[int | None, ...] = ()
    """For each grid, the place of its offset; None if all members score its windows."""
    shift_s: float = 0.0
    """Seconds by which each window is heard earlier and later, too."""
    _known: list[float] = field(default_factory=list)
    _roles: dict[float, list[Role]] = field(default_factory=dict)
    _endless: list[Iterator[tuple[float, list[Role]]]] = field(default_factory=list)

    def start(self, window: int) -> float:
        """Return the start of a window of a recording without end."""
        if not self._endless:
            self._endless.append(self._merged(math.inf))
        while len(self._known) <= window:
            start, roles = next(self._endless[0])
            self._known.append(start)
            self._roles[start] = roles
        return self._known[window]

    def starts(self, seconds: float) -> list[float]:
        """Return the start times of all windows of a recording of ``seconds``."""
        found = dict(self._merged(seconds))
        self._roles.update(found)
        return list(found)

    def roles(self, start: float) -> list[Role]:
        """Return the purposes of the window at a start that was given out."""
        return self._roles[start]

    def forget(self, start: float) -> None:
        """Drop the roles of a window that is done, so that they do not grow with the recording."""
        self._roles.pop(start, None)

    def _merged(self, seconds: float) -> Iterator[tuple[float, list[Role]]]:
        series = [
            self._series(grid, place, shift, seconds)
            for grid, place in zip(self.grids, self.places, strict=True)
            for shift in ((-self.shift_s, 0.0, self.shift_s) if self.shift_s else (0.0,))
        ]
        merged = heapq.merge(*series, key=lambda pair: pair[0])
        for start, group in itertools.groupby(merged, key=lambda pair: pair[0]):
            yield start, [role for _, role in group]

    def _series(
        self, grid: WindowGrid, place: int | None, shift: float, seconds: float
    ) -> Iterator[tuple[float, Role]]:
        """Yield the windows of a grid, each shifted as far as the recording reaches."""
        rows: Iterable[float] = map(grid.start, itertools.count()) if seconds == math.inf else grid.starts(seconds)
        for row in rows:
            row = round(row, 9)
            earliest, latest = min(row, max(grid.start_seconds, 0.0)), max(row, seconds - self.duration)
            start = round(min(max(row + shift, earliest), latest), 9)
            if shift == 0 or start != row:
                yield start, Role(row, place)


def staggered(grid: WindowGrid, offsets: list[float]) -> WindowPlan:
    """Return the plan in which windows of member i begin at ``offsets[i % len(offsets)]`` and do not overlap.

    Where that is later than the first offset, a window before it reaches back to the start of the recording.
    """
    grids = []
    for offset in offsets:
        start = grid.start_seconds + offset
        if offset > offsets[0]:
            start -= grid.duration
        grids.append(WindowGrid(grid.duration, grid.step_s, grid.tail_s, start, grid.rest_s))
    places = tuple(range(len(offsets)))
    tail_s = grid.duration + _ROUNDED_S
    return WindowPlan(grid.duration, grid.step_s, tail_s, grid.start_seconds, grid.rest_s, tuple(grids), places)


def shifted(grid: WindowGrid, shift_s: float) -> WindowPlan:
    """Return the plan in which each window of a grid is heard three times: on time, earlier and later."""
    tail_s = grid.duration + _ROUNDED_S + shift_s
    return WindowPlan(grid.duration, grid.step_s, tail_s, grid.start_seconds, grid.rest_s, (grid,), (None,), shift_s)

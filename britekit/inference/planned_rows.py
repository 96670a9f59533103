"""Average the windows of a `WindowPlan` that belong to one row of scores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from britekit.inference.window_plan import WindowPlan

# Tolerance for sums of starts and shifts.
_EPSILON = 1e-6


class PlannedRows:
    """Rows of a recording in progress; used by the scoring thread, apart from the plan itself.

    Parameters
    ----------
    plan
        Windows of the recording.
    owners
        Return the members (M,) that score the windows of a place in the plan.
    """

    def __init__(self, plan: WindowPlan, owners: Callable[[int | None], np.ndarray]) -> None:
        self._plan = plan
        self._owners = {place: owners(place) for place in set(plan.places)}
        self._open: dict[float, tuple[np.ndarray, int]] = {}

    @property
    def per_step(self) -> int:
        """Windows per step of a grid."""
        return len(self._plan.grids) * (3 if self._plan.shift_s else 1)

    def owners(self, start: float) -> np.ndarray:
        """Return the members (M,) that score a window, bool."""
        return np.logical_or.reduce([self._owners[role.place] for role in self._plan.roles(start)])

    def add(self, start: float, scores_C: np.ndarray) -> float:
        """Add the scores of a window to its rows; return its weight in means of frames: the members that scored it."""
        roles = self._plan.roles(start)
        self._plan.forget(start)
        weight = 0
        for role in roles:
            members = 1 if role.place is None else int(self._owners[role.place].sum())
            total, count = self._open.get(role.row_s, (np.zeros(len(scores_C), np.float32), 0))
            self._open[role.row_s] = (total + np.float32(members) * scores_C, count + members)
            weight += members
        return 1.0 if roles[0].place is None else float(weight)

    def before(self, start: float) -> tuple[list[float], np.ndarray | None]:
        """Return starts and mean scores (N, C), or None, of the rows that no window from ``start`` on belongs to."""
        done = sorted(row for row in self._open if row + self._plan.shift_s < start - _EPSILON)
        found = [self._open.pop(row) for row in done]
        if not found:
            return [], None
        return done, np.stack([total / np.float32(count) for total, count in found])

"""Start times of the windows of a recording."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from britekit.errors import InputError

if TYPE_CHECKING:
    pass

# A remainder up to this share of a window gets no further window: otherwise the padding of an MP3 encoder (26 ms) would
# give each clip of five seconds a second window.
_UNHEARD = 0.01


# Without annotations the remainder must be longer than this, since the last window would nearly equal the previous one.
_UNHEARD_S = 0.3


# Tolerance for sums such as 0.1 + 0.2.
_EPSILON = 1e-9


@dataclass(frozen=True)
class WindowGrid:
    """Start times of the windows of a recording: at every step, up to its end.

    Windows begin every ``step_s`` seconds from ``start_seconds`` on while at least ``tail_s`` seconds remain. If more
    than ``rest_s`` remains after the last one, a further window ends with the recording. If no more than ``duration``
    remains after ``start_seconds``, there is only one window.

    Raises `InputError` if the step is not above 0.
    """

    duration: float
    """Seconds of a window."""
    step_s: float
    """Step between windows in seconds."""
    tail_s: float
    """Seconds that must remain for a window on the grid; the rest of the window is padded with silence."""
    start_seconds: float = 0.0
    """Start of the first window; may be negative."""
    rest_s: float | None = None
    """Seconds at the end that may be in no window; by default 1 % of a window."""

    def __post_init__(self) -> None:
        if not self.step_s > 0:
            raise InputError(f"step of windows is {self.step_s:g} s; expected more than 0")

    @classmethod
    def for_overlap(cls, duration: float, overlap: float, start_seconds: float = 0.0) -> WindowGrid:
        """Return the grid for analysis and pictures: a second, or a window, must remain.

        Raises `InputError` if the overlap is negative, or not less than a window.
        """
        if not 0.0 <= overlap < duration:
            raise InputError(
                f"overlap is {overlap:g} s; expected 0 or more, and less than audio.spec_duration ({duration:g} s)"
            )
        # 0.3 - 0.1 is 0.19999999999999998
        return cls(duration, round(duration - overlap, 9), min(1.0, duration), start_seconds)

    @classmethod
    def for_extraction(cls, duration: float, overlap: float, annotated: bool = False) -> WindowGrid:
        """Return the grid for extraction: half a step, or as for `for_overlap`, must remain.

        In an ``annotated`` recording, windows must cover every sound.
        """
        grid = cls.for_overlap(duration, overlap)
        rest_s = None if annotated or duration < 1.0 else _UNHEARD_S
        return replace(grid, tail_s=max(grid.tail_s, grid.step_s / 2.0), rest_s=rest_s)

    @property
    def tolerance_s(self) -> float:
        """Tolerance within which two windows of a recording are the same segment."""
        return min(0.5, self.step_s / 2.0)

    def start(self, window: int) -> float:
        """Return the start of a window."""
        return self.start_seconds + window * self.step_s

    def starts(self, seconds: float) -> list[float]:
        """Return the start times of all windows of a recording of ``seconds``."""
        if seconds - self.start_seconds <= self.duration:
            return [self.start_seconds]
        last = math.floor((seconds - self.tail_s + _EPSILON - self.start_seconds) / self.step_s)
        # Verify by the product, since the division rounds.
        while self.start(last + 1) <= seconds - self.tail_s + _EPSILON:
            last += 1
        while last >= 0 and self.start(last) > seconds - self.tail_s + _EPSILON:
            last -= 1
        starts = [self.start(window) for window in range(last + 1)]
        closing = self.closing(seconds, starts[-1] + self.duration if starts else self.start_seconds)
        return starts if closing is None else [*starts, closing]

    def closing(self, seconds: float, reached: float) -> float | None:
        """Return the start of the window that ends with the recording, if the others end at ``reached``."""
        rest = max(_UNHEARD * self.duration, 0.001) if self.rest_s is None else self.rest_s
        if seconds - reached <= rest + _EPSILON:
            return None
        # Round down to the precision of names of images and labels.
        parts = 100 if self.duration >= 1.0 else 1000
        return math.floor((seconds - self.duration) * parts + 1e-6) / parts

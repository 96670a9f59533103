"""Show progress of long loops on stderr: a bar on a terminal, one line per 5 % elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

Item = TypeVar("Item")

# Shorter loops show nothing.
QUIET_SECONDS = 2.0
_REFRESH_SECONDS = 0.2


def track(iterable: Iterable[Item], total: int | None = None, what: str = "") -> Iterator[Item]:
    """Yield the items of ``iterable`` while showing progress and the remaining time.

    Parameters
    ----------
    total
        Number of items; by default ``len(iterable)``, or only a count is shown if that is undefined.
    """
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    meter = Meter(total, what)
    try:
        for item in iterable:
            yield item
            meter.advance()
        meter.finish()
    finally:
        meter.close()


class Meter:
    """The counter behind `track`, for loops that count themselves.

    Parameters
    ----------
    total
        Number of steps, or None if unknown.
    what
        Name of the work.
    """

    def __init__(self, total: int | None, what: str = "") -> None:
        self._total = total
        self._what = f"{what}: " if what else ""
        self._done = 0
        self._start = time.monotonic()
        self._drawn_at = 0.0
        self._next_share = 0.05
        self._on_terminal = sys.stderr.isatty()
        self._open_line = False
        self._spoke = False

    def advance(self, steps: int = 1) -> None:
        """Count ``steps`` as done, and update the display if it is due."""
        self._done += steps
        now = time.monotonic()
        if now - self._start < QUIET_SECONDS:
            return
        if self._on_terminal:
            if now - self._drawn_at >= _REFRESH_SECONDS:
                self._drawn_at = now
                self._draw(now)
        elif self._total:
            share = self._done / self._total
            if share >= self._next_share and share < 1.0:
                self._next_share = (int(share * 20 + 1e-9) + 1) / 20
                self._write(self._text(now) + "\n")

    def finish(self) -> None:
        """Print that the work is complete, if progress was shown or it took long."""
        now = time.monotonic()
        if now - self._start < QUIET_SECONDS:
            return
        text = f"{self._ended(now - self._start)}, {clock(now - self._start)}"
        self._write(("\r\x1b[K" if self._open_line else "") + text + "\n")
        self._open_line = False

    def close(self) -> None:
        """End a line that was left open by an interruption."""
        if self._open_line:
            self._write("\n")
            self._open_line = False

    def _ended(self, seconds: float) -> str:
        """Return what was done in ``seconds``, for the last line."""
        return f"{self._what}{self._shown()}" + (f"/{self._total}" if self._total else "")

    def _shown(self) -> int:
        """Return the steps done, at most the total, since a last window may extend beyond the end."""
        return min(self._done, self._total) if self._total else self._done

    def _draw(self, now: float) -> None:
        self._write("\r\x1b[K" + self._text(now, bar=True))
        self._open_line = True

    def _text(self, now: float, bar: bool = False) -> str:
        if not self._total:
            return f"{self._what}{self._done}"
        share = min(self._done / self._total, 1.0)
        left = (now - self._start) * (1.0 - share) / share if share > 0 else 0.0
        filled = "#" * int(share * 24)
        drawing = f"[{filled:<24}] " if bar else ""
        return f"{self._what}{drawing}{self._shown()}/{self._total} ({share:.0%}), {clock(left)} left"

    @staticmethod
    def _write(text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (OSError, ValueError):
            return  # a closed stderr must not stop the work


def clock(seconds: float) -> str:
    """Return seconds as ``0:07``, ``12:05`` or ``1:02:03``."""
    minutes, rest = divmod(int(round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

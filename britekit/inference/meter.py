"""Progress of a batch of recordings: recordings and hours done, speed and time left."""

from __future__ import annotations

from pathlib import Path

from britekit.errors import counted
from britekit.progress import Meter, clock

_STEPS = 1000
# Reading a header takes a millisecond, which adds up for thousands of clips.
_FIRST, _LARGE_BYTES = 16, 8 << 20


class RecordingMeter(Meter):
    """A progress line on stderr.

    Lengths are read from the headers of started recordings; the others are estimated from file sizes.
    """

    def __init__(self, recordings: int, total_bytes: int) -> None:
        super().__init__(_STEPS, "")
        self._recordings = recordings
        self._total_bytes = total_bytes
        self._begun = self._finished = 0
        self._scored_s = 0.0
        self._known_bytes = 0
        self._known_s = 0.0

    def begin_recording(self, path: Path, size: int) -> None:
        """Read the length in the header of a recording."""
        self._begun += 1
        if self._begun > _FIRST and size < _LARGE_BYTES:
            return
        seconds = _stated_seconds(path)
        if seconds is None:
            self._total_bytes -= size  # unknown length; most of these will fail
            return
        self._known_bytes += size
        self._known_s += seconds

    def finish_recording(self, scored_s: float) -> None:
        """Count a recording as done; see `tick` for ``scored_s``."""
        self._finished += 1
        self.tick(scored_s)

    def tick(self, scored_s: float) -> None:
        """Update the line; ``scored_s`` includes incomplete recordings."""
        self._scored_s = scored_s
        share = 0.0
        if self._known_bytes and self._known_s:
            share = scored_s * self._known_bytes / (self._known_s * max(self._total_bytes, 1))
        # Estimates may decrease; the counter must not.
        self.advance(max(0, min(int(share * _STEPS), _STEPS - 1) - self._done))

    def finish(self) -> None:
        """Report that the work is complete, unless no recording was finished."""
        if self._finished:
            super().finish()

    def _ended(self, seconds: float) -> str:
        speed = self._scored_s / max(seconds, 1e-9)
        return f"{counted(self._finished, 'recording')}, {self._scored_s / 3600:.2f} h, {speed:.0f} times real time"

    def _text(self, now: float, bar: bool = False) -> str:
        taken = max(now - self._start, 1e-9)
        share = self._done / _STEPS
        filled = "#" * int(share * 24)
        drawing = f"[{filled:<24}] " if bar else ""
        left = f", {clock(taken * (1 - share) / share)} left" if share > 0 else ""
        hours = f"{self._scored_s / 3600:.2f} h, {self._scored_s / taken:.0f} times real time"
        return f"{drawing}{self._finished}/{self._recordings} recordings, {hours}{left}"


def _stated_seconds(path: Path) -> float | None:
    """Return the length stated in a header, which may be wrong; None if it is not quickly available."""
    import soundfile  # type: ignore[import-untyped, unused-ignore]

    from britekit.audio.time_expansion import factor_of

    try:
        facts, factor = soundfile.info(str(path)), factor_of(path)
    except (RuntimeError, OSError, ValueError, TypeError):
        return None
    seconds = facts.frames / max(facts.samplerate, 1) / factor
    return seconds if 0 < seconds < 1e7 else None

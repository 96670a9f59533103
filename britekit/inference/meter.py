"""Progress of a batch of recordings: recordings and hours done, speed and time left."""

from __future__ import annotations

from pathlib import Path

from britekit.errors import counted
from britekit.progress import Meter, clock

_STEPS = 1000
# Reading a header takes a millisecond: too long for each of thousands of clips.
_FIRST, _LARGE_BYTES = 16, 8 << 20


class RecordingMeter(Meter):
    """A counter on stderr of the seconds scored.

    Lengths are read from the headers of recordings as they are begun; those of the others follow from the
    sizes of their files.

    Parameters
    ----------
    recordings
        How many there are to score.
    total_bytes
        Of all their files.
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
        """Note what the header of a recording says about its length."""
        self._begun += 1
        if self._begun > _FIRST and size < _LARGE_BYTES:
            return
        seconds = _stated_seconds(path)
        if seconds is None:
            self._total_bytes -= size  # of which nothing is known; most of them will fail
            return
        self._known_bytes += size
        self._known_s += seconds

    def finish_recording(self, scored_s: float) -> None:
        """Count a recording as done; ``scored_s`` as in `tick`."""
        self._finished += 1
        self.tick(scored_s)

    def tick(self, scored_s: float) -> None:
        """Show where things are; ``scored_s`` counts the recordings that are not complete too."""
        self._scored_s = scored_s
        share = 0.0
        if self._known_bytes and self._known_s:
            share = scored_s * self._known_bytes / (self._known_s * max(self._total_bytes, 1))
        # Estimates may fall back; a counter never does.
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
    """Return the length that a header states, which may be wrong; None where it cannot be told at once."""
    import soundfile  # type: ignore[import-untyped, unused-ignore]

    try:
        facts = soundfile.info(str(path))
    except (RuntimeError, OSError, ValueError, TypeError):
        return None
    seconds = facts.frames / max(facts.samplerate, 1)
    return seconds if 0 < seconds < 1e7 else None

"""Which windows hold a sound, which sounds no window holds, and boxes that run over two recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from britekit.annotations.names import recording_key
from britekit.annotations.segments import Annotation
from britekit.audio.decoding import duration_of
from britekit.errors import InputError, some

# A few hundredths of a second of a long sound at a window's edge claim nothing.
HELD_S = 0.3
# Annotations drawn up to the end of a recording overshoot it a little.
PAST_END_S = 1.0


def least_held(lengths_s: ArrayLike, window_s: float) -> NDArray[np.float64]:
    """Return how many seconds of sounds of these lengths a window must hold.

    That is the smallest of 0.3 s, half the sound and half the window, so that a short call counts in each
    window that holds it whole, wherever it lies there.
    """
    return np.minimum(np.asarray(lengths_s, dtype=np.float64), min(2 * HELD_S, window_s)) / 2


def is_held(item: Annotation, start_s: float, window_s: float) -> bool:
    """Return whether a window of ``window_s`` seconds that begins at ``start_s`` holds enough of a sound."""
    inside = min(item.end, start_s + window_s) - max(item.start, start_s)
    least = min(HELD_S, (item.end - item.start) / 2, window_s / 2)
    return inside >= least - 1e-9


@dataclass
class Unheard:
    """Annotations of which no window holds enough, by reason."""

    beyond_end: list[Annotation] = field(default_factory=list)
    """Begin after the end of their recording."""
    unmarked: list[Annotation] = field(default_factory=list)
    """Others that no window holds."""
    past_end: list[Annotation] = field(default_factory=list)
    """Are held, but end more than a second after the recording."""

    def judge(
        self, annotations: Iterable[Annotation], seconds: float, starts: Sequence[float], window_s: float
    ) -> None:
        """Sort the annotations of one recording, which has windows at ``starts``."""
        for item in annotations:
            if item.start >= seconds:
                self.beyond_end.append(item)
            elif not any(is_held(item, start, window_s) for start in starts):
                self.unmarked.append(item)
            elif item.end > seconds + PAST_END_S:
                self.past_end.append(item)

    def sentences(self) -> list[str]:
        """Return what a person should know, a sentence per reason."""
        return time_sentences(*(spots(x, True) for x in (self.beyond_end, self.unmarked, self.past_end)))


def time_sentences(beyond_end: list[str], unmarked: list[str], past_end: list[str]) -> list[str]:
    """Return a sentence per reason for which annotations, named by their rows, are left out or doubtful."""
    least = "(0.3 s, half the sound or half a segment)"
    said = []
    for rows, one, many in (
        (
            beyond_end,
            "left out that begins after the end of the recording",
            "left out that begin after the end of the recording",
        ),
        (
            unmarked,
            f"left out that marks no segment, since none holds enough of it {least}",
            f"left out that mark no segment, since none holds enough of them {least}",
        ),
        (
            past_end,
            "ends more than 1 s after the recording: check that both belong together",
            "end more than 1 s after the recording: check that both belong together",
        ),
    ):
        if rows:
            s = "s" if len(rows) > 1 else ""
            said.append(f"{len(rows)} annotation{s} {many if s else one} (row{s} {some(rows, 5)})")
    return said


def spots(items: Iterable[Annotation], with_file: bool = False) -> list[str]:
    """Return the rows of annotations; with the file's name if wanted, or where it is about one recording."""
    return [
        f"{a.row} of {a.file if with_file else Path(a.file).name}"
        if with_file or Path(a.file).suffix.lower() != ".csv"
        else str(a.row)
        for a in items
    ]


def split_at_ends(annotations: Iterable[Annotation], seconds_of: Callable[[str], float | None]) -> list[Annotation]:
    """Return annotations with each box that runs over into the next recording as a part in both.

    Parameters
    ----------
    annotations
        Those of any number of recordings.
    seconds_of
        Returns the length of a recording, None if it is not known: its boxes stay as they are.
    """
    parts = []
    for item in annotations:
        seconds = seconds_of(item.recording) if item.ends_in else None
        if seconds is None or item.end <= seconds + 1e-3:
            parts.append(item)
            continue
        if item.start < seconds:
            parts.append(replace(item, end=seconds, ends_in=""))
        start = max(0.0, item.start - seconds)
        parts.append(replace(item, recording=item.ends_in, start=start, end=item.end - seconds, ends_in=""))
    return parts


def known_seconds(paths: Iterable[Path]) -> Callable[[str], float | None]:
    """Return a function that returns the length of a recording by its name, None if it cannot be read."""
    by_name = {recording_key(path): path for path in paths}

    @cache
    def seconds_of(recording: str) -> float | None:
        try:
            return duration_of(by_name[recording])
        except (KeyError, InputError):
            return None  # the command that reads the recording reports it

    return seconds_of

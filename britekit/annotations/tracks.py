"""Tracks: the channels of recordings that are analyzed one by one (``audio.channels: each``).

A track is called as its recording with ``.ch1``, ``.ch2`` ... behind it, in names of label files and of recordings in a
training database; tables with a column ``channel`` name the recording itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TRACK = re.compile(r"(.+)\.ch([1-9]\d*)", re.DOTALL)


def track_name(recording: str, channel: int) -> str:
    """Return the name of a recording's channel, counted from 1."""
    return f"{recording}.ch{channel}"


def split_track(name: str) -> tuple[str, int | None]:
    """Return recording and channel of what `track_name` returned; without a channel, the name itself and None."""
    found = _TRACK.fullmatch(name)
    return (found[1], int(found[2])) if found else (name, None)


def of_channel(file_name: str, channel: int | str) -> str:
    """Return the name of a table about one channel: ``scores.ch2.csv``; ``*`` as channel gives a pattern."""
    stem, _, ending = file_name.partition(".")
    return f"{stem}.ch{channel}.{ending}"


@dataclass(frozen=True)
class Tracks:
    """Meaning of names in an output folder: those of tracks with ``each``, otherwise those of recordings."""

    each: bool

    def split(self, name: str) -> tuple[str, int | None]:
        """Return the recording and the channel that a name means."""
        return split_track(name) if self.each else (name, None)

    def tables(self, table: str, names: list[str], has_channel: bool = False) -> Iterator[tuple[str, list[str]]]:
        """Yield a table's file and the names in it: a file per channel where no column tells them apart."""
        if not self.each or has_channel:
            yield table, names
            return
        channels = {name: self.split(name)[1] or 1 for name in names}
        for channel in sorted({1, *channels.values()}):
            yield of_channel(table, channel), [name for name in names if channels[name] == channel]

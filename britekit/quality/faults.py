"""Find what is wrong with samples: clipping, runs of one value, and channels that are equal or inverted."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

# A run of one value is a dropout from here on: no microphone holds a level for so long.
DROPOUT_S = 0.01
# Samples in a row at full scale that make a clipped peak; a single one may be a true maximum.
CLIP_RUN = 3
_MOST_RUNS = 10_000
_SAME, _INVERTED = 0.9999, -0.99


@dataclass
class Runs:
    """Runs of a minimum length: how many, how long, and where the first 10,000 of them are."""

    least: int
    count: int = 0
    samples: int = 0
    longest: int = 0
    places: list[tuple[int, int]] = field(default_factory=list)
    """(first sample, length)."""

    def add(self, start: int, length: int) -> None:
        """Count one run if it is long enough."""
        if length >= self.least:
            self.count += 1
            self.samples += length
            self.longest = max(self.longest, length)
            if len(self.places) < _MOST_RUNS:
                self.places.append((start, length))


class ChannelFaults:
    """Examines consecutive blocks of one channel.

    Parameters
    ----------
    full
        Magnitude that counts as full scale, such as 1 - 1.5 / 2**15 for 16 bits.

    Attributes
    ----------
    clipped
        Runs of at least three samples at full scale.
    dropouts
        Runs of one value, for at least 10 ms, that is not at full scale: zeros, or a frozen converter.
    at_full : int
        Samples at full scale.
    seen : int
    peak : float
    """

    def __init__(self, rate: int, full: float) -> None:
        self._full = full
        self.clipped, self.dropouts = Runs(CLIP_RUN), Runs(max(2, round(DROPOUT_S * rate)))
        self.seen = self.at_full = 0
        self.peak = 0.0
        self.frozen = True
        """Whether all samples have one value."""
        self._loud: tuple[int, int] | None = None  # (first, length) of a run at full scale that may go on
        self._start, self._value = 0, float("nan")

    def push(self, samples: np.ndarray) -> None:
        """Add float32 (n,)."""
        if not len(samples):
            return
        magnitude = np.abs(samples)
        self.peak = max(self.peak, float(magnitude.max()))
        self._push_loud(np.flatnonzero(magnitude >= self._full))
        changed = np.flatnonzero(samples[1:] != samples[:-1]) + 1
        first = [0] if self.seen and samples[0] != self._value else []
        edges = self.seen + np.concatenate([first, changed]).astype(np.int64)
        if len(edges):
            self.frozen = False
            starts = np.concatenate([[self._start], edges[:-1]])
            lengths = edges - starts
            for at in np.flatnonzero(lengths >= self.dropouts.least):
                start = int(starts[at])
                value = self._value if start < self.seen else float(samples[start - self.seen])
                self._add_dropout(start, int(lengths[at]), value)
            self._start = int(edges[-1])
        self._value = float(samples[-1])
        self.seen += len(samples)

    def finish(self) -> None:
        """Close the runs at the end of the recording."""
        if self._loud is not None:
            self.clipped.add(*self._loud)
        self._add_dropout(self._start, self.seen - self._start, self._value)

    def _add_dropout(self, start: int, length: int, value: float) -> None:
        if abs(value) < self._full:
            self.dropouts.add(start, length)

    def _push_loud(self, places: np.ndarray) -> None:
        self.at_full += len(places)
        if not len(places):
            return
        places = places + self.seen
        breaks = np.flatnonzero(np.diff(places) > 1) + 1
        for group in np.split(places, breaks):
            first, length = int(group[0]), len(group)
            if self._loud is not None and self._loud[0] + self._loud[1] == first:
                self._loud = (self._loud[0], self._loud[1] + length)
                continue
            if self._loud is not None:
                self.clipped.add(*self._loud)
            self._loud = (first, length)


class Alike:
    """Compares the channels of a recording, block by block."""

    def __init__(self, channels: int) -> None:
        self._channels, self._seen = channels, 0
        self._sums, self._products = np.zeros(channels), np.zeros((channels, channels))
        self._equal = np.ones((channels, channels), bool)

    def push(self, block_Cn: np.ndarray) -> None:
        """Add float32 (C, n)."""
        if self._channels == 1:
            return
        exact = block_Cn.astype(np.float64)
        self._seen += block_Cn.shape[1]
        self._sums += exact.sum(axis=1)
        self._products += exact @ exact.T
        for a, b in zip(*np.nonzero(np.triu(self._equal, 1)), strict=True):
            self._equal[a, b] = np.array_equal(block_Cn[a], block_Cn[b])

    def pairs(self) -> list[tuple[int, int, str]]:
        """Return (channel, channel, how): "identical", "nearly identical" or "inverted"."""
        if not self._seen:
            return []
        means = self._sums / self._seen
        covariance = self._products / self._seen - np.outer(means, means)
        spread = np.sqrt(np.maximum(np.diag(covariance), 0))
        found = []
        for a in range(self._channels):
            for b in range(a + 1, self._channels):
                if self._equal[a, b]:
                    found.append((a, b, "identical"))
                    continue
                both = spread[a] * spread[b]
                # Below this, products of rounding errors are all there is.
                correlation = covariance[a, b] / both if both > 1e-12 else 0.0
                if correlation >= _SAME:
                    found.append((a, b, "nearly identical"))
                elif correlation <= _INVERTED:
                    found.append((a, b, "inverted"))
        return found

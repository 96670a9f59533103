"""Encoded spectrograms of the windows of many recordings, computed by threads, handed over in order.

Decoding, Fourier transforms, matrix products and compression all release the GIL, so threads keep every core
busy, while the one that writes the database takes recordings in the order they were given.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import random
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from britekit.audio.decoding import duration_of
from britekit.audio.files import check_name, shown
from britekit.audio.threads import single_threaded_products
from britekit.audio.window_grid import WindowGrid
from britekit.audio.windows import Windows
from britekit.config.audio import AudioConfig
from britekit.database.spectrograms import encode
from britekit.errors import some
from britekit.processes import available_cores

Item = TypeVar("Item")
# Which windows of a recording are wanted; it may have to open the file, and runs in a thread.
Starts = Callable[[Path], WindowGrid | Sequence[float]]
# Yields further spectrograms of each window that has enough sound, in order.
Vary = Callable[[Path, WindowGrid | Sequence[float], AudioConfig], Iterator[list[bytes]]]

_WINDOWS_PER_BATCH = 32
# Of one recording, before its worker waits: some 1,000 windows, 30 MB. It bounds the memory of a 24 h
# recording.
_BATCHES_HELD = 32

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EncodedBatch:
    """Some windows: offsets in seconds, their spectrograms as they are stored, and those of their variants."""

    offsets: list[float] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)
    variants: list[list[bytes]] = field(default_factory=list)
    """Of each window; empty lists where none are wanted."""


class WindowStream:
    """The windows of one recording, while a thread computes them.

    Attributes
    ----------
    seconds
        Its length; known when the iteration has come to its end.
    absent
        Listed starts, in seconds, after which too little of the recording is left; likewise.
    """

    def __init__(
        self, path: Path, cfg: AudioConfig, starts: Starts, stop: threading.Event, vary: Vary | None = None
    ) -> None:
        self.path = path
        self.seconds = 0.0
        self.absent: list[float] = []
        self._cfg = cfg
        self._starts = starts
        self._vary = vary
        self._stop = stop
        self._batches: queue.Queue[EncodedBatch | None] = queue.Queue(_BATCHES_HELD)
        self._ready = threading.Event()
        self._error: BaseException | None = None

    def wait(self) -> None:
        """Wait until the recording is complete, or as much of it as is held; raise what went wrong so far.

        Call it before taking a database's lock.
        """
        self._ready.wait()
        if self._error is not None:
            raise self._error

    def __iter__(self) -> Iterator[EncodedBatch]:
        """Yield the batches in order; raises what went wrong in the thread."""
        while (batch := self._batches.get()) is not None:
            yield batch
        if self._error is not None:
            raise self._error

    def fill(self) -> None:
        """Compute the windows; the thread runs this."""
        try:
            check_name(self.path)
            starts = self._starts(self.path)
            windows = Windows(self.path, self._cfg, starts)
            variants = None if self._vary is None else self._vary(self.path, starts, self._cfg)
            batch, found = EncodedBatch(), False
            for start, image in windows:
                if self._stop.is_set():
                    return
                if image is None:
                    self.absent.append(start)
                    continue
                batch.offsets.append(round(start, 6))
                batch.values.append(encode(image))
                batch.variants.append([] if variants is None else next(variants))
                if len(batch.offsets) == _WINDOWS_PER_BATCH:
                    self._put(batch)
                    batch, found = EncodedBatch(), True
            if batch.offsets:
                self._put(batch)
            elif not found and isinstance(starts, WindowGrid):
                windows.warn_of_none()
            self.seconds = windows.seconds or 0.0
            if self.absent:
                listed = some((f"{start:g} s" for start in self.absent), 10)
                log.warning("%s ends before a spectrogram at %s; left out", shown(self.path), listed)
        except BaseException as error:
            self._error = error
        finally:
            self._put(None)
            self._ready.set()

    def _put(self, item: EncodedBatch | None) -> None:
        while not self._stop.is_set():
            try:
                self._batches.put(item, timeout=0.2)
                break
            except queue.Full:
                self._ready.set()


def of_track(cfg: AudioConfig, channel: int | None) -> AudioConfig:
    """Return the settings for one channel; None: for the whole recording."""
    return cfg if channel is None else replace(cfg, channels=channel)


def stream_windows(
    paths: Sequence[Path],
    cfg: AudioConfig,
    starts: Starts,
    channels: Sequence[int | None] = (),
    vary: Vary | None = None,
) -> Iterator[WindowStream]:
    """Yield the windows of each recording in the given order, while the next ones are computed already.

    Parameters
    ----------
    starts
        Returns the grid or the start times, in seconds, of a recording's windows.
    channels
        Of each path, the channel that is read in place of ``audio.channels``, or None.
    vary
        Makes variants of them.
    """
    workers = max(1, min(8, available_cores()))
    stop = threading.Event()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="extract")
    ahead: list[WindowStream] = []
    waiting = zip(paths, channels or [None] * len(paths), strict=True)
    with contextlib.ExitStack() as stack:
        stack.enter_context(single_threaded_products())
        stack.callback(pool.shutdown, cancel_futures=True)
        stack.callback(stop.set)
        while True:
            for path, channel in waiting:
                stream = WindowStream(path, of_track(cfg, channel), starts, stop, vary)
                pool.submit(stream.fill)
                ahead.append(stream)
                if len(ahead) > workers:
                    break
            if not ahead:
                return
            yield ahead.pop(0)


def spread(grid: WindowGrid, limit: int, at_random: bool) -> Starts:
    """Return starts that take at most ``limit`` windows of the grid from each recording.

    Parameters
    ----------
    grid
        Where windows may begin.
    limit
        At least 1.
    at_random
        Draw them at random instead of spacing them evenly. The draw depends on the file's name alone, so that
        a command that was interrupted and is repeated takes the same windows.
    """

    def starts(path: Path) -> list[float]:
        return pick(grid.starts(duration_of(path)), limit, path.name if at_random else None)

    return starts


def pick(items: Sequence[Item], limit: int, seed: str | None = None) -> list[Item]:
    """Return at most ``limit`` items in their order: evenly spaced, or drawn at random from a ``seed``."""
    if len(items) <= limit:
        return list(items)
    if seed is None:
        # The middle of each of `limit` equal parts.
        places = [(2 * part + 1) * len(items) // (2 * limit) for part in range(limit)]
    else:
        places = sorted(random.Random(zlib.crc32(seed.encode())).sample(range(len(items)), limit))
    return [items[place] for place in places]

"""Encoded spectrograms of many recordings, computed by threads, handed over in order.

Decoding, Fourier transforms, matrix products and compression all run outside the interpreter's lock, so
threads keep every core busy, while the one that writes the database takes recordings in the order they were
given.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from britekit.audio.files import check_name
from britekit.audio.stream import iter_spectrograms
from britekit.audio.threads import single_threaded_products
from britekit.config.audio import AudioConfig
from britekit.database.spectrograms import encode
from britekit.errors import InputError
from britekit.processes import available_cores

_WINDOWS_PER_BATCH = 32
# Of one recording, before its worker waits: some 1,000 windows, 30 MB. It bounds the memory of a 24 h
# recording.
_BATCHES_HELD = 32


@dataclass(frozen=True)
class Grid:
    """Where windows begin: every ``step_s`` seconds, while ``tail_s`` seconds are left."""

    step_s: float
    tail_s: float

    @classmethod
    def for_overlap(cls, duration: float, overlap: float) -> Grid:
        """Return the grid for windows of ``duration`` that share ``overlap`` seconds."""
        step = max(0.5, duration - overlap)
        return cls(step, max(1.0, step / 2.0))

    @property
    def tolerance_s(self) -> float:
        """Two windows of a recording closer than this are the same segment."""
        return min(0.5, self.step_s / 2.0)


def check_overlap(overlap: float, duration: float) -> Grid:
    """Return the grid of windows; raises `InputError` for an overlap that is none."""
    if not 0.0 <= overlap < duration:
        raise InputError(
            f"overlap {overlap:g} s must be at least 0 and less than audio.spec_duration, {duration:g} s"
        )
    return Grid.for_overlap(duration, overlap)


@dataclass(frozen=True)
class EncodedBatch:
    """Some windows: offsets in seconds, and their spectrograms as they are stored."""

    offsets: list[float]
    values: list[bytes]


class RecordingStream:
    """The windows of one recording, while a thread computes them.

    Attributes
    ----------
    path
        The recording.
    seconds
        Its length; known when the iteration has come to its end.
    """

    def __init__(self, path: Path, cfg: AudioConfig, grid: Grid, stop: threading.Event) -> None:
        self.path = path
        self.seconds = 0.0
        self._cfg = cfg
        self._grid = grid
        self._stop = stop
        self._batches: queue.Queue[EncodedBatch | BaseException | None] = queue.Queue(_BATCHES_HELD)
        self._ready = threading.Event()

    def wait(self) -> None:
        """Wait until the recording is complete, or as much of it as is held; then take a database's lock."""
        self._ready.wait()

    def __iter__(self) -> Iterator[EncodedBatch]:
        """Yield the batches in order; raises what went wrong in the thread."""
        while (item := self._batches.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    def fill(self) -> None:
        """Compute the windows; this is what the thread does."""
        end: BaseException | None = None
        try:
            check_name(self.path)
            stream = iter_spectrograms(
                self.path,
                self._cfg,
                self._grid.step_s,
                tail_s=self._grid.tail_s,
                batch_size=_WINDOWS_PER_BATCH,
            )
            for batch in stream:
                if self._stop.is_set():
                    return
                offsets = [round(start, 6) for start in batch.starts]
                self._put(EncodedBatch(offsets, [encode(image) for image in batch.spectrograms]))
            self.seconds = stream.seconds or 0.0
        except BaseException as error:
            end = error
        finally:
            self._put(end)
            self._ready.set()

    def _put(self, item: EncodedBatch | BaseException | None) -> None:
        while not self._stop.is_set():
            try:
                self._batches.put(item, timeout=0.2)
                break
            except queue.Full:
                self._ready.set()


def stream_recordings(paths: Sequence[Path], cfg: AudioConfig, grid: Grid) -> Iterator[RecordingStream]:
    """Yield a stream per recording, in the given order, while the next ones are computed already."""
    workers = max(1, min(8, available_cores()))
    stop = threading.Event()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="extract")
    ahead: list[RecordingStream] = []
    waiting = iter(paths)
    products = contextlib.ExitStack()
    products.enter_context(single_threaded_products())
    try:
        while True:
            for path in waiting:
                stream = RecordingStream(path, cfg, grid, stop)
                pool.submit(stream.fill)
                ahead.append(stream)
                if len(ahead) > workers:
                    break
            if not ahead:
                return
            yield ahead.pop(0)
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
        products.close()

"""Encoded spectrograms of chosen segments of many recordings, computed by threads, in the order asked for.

A `GivenStream` can be stored like a `RecordingStream`, which cuts a whole recording.
"""

from __future__ import annotations

import contextlib
import random
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from britekit.audio.decoding import duration_of
from britekit.audio.given_windows import GivenWindows
from britekit.audio.stream import window_starts
from britekit.audio.threads import single_threaded_products
from britekit.config.audio import AudioConfig
from britekit.database.spectrograms import encode
from britekit.datasets.recording_streams import EncodedBatch, Grid
from britekit.processes import available_cores

Item = TypeVar("Item")
# Which starts of a recording are wanted; it may have to open the file, and runs in a thread.
Plan = Callable[[Path], Sequence[float]]


@dataclass(frozen=True)
class _Computed:
    batch: EncodedBatch
    absent: list[float]
    seconds: float


class GivenStream:
    """The chosen windows of one recording.

    Attributes
    ----------
    path
        The recording.
    """

    def __init__(self, path: Path, future: Future[_Computed]) -> None:
        self.path = path
        self._future = future

    def wait(self) -> None:
        """Wait until the windows are computed, or cannot be."""
        self._future.exception()

    @property
    def seconds(self) -> float:
        """Length of the recording; raises what went wrong in the thread."""
        return self._future.result().seconds

    @property
    def absent(self) -> list[float]:
        """Starts, in seconds, after which too little of the recording is left."""
        return self._future.result().absent

    def __iter__(self) -> Iterator[EncodedBatch]:
        """Yield the windows, ascending; raises what went wrong in the thread."""
        batch = self._future.result().batch
        if batch.offsets:
            yield batch


def stream_given(paths: Sequence[Path], cfg: AudioConfig, plan: Plan) -> Iterator[GivenStream]:
    """Yield the chosen windows of each recording, while the next ones are computed already.

    Parameters
    ----------
    paths
        The recordings.
    cfg
        Section ``audio``.
    plan
        Returns the ascending start times, in seconds, of a recording's windows.
    """
    workers = max(1, min(8, available_cores()))
    pool = ThreadPoolExecutor(workers, thread_name_prefix="extract")
    ahead: list[GivenStream] = []
    waiting = iter(paths)
    with contextlib.ExitStack() as stack:
        stack.callback(pool.shutdown, cancel_futures=True)
        stack.enter_context(single_threaded_products())
        while True:
            for path in waiting:
                ahead.append(GivenStream(path, pool.submit(_compute, path, cfg, plan)))
                if len(ahead) > workers:
                    break
            if not ahead:
                return
            yield ahead.pop(0)


def _compute(path: Path, cfg: AudioConfig, plan: Plan) -> _Computed:
    offsets: list[float] = []
    values: list[bytes] = []
    absent: list[float] = []
    windows = GivenWindows(path, cfg, plan(path))
    for start, image in windows:
        if image is None:
            absent.append(start)
        else:
            offsets.append(round(start, 6))
            values.append(encode(image))
    return _Computed(EncodedBatch(offsets, values), absent, windows.seconds or 0.0)


def spread(grid: Grid, duration: float, most: int, at_random: bool) -> Plan:
    """Return a plan that takes at most ``most`` windows of the grid from each recording.

    Parameters
    ----------
    grid
        Where windows may begin.
    duration
        Length of a window in seconds.
    most
        At least 1.
    at_random
        Draw them by chance instead of spacing them evenly. The draw depends on the file's name alone, so that
        a command that was interrupted and is repeated takes the same windows.
    """

    def plan(path: Path) -> list[float]:
        starts = window_starts(duration_of(path), duration, grid.step_s, tail_s=grid.tail_s)
        return pick(starts, most, path.name if at_random else None)

    return plan


def pick(items: Sequence[Item], most: int, lot: str | None = None) -> list[Item]:
    """Return at most ``most`` items in their order: evenly spaced, or drawn by a lot that ``lot`` names."""
    if len(items) <= most:
        return list(items)
    if lot is None:
        # The middle of each of `most` equal parts.
        places = [(2 * part + 1) * len(items) // (2 * most) for part in range(most)]
    else:
        places = sorted(random.Random(zlib.crc32(lot.encode())).sample(range(len(items)), most))
    return [items[place] for place in places]

"""A recording of any length as batches of spectrograms, in constant memory.

The windows, and every number in them, are those of the whole recording in memory: mixing and resampling do
not depend on the blocks, and each spectrogram is computed by itself.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from britekit.audio.channels import MonoSignal
from britekit.audio.decoding import BLOCK_SECONDS, AudioReader
from britekit.audio.files import shown
from britekit.audio.spectrogram import SpectrogramTransform, normalise, segment_of, spectrogram_transform
from britekit.config.audio import AudioConfig
from britekit.errors import InputError

if TYPE_CHECKING:
    from britekit.audio.spectrogram_torch import DeviceBatch

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class SpectrogramBatch:
    """Windows of one recording: start times in seconds, and normalised spectrograms, float32 (B, H, W)."""

    starts: list[float]
    spectrograms: np.ndarray


def iter_spectrograms(
    path: str | os.PathLike[str],
    cfg: AudioConfig,
    step_s: float,
    *,
    first_s: float = 0.0,
    tail_s: float = 1.0,
    batch_size: int = 64,
    device: str = "cpu",
    may_be_empty: bool = False,
) -> WindowStream:
    """Return the windows of a recording as an iterable of ``SpectrogramBatch``.

    Parameters
    ----------
    path
        The recording.
    cfg
        Section ``audio``.
    step_s
        Seconds from one window to the next.
    first_s
        Start of the first window.
    tail_s
        The last window starts where at least so many seconds are left. If no more than one duration is left
        after the first start, that one is the only window.
    batch_size
        Most windows in a batch; all batches but the last are full.
    device
        Where spectrograms are computed; "cpu" needs no torch. They are handed over in host memory.
    may_be_empty
        Say nothing where no window fits: the caller does.

    Raises
    ------
    InputError
        The file cannot be read (while iterating), or a step or batch size is not positive.
    """
    return WindowStream(
        path, cfg, step_s, first_s=first_s, tail_s=tail_s, batch_size=batch_size, device=device,
        may_be_empty=may_be_empty,
    )  # fmt: skip


class WindowStream:
    """What ``iter_spectrograms`` returns; each iteration reads the file anew.

    Attributes
    ----------
    seconds : float or None
        Length of the recording; known when an iteration has come to its end.
    damaged_at : float or None
        Second at which a damaged recording ended; likewise.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        cfg: AudioConfig,
        step_s: float,
        *,
        first_s: float = 0.0,
        tail_s: float = 1.0,
        batch_size: int = 64,
        device: str = "cpu",
        may_be_empty: bool = False,
    ) -> None:
        if not step_s > 0 or batch_size < 1:
            raise InputError(f"step {step_s} s and batch size {batch_size} of the windows must be above 0")
        self.path = path
        self.seconds: float | None = None
        self.damaged_at: float | None = None
        self._cfg = cfg
        self._transform = spectrogram_transform(cfg)
        self._step, self._first, self._tail = float(step_s), float(first_s), float(tail_s)
        self._batch_size = batch_size
        self._device = device
        self._may_be_empty = may_be_empty

    def __iter__(self) -> Iterator[SpectrogramBatch]:
        self.seconds = self.damaged_at = None
        images = self._new_batch()
        starts: list[float] = []
        any_window = False
        for start, segment in self._segments():
            images.add(segment)
            starts.append(start)
            if len(starts) == self._batch_size:
                yield SpectrogramBatch(starts, images.take())
                starts, any_window = [], True
        if starts:
            yield SpectrogramBatch(starts, images.take())
        elif not any_window and not self._may_be_empty:
            logger.warning(
                "%s: no window of %g s or more from %g s on in its %.3g s; it gives no spectrogram",
                shown(self.path), min(1.0, self._cfg.spec_duration), self._first, self.seconds,
            )  # fmt: skip

    def _new_batch(self) -> _Batch | DeviceBatch:
        if self._device == "cpu":
            return _Batch(self._transform, self._batch_size)
        from britekit.audio.spectrogram_torch import DeviceBatch

        return DeviceBatch(self._cfg, self._batch_size, self._device)

    def _segments(self) -> Iterator[tuple[float, np.ndarray]]:
        """Yield start times and samples of the windows that are present."""
        transform = self._transform
        window = 0
        # ``held`` is the recording from sample ``offset`` to ``total``: what the next windows need.
        held, offset, total = np.empty(0, np.float32), 0, 0
        reach = max(self._cfg.spec_duration, self._tail)
        for block in self._mono_blocks():
            held = np.concatenate([held, block])
            total += len(block)
            # Sure to be a window, and complete, once all of it and the tail are there.
            while transform.count(self._start(window) + reach) < total:
                start = self._start(window)
                segment = segment_of(held, offset, total, start, transform)
                if segment is not None:
                    yield start, segment
                window += 1
            keep = min(max(transform.bounds(self._start(window))[0], offset), total)
            held, offset = held[keep - offset :], keep
        assert self.seconds is not None
        for start in window_starts(
            self.seconds, self._cfg.spec_duration, self._step, self._first, self._tail, window
        ):
            segment = segment_of(held, offset, total, start, transform)
            if segment is not None:
                yield start, segment

    def _mono_blocks(self) -> Iterator[np.ndarray]:
        with AudioReader(self.path) as reader:
            mono = MonoSignal(reader.channels, reader.rate, self._cfg)
            for block in reader.blocks(BLOCK_SECONDS):
                yield mono.push(block)
            yield mono.finish()
            self.seconds = reader.seconds_read
            self.damaged_at = reader.damaged_at

    def _start(self, window: int) -> float:
        return self._first + window * self._step


class _Batch:
    """Segments made into spectrograms one by one, as they come."""

    def __init__(self, transform: SpectrogramTransform, size: int) -> None:
        self._transform = transform
        self._shape = (size, transform.height, transform.width)
        self._images, self._count = np.empty(self._shape, np.float32), 0

    def add(self, segment: np.ndarray) -> None:
        self._transform.raw(segment, self._images[self._count])
        self._count += 1

    def take(self) -> np.ndarray:
        images = self._images[: self._count]
        normalise(images)
        # Whoever has the batch keeps it while the next is computed.
        self._images, self._count = np.empty(self._shape, np.float32), 0
        return images


def window_starts(
    seconds: float,
    duration: float,
    step_s: float,
    first_s: float = 0.0,
    tail_s: float = 1.0,
    from_window: int = 0,
) -> list[float]:
    """Return the start times of a recording's windows, from window number ``from_window`` on.

    ``first_s`` alone if no more than ``duration`` is left after it; otherwise every step as long as
    ``tail_s`` of the recording are left.
    """
    if seconds - first_s <= duration:
        return [] if from_window else [first_s]
    starts = []
    window = from_window
    # The small constant forgives sums such as 0.1 + 0.2.
    while first_s + window * step_s <= seconds - tail_s + 1e-9:
        starts.append(first_s + window * step_s)
        window += 1
    return starts

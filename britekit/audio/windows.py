"""Compute spectrograms of windows of a recording of any length, in one pass and constant memory.

Windows are given by a `WindowGrid` or a list of start times. The numbers equal those of the whole recording in memory:
mixing and resampling do not depend on block sizes, and each spectrogram is computed separately.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from britekit.audio.channels import MonoSignal
from britekit.audio.decoding import BLOCK_SECONDS, AudioReader
from britekit.audio.files import shown
from britekit.audio.levels import BANDS, levels_of, spectrum_of
from britekit.audio.spectrogram import SpectrogramTransform, normalize, segment_of, spectrogram_transform
from britekit.audio.stages import Stages
from britekit.audio.window_grid import WindowGrid
from britekit.config.audio import AudioConfig
from britekit.errors import InputError

if TYPE_CHECKING:
    from britekit.audio.spectrogram_torch import DeviceBatch

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class SpectrogramBatch:
    """Windows of one recording: start times in seconds, and normalized spectrograms, float32 (B, H, W).

    For models that take sound, waveforms (B, n) are in place of the spectrograms.
    """

    starts: list[float]
    spectrograms: np.ndarray
    traits: np.ndarray | None = None
    """(B, T) `britekit.audio.levels.TRAITS`, float32, if asked for."""
    sounds: list[np.ndarray] | None = None
    """Samples of each window, for `spectrograms_of`, where ``spectrograms`` are smaller ones."""


def spectrograms_of(sounds: Sequence[np.ndarray], cfg: AudioConfig, device: str = "cpu") -> np.ndarray:
    """Return the spectrograms that `Windows.batches` gives for windows with these samples, float32 (B, H, W)."""
    images = _new_batch(cfg, len(sounds), device)
    for segment in sounds:
        images.add(segment)
    return images.take()


class Windows:
    """The windows of a recording; every iteration reads the file.

    Parameters
    ----------
    starts
        A grid, or start times in seconds in any order; windows are yielded in ascending order.
    read_on
        Read to the end of the recording after the last window, to find its length and damage.

    Attributes
    ----------
    seconds : float or None
        Length of the recording; known after an iteration.
    damaged_at : float or None
        Second at which damage ended the recording; likewise.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        cfg: AudioConfig,
        starts: WindowGrid | Iterable[float],
        *,
        read_on: bool = True,
    ) -> None:
        self.path = path
        self.seconds: float | None = None
        self.damaged_at: float | None = None
        self._cfg = cfg
        self._starts = starts if isinstance(starts, WindowGrid) else sorted(starts)
        self._read_on = read_on
        self._transform = spectrogram_transform(cfg)

    def __iter__(self) -> Iterator[tuple[float, np.ndarray | None]]:
        """Yield each start with its normalized spectrogram, float32 (H, W).

        If less than a second of sound remains (or less than a window, if that is shorter), a listed start yields None,
        and a grid has no window.

        Raises `InputError` if the file cannot be read.
        """
        for start, segment in self._segments():
            if segment is None:
                yield start, None
                continue
            image = np.empty((1, self._transform.height, self._transform.width), np.float32)
            self._transform.raw(segment, image[0])
            normalize(image)
            yield start, image[0]

    def batches(
        self,
        size: int = 64,
        device: str = "cpu",
        sound: bool = False,
        stages: Stages | None = None,
        traits: bool = False,
        small: AudioConfig | None = None,
    ) -> Iterator[SpectrogramBatch]:
        """Yield the windows with enough sound, ``size`` at a time; warn if there is none.

        Parameters
        ----------
        size
            Windows per batch; only the last batch may be smaller.
        device
            Device that computes spectrograms; "cpu" needs no torch. Results are in host memory.
        sound
            Yield waveforms, float32 (B, n) padded with zeros, in place of spectrograms.
        stages
            Measures the stages ``decode`` and ``spectrogram``.
        traits
            Also measure each window's level, noise and spectrum.
        small
            Other settings for the spectrograms; the samples are kept, so that those of some windows can be computed.
        """
        if sound:
            images: Any = _Waveforms(self._transform.count(self._transform.duration))
        else:
            images = _new_batch(small or self._cfg, size, device)
        starts: list[float] = []
        levels: list[tuple[float, float]] = []
        sounds: list[np.ndarray] | None = None if small is None else []
        any_window = False
        add = images.add if stages is None else _timed(stages, images.add)

        def taken() -> SpectrogramBatch:
            pictures = images.take()
            if not traits:
                return SpectrogramBatch(starts, pictures, None, sounds)
            if sound:
                bands = np.full((len(starts), BANDS), np.nan, np.float32)
            else:
                bands = spectrum_of(pictures if sounds is None else spectrograms_of(sounds, self._cfg, device))
            measured = np.concatenate([np.array(levels, np.float32), bands], axis=1)
            return SpectrogramBatch(starts, pictures, measured, sounds)

        for start, segment in self._segments() if stages is None else stages.timed("decode", self._segments()):
            if segment is None:
                continue
            add(segment)
            starts.append(start)
            if sounds is not None:
                sounds.append(segment.copy())  # not a view, which would keep its whole block
            if traits:
                levels.append(levels_of(segment, self._cfg.sampling_rate))
            if len(starts) == size:
                yield taken()
                starts, levels, any_window = [], [], True
                sounds = None if sounds is None else []
        if starts:
            yield taken()
        elif not any_window:
            self.warn_of_none()

    def warn_of_none(self) -> None:
        """Warn that the recording is too short for any window; call after reading it."""
        since = self._starts.start_seconds if isinstance(self._starts, WindowGrid) else 0.0
        log.warning(
            "%s: no window of %g s or more from %g s on in its %.3g s; it gives no spectrogram",
            shown(self.path), min(1.0, self._cfg.spec_duration), since, self.seconds,
        )  # fmt: skip

    def _segments(self) -> Iterator[tuple[float, np.ndarray | None]]:
        """Yield the start of each window with its samples, float32 (n,), or None if there are too few."""
        transform = self._transform
        grid = self._starts if isinstance(self._starts, WindowGrid) else None
        listed = [] if isinstance(self._starts, WindowGrid) else self._starts
        # A window of the grid exists once its tail was read; the last one ends with the recording.
        tail = transform.duration if grid is None else max(transform.duration, grid.tail_s)
        # The start of the last window is rounded down by up to 10 ms.
        spare = 0 if grid is None else transform.count(tail + 0.012)
        # ``held`` is the recording from sample ``offset`` to ``total``, the input of the next windows.
        held, offset, total, done = np.empty(0, np.float32), 0, 0, 0
        for block in self._mono_blocks():
            held = np.concatenate([held, block])
            total += len(block)
            while grid is not None or done < len(listed):
                start = listed[done] if grid is None else grid.start(done)
                if transform.count(start + tail) >= total:
                    break
                segment = segment_of(held, offset, total, start, transform)
                done += 1
                if segment is not None or grid is None:
                    yield start, segment
            else:
                if not self._read_on:
                    return
                start = math.inf
            first = total if start == math.inf else transform.bounds(start)[0]
            keep = min(max(min(first, total - spare), offset), total)
            held, offset = held[keep - offset :], keep
        assert self.seconds is not None
        for start in (listed if grid is None else grid.starts(self.seconds))[done:]:
            segment = segment_of(held, offset, total, start, transform)
            if segment is not None or grid is None:
                yield start, segment

    def _mono_blocks(self) -> Iterator[np.ndarray]:
        self.seconds = self.damaged_at = None
        with AudioReader(self.path) as reader:
            mono = MonoSignal(reader.channels, reader.rate, self._cfg, reader.path)
            for block in reader.blocks(BLOCK_SECONDS):
                yield mono.push(block)
            yield mono.finish()
            self.seconds = reader.seconds_read
            self.damaged_at = reader.damaged_at


def _new_batch(cfg: AudioConfig, size: int, device: str) -> _Batch | DeviceBatch:
    if size < 1:
        raise InputError(f"batch size of windows is {size}; expected 1 or more")
    if device == "cpu":
        return _Batch(spectrogram_transform(cfg), size)
    from britekit.audio.spectrogram_torch import DeviceBatch

    return DeviceBatch(cfg, size, device)


def _timed(stages: Stages, add: Callable[[np.ndarray], None]) -> Callable[[np.ndarray], None]:
    def timed(segment: np.ndarray) -> None:
        with stages.step("spectrogram"):
            add(segment)

    return timed


class _Waveforms:
    """Segments as they are, padded with zeros to a whole window."""

    def __init__(self, samples: int) -> None:
        self._samples, self._rows = samples, list[np.ndarray]()

    def add(self, segment: np.ndarray) -> None:
        row = np.zeros(self._samples, np.float32)
        row[: len(segment)] = segment[: self._samples]
        self._rows.append(row)

    def take(self) -> np.ndarray:
        rows, self._rows = np.stack(self._rows), []
        return rows


class _Batch:
    """Computes spectrograms of segments one by one."""

    def __init__(self, transform: SpectrogramTransform, size: int) -> None:
        self._transform = transform
        self._shape = (size, transform.height, transform.width)
        self._images, self._count = np.empty(self._shape, np.float32), 0

    def add(self, segment: np.ndarray) -> None:
        self._transform.raw(segment, self._images[self._count])
        self._count += 1

    def take(self) -> np.ndarray:
        images = self._images[: self._count]
        normalize(images)
        # A new buffer, since the caller keeps the batch while the next one is computed.
        self._images, self._count = np.empty(self._shape, np.float32), 0
        return images

"""Spectrograms of chosen stretches of a recording, read once from its beginning, in constant memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np

from britekit.audio.channels import MonoSignal
from britekit.audio.decoding import BLOCK_SECONDS, AudioReader
from britekit.audio.spectrogram import normalise, segment_of, spectrogram_transform
from britekit.config.audio import AudioConfig


class GivenWindows:
    """The windows of a recording that begin at given times, as an iterable of (start, spectrogram).

    Each spectrogram equals what `compute_spectrograms` gives for the whole recording in memory.

    Parameters
    ----------
    path
        The recording.
    cfg
        Section ``audio``.
    starts
        Start times in seconds, ascending.

    Attributes
    ----------
    seconds : float or None
        Length of the recording; known when an iteration has come to its end.
    """

    def __init__(self, path: str | os.PathLike[str], cfg: AudioConfig, starts: Sequence[float]) -> None:
        if any(later < earlier for earlier, later in zip(starts, starts[1:])):
            raise ValueError("start times must ascend")
        self.path = path
        self.seconds: float | None = None
        self._cfg = cfg
        self._starts = list(starts)
        self._transform = spectrogram_transform(cfg)

    def __iter__(self) -> Iterator[tuple[float, np.ndarray | None]]:
        """Yield each start with its normalised spectrogram, float32 (H, W), or None past the end.

        Raises
        ------
        InputError
            The file cannot be read.
        """
        transform = self._transform
        held, offset, total, done = np.empty(0, np.float32), 0, 0, 0
        for block in self._blocks():
            held = np.concatenate([held, block])
            total += len(block)
            while done < len(self._starts) and transform.bounds(self._starts[done])[1] < total:
                yield self._window(self._starts[done], held, offset, total)
                done += 1
            first = transform.bounds(self._starts[done])[0] if done < len(self._starts) else total
            keep = min(max(first, offset), total)
            held, offset = held[keep - offset :], keep
        for start in self._starts[done:]:
            yield self._window(start, held, offset, total)

    def _window(
        self, start: float, held: np.ndarray, offset: int, total: int
    ) -> tuple[float, np.ndarray | None]:
        segment = segment_of(held, offset, total, start, self._transform)
        if segment is None:
            return start, None
        image = np.empty((1, self._transform.height, self._transform.width), np.float32)
        self._transform.raw(segment, image[0])
        normalise(image)
        return start, image[0]

    def _blocks(self) -> Iterator[np.ndarray]:
        with AudioReader(self.path) as reader:
            mono = MonoSignal(reader.channels, reader.rate, self._cfg)
            for block in reader.blocks(BLOCK_SECONDS):
                yield mono.push(block)
            yield mono.finish()
            self.seconds = reader.seconds_read

"""Compute one spectrogram of a whole recording of any length, in constant memory.

The columns equal those of the whole recording at once, since blocks overlap by the length of a window. Neighboring
columns are reduced to their maximum on the fly, so that short calls stay visible.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from britekit.audio.channels import MonoSignal
from britekit.audio.decoding import AudioReader
from britekit.audio.files import shown
from britekit.audio.spectrogram import compute_spectrograms, normalize, spectrogram_transform, to_decibels
from britekit.config.audio import AudioConfig
from britekit.errors import InputError

_STRETCH_S = 20.0
_MIN_S = 0.5


@dataclass(frozen=True, eq=False)
class Overview:
    """The spectrogram of a whole recording."""

    image_FT: np.ndarray
    """Float32 (F, T) in [0, 1]; row 0 is the lowest frequency."""
    seconds: float
    """Length of the recording."""
    damaged_at: float | None
    """Second at which damage ended the recording, or None."""


def recording_overview(
    path: str | os.PathLike[str], cfg: AudioConfig, max_columns: int, on_seconds: Callable[[float], None] | None = None
) -> Overview:
    """Return a spectrogram of a whole recording with at most ``max_columns`` columns.

    Columns are reduced before decibels and normalization, which both depend on the whole recording. ``on_seconds`` is
    called with the seconds of each block.

    Raises `InputError` if the file cannot be decoded, or holds less than 0.5 s.
    """
    # Decibels are relative to the loudest sound of the whole recording.
    amplitudes = replace(cfg, decibels=False)
    columns = JoinedColumns(cfg.spec_height, max_columns)
    with AudioReader(path) as reader:
        mono = MonoSignal(reader.channels, reader.rate, cfg, reader.path)

        def blocks() -> Iterator[np.ndarray]:
            for block in reader.blocks():
                yield mono.push(block)
                if on_seconds is not None:
                    on_seconds(block.shape[1] / reader.rate)
            yield mono.finish()

        for stretch in spectrogram_stretches(blocks(), amplitudes):
            columns.add(stretch)
        seconds, damaged_at = reader.seconds_read, reader.damaged_at
    image = columns.image()
    if not image.shape[1]:
        raise InputError(
            f"{shown(path)}: {seconds:.3g} s are too short for a spectrogram; at least {_MIN_S} s are needed"
        )
    if cfg.decibels:
        to_decibels(image, float(cfg.top_db), float(cfg.db_power))
    normalize(image[None])
    return Overview(image, seconds, damaged_at)


def spectrogram_stretches(blocks: Iterator[np.ndarray], cfg: AudioConfig) -> Iterator[np.ndarray]:
    """Yield the columns of one long spectrogram in order, float32 (F, t), not normalized.

    Parameters
    ----------
    blocks
        The signal at ``cfg.sampling_rate``, float32 (n,) each.
    cfg
        Section ``audio``; the caller disables decibels, since they depend on the whole recording.
    """
    hop = spectrogram_transform(cfg).hop
    rate = cfg.sampling_rate
    # Frames are centered, so a block needs half a transform on both sides.
    reach = -(-cfg.fft_samples // (2 * hop)) + 1
    length = max(1, int(_STRETCH_S * rate / hop))
    held, first_column, held_column = np.empty(0, np.float32), 0, 0
    for block in blocks:
        held = np.concatenate([held, block])
        # Another block is held back, so that the last one is never short.
        while len(held) >= (first_column - held_column + 2 * length + reach) * hop:
            stop = first_column + length
            segment = held[: (stop + reach - held_column) * hop]
            columns = _columns(segment, cfg)
            yield columns[:, first_column - held_column : stop - held_column]
            first_column = stop
            keep = first_column - reach
            held, held_column = held[(keep - held_column) * hop :], keep
    if len(held) >= _MIN_S * rate:
        yield _columns(held, cfg)[:, first_column - held_column :]


def _columns(segment: np.ndarray, cfg: AudioConfig) -> np.ndarray:
    """Return every column of a segment, including those beyond the usual width for its length."""
    rate = cfg.sampling_rate
    hop = spectrogram_transform(cfg).hop
    frames = 1 + len(segment) // hop
    duration = len(segment) / rate
    if duration > 1.5:
        # Wide enough for all frames, and rounded up, since transforms are cached by length. A shorter segment must
        # state its own length, or it would count as too short.
        duration = float(math.ceil(max(duration, (frames + 1) * cfg.spec_duration / cfg.spec_width)))
    raw = compute_spectrograms(segment, [0.0], cfg, duration)[1][0]
    return raw[:, :frames]


class JoinedColumns:
    """Reduces columns to at most ``most``, replacing neighbors by their maximum as often as needed."""

    def __init__(self, rows: int, most: int) -> None:
        self._most = max(1, most)
        self._buffer = np.empty((rows, 2 * self._most), np.float32)
        self._rest = np.empty((rows, 0), np.float32)
        self._filled = 0
        self._joined = 1

    def add(self, columns_FT: np.ndarray) -> None:
        """Add the next columns, float32 (F, t)."""
        waiting = np.concatenate([self._rest, columns_FT], axis=1)
        while waiting.shape[1] >= self._joined:
            room = self._buffer.shape[1] - self._filled
            groups = min(room, waiting.shape[1] // self._joined)
            taken, waiting = np.split(waiting, [groups * self._joined], axis=1)
            self._buffer[:, self._filled : self._filled + groups] = taken.reshape(len(taken), groups, self._joined).max(
                axis=2
            )
            self._filled += groups
            if self._filled == self._buffer.shape[1]:
                self._filled //= 2
                halved = self._buffer.reshape(len(taken), self._filled, 2).max(axis=2)
                self._buffer[:, : self._filled] = halved
                self._joined *= 2
        self._rest = waiting

    def image(self) -> np.ndarray:
        """Return the columns so far, float32 (F, T) with T at most ``most``."""
        parts = [self._buffer[:, : self._filled]]
        if self._rest.shape[1]:
            parts.append(self._rest.max(axis=1, keepdims=True))
        image = np.concatenate(parts, axis=1)
        columns = image.shape[1]
        if columns <= self._most:
            return image
        return np.maximum.reduceat(image, np.arange(self._most) * columns // self._most, axis=1)

"""A spectrogram of a whole recording as a PNG, in memory that does not grow with the recording.

Legend: F frequency rows, T time columns.
"""

from __future__ import annotations

import dataclasses
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from britekit.audio.channels import MonoSignal
from britekit.audio.decoding import AudioReader
from britekit.audio.spectrogram import spectrogram_transform
from britekit.errors import InferenceError
from britekit.inference.recording_job import CHUNK, TURN_SAMPLES, TooLong

if TYPE_CHECKING:
    from britekit.config.audio import AudioConfig

RANGE_DB = 33.0  # from the noise floor of its band to white
FLOOR_DB = 2.0  # noise reaches so far above its median; it stays black
MAX_WIDTH = 16000  # columns; browsers draw images up to 32,767 pixels wide


@dataclass(frozen=True)
class Picture:
    """A PNG and what its axes mean."""

    png: bytes
    """Palette image; low frequencies at the bottom."""
    seconds: float
    """Length of the recording."""
    shown_seconds: float
    """Time from the left edge to the right one; the recording's, rounded to whole columns."""
    width: int
    height: int
    """In pixels."""


class Drawing:
    """A recording drawn on the frequency scale the model sees, in decibels above each band's noise floor.

    The floor is the median of the band, so a steady hum or hiss is dark and calls stand out. A recording is
    drawn piece by piece, so that several drawings can take turns.

    Parameters
    ----------
    max_seconds
        Longest recording to draw.
    max_width
        Most columns; neighboring ones are joined until it fits. The louder wins, so that short calls stay.
    """

    def __init__(self, path: Path, cfg: AudioConfig, max_seconds: float, max_width: int = MAX_WIDTH) -> None:
        # Amplitudes on one scale for the whole recording, whatever the model's own normalization does.
        cfg = dataclasses.replace(cfg, power=1.0, decibels=False)
        self._transform = spectrogram_transform(cfg)
        self._size = self._transform.count(self._transform.duration)
        self._path, self._cfg = path, cfg
        self._reader: AudioReader | None = None
        self._max_seconds = max_seconds
        self._max_width = max_width
        self._columns: list[np.ndarray] = []
        self._held, self._joined, self._samples = 0, 1, 0

    def advance(self) -> Picture | None:
        """Draw the next windows, as many as make a turn; return the picture when the recording has ended.

        Raises
        ------
        InputError
            The file cannot be decoded.
        TooLong
            It is longer than ``max_seconds``, by its header or by its samples.
        InferenceError
            It holds too little sound to draw.
        """
        transform = self._transform
        if self._reader is None:
            self._begin()
        tile = np.empty((transform.height, transform.width), np.float32)
        for _ in range(self._piece):
            segment = next(self._tiles, None)
            if segment is None:
                return self._finish()
            self._samples += len(segment)
            if self._samples > self._max_seconds * transform.sampling_rate:
                raise TooLong(f"the recording is longer than {self._max_seconds:g} s")
            if len(segment) >= transform.window_length:
                transform.raw(segment, tile)
                filled = round(transform.width * len(segment) / self._size)
                self._add(tile[:, : max(1, min(transform.width, filled))])
        return None

    def _begin(self) -> None:
        self._reader = reader = AudioReader(self._path, warn=False)
        if (reader.stated_seconds or 0.0) > self._max_seconds:
            raise TooLong(f"the recording is longer than {self._max_seconds:g} s")
        self._tiles = _tiles(reader, self._cfg, self._size)
        window = self._transform.duration * reader.rate * reader.channels
        self._piece = max(1, min(2 * CHUNK, int(TURN_SAMPLES / window)))

    def close(self) -> None:
        """Close the recording's file."""
        if self._reader is not None:
            self._reader.close()

    def _add(self, tile: np.ndarray) -> None:
        self._columns.append(_join(tile, self._joined))
        self._held += self._columns[-1].shape[1]
        while self._held > self._max_width:
            self._joined *= 2
            self._columns = [_join(np.concatenate(self._columns, axis=1), 2)]
            self._held = self._columns[0].shape[1]

    def _finish(self) -> Picture:
        if not self._columns:
            raise InferenceError("the recording is too short to draw")
        image_FT = np.concatenate(self._columns, axis=1)
        shown = image_FT.shape[1] * self._joined * self._transform.duration / self._transform.width
        return Picture(
            png=encode_png(_levels(image_FT)[::-1]),
            seconds=self._samples / self._transform.sampling_rate,
            shown_seconds=shown,
            width=image_FT.shape[1],
            height=image_FT.shape[0],
        )


def encode_png(levels: np.ndarray) -> bytes:
    """Encode a gray picture, uint8 (rows, columns), as a PNG.

    ISO/IEC 15948; written here because a picture library would be one more package in the serving image.
    """
    height, width = levels.shape
    rows = np.zeros((height, width + 1), np.uint8)  # the first byte of a row says that it is not filtered
    rows[:, 1:] = levels

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"".join(
        [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows.tobytes(), 3)),
         chunk(b"IEND", b"")]
    )  # fmt: skip


def _tiles(reader: AudioReader, cfg: AudioConfig, size: int) -> Iterator[np.ndarray]:
    """Yield the recording as one channel at the model's rate, in pieces of ``size`` samples."""
    held = np.empty(0, np.float32)
    mono = MonoSignal(reader.channels, reader.rate, cfg)
    for block in reader.blocks():
        held = np.concatenate([held, mono.push(block)])
        while len(held) > size:
            yield held[:size]
            held = held[size:]
    held = np.concatenate([held, mono.finish()])
    for at in range(0, len(held), size):
        yield held[at : at + size]


def _join(image_FT: np.ndarray, count: int) -> np.ndarray:
    """Return the image with ``count`` neighboring columns joined into their maximum."""
    if count == 1:
        return image_FT.copy()
    width = -(-image_FT.shape[1] // count)
    padded = np.pad(image_FT, ((0, 0), (0, width * count - image_FT.shape[1])), mode="edge")
    return np.asarray(padded.reshape(image_FT.shape[0], width, count).max(axis=2))


def _levels(image_FT: np.ndarray) -> np.ndarray:
    """Return 0 to 255 for `FLOOR_DB` to `RANGE_DB` above the noise floor of each band."""
    top = float(image_FT.max())
    if not top > 0:
        return np.zeros(image_FT.shape, np.uint8)
    decibels = 20.0 * np.log10(np.maximum(image_FT, top * 1e-5))
    floor_F1 = np.median(decibels, axis=1, keepdims=True)
    # Where most of a recording is digital silence, the median is far below any sound.
    floor_F1 = np.maximum(floor_F1, 20.0 * np.log10(top) - 2 * RANGE_DB + FLOOR_DB)
    shares = (decibels - floor_F1 - FLOOR_DB) / (RANGE_DB - FLOOR_DB)
    return np.asarray(np.rint(np.clip(shares, 0.0, 1.0) * 255), np.uint8)

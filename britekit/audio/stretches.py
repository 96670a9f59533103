"""Stretches of a recording, sample by sample, and files of their own for them."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import soundfile  # type: ignore[import-untyped]

from britekit.audio.decoding import AudioReader
from britekit.audio.files import shown
from britekit.errors import InputError

# What libsndfile seeks in to the sample; compressed formats are read from their beginning.
_SEEKABLE = frozenset({"WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC"})
_MOST_FLAC_HZ = 655_350
_EXACT = {"PCM_S8": "int16", "PCM_U8": "int16", "PCM_16": "int16", "PCM_24": "int32", "PCM_32": "int32"}
_EXACT |= {"FLOAT": "float32", "DOUBLE": "float64"}


class Stretches:
    """A recording from which stretches are read in the order of their starts."""

    rate: int
    """Samples per second of the sound as it was, also of a time-expanded recording."""
    channels: int
    subtype: str

    def read(self, first: int, stop: int) -> np.ndarray:
        """Return frames ``first`` to ``stop``, (n, C); fewer at the end of the recording."""
        raise NotImplementedError

    def length_s(self, held: int) -> float:
        """Return the recording's length in seconds, when a stretch ended after ``held`` frames."""
        return held / self.rate

    def close(self) -> None:
        """Close the file."""

    def __enter__(self) -> Stretches:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Exact(Stretches):
    """A file whose samples are read as they are stored."""

    def __init__(self, file: Any, rate: int) -> None:
        self._file = file
        self.rate, self.channels, self.subtype = rate, file.channels, file.subtype

    def read(self, first: int, stop: int) -> np.ndarray:
        if first >= self._file.frames:
            return np.empty((0, self.channels), _EXACT[self.subtype])
        self._file.seek(first)
        found: np.ndarray = self._file.read(stop - first, dtype=_EXACT[self.subtype], always_2d=True)
        return found

    def length_s(self, held: int) -> float:
        return float(self._file.frames / self.rate)

    def close(self) -> None:
        self._file.close()


class _Decoded(Stretches):
    """A compressed or repaired recording, read once from its beginning."""

    def __init__(self, reader: AudioReader) -> None:
        self._reader = reader
        self.rate, self.channels, self.subtype = reader.rate, reader.channels, "PCM_16"
        self._blocks = reader.blocks()
        self._held = np.empty((0, reader.channels), np.float32)
        self._at = 0  # frame of the first sample held

    def read(self, first: int, stop: int) -> np.ndarray:
        # Clips come by their starts, so what lies before is not needed again.
        self._drop(first)
        while self._at + len(self._held) < stop:
            block = next(self._blocks, None)
            if block is None:
                break
            if self._at + len(self._held) + block.shape[1] <= first:
                self._at += len(self._held) + block.shape[1]
                self._held = self._held[:0]
                continue
            self._held = np.concatenate([self._held, block.T])
            self._drop(first)
        part = self._held[max(0, first - self._at) : max(0, stop - self._at)]
        return np.clip(np.rint(part * 32768.0), -32768, 32767).astype(np.int16)

    def _drop(self, first: int) -> None:
        if first > self._at:
            gone = min(first - self._at, len(self._held))
            self._held, self._at = self._held[gone:], self._at + gone

    def close(self) -> None:
        self._reader.close()


def open_stretches(path: Path, file_format: str) -> Stretches:
    """Open a recording for reading stretches of it, which are then stored as ``wav`` or ``flac``.

    Raises `InputError` if it cannot be decoded, or FLAC cannot hold its samples.
    """
    reader = AudioReader(path, warn=False)
    if file_format == "flac" and reader.rate > _MOST_FLAC_HZ:
        reader.close()
        raise InputError(f"{shown(path)}: FLAC holds at most {_MOST_FLAC_HZ} Hz, not {reader.rate}; use --format wav")
    try:
        file = soundfile.SoundFile(os.fspath(path))
    except (soundfile.LibsndfileError, RuntimeError, TypeError, OSError):
        return _Decoded(reader)
    # A header that states the wrong length is repaired by our reader alone.
    exact = file.format in _SEEKABLE and file.subtype in _EXACT and reader.exact_frames() in (None, file.frames)
    if not exact:
        file.close()
        return _Decoded(reader)
    rate = reader.rate
    reader.close()
    if file_format == "flac" and file.subtype not in ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24"):
        file.close()
        raise InputError(f"{shown(path)} has {file.subtype_info} samples, which FLAC cannot hold; use --format wav")
    return _Exact(file, rate)


def write_stretch(path: Path, samples: np.ndarray, source: Stretches, file_format: str, guano: str = "") -> None:
    """Write samples as `Stretches.read` returns them, with a GUANO text if there is one."""
    subtype = source.subtype
    if file_format == "flac" and subtype == "PCM_U8":
        subtype = "PCM_S8"
    elif file_format == "wav" and subtype == "PCM_S8":
        subtype = "PCM_U8"
    kind = "FLAC" if file_format == "flac" else "WAV"
    with soundfile.SoundFile(os.fspath(path), "w", source.rate, samples.shape[1], subtype=subtype, format=kind) as file:
        if kind == "FLAC" and guano:
            file.comment = guano
        file.write(samples)
    if kind == "WAV" and guano:
        _add_chunk(path, b"guan", guano.encode())


def _add_chunk(path: Path, name: bytes, body: bytes) -> None:
    """Append a chunk to a RIFF file and correct the size in its header."""
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        file.write(b"\0" * (end % 2) + name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2))
        size = file.tell() - 8
        file.seek(4)
        file.write(struct.pack("<I", size))

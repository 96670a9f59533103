"""Decode with libsndfile: WAV and its relatives, FLAC, Ogg Vorbis, Opus, MP3."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile  # type: ignore[import-untyped]

from britekit.audio.mpeg_frames import ends_with_a_whole_frame, mp3_states_length
from britekit.audio.parts import Part

# Placeholders in a size field left by a recorder or a pipe.
_OPEN_SIZE = 0x7FFFF000
_SHORTER = re.compile(r"^\s*(data|SSND|Data Size|Riff size|riff)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
# Unknown length.
_NO_LENGTH = 1 << 50
# For MP3s the library discards the samples of a call that meets damage, so read only this much at a time.
_MP3_FRAMES = 8 * 1152
_EXACT_LENGTH = frozenset({"WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "OGG"})


class DecodingError(Exception):
    """The decoder cannot continue; its first ``frames_read`` frames are good."""


class _Sequential(soundfile.SoundFile):  # type: ignore[misc, unused-ignore]
    """A file read from beginning to end.

    For a seekable file, soundfile seeks after every read. In an MP3 that restarts the decoder: samples at each seam
    were off by 0.1 of full scale, and reading took up to twice as long.
    """

    def seekable(self) -> bool:
        return False


class SoundfileDecoder:
    """A file, or a part of one, opened with libsndfile."""

    def __init__(self, path: str | os.PathLike[str], part: Part | None = None) -> None:
        self.frames_read = 0
        self._path, self._part = Path(path), part
        self._failure: DecodingError | None = None
        try:
            self._handle = None if part is None else part.open(self._path)
            self._file = _Sequential(self._handle or os.fspath(path))
        except (soundfile.LibsndfileError, RuntimeError, TypeError, ValueError, OSError) as error:
            # TypeError: extensions such as .raw, for which the library requires an explicit format.
            raise DecodingError(_reason(error)) from error
        if self._file.format == "RAW":
            # For some extensions (.au, .vox) the library treats a file without a header as raw samples.
            self._file.close()
            raise DecodingError("it has no header that identifies its format")
        if not self._length_is_known():
            # The library reads such a FLAC only to its first seek, and identifies an MP3 by one frame.
            self.close()
            raise DecodingError("its header states no length")
        self.rate = int(self._file.samplerate)
        self.channels = int(self._file.channels)

    def read(self, frames: int) -> np.ndarray:
        """Return up to ``frames`` frames, float32 (n, C); fewer only at the end or before damage.

        Raises `DecodingError` if there is damage; all good frames before it have been returned.
        """
        if self._failure is not None:
            raise self._failure
        if self._file.format != "MP3":
            return self._read(frames)
        parts: list[np.ndarray] = []
        wanted = frames
        while wanted and self._failure is None:
            try:
                part = self._read(min(wanted, _MP3_FRAMES))
            except DecodingError:
                break
            parts.append(part)
            wanted -= len(part)
            if not len(part):
                break
        if not parts and self._failure is not None:
            raise self._failure
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _read(self, frames: int) -> np.ndarray:
        out = np.empty((frames, self.channels), np.float32)
        try:
            count = len(self._file.read(out=out))
        except (soundfile.LibsndfileError, RuntimeError, ValueError, OSError) as error:
            # The library loses the good frames of a failing call; its position still gives their number.
            self._failure = DecodingError(_reason(error))
            good = self._position() - self.frames_read
            if not 0 < good <= frames:
                raise self._failure from error
            count = good
        self.frames_read += count
        return out[:count]

    @property
    def stated_seconds(self) -> float | None:
        """Length stated in the header, or None."""
        frames = int(self._file.frames)
        return frames / self.rate if 0 < frames < _NO_LENGTH and self._length_is_known() else None

    def exact_frames(self) -> int | None:
        """Return the number of frames if known without decoding, else None."""
        return int(self._file.frames) if self._file.format in _EXACT_LENGTH else None

    def missing_end(self) -> str | None:
        """Return how the file is cut off, or None; call after the last frame."""
        declared = int(self._file.frames)
        if self._file.format in ("MP3", "FLAC") and 0 < declared < _NO_LENGTH and self.frames_read < declared:
            return f"{(declared - self.frames_read) / self.rate:.3g} s are missing at the end"
        if self._file.format == "MP3":
            with self._open() as file:
                if not ends_with_a_whole_frame(file, "mp3"):
                    return "its last frame is cut off"
        for _, stated, present in _SHORTER.findall(self._file.extra_info):
            if int(present) < int(stated) < _OPEN_SIZE:
                return f"its header states {stated} bytes, the file has {present}"
        return None

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        if self._handle is not None:
            self._handle.close()

    def _open(self) -> BinaryIO:
        return self._path.open("rb") if self._part is None else self._part.open(self._path)

    def _length_is_known(self) -> bool:
        if self._file.format == "MP3":
            with self._open() as file:
                return mp3_states_length(file)
        return self._file.format != "FLAC" or 0 < self._file.frames < _NO_LENGTH

    def _position(self) -> int:
        try:
            return int(self._file.tell())
        except (soundfile.LibsndfileError, RuntimeError, ValueError):
            return -1


def _reason(error: Exception) -> str:
    text = getattr(error, "error_string", None) or str(error)
    if "File does not exist" in str(text):
        return "its format is not recognized"  # the library's message for an MP3 without frames
    return " ".join(str(text).split()).rstrip(".") or type(error).__name__

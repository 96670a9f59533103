"""Decoding with libsndfile: WAV and its relatives, FLAC, Ogg Vorbis, Opus, MP3."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile  # type: ignore[import-untyped]

from britekit.audio.mpeg_frames import ends_with_a_whole_frame, mp3_states_length
from britekit.audio.parts import Part

# A size field that a recorder or a pipe left open says nothing about how long the file should be.
_OPEN_SIZE = 0x7FFFF000
_SHORTER = re.compile(r"^\s*(data|SSND|Data Size|Riff size|riff)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
# A length of which nothing is known.
_NO_LENGTH = 1 << 50
# Of an MP3 the library throws away what it decoded in a call that meets damage: read so little at a time.
_MP3_FRAMES = 8 * 1152
_EXACT_LENGTH = frozenset({"WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "OGG"})


class DecodingError(Exception):
    """The decoder cannot go on; ``frames_read`` of the decoder are good."""


class _Sequential(soundfile.SoundFile):  # type: ignore[misc, unused-ignore]
    """A file read from beginning to end.

    Of a seekable one, soundfile sets the position anew after every read. In an MP3 that restarts the decoder:
    samples at each seam were off by a tenth of full scale, and reading took up to twice as long.
    """

    def seekable(self) -> bool:
        return False


class SoundfileDecoder:
    """A file, or a part of one, opened with libsndfile.

    Attributes
    ----------
    rate : int
        Samples per second and channel.
    channels : int
    """

    def __init__(self, path: str | os.PathLike[str], part: Part | None = None) -> None:
        self.frames_read = 0
        self._path, self._part = Path(path), part
        self._failure: DecodingError | None = None
        try:
            self._handle = None if part is None else part.open(self._path)
            self._file = _Sequential(self._handle or os.fspath(path))
        except (soundfile.LibsndfileError, RuntimeError, TypeError, ValueError, OSError) as error:
            # TypeError: extensions such as .raw, for which the library wants to be told the format.
            raise DecodingError(_reason(error)) from error
        if self._file.format == "RAW":
            # For some extensions (.au, .vox) the library takes a file without a header for bare samples.
            self._file.close()
            raise DecodingError("it has no header that says what it is")
        if not self._length_is_known():
            # The library reads such a FLAC to its first seek, and guesses of an MP3 from one frame.
            self.close()
            raise DecodingError("its header states no length")
        self.rate = int(self._file.samplerate)
        self.channels = int(self._file.channels)

    def read(self, frames: int) -> np.ndarray:
        """Return up to ``frames`` frames, float32 (n, C); fewer only at the end or before damage.

        Raises
        ------
        DecodingError
            There is damage; all good frames before it have been returned.
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
            # The library raises away the good frames of this call; its position still tells how many there
            # were.
            self._failure = DecodingError(_reason(error))
            good = self._position() - self.frames_read
            if not 0 < good <= frames:
                raise self._failure from error
            count = good
        self.frames_read += count
        return out[:count]

    @property
    def stated_seconds(self) -> float | None:
        """Length that the header states, or None."""
        frames = int(self._file.frames)
        return frames / self.rate if 0 < frames < _NO_LENGTH and self._length_is_known() else None

    def exact_frames(self) -> int | None:
        """Return the number of frames if it is known without decoding, else None."""
        return int(self._file.frames) if self._file.format in _EXACT_LENGTH else None

    def missing_end(self) -> str | None:
        """After the last frame: say in what way the file is cut off, or None."""
        declared = int(self._file.frames)
        if self._file.format in ("MP3", "FLAC") and 0 < declared < _NO_LENGTH and self.frames_read < declared:
            return f"{(declared - self.frames_read) / self.rate:.3g} s are missing at the end"
        if self._file.format == "MP3":
            with self._open() as file:
                if not ends_with_a_whole_frame(file, "mp3"):
                    return "its last frame is cut off"
        for _, stated, present in _SHORTER.findall(self._file.extra_info):
            if int(present) < int(stated) < _OPEN_SIZE:
                return f"its header promises {stated} bytes, {present} are there"
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
        return "its format is not recognised"  # the library's words for an MP3 without frames
    return " ".join(str(text).split()).rstrip(".") or type(error).__name__

"""Any audio file as blocks of samples, to its physical end, with what is good of a damaged one.

libsndfile is asked first, since it is the faster one for every format it knows; FFmpeg is asked for the rest.
Before, `_contents` looks at the file itself: headers may state less than there is, and files may be joined.
"""

from __future__ import annotations

import logging
import os
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from britekit.audio.chunk_sizes import contents_of_chunks
from britekit.audio.files import shown
from britekit.audio.flac_frames import contents_of_flac
from britekit.audio.mpeg_frames import contents_of_mp3, id3_bytes
from britekit.audio.ogg_pages import contents_of_ogg
from britekit.audio.parts import Contents, Part
from britekit.audio.soundfile_decoder import DecodingError, SoundfileDecoder
from britekit.audio.time_expansion import factor_of
from britekit.errors import InputError

if TYPE_CHECKING:
    from britekit.audio.pyav_decoder import PyavDecoder

log = logging.getLogger(__name__)

MIN_RATE, MAX_RATE = 100, 10_000_000
BLOCK_SECONDS = 10.0
_FIRST_FRAMES = 4096
# Headers may claim any rate and number of channels; a block never takes more than 64 MB.
_MAX_BLOCK_SAMPLES = 1 << 24
# Integer scales reach 2e9; beyond this a float sample is not sound, and squares would overflow.
_MAX_SAMPLE = 1e12


@dataclass(frozen=True, eq=False)
class Waveform:
    """A decoded recording."""

    samples: np.ndarray
    """Float32 (C, n)."""
    rate: int
    """Samples per second."""
    damaged_at: float | None = None
    """Second at which damage ended decoding, or None."""

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.samples.shape[1] / self.rate


class AudioReader:
    """A recording read in blocks, in constant memory; a context manager.

    A damaged file gives the part before the damage; ``damaged_at`` then holds the second, and a warning is logged.

    Raises `InputError` if the file is missing, not a regular file, has no audio, or not a single sample can be decoded.

    Parameters
    ----------
    warn
        Whether to log a warning about damage.

    Attributes
    ----------
    rate, channels : int
        Samples per second of the sound as it was: the stated rate times ``time_expansion``.
    time_expansion : float
        Factor by which the stored sound is slowed down; see `britekit.audio.time_expansion`.
    frames_read : int
        Frames (samples per channel) returned so far.
    damaged_at : float or None
        Known after the last block.
    damage : str or None
        Description of the damage.
    """

    def __init__(self, path: str | os.PathLike[str], warn: bool = True) -> None:
        self.path = Path(path)
        self._warn = warn
        self.frames_read = 0
        self.damaged_at: float | None = None
        self.damage: str | None = None
        self._finished = False
        _check_regular(self.path)
        try:
            contents = _contents(self.path)
        except OSError as error:
            raise InputError(f"{shown(path)} cannot be read ({error.strerror or error})") from error
        parts: list[Part | None] = [*contents.parts] or [None]
        limit = contents.seconds
        if limit == 0:
            if len(parts) == 1:
                raise InputError(f"{shown(path)} cannot be decoded ({contents.problem} before its first sound)")
            parts, limit = parts[:-1], None
        self._parts = deque(parts)
        self._problem = contents.problem
        self._decoder, self._first = _open(self.path, self._parts.popleft())
        self._stated_rate = self._decoder.rate
        try:
            self.time_expansion = factor_of(self.path)
        except InputError:
            self.close()
            raise
        self.rate = round(self._stated_rate * self.time_expansion)
        # Ogg decoders skip damage, so they are stopped in the last part.
        self._limit = None if limit is None else int(limit * self._stated_rate)
        self._part_began = 0
        self.channels = self._decoder.channels
        if not MIN_RATE <= self.rate <= MAX_RATE:
            self.close()
            raise InputError(f"{shown(path)}: {self.rate} Hz is not a valid sampling rate of a recording")
        good, reason = _good_frames(self._first)
        if reason and not good:
            self.close()
            raise InputError(f"{shown(path)}: {reason} from the first sample on; nothing in it can be used")

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._decoder.close()

    @property
    def seconds_read(self) -> float:
        """Seconds returned so far; the length of the recording after the last block."""
        return self.frames_read / self.rate

    def blocks(self, seconds: float = BLOCK_SECONDS) -> Iterator[np.ndarray]:
        """Yield the samples in order, float32 (C, n), in blocks of at most ``seconds``."""
        size = max(1, min(int(seconds * self.rate), _MAX_BLOCK_SAMPLES // self.channels))
        while not self._finished:
            block, reason = self._next(size)
            good, bad_sample = _good_frames(block)
            if bad_sample:
                block, reason = block[:good], bad_sample
            if self._limit is not None and reason is None and not self._parts:
                left = self._part_began + self._limit - self.frames_read
                if len(block) >= left:
                    block, reason = block[:left], self._problem
            self.frames_read += len(block)
            if reason is None and not len(block):
                self._finished, reason = self._next_part()
            if reason is not None:
                self._finished = True
                self.damaged_at, self.damage = self.seconds_read, reason
                if self._warn:
                    what = "%s is damaged at %.3f s (%s); the part before it is used"
                    log.warning(what, shown(self.path), self.damaged_at, reason)
            if len(block):
                yield block.T

    @property
    def stated_seconds(self) -> float | None:
        """Length stated in the header, which may be wrong; None if there is none."""
        seconds = self._decoder.stated_seconds
        return None if seconds is None else seconds / self.time_expansion

    @property
    def subtype(self) -> str | None:
        """Coding of the samples as libsndfile names it, such as ``PCM_16``; None if FFmpeg decodes the file."""
        return self._decoder._file.subtype if isinstance(self._decoder, SoundfileDecoder) else None

    def exact_frames(self) -> int | None:
        """Return the number of frames if known without decoding, else None."""
        if self._parts or self._part_began:
            return None
        frames = self._decoder.exact_frames()
        return frames if frames is None or self._limit is None else min(frames, self._limit)

    def _next(self, size: int) -> tuple[np.ndarray, str | None]:
        if len(self._first):
            block, self._first = self._first[:size], self._first[size:]
            return block, None
        try:
            return self._decoder.read(size), None
        except DecodingError as error:
            return np.empty((0, self.channels), np.float32), str(error)

    def _next_part(self) -> tuple[bool, str | None]:
        """Open the next part; return whether there is none, and the problem."""
        try:
            reason = self._decoder.missing_end()
        except OSError as error:  # the file was deleted in the meantime
            reason = error.strerror or str(error)
        if reason is not None or not self._parts:
            return True, reason or self._problem
        try:
            decoder, first = _open(self.path, self._parts.popleft())
        except InputError as error:
            return True, f"another recording begins there: {error}"
        rate, channels = decoder.rate, decoder.channels
        if (rate, channels) != (self._stated_rate, self.channels):
            frames = decoder.exact_frames()
            decoder.close()
            length = "" if frames is None else f"{frames / rate:.3f} s long, "
            what = f"another recording, {length}of {channels} channel(s) at {rate} Hz"
            return True, f"{what}, begins there; it is not read"
        self._decoder.close()
        self._decoder, self._first = decoder, first
        self._part_began = self.frames_read
        return False, None


def read_audio(path: str | os.PathLike[str]) -> Waveform:
    """Decode a whole recording.

    Raises `InputError` as `AudioReader`.

    Returns
    -------
    Waveform
        All channels at the file's own rate; for a damaged file, the part before the damage.
    """
    with AudioReader(path) as reader:
        blocks = list(reader.blocks())
        samples = np.concatenate(blocks, axis=1) if blocks else np.empty((reader.channels, 0), np.float32)
        return Waveform(samples, reader.rate, reader.damaged_at)


def duration_of(path: str | os.PathLike[str]) -> float:
    """Return the length in seconds that can be decoded.

    Uncompressed formats and Ogg state it reliably; the others are decoded, since headers of cut-off files are wrong.
    Does not warn about damage; reading the samples will.
    """
    with AudioReader(path, warn=False) as reader:
        frames = reader.exact_frames()
        if frames is not None:
            return frames / reader.rate
        for _ in reader.blocks():
            pass
        return reader.seconds_read


def _check_regular(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{shown(path)} cannot be read ({reason})") from error
    if stat.S_ISDIR(mode):
        raise InputError(f"{shown(path)} is a directory; expected a recording")
    if not stat.S_ISREG(mode):
        # Opening a pipe would block forever.
        raise InputError(f"{shown(path)} is not a regular file; expected a recording")
    if path.stat().st_size == 0:
        raise InputError(f"{shown(path)} is an empty file; there is no audio in it")


def _contents(path: Path) -> Contents:
    """Return the content of a file by its bytes; for unknown formats, the whole file."""
    with path.open("rb") as file:
        head = file.read(12)
        for contents_of in (contents_of_chunks, contents_of_ogg):
            if (found := contents_of(file)) is not None:
                return found
        file.seek(id3_bytes(head))
        start = file.read(4)
        if start == b"fLaC" and (found := contents_of_flac(file)) is not None:
            return found
        if head.startswith(b"ID3") or (len(start) > 1 and start[0] == 0xFF and start[1] & 0xE6 == 0xE2):
            return contents_of_mp3(file)
    return Contents()


def _open(path: Path, part: Part | None) -> tuple[SoundfileDecoder | PyavDecoder, np.ndarray]:
    """Return the first decoder that yields at least one sample, and its first samples (n, C)."""
    reasons: list[str] = []
    for kind in _decoders():
        try:
            decoder = kind(path, part)
        except DecodingError as error:
            reasons.append(str(error))
            continue
        try:
            first = decoder.read(_FIRST_FRAMES)
            if len(first):
                return decoder, first
            reasons.append("it contains no samples")
            if decoder.exact_frames() == 0:
                # FFmpeg would decode the following chunks as sound.
                decoder.close()
                break
        except DecodingError as error:
            reasons.append(str(error))
        decoder.close()
    reason = "it contains no samples" if "it contains no samples" in reasons else "; ".join(dict.fromkeys(reasons))
    raise InputError(f"{shown(path)} cannot be decoded as audio ({reason})")


def _decoders() -> Iterator[type[SoundfileDecoder] | type[PyavDecoder]]:
    yield SoundfileDecoder
    # FFmpeg's libraries take 0.1 s to load, and few recordings need them.
    from britekit.audio.pyav_decoder import PyavDecoder

    yield PyavDecoder


def _good_frames(block: np.ndarray) -> tuple[int, str | None]:
    """Return the number of leading frames with finite samples, and the problem of the next one."""
    flat = block.reshape(-1)
    # One pass without temporaries; NaN and infinity also fail the comparison.
    with np.errstate(invalid="ignore", over="ignore"):
        if float(np.dot(flat, flat)) < _MAX_SAMPLE**2:
            return len(block), None
        usable = (np.abs(block) <= _MAX_SAMPLE).all(axis=1)
    if usable.all():
        return len(block), None
    good = int(np.argmin(usable))
    value = block[good][~(np.abs(block[good]) <= _MAX_SAMPLE)][0]
    return good, f"a sample is {value:g}, which is out of range"

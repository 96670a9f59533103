"""Decode with FFmpeg through PyAV: AAC, WMA, WebM, Matroska and other formats that libsndfile lacks."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np

from britekit.audio.endings import wrong_ending
from britekit.audio.mpeg_frames import ends_with_a_whole_frame
from britekit.audio.parts import Part
from britekit.audio.soundfile_decoder import DecodingError

# FFmpeg also interprets text as playlists or broadcast descriptions, which open network ports and other files, and
# supports picture and game formats: only sound and film formats are allowed.
_FORMATS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,gsm,iff,ircam,loas,matroska,mov,mp3,"
    "mpc,mpc8,mpeg,mpegts,nistsphere,nut,ogg,oma,pvf,qcp,rm,shn,sln,sox,tak,tta,voc,w64,wav,wsd,wtv,wv,xwma"
)
# Containers whose header states a length; for the others FFmpeg estimates it from the bit rate.
_STATES_LENGTH = ("mp4", "matroska", "asf", "caf", "flac", "wav", "aiff")
_LENGTH_SLACK_S = 0.1
_FAILURES = (av.FFmpegError, OSError, ValueError, IndexError, RuntimeError, MemoryError)


class PyavDecoder:
    """A file, or a part of one, opened with FFmpeg; the interface of ``SoundfileDecoder``."""

    def __init__(self, path: str | os.PathLike[str], part: Part | None = None) -> None:
        self.frames_read = 0
        self._path, self._part = Path(path), part
        self._failure: DecodingError | None = None
        self._pending: list[np.ndarray] = []
        self._pending_frames = 0
        # Opened here, not by FFmpeg, which would interpret a name such as "concat:x" or "http:x" as a protocol, and
        # would trust the extension of a file of random bytes.
        try:
            self._handle = _PatientFile(self._open())  # type: ignore[arg-type]
        except OSError as error:
            raise DecodingError(error.strerror or str(error)) from error
        try:
            self._container = av.open(
                self._handle, mode="r", metadata_errors="ignore", options={"format_whitelist": _FORMATS}
            )
            streams = self._container.streams.audio
            if not streams:
                raise DecodingError("it has no audio track")
            self._stream = streams[0]
            self._frames = iter(self._container.decode(self._stream))
            first = next(self._frames, None)
            if first is None:
                raise DecodingError("it contains no samples")
            # Rate of the first frame, since HE-AAC headers state half of it.
            self.rate = int(first.sample_rate)
            self.channels = len(first.layout.channels)
            self._keep(first)
        except DecodingError:
            self.close()
            raise
        except av.ArgumentError as error:
            self.close()
            raise DecodingError("its format is not an audio or film format") from error
        except _FAILURES as error:
            self.close()
            raise DecodingError(_reason(error)) from error

    def read(self, frames: int) -> np.ndarray:
        """Return up to ``frames`` frames, float32 (n, C); fewer only at the end or before damage."""
        while self._failure is None and self._pending_frames < frames:
            try:
                frame = next(self._frames, None)
                if frame is None:
                    break
                self._keep(frame)
            except DecodingError as error:
                self._failure = error
            except _FAILURES as error:
                self._failure = DecodingError(_reason(error))
        if not self._pending_frames:
            if self._failure is not None:
                raise self._failure
            return np.empty((0, self.channels), np.float32)
        have = self._pending[0] if len(self._pending) == 1 else np.concatenate(self._pending)
        out, rest = have[:frames], have[frames:]
        self._pending, self._pending_frames = ([rest], len(rest)) if len(rest) else ([], 0)
        self.frames_read += len(out)
        return out

    @property
    def stated_seconds(self) -> float | None:
        """Length stated in the container, or None."""
        if self._stream.duration and self._stream.time_base:
            return float(self._stream.duration * self._stream.time_base)
        return self._container.duration / av.time_base if self._container.duration else None

    def exact_frames(self) -> int | None:
        """Return None, since FFmpeg knows lengths only approximately."""
        return None

    def missing_end(self) -> str | None:
        """Return how the file is cut off, or None; call after the last frame."""
        kind = self._container.format.name
        with self._open() as file:
            if reason := wrong_ending(file, kind):
                return reason
            if kind in ("mp3", "aac") and not ends_with_a_whole_frame(file, kind):
                return "its last frame is cut off"
        if not any(name in self._container.format.name for name in _STATES_LENGTH):
            return None
        stated = self.stated_seconds
        if stated is None:
            return None
        missing = stated - self.frames_read / self.rate
        return f"{missing:.3g} s are missing at the end" if missing > _LENGTH_SLACK_S else None

    def close(self) -> None:
        """Close the file."""
        container = getattr(self, "_container", None)
        if container is not None:
            container.close()
        self._handle.close()

    def _open(self) -> BinaryIO:
        return self._path.open("rb") if self._part is None else self._part.open(self._path)

    def _keep(self, frame: Any) -> None:
        if int(frame.sample_rate) != self.rate or len(frame.layout.channels) != self.channels:
            raise DecodingError("rate or channels change in the middle")
        samples = _as_float(frame.to_ndarray())
        # Planar formats are (C, n), packed ones (1, n·C).
        samples = samples.T if frame.format.is_planar else samples.reshape(-1, self.channels)
        self._pending.append(np.ascontiguousarray(samples))
        self._pending_frames += len(samples)


class _PatientFile(io.BufferedReader):
    """A file that tolerates invalid positions, which FFmpeg requests in damaged files."""

    def seek(self, target: int, whence: int = 0, /) -> int:
        """Seek, or return -1, since PyAV would print the traceback of an exception."""
        try:
            return super().seek(target, whence)
        except (OSError, ValueError):
            return -1


def _as_float(samples: np.ndarray) -> np.ndarray:
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128.0) / 128.0
    if samples.dtype.kind == "i":
        return samples.astype(np.float32) * np.float32(2.0 ** (1 - 8 * samples.dtype.itemsize))
    return samples.astype(np.float32, copy=False)


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(str(text).split()).rstrip(".") or type(error).__name__

"""Inspect the recordings of a folder: formats, lengths, and integrity."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soundfile  # type: ignore[import-untyped]

from britekit.audio.decoding import AudioReader
from britekit.audio.files import shown
from britekit.audio.metadata import RecordingMetadata, read_metadata
from britekit.audio.pyav_decoder import PyavDecoder
from britekit.audio.soundfile_decoder import DecodingError, SoundfileDecoder
from britekit.audio.time_expansion import factor_of
from britekit.errors import InputError

_SUBTYPES = {
    "PCM_S8": "8-bit",
    "PCM_U8": "8-bit",
    "PCM_16": "16-bit",
    "PCM_24": "24-bit",
    "PCM_32": "32-bit",
    "FLOAT": "float32",
    "DOUBLE": "float64",
    "VORBIS": "Vorbis",
    "OPUS": "Opus",
    "MPEG_LAYER_I": "",
    "MPEG_LAYER_II": "",
    "MPEG_LAYER_III": "",
}
_FORMATS = {"WAVEX": "WAV", "OGG": "Ogg"}
_CONTAINERS = {"mov": "MP4", "matroska": "Matroska", "asf": "ASF", "aac": "AAC", "mp3": "MP3", "ogg": "Ogg"}
_CODECS = {"aac": "AAC", "alac": "ALAC", "opus": "Opus", "vorbis": "Vorbis", "mp3": "MP3", "flac": "FLAC"}
_UNOPENED = (soundfile.LibsndfileError, RuntimeError, TypeError, ValueError, OSError)
_USUAL_BYTES_PER_SECOND = 16_000


class Meter(Protocol):
    """Measures a recording while it is decoded."""

    def push(self, block_Cn: np.ndarray, /) -> None:
        """Add float32 (C, n)."""

    def finish(self) -> Any:
        """Return what was measured."""


@dataclass(frozen=True)
class Inspection:
    """Result of decoding one file to its end."""

    path: Path
    """The file."""
    format: str | None = None
    """Container and coding, such as ``WAV 16-bit``; None if unknown."""
    rate: int | None = None
    channels: int | None = None
    """Sampling rate of the sound (stored rate times time expansion) and channels; None if no sample can be decoded."""
    seconds: float = 0.0
    """Seconds that can be decoded."""
    metadata: RecordingMetadata = field(default_factory=RecordingMetadata)
    """Time, place and device."""
    problem: str | None = None
    """Why it cannot be decoded, or where and why decoding ends early; None if intact."""
    damaged_at: float | None = None
    """Second at which decoding ends early, or None."""
    measured: Any = None
    """Result of a meter for the seconds that can be decoded."""


def inspect_recording(
    path: str | os.PathLike[str],
    on_read: Callable[[float], None] | None = None,
    meter_of: Callable[[AudioReader], Meter] | None = None,
) -> Inspection:
    """Decode a file to its end, in constant memory, and return the result.

    Parameters
    ----------
    on_read
        Called with the number of seconds of each block.
    meter_of
        Returns what measures a recording while it is decoded.
    """
    path = Path(path)
    metadata = read_metadata(path)
    try:
        with AudioReader(path, warn=False) as reader:
            kind = _format_of(reader._decoder)
            meter = None if meter_of is None else meter_of(reader)
            for block in reader.blocks():
                if meter is not None:
                    meter.push(block)
                if on_read is not None:
                    on_read(block.shape[1] / reader.rate)
            problem = None
            if reader.damaged_at is not None:
                problem = f"breaks at {reader.damaged_at:.3f} s ({reader.damage})"
            return Inspection(
                path, kind, reader.rate, reader.channels, reader.seconds_read, metadata, problem,
                reader.damaged_at, None if meter is None else meter.finish(),
            )  # fmt: skip
    except (InputError, OSError) as error:
        reason = str(error).removeprefix(shown(path)).lstrip(": ").removeprefix("is ").removeprefix("an ")
        kind_if_any = _format_without_sound(path) if path.is_file() else None
        return Inspection(path, kind_if_any, metadata=metadata, problem=reason)


def inspect_recordings(
    paths: Sequence[Path],
    threads: int,
    on_read: Callable[[float], None] | None = None,
    meter_of: Callable[[AudioReader], Meter] | None = None,
) -> Iterator[Inspection]:
    """Yield the inspection of each file in order, while threads decode the next ones.

    ``on_read`` and ``meter_of`` are called from those threads. At most four inspections per thread wait for the caller.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="inspect")
    waiting: deque[Future[Inspection]] = deque()
    try:
        for path in paths:
            waiting.append(pool.submit(inspect_recording, path, on_read, meter_of))
            if len(waiting) > 4 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def stated_seconds(path: Path) -> float:
    """Return the length stated in a header, or estimated from the size; 0 if the file is missing.

    Used to estimate remaining time. Headers of MP3s are not read, since libsndfile prints warnings about them.
    """
    try:
        if path.suffix.lower() != ".mp3":
            with soundfile.SoundFile(path) as file:
                if file.frames < 1 << 50:
                    return float(file.frames) / (file.samplerate * factor_of(path))
        return path.stat().st_size / _USUAL_BYTES_PER_SECOND
    except _UNOPENED:
        return path.stat().st_size / _USUAL_BYTES_PER_SECOND if path.is_file() else 0.0


def _format_of(decoder: SoundfileDecoder | PyavDecoder) -> str:
    """Return container and coding as readable text."""
    if isinstance(decoder, SoundfileDecoder):
        file = decoder._file
        coding = _SUBTYPES.get(file.subtype, file.subtype.replace("_", " ").lower())
        name = "MP3" if file.format in ("MP3", "MPEG") else _FORMATS.get(file.format, file.format)
        return f"{name} {coding}".strip()
    container = decoder._container.format.name.split(",")[0]
    codec = decoder._stream.codec_context.name
    coding = "WMA" if codec.startswith("wma") else _CODECS.get(codec, codec)
    name = _CONTAINERS.get(container, container)
    return coding if coding == name else f"{name} {coding}"


def _format_without_sound(path: Path) -> str | None:
    """Return the apparent format of a file that cannot be decoded, or None."""
    try:
        decoder = SoundfileDecoder(path)
    except DecodingError:
        return None
    try:
        return _format_of(decoder)
    finally:
        decoder.close()

"""Recordings as MP3, in place of uncompressed originals; an original goes only when its MP3 was decoded."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from britekit.audio.decoding import AudioReader
from britekit.audio.files import shown
from britekit.audio.metadata import read_metadata
from britekit.audio.resampling import Resampler
from britekit.audio.riff import read_chunks
from britekit.errors import BriteKitError, InputError
from britekit.files import atomic_path, unwritable

# The rates of MPEG-1, MPEG-2 and MPEG-2.5 layer III.
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
BIT_RATE = 192_000
# What the command takes for uncompressed; the odd ones are what servers call such files.
ORIGINAL_EXTENSIONS = frozenset(
    {".flac", ".wav", ".wma", ".aif", ".aiff", ".x-aiff", ".octet-stream", ".qt", ".x-hx-aac-adts"}
)
_LENGTH_TOLERANCE_S = 0.2
_ENCODER_FRAMES = 1152 * 64
# One at a time: LAME's set-up keeps tables of the whole process.
_opening = threading.Lock()


def write_mp3(source: Path, target: Path, rate: int, on_read: Callable[[float], None] | None = None) -> float:
    """Encode a recording as MP3 at 192 kbit/s, or the most that its rate allows; return its seconds.

    One and two channels stay, more become their mean. Tags that tell time and place are taken along.

    Parameters
    ----------
    source
        The recording.
    target
        File to write; the caller sees to it that it is a temporary one.
    rate
        Sampling rate of the MP3, one of `MP3_RATES`.
    on_read
        Told the number of seconds of each block.

    Raises
    ------
    InputError
        The recording cannot be decoded to its end, or the rate is none of MP3.
    """
    _check_rate(rate)
    with AudioReader(source, warn=False) as reader, target.open("wb") as file:
        channels = reader.channels if reader.channels <= 2 else 1
        resamplers = [Resampler(reader.rate, rate) for _ in range(channels)]
        with _opening:
            container = av.open(file, mode="w", format="mp3")
            container.metadata.update(_tags(source))
            stream = container.add_stream(
                "libmp3lame", rate=rate, layout="stereo" if channels == 2 else "mono"
            )
            stream.bit_rate = BIT_RATE
            stream.format = "fltp"  # type: ignore[attr-defined]
            container.start_encoding()
        written = 0

        def encode(samples_Cn: np.ndarray) -> None:
            nonlocal written
            for at in range(0, samples_Cn.shape[1], _ENCODER_FRAMES):
                part = np.ascontiguousarray(samples_Cn[:, at : at + _ENCODER_FRAMES], np.float32)
                frame = av.AudioFrame.from_ndarray(part, "fltp", "stereo" if channels == 2 else "mono")
                frame.sample_rate, frame.pts, frame.time_base = rate, written, Fraction(1, rate)
                written += part.shape[1]
                container.mux(stream.encode(frame))

        with container:
            for block in reader.blocks():
                mixed = block if block.shape[0] == channels else block.mean(axis=0, keepdims=True)
                encode(np.stack([one.push(row) for one, row in zip(resamplers, mixed, strict=True)]))
                if on_read is not None:
                    on_read(block.shape[1] / reader.rate)
            encode(np.stack([one.finish() for one in resamplers]))
            container.mux(stream.encode(None))
        if reader.damaged_at is not None:
            raise InputError(
                f"{shown(source)} is damaged at {reader.damaged_at:.3f} s ({reader.damage}); it stays"
            )
        return reader.seconds_read


def replace_by_mp3(source: Path, rate: int, on_read: Callable[[float], None] | None = None) -> Path:
    """Write the MP3 of a recording beside it, decode it, and only then delete the recording.

    Raises
    ------
    InputError
        The recording is damaged, the MP3 exists, cannot be written, or does not decode to the recording's
        length within 0.2 s. The recording stays then, and no MP3 is left.
    """
    target = source.with_suffix(".mp3")
    before = _state(source)
    with atomic_path(target) as partial:
        seconds = write_mp3(source, partial, rate, on_read)
        _check(partial, source, seconds)
        if _state(source) != before:
            raise InputError(f"{shown(source)} was changed by somebody meanwhile; it stays as it is")
        if existing_mp3(source) is not None:
            raise InputError(f"{shown(target)} appeared meanwhile; {shown(source.name)} stays as it is")
    # From here on the MP3 is on the disk under its name.
    try:
        source.unlink()
    except OSError as error:
        raise unwritable(source, error) from error
    return target


def existing_mp3(source: Path) -> Path | None:
    """Return the MP3 of a recording that is there already, whatever the case of its extension, or None."""
    wanted = source.with_suffix(".mp3").name.casefold()
    with os.scandir(source.parent) as entries:
        return next((Path(entry.path) for entry in entries if entry.name.casefold() == wanted), None)


def _check(mp3: Path, source: Path, seconds: float) -> None:
    """Decode an MP3 to its end, and compare its length with the original's."""
    name = shown(source.with_suffix(".mp3").name)
    with AudioReader(mp3, warn=False) as reader:
        for _ in reader.blocks():
            pass
        if reader.damaged_at is not None:
            raise InputError(
                f"{name} breaks at {reader.damaged_at:.3f} s when it is decoded; {shown(source)} stays"
            )
        if not math.isclose(reader.seconds_read, seconds, rel_tol=0, abs_tol=_LENGTH_TOLERANCE_S):
            raise InputError(
                f"{name} decodes to {reader.seconds_read:.3f} s instead of {seconds:.3f} s; "
                f"{shown(source)} stays"
            )


def _tags(source: Path) -> dict[str, str]:
    """Return what tells time, place and device, in words that `read_metadata` finds in an MP3 too."""
    known = read_metadata(source)
    tags = {"comment": known.comment or "", "artist": known.device or ""}
    guano = (
        read_chunks(source, frozenset({b"guan"})).get(b"guan", b"").decode("utf-8", "replace").strip("\0 \n")
    )
    if guano:
        tags["guano"] = guano
    return {key: value for key, value in tags.items() if value}


def _state(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise InputError(f"{shown(path)} cannot be read ({error.strerror or error})") from error
    return found.st_size, found.st_mtime_ns


@dataclass
class Conversion:
    """What became of the originals of a directory.

    Attributes
    ----------
    converted
        MP3s that took the place of their originals.
    left_alone
        Originals whose MP3 existed already.
    failures
        Originals that stay, with the reason.
    """

    converted: list[Path] = field(default_factory=list)
    left_alone: list[Path] = field(default_factory=list)
    failures: list[tuple[Path, str]] = field(default_factory=list)


def find_originals(directory: Path) -> list[Path]:
    """Return the uncompressed recordings directly in a directory, sorted by name.

    Raises
    ------
    InputError
        It is no directory, cannot be listed, or holds neither originals nor MP3s.
    """
    if not directory.is_dir():
        raise InputError(f"{shown(directory)} is not a directory; give one with recordings")
    try:
        files = [entry for entry in directory.iterdir() if not entry.name.startswith(".") and entry.is_file()]
    except OSError as error:
        raise InputError(f"{shown(directory)} cannot be listed ({error.strerror or error})") from error
    if not any(path.suffix.lower() in ORIGINAL_EXTENSIONS | {".mp3"} for path in files):
        kinds = ", ".join(sorted(extension[1:] for extension in ORIGINAL_EXTENSIONS))
        raise InputError(f"{shown(directory)} holds no recordings to convert; extensions looked for: {kinds}")
    return sorted(path for path in files if path.suffix.lower() in ORIGINAL_EXTENSIONS)


def convert_originals(
    originals: Sequence[Path], rate: int, threads: int, on_read: Callable[[float], None] | None = None
) -> Conversion:
    """Replace recordings by MP3s, several side by side; one that fails stays, and the others go on.

    Two originals of one name would share an MP3: both stay.

    Parameters
    ----------
    originals
        From `find_originals`.
    rate
        Sampling rate of the MP3s.
    threads
        Recordings at work at once.
    on_read
        Told, from those threads, the number of seconds of each block.

    Raises
    ------
    InputError
        The rate is none of MP3; nothing was done.
    """
    _check_rate(rate)
    result, todo = Conversion(), []
    by_name: dict[str, list[Path]] = {}
    for path in originals:
        by_name.setdefault(path.with_suffix("").name.casefold(), []).append(path)
    for path in originals:
        same = [shown(other.name) for other in by_name[path.with_suffix("").name.casefold()] if other != path]
        if existing_mp3(path) is not None:
            result.left_alone.append(path)
        elif same:
            result.failures.append(
                (path, f"{' and '.join(same)} would give an MP3 of the same name; rename one")
            )
        else:
            todo.append(path)
    stop = threading.Event()

    def work(path: Path) -> Path:
        def read(seconds: float) -> None:
            if stop.is_set():
                raise _StoppedError
            if on_read is not None:
                on_read(seconds)

        return replace_by_mp3(path, rate, read)

    pool = ThreadPoolExecutor(max(1, threads), thread_name_prefix="mp3")
    futures = [(path, pool.submit(work, path)) for path in todo]
    try:
        for path, future in futures:
            try:
                result.converted.append(future.result())
            except (BriteKitError, OSError, av.FFmpegError, MemoryError) as error:
                reason = str(error) or type(error).__name__
                result.failures.append((path, reason.removeprefix(shown(path)).lstrip(": ")))
    finally:
        # Interrupted: whoever is at work stops at the next block and takes its half of an MP3 away.
        stop.set()
        pool.shutdown(cancel_futures=True)
    return result


class _StoppedError(Exception):
    """The command was interrupted."""


def _check_rate(rate: int) -> None:
    if rate not in MP3_RATES:
        raise InputError(f"{rate} Hz is no sampling rate of MP3; those are {', '.join(map(str, MP3_RATES))}")

"""Recordings as MP3: the one encoder of the program, and originals that give way to their copies.

An original goes only when `copies.check_copy` found all of it in its MP3.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np

from britekit.audio.copies import CoarseCopyError, HighSoundError, check_copy, held_by_mp3
from britekit.audio.decoding import AudioReader
from britekit.audio.files import shown
from britekit.audio.metadata import read_metadata
from britekit.audio.resampling import Resampler
from britekit.audio.riff import read_chunks
from britekit.errors import BriteKitError, InputError
from britekit.files import atomic_path, unwritable
from britekit.processes import take_lock

# The rates of MPEG-1, MPEG-2 and MPEG-2.5 layer III; those of MPEG-1 allow more than 160 kbit/s.
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_MPEG1_FROM = 32000
BIT_RATE, MAX_BIT_RATE = 192_000, 320_000
# What the command takes for uncompressed; the odd ones are what servers call such files.
ORIGINAL_EXTENSIONS = frozenset(
    {".flac", ".wav", ".wma", ".aif", ".aiff", ".x-aiff", ".octet-stream", ".qt", ".x-hx-aac-adts"}
)
_ENCODER_FRAMES = 1152 * 64
# One at a time: LAME's set-up keeps tables of the whole process.
_opening = threading.Lock()


def write_mp3(
    source: Path,
    target: Path,
    rate: int,
    on_read: Callable[[float], None] | None = None,
    bit_rate: int = BIT_RATE,
    start_s: float = 0.0,
    seconds: float | None = None,
    allow_damage: bool = False,
) -> float:
    """Encode a recording, or a part of it, as MP3; return the seconds written.

    One and two channels stay, more become their mean. Tags that tell time and place are taken along.

    Parameters
    ----------
    source
        The recording, read in blocks.
    target
        File to write; the caller sees to it that it is a temporary one.
    rate
        Sampling rate of the MP3, one of `MP3_RATES`.
    on_read
        Called with the number of seconds of each block.
    bit_rate
        Bits per second, constant; low sampling rates have at most 160,000.
    start_s, seconds
        The part wanted; it may end early with the recording.
    allow_damage
        Take what is good of a damaged recording, with a warning.

    Raises
    ------
    InputError
        The recording cannot be decoded to its end, or ends before the part begins, or the rate is not one of
        MP3.
    OSError
        The target cannot be written.
    """
    check_rate(rate)
    with AudioReader(source, warn=allow_damage) as reader, target.open("wb") as file:
        sink = _Sink(file)
        channels = reader.channels if reader.channels <= 2 else 1
        layout = "stereo" if channels == 2 else "mono"
        resamplers = [Resampler(reader.rate, rate) for _ in range(channels)]
        first = round(start_s * reader.rate)
        last = None if seconds is None else first + round(seconds * reader.rate)
        with _opening:
            container = av.open(sink, mode="w", format="mp3")
            container.metadata.update(_tags(source))
            stream = container.add_stream("libmp3lame", rate=rate, layout=layout)
            stream.bit_rate = bit_rate
            stream.options = {"cutoff": str(rate // 2)}  # no low-pass
            stream.format = "fltp"  # type: ignore[attr-defined]
            container.start_encoding()
        written = at = 0

        def encode(samples_Cn: np.ndarray) -> None:
            nonlocal written
            for start in range(0, samples_Cn.shape[1], _ENCODER_FRAMES):
                part = np.ascontiguousarray(samples_Cn[:, start : start + _ENCODER_FRAMES], np.float32)
                frame = av.AudioFrame.from_ndarray(part, "fltp", layout)
                frame.sample_rate, frame.pts, frame.time_base = rate, written, Fraction(1, rate)
                written += part.shape[1]
                container.mux(stream.encode(frame))
                sink.check()

        with container:
            for block in reader.blocks():
                part = block[:, max(0, first - at) : None if last is None else max(0, last - at)]
                at += block.shape[1]
                mixed = part if part.shape[0] == channels else part.mean(axis=0, keepdims=True)
                encode(np.stack([one.push(row) for one, row in zip(resamplers, mixed, strict=True)]))
                if on_read is not None:
                    on_read(block.shape[1] / reader.rate)
                if last is not None and at >= last:
                    break
            encode(np.stack([one.finish() for one in resamplers]))
            if written:
                container.mux(stream.encode(None))
        if not written:
            raise InputError(f"the recording ends after {at / reader.rate:.1f} s, before second {start_s:g}")
        sink.check()
        if reader.damaged_at is not None and not allow_damage:
            raise InputError(f"{shown(source)} is damaged at {reader.damaged_at:.3f} s ({reader.damage})")
        return written / rate


class _Sink:
    """A file for FFmpeg, which prints a traceback for each error of a file; this one keeps the first."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write, or drop what cannot be written."""
        self._do(lambda: self._file.write(data))
        return len(data)

    def seek(self, target: int, whence: int = 0) -> int:
        """Go there, which may write first; positions as in any file."""
        return self._do(lambda: self._file.seek(target, whence))

    def tell(self) -> int:
        """Return the position."""
        return self._do(self._file.tell)

    def check(self) -> None:
        """Raise the first error, if there was one."""
        self._do(self._file.flush)
        if self._error is not None:
            raise self._error

    def _do(self, action: Callable[[], int | None]) -> int:
        if self._error is None:
            try:
                return action() or 0
            except OSError as error:
                self._error = error
        return 0


def replace_by_mp3(source: Path, rate: int, on_read: Callable[[float], None] | None = None) -> Path:
    """Write the MP3 of a recording beside it, and delete the recording if all of it is in the MP3.

    The MP3 has 192 kbit/s, or 320 if `check_copy` finds a second that 192 render too coarsely; and the
    sampling rate that was asked for, or 48 kHz if the recording holds sound that only this rate can hold.

    Raises
    ------
    InputError
        The recording is damaged, the MP3 exists, cannot be written, or lacks something of the recording. The
        recording stays then, and no MP3 is left.
    """
    target = source.with_suffix(".mp3")
    before = _state(source)
    with atomic_path(target) as partial:
        try:
            try:
                _copy(source, partial, rate, on_read)
            except HighSoundError as error:
                if held_by_mp3(rate) >= held_by_mp3(MP3_RATES[-1]) or error.hz > held_by_mp3(MP3_RATES[-1]):
                    raise
                _copy(source, partial, MP3_RATES[-1])
        except InputError as error:
            reason = str(error).replace(shown(partial), shown(target.name)).removeprefix(shown(source))
            raise InputError(f"{shown(source)}: {reason.lstrip(': ')}") from error
        if _state(source) != before:
            raise InputError(f"{shown(source)} was changed by somebody meanwhile")
        if existing_mp3(source) is not None:
            raise InputError(f"{shown(source)}: {shown(target.name)} appeared meanwhile")
    # From here on the MP3 is on the disk under its name.
    try:
        source.unlink()
    except OSError as error:
        raise unwritable(source, error) from error
    return target


def _copy(source: Path, partial: Path, rate: int, on_read: Callable[[float], None] | None = None) -> None:
    """Write an MP3 and compare it with its original; at 320 kbit/s if 192 are not enough."""
    frame = 1152 if rate >= _MPEG1_FROM else 576
    write_mp3(source, partial, rate, on_read)
    try:
        check_copy(partial, source, frame)
    except CoarseCopyError:
        if rate < _MPEG1_FROM:
            raise
        write_mp3(source, partial, rate, None, MAX_BIT_RATE)
        check_copy(partial, source, frame)


def existing_mp3(source: Path) -> Path | None:
    """Return the MP3 of a recording that is there already, whatever the case of its extension, or None."""
    wanted = source.with_suffix(".mp3").name.casefold()
    with os.scandir(source.parent) as entries:
        return next((Path(entry.path) for entry in entries if entry.name.casefold() == wanted), None)


def _tags(source: Path) -> dict[str, str]:
    """Return what tells time, place and device, in words that `read_metadata` finds in an MP3 too."""
    known = read_metadata(source)
    tags = {"comment": known.comment or "", "artist": known.device or ""}
    guano = read_chunks(source, frozenset({b"guan"})).get(b"guan", b"").decode("utf-8", "replace").strip("\0 \n")
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
    """What became of the originals of a directory."""

    converted: list[Path] = field(default_factory=list)
    """MP3s that took the place of their originals."""
    left_alone: list[Path] = field(default_factory=list)
    """Originals whose MP3 existed already."""
    busy: list[Path] = field(default_factory=list)
    """Originals that another command is converting, or has converted meanwhile."""
    failures: list[tuple[Path, str]] = field(default_factory=list)
    """Originals that stay, with the reason."""


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
        Called, from those threads, with the number of seconds of each block.

    Raises
    ------
    InputError
        The rate is not one of MP3; nothing was done.
    """
    check_rate(rate)
    result, todo = Conversion(), []
    by_name: dict[str, list[Path]] = {}
    for path in originals:
        by_name.setdefault(path.with_suffix("").name.casefold(), []).append(path)
    for path in originals:
        same = [shown(other.name) for other in by_name[path.with_suffix("").name.casefold()] if other != path]
        if existing_mp3(path) is not None:
            result.left_alone.append(path)
        elif same:
            result.failures.append((path, f"{' and '.join(same)} would give an MP3 of the same name; rename one"))
        else:
            todo.append(path)
    stop = threading.Event()

    def work(path: Path) -> Path | None:
        def read(seconds: float) -> None:
            if stop.is_set():
                raise _StoppedError
            if on_read is not None:
                on_read(seconds)

        with _held(path) as is_ours:
            return replace_by_mp3(path, rate, read) if is_ours else None

    pool = ThreadPoolExecutor(max(1, threads), thread_name_prefix="mp3")
    futures = [(path, pool.submit(work, path)) for path in todo]
    try:
        for path, future in futures:
            try:
                made = future.result()
                if made is None:
                    result.busy.append(path)
                else:
                    result.converted.append(made)
            except (BriteKitError, OSError, av.FFmpegError, MemoryError) as error:
                reason = str(error) or type(error).__name__
                result.failures.append((path, reason.removeprefix(shown(path)).lstrip(": ")))
    finally:
        # Interrupted: threads at work stop at the next block and remove their partial MP3s.
        stop.set()
        pool.shutdown(cancel_futures=True)
    return result


@contextmanager
def _held(path: Path) -> Iterator[bool]:
    """Lock an original; yield False if another command holds it, or has converted it."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        # On Windows a lock would keep our own decoders out.
        free = os.name == "nt" or take_lock(handle)
        yield free and path.exists() and existing_mp3(path) is None
    finally:
        os.close(handle)


class _StoppedError(Exception):
    """The command was interrupted."""


def check_rate(rate: int) -> None:
    """Refuse a sampling rate that MP3 does not have.

    Raises
    ------
    InputError
    """
    if rate not in MP3_RATES:
        known = ", ".join(map(str, MP3_RATES))
        raise InputError(f"--sr is {rate}, which MP3 does not support; choose one of {known}")

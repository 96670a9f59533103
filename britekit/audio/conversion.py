"""Replace recordings by MP3s. An original is deleted only after `copies.check_copy` found all of it in its MP3."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import av

from britekit.audio.copies import CoarseCopyError, HighSoundError, check_copy, held_by_mp3
from britekit.audio.decoding import AudioReader
from britekit.audio.files import shown
from britekit.audio.mp3 import MAX_BIT_RATE, MP3_RATES, MPEG1_FROM, check_rate, write_mp3
from britekit.errors import BriteKitError, InputError
from britekit.files import atomic_path, writing
from britekit.processes import take_lock

# Extensions of uncompressed files; the unusual ones are used by servers.
ORIGINAL_EXTENSIONS = frozenset(
    {".flac", ".wav", ".wma", ".aif", ".aiff", ".x-aiff", ".octet-stream", ".qt", ".x-hx-aac-adts"}
)


def replace_by_mp3(source: Path, rate: int, on_read: Callable[[float], None] | None = None) -> Path:
    """Write the MP3 of a recording beside it, and delete the recording if the MP3 lacks nothing.

    The MP3 has 192 kbit/s, or 320 if `check_copy` finds a second that needs more, and the given sampling rate, or 48
    kHz if the recording has sound that needs it.

    Raises
    ------
    InputError
        The recording is damaged, or the MP3 exists, cannot be written, or lacks something. Then the recording is kept,
        and no MP3 is left.
    """
    target = source.with_suffix(".mp3")
    _check_holdable(source)
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
            raise InputError(f"{shown(source)} was changed by another program in the meantime")
        if existing_mp3(source) is not None:
            raise InputError(f"{shown(source)}: {shown(target.name)} appeared in the meantime")
    # From here on the MP3 is durable under its final name.
    with writing(source):
        source.unlink()
    return target


def _check_holdable(source: Path) -> None:
    """Raise `InputError` for a recording of a rate that MP3 does not have: its copy would lose the upper band."""
    with AudioReader(source, warn=False) as reader:
        if reader.rate > MP3_RATES[-1]:
            expanded = f", stored {reader.time_expansion:g} times slower" if reader.time_expansion != 1 else ""
            raise InputError(
                f"{shown(source)} has {reader.rate} samples per second{expanded}, and MP3 holds at most "
                f"{MP3_RATES[-1]}; keep it, or store it as FLAC"
            )


def _copy(source: Path, partial: Path, rate: int, on_read: Callable[[float], None] | None = None) -> None:
    """Write an MP3 and compare it with its original, at 320 kbit/s if 192 are not enough."""
    frame = 1152 if rate >= MPEG1_FROM else 576
    write_mp3(source, partial, rate, on_read)
    try:
        check_copy(partial, source, frame)
    except CoarseCopyError:
        if rate < MPEG1_FROM:
            raise
        write_mp3(source, partial, rate, None, MAX_BIT_RATE)
        check_copy(partial, source, frame)


def existing_mp3(source: Path) -> Path | None:
    """Return the existing MP3 of a recording, with an extension in any case, or None."""
    wanted = source.with_suffix(".mp3").name.casefold()
    with os.scandir(source.parent) as entries:
        return next((Path(entry.path) for entry in entries if entry.name.casefold() == wanted), None)


def _state(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise InputError(f"{shown(path)} cannot be read ({error.strerror or error})") from error
    return found.st_size, found.st_mtime_ns


@dataclass
class Conversion:
    """Result of a conversion."""

    converted: list[Path] = field(default_factory=list)
    """MP3s that replaced their originals."""
    left_alone: list[Path] = field(default_factory=list)
    """Originals with an existing MP3."""
    busy: list[Path] = field(default_factory=list)
    """Originals that another command is converting or has converted."""
    failures: list[tuple[Path, str]] = field(default_factory=list)
    """Originals that were kept, with the reason."""


def find_originals(directory: Path) -> list[Path]:
    """Return the uncompressed recordings directly in a directory, sorted by name.

    Raises `InputError` if it is not a directory, cannot be listed, or holds neither originals nor MP3s.
    """
    if not directory.is_dir():
        raise InputError(f"{shown(directory)} is not a directory; give one with recordings")
    try:
        files = [entry for entry in directory.iterdir() if not entry.name.startswith(".") and entry.is_file()]
    except OSError as error:
        raise InputError(f"{shown(directory)} cannot be listed ({error.strerror or error})") from error
    if not any(path.suffix.lower() in ORIGINAL_EXTENSIONS | {".mp3"} for path in files):
        kinds = ", ".join(sorted(extension[1:] for extension in ORIGINAL_EXTENSIONS))
        raise InputError(f"{shown(directory)} contains no recordings to convert; extensions looked for: {kinds}")
    return sorted(path for path in files if path.suffix.lower() in ORIGINAL_EXTENSIONS)


def convert_originals(
    originals: Sequence[Path], rate: int, threads: int, on_read: Callable[[float], None] | None = None
) -> Conversion:
    """Replace recordings by MP3s in parallel; keep the ones that fail.

    Two originals with the same stem would share an MP3, so both are kept.

    Raises `InputError` if the rate is not valid for MP3; nothing was done.

    Parameters
    ----------
    threads
        Number of recordings to convert in parallel.
    on_read
        Called from these threads with the number of seconds of each block.
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
        # If interrupted, running threads stop at the next block and delete their partial MP3s.
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

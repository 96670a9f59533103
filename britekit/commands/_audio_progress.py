"""Progress of threads that decode recordings, counted in seconds of sound."""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_MANY = 50


@contextmanager
def seconds_meter(paths: Sequence[Path], what: str) -> "Iterator[Callable[[float], None]]":
    """Yield a function with which threads report the seconds they have read; progress goes to stderr."""
    from britekit.audio.file_check import stated_seconds
    from britekit.progress import Meter

    meter = Meter(int(sum(map(stated_seconds, paths))) or None, f"{what}, seconds")
    lock = threading.Lock()
    whole, part = 0, 0.0

    def advance(seconds: float) -> None:
        nonlocal whole, part
        with lock:
            part += seconds
            steps, whole = int(part) - whole, int(part)
            meter.advance(steps)

    try:
        yield advance
        meter.finish()
    finally:
        meter.close()


def are_many(paths: Sequence[Path]) -> bool:
    """Return whether progress should count files: reading the lengths of many takes long itself."""
    return len(paths) > _MANY


def decoding_threads() -> int:
    """Return how many recordings to decode side by side: one per core, at most eight."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(8, cores))

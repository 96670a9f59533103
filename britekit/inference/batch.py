"""Many recordings through one engine, only a few of them in hand at any time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path

from britekit.inference.engine import Engine
from britekit.inference.scores import RecordingScores

_TICK_SECONDS = 0.5


def score_recordings(
    engine: Engine,
    paths: Iterable[Path],
    start_seconds: float = 0.0,
    on_tick: Callable[[], None] | None = None,
) -> Iterator[tuple[Path, RecordingScores | BaseException]]:
    """Score recordings and yield each with its scores, or with its error, as soon as it is complete.

    Only a few more than the engine works on are in hand at any time, whatever their number. Closing the
    scores that are yielded is up to the caller.

    Parameters
    ----------
    on_tick
        Called about twice a second while recordings are scored.
    """
    source = iter(paths)
    pending: dict[Future[RecordingScores], Path] = {}
    most = engine.open_recordings + 2
    try:
        while True:
            while len(pending) < most and (path := next(source, None)) is not None:
                pending[engine.submit(path, start_seconds)] = path
            if not pending:
                return
            done, _ = wait(pending, timeout=_TICK_SECONDS, return_when=FIRST_COMPLETED)
            if not done and on_tick is not None:
                on_tick()
            for future in done:
                path = pending.pop(future)
                error = future.exception()
                yield path, future.result() if error is None else error
    finally:
        for future in pending:
            future.cancel()

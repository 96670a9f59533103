"""Recordings to scores, many at once, in bounded memory.

Reader threads decode and make spectrograms, one chunk of windows of one recording at a time; one scoring
thread puts chunks of all recordings together and runs the models. The queue between them is bounded, so
memory grows neither with the length of a recording nor with their number. The command line and the service
use this class, and a window's scores do not depend on its neighbours, so both give the same numbers.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import os
import queue
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, InvalidStateError, wait
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from britekit.audio.stream import SpectrogramBatch, WindowStream, iter_spectrograms
from britekit.audio.threads import single_threaded_products
from britekit.errors import InferenceError
from britekit.inference.ensemble import Ensemble
from britekit.inference.frames import FrameGrid

logger = logging.getLogger(__name__)

# Windows that a reader hands over at once, and the most that the scoring thread takes at once.
CHUNK = 16
BLOCK = 64
# Chunks that may wait for the scoring thread: 4 MB each with the default spectrograms.
_WAITING = 6


class TooLong(InferenceError):
    """A recording longer than was allowed."""


@dataclass(frozen=True, eq=False)
class RecordingScores:
    """What an ensemble says about one recording, not calibrated.

    Attributes
    ----------
    starts
        (N,) starts of the windows, seconds, float64.
    scores
        (N, C) mean scores of the members, float32.
    frames
        (F, C) scores per frame from 0 s on, float32, F = round(fps * seconds); None without SED heads.
    seconds
        Length of the recording.
    damaged_at
        Second at which a damaged recording ends; None if it is whole.
    """

    starts: np.ndarray
    scores: np.ndarray
    frames: np.ndarray | None
    seconds: float
    damaged_at: float | None


@dataclass(eq=False)
class _Job:
    """A recording on its way through the engine."""

    path: Path
    first_s: float
    max_seconds: float | None
    future: Future[RecordingScores]
    grid: FrameGrid | None
    windows: WindowStream | None = None
    batches: Iterator[SpectrogramBatch] | None = None
    starts: list[float] = field(default_factory=list)
    scores: list[np.ndarray] = field(default_factory=list)

    def finish(self, num_classes: int) -> RecordingScores:
        assert self.windows is not None
        seconds = self.windows.seconds or 0.0
        scores = np.concatenate(self.scores) if self.scores else np.empty((0, num_classes), np.float32)
        frames = None
        if self.grid is not None:
            # Too short for a window is not the same as silent.
            frames = self.grid.finish(seconds if self.starts else 0.0)
        return RecordingScores(
            starts=np.array(self.starts, np.float64),
            scores=scores,
            frames=frames,
            seconds=seconds,
            damaged_at=self.windows.damaged_at,
        )


class Engine:
    """An ensemble with its threads; usable from several threads at once, and as a context manager.

    Parameters
    ----------
    ensemble
        Loaded models; an engine must be their only user.
    threads
        Recordings decoded side by side; None takes ``infer.num_threads``.
    open_recordings
        Recordings begun at once, at most; None = `threads`. With more than `threads`, readers take turns
        between them after every chunk, so that a short recording overtakes a long one.
    """

    def __init__(
        self, ensemble: Ensemble, threads: int | None = None, open_recordings: int | None = None
    ) -> None:
        self.ensemble = ensemble
        self._threads = max(1, threads if threads is not None else ensemble.cfg.infer.num_threads)
        self._most_open = max(open_recordings or self._threads, self._threads)
        self._chunks: queue.Queue[tuple[_Job, SpectrogramBatch | None] | None] = queue.Queue(_WAITING)
        self._turn = threading.Condition()
        self._waiting: collections.deque[_Job] = collections.deque()
        self._ready: collections.deque[_Job] = collections.deque()
        self._open = 0
        self._closed = False
        self._products = contextlib.ExitStack()
        self._products.enter_context(single_threaded_products())
        self._readers = [
            threading.Thread(target=self._read, name=f"britekit-reader-{number}", daemon=True)
            for number in range(self._threads)
        ]
        self._scorer = threading.Thread(target=self._score, name="britekit-scorer", daemon=True)
        for thread in (*self._readers, self._scorer):
            thread.start()

    @property
    def open_recordings(self) -> int:
        """Most recordings begun at once."""
        return self._most_open

    def submit(
        self, path: str | os.PathLike[str], first_s: float = 0.0, max_seconds: float | None = None
    ) -> Future[RecordingScores]:
        """Begin to score a recording.

        Parameters
        ----------
        path
            The recording; it is read as it is scored.
        first_s
            Start of the first window, seconds.
        max_seconds
            A longer recording is given up with `TooLong` as soon as that is known; headers may claim
            anything.

        Returns
        -------
        Future
            Its result or error (`InputError` for a recording that cannot be read). It can be cancelled
            until the recording is begun.
        """
        ensemble = self.ensemble
        grid = None if ensemble.sed_fps is None else FrameGrid(len(ensemble.classes), ensemble.sed_fps)
        job = _Job(Path(path), first_s, max_seconds, Future(), grid)
        with self._turn:
            if self._closed:
                raise InferenceError("the engine is closed; make a new one to score more recordings")
            self._waiting.append(job)
            self._turn.notify()
        return job.future

    def score(
        self, path: str | os.PathLike[str], first_s: float = 0.0, max_seconds: float | None = None
    ) -> RecordingScores:
        """Score a recording and wait for it; see `submit`."""
        return self.submit(path, first_s, max_seconds).result()

    def close(self) -> None:
        """Stop: what is not finished is cancelled, and all threads have ended when this returns."""
        with self._turn:
            if self._closed:
                return
            self._closed = True
            left = [*self._waiting, *self._ready]
            self._waiting.clear()
            self._ready.clear()
            self._turn.notify_all()
        for job in left:
            _abandon(job)
            _close(job)
        while any(thread.is_alive() for thread in self._readers):
            self._drain()  # a reader may be waiting for room in the queue
            for thread in self._readers:
                thread.join(0.02)
        self._drain()
        self._chunks.put(None)
        self._scorer.join()
        self._products.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _drain(self) -> None:
        while True:
            try:
                item = self._chunks.get_nowait()
            except queue.Empty:
                return
            if item is not None:
                _abandon(item[0])

    # --- readers ---

    def _read(self) -> None:
        while True:
            job = self._next_job()
            if job is None:
                return
            try:
                batch = self._next_batch(job)
            except BaseException as error:  # an error of any kind is this recording's, and the thread goes on
                _fail(job, error)
                self._leave(job)
                continue
            # The order of a recording's chunks is kept: nobody else works on it before this one is in the
            # queue.
            self._chunks.put((job, batch))
            if batch is None:
                self._leave(job)
            else:
                self._give_back(job)

    def _next_job(self) -> _Job | None:
        """Wait for a recording to work on; new ones come first, so that short ones are not held up."""
        with self._turn:
            while not self._closed:
                if self._waiting and self._open < self._most_open:
                    self._open += 1
                    return self._waiting.popleft()
                if self._ready:
                    return self._ready.popleft()
                self._turn.wait()
            return None

    def _next_batch(self, job: _Job) -> SpectrogramBatch | None:
        if job.batches is None:
            if not job.future.set_running_or_notify_cancel():
                raise _Cancelled
            job.windows = iter_spectrograms(
                job.path, self.ensemble.audio, self.ensemble.step_s, first_s=job.first_s, batch_size=CHUNK
            )
            job.batches = iter(job.windows)
        elif job.future.done():  # scoring failed
            raise _Cancelled
        batch = next(job.batches, None)
        assert job.windows is not None
        if job.max_seconds is not None:
            reached = (job.windows.seconds or 0.0) if batch is None else batch.starts[-1]
            if reached > job.max_seconds:
                raise TooLong(f"the recording is longer than {job.max_seconds:g} s")
        return batch

    def _give_back(self, job: _Job) -> None:
        with self._turn:
            if not self._closed:
                self._ready.append(job)
                self._turn.notify()
                return
        _abandon(job)
        _close(job)

    def _leave(self, job: _Job) -> None:
        _close(job)
        with self._turn:
            self._open -= 1
            self._turn.notify()

    # --- the scoring thread ---

    def _score(self) -> None:
        while True:
            item = self._chunks.get()
            items = []
            size = 0
            stop = False
            while True:
                if item is None:
                    stop = True
                    break
                items.append(item)
                size += 0 if item[1] is None else len(item[1].starts)
                if size + CHUNK > BLOCK:
                    break
                try:
                    item = self._chunks.get_nowait()
                except queue.Empty:
                    break
            self._score_chunks(items)
            if stop:
                return

    def _score_chunks(self, items: list[tuple[_Job, SpectrogramBatch | None]]) -> None:
        chunks = [(job, batch) for job, batch in items if batch is not None and not job.future.done()]
        try:
            if chunks:
                images = [batch.spectrograms for _, batch in chunks]
                segment, frames = self.ensemble.score(
                    images[0] if len(images) == 1 else np.concatenate(images)
                )
                row = 0
                for job, batch in chunks:
                    past = row + len(batch.starts)
                    job.starts += batch.starts
                    job.scores.append(segment[row:past].copy())
                    if job.grid is not None and frames is not None:
                        for start, frame in zip(batch.starts, frames[row:past], strict=True):
                            job.grid.add(start, frame)
                    row = past
        except BaseException as error:  # the recordings of this block fail, and the thread goes on
            for job, _ in chunks:
                _fail(job, error)
        for job, last in items:
            if last is None and not job.future.done():
                try:
                    job.future.set_result(job.finish(len(self.ensemble.classes)))
                except BaseException as error:
                    _fail(job, error)


def score_recordings(
    engine: Engine, paths: Iterable[Path], first_s: float = 0.0
) -> Iterator[tuple[Path, RecordingScores | BaseException]]:
    """Score recordings and yield each with its scores, or with its error, as soon as it is complete.

    Only a few more than the engine works on are in hand at any time, whatever their number.
    """
    source = iter(paths)
    pending: dict[Future[RecordingScores], Path] = {}
    most = engine.open_recordings + 2
    try:
        while True:
            while len(pending) < most and (path := next(source, None)) is not None:
                pending[engine.submit(path, first_s)] = path
            if not pending:
                return
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                path = pending.pop(future)
                error = future.exception()
                yield path, future.result() if error is None else error
    finally:
        for future in pending:
            future.cancel()


class _Cancelled(Exception):
    """The recording is no longer wanted."""


def _fail(job: _Job, error: BaseException) -> None:
    if isinstance(error, _Cancelled):
        return
    try:
        job.future.set_exception(error)
    except InvalidStateError:
        return  # it has failed, or was cancelled, already


def _abandon(job: _Job) -> None:
    if not job.future.cancel():
        _fail(job, InferenceError("the engine was closed before the recording was complete"))


def _close(job: _Job) -> None:
    """Close the recording's file now, not when the garbage collector comes by."""
    if job.batches is not None:
        close = getattr(job.batches, "close", None)
        job.batches = None
        if close is not None:
            close()

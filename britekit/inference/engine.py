"""Score many recordings at once, in bounded memory.

Reader threads decode audio and compute spectrograms, one chunk of windows of one recording at a time; a single scoring
thread combines chunks of all recordings and runs the models. The queue between them is bounded, so memory does not grow
with the length or number of recordings. The command line and the service share this class, and scores of a window do
not depend on other windows, so both give the same numbers.
"""

from __future__ import annotations

import collections
import contextlib
import os
import queue
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from britekit.audio.threads import single_threaded_products
from britekit.audio.windows import SpectrogramBatch
from britekit.config.audio import Channels
from britekit.errors import InferenceError
from britekit.inference.recording_job import CHUNK, Job, Network, Progress, TooLong
from britekit.inference.scores import RecordingScores

if TYPE_CHECKING:
    from britekit.inference.screening import Screen

__all__ = ["Engine", "Progress", "RecordingScores", "TooLong"]

# Maximum number of windows that the scoring thread takes at once.
BLOCK = 64
# Capacity of the queue in chunks: 4 MB each with the default spectrograms.
_WAITING = 6


class Engine:
    """An ensemble, or what makes embeddings, with its threads.

    Usable from several threads at once, and as a context manager.

    Parameters
    ----------
    ensemble
        Loaded models; the engine must be their only user.
    threads
        Number of recordings decoded in parallel; None takes ``infer.num_threads``.
    open_recordings
        Maximum number of open recordings; None for `threads`. With more than `threads`, readers switch between
        recordings after every chunk: the one with the least work so far is next, so short recordings overtake long
        ones, and every fourth turn goes to the one that waited longest.
    folder
        Folder for scores of long recordings until they are fetched; None keeps them in memory.
    traits
        Whether results hold level, noise and spectrum of each window.
    """

    def __init__(
        self,
        ensemble: Network,
        threads: int | None = None,
        open_recordings: int | None = None,
        folder: str | os.PathLike[str] | None = None,
        traits: bool = False,
    ) -> None:
        self.ensemble = ensemble
        self._folder = folder
        self._traits = traits
        self._screen: Screen | None = getattr(ensemble, "screen", None)
        self._threads = max(1, threads if threads is not None else ensemble.cfg.infer.num_threads)
        self._most_open = max(open_recordings or self._threads, self._threads)
        self._chunks: queue.Queue[tuple[Job, SpectrogramBatch | None] | None] = queue.Queue(_WAITING)
        self._turn = threading.Condition()
        self._waiting: collections.deque[Job] = collections.deque()
        self._ready: collections.deque[Job] = collections.deque()
        self._open = 0
        self._turns = 0
        self._scored_s = 0.0
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
        """Maximum number of open recordings."""
        return self._most_open

    @property
    def scored_s(self) -> float:
        """Seconds of audio scored so far, including incomplete recordings."""
        return self._scored_s

    def submit(
        self,
        path: str | os.PathLike[str],
        start_seconds: float = 0.0,
        max_seconds: float | None = None,
        folder: str | os.PathLike[str] | None = None,
        progress: Progress | None = None,
        channels: Channels | None = None,
    ) -> Future[RecordingScores]:
        """Start scoring a recording.

        Parameters
        ----------
        max_seconds
            Limit of length; a longer recording fails with `TooLong` as soon as that is known, since headers may be
            wrong.
        folder
            Folder for scores of a long recording; None takes the engine's.
        channels
            In place of ``audio.channels``; a track of a recording has its number.

        Returns
        -------
        Future
            Result or error (`InputError` for an unreadable recording). It can be cancelled until scoring starts.
        """
        folder = folder or self._folder
        small = None if self._screen is None else self._screen.small
        job = Job(
            Path(path), self.ensemble, start_seconds, max_seconds, folder, progress, self._traits, channels, small
        )
        with self._turn:
            if self._closed:
                raise InferenceError("the engine is closed; create a new one to score more recordings")
            self._waiting.append(job)
            self._turn.notify()
        return job.future

    def score(
        self, path: str | os.PathLike[str], start_seconds: float = 0.0, max_seconds: float | None = None
    ) -> RecordingScores:
        """Score a recording and wait for it; see `submit`."""
        return self.submit(path, start_seconds, max_seconds).result()

    def close(self) -> None:
        """Cancel unfinished recordings and wait for all threads to end."""
        with self._turn:
            if self._closed:
                return
            self._closed = True
            left = [*self._waiting, *self._ready]
            self._waiting.clear()
            self._ready.clear()
            self._turn.notify_all()
        for job in left:
            job.abandon()
            job.close()
        while any(thread.is_alive() for thread in self._readers):
            self._drain()  # a reader may be blocked on the full queue
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
                item[0].abandon()

    # --- readers ---

    def _read(self) -> None:
        while True:
            job = self._next_job()
            if job is None:
                return
            try:
                batch = job.read()
            except BaseException as error:  # any error belongs to this recording; the thread continues
                job.fail(error)
                self._leave(job)
                continue
            # This keeps the order of chunks: no other thread takes the recording before this chunk is queued.
            self._chunks.put((job, batch))
            if batch is None:
                self._leave(job)
            else:
                self._give_back(job)

    def _next_job(self) -> Job | None:
        """Wait for the next recording; new ones come first, so that short ones are not delayed."""
        with self._turn:
            while not self._closed:
                if self._waiting and self._open < self._most_open:
                    self._open += 1
                    return self._waiting.popleft()
                if self._ready:
                    self._turns += 1
                    if self._turns % 4 == 0:
                        return self._ready.popleft()
                    job = min(self._ready, key=lambda job: job.served)
                    self._ready.remove(job)
                    return job
                self._turn.wait()
            return None

    def _give_back(self, job: Job) -> None:
        with self._turn:
            if not self._closed:
                self._ready.append(job)
                self._turn.notify()
                return
        job.abandon()
        job.close()

    def _leave(self, job: Job) -> None:
        job.close()
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

    def _score_chunks(self, items: list[tuple[Job, SpectrogramBatch | None]]) -> None:
        chunks = [(job, batch) for job, batch in items if batch is not None and not job.future.done()]
        try:
            if self._screen is not None:
                self._score_screened(self._screen, items)
            elif chunks:
                images = [batch.spectrograms for _, batch in chunks]
                began = time.time_ns()
                windows = images[0] if len(images) == 1 else np.concatenate(images)
                if self.ensemble.staggered:
                    owners = np.concatenate([job.owners(batch.starts) for job, batch in chunks])
                    segment, frames = self.ensemble.score(windows, owners_BM=owners)
                else:
                    segment, frames = self.ensemble.score(windows)
                ended = time.time_ns()
                row = 0
                for job, batch in chunks:
                    past = row + len(batch.starts)
                    if job.progress is not None and job.progress.stages is not None:
                        job.progress.stages.add("model", began, ended)  # shared with the other recordings of the block
                    try:
                        job.add(batch.starts, segment[row:past], None if frames is None else frames[row:past])
                    except BaseException as error:  # the error belongs to this recording only
                        job.fail(error)
                    self._scored_s += len(batch.starts) * job.seconds_per_window
                    row = past
        except BaseException as error:  # the recordings of this block fail; the thread continues
            for job, _ in chunks if self._screen is None else items:
                job.fail(error)
        for job, last in items:
            if last is None and not job.future.done():
                try:
                    job.finish()
                except BaseException as error:
                    job.fail(error)

    def _score_screened(self, screen: Screen, items: list[tuple[Job, SpectrogramBatch | None]]) -> None:
        """Add the scores of the windows that the screen has decided about."""
        from britekit.inference.screening import score_screened

        for job, _ in items:
            if job.future.done():
                screen.forget(job)
        alive = [(job, batch) for job, batch in items if not job.future.done()]
        for job, starts, segment, frames, computed in score_screened(screen, self.ensemble, alive):
            try:
                job.add(starts, segment, frames, computed)
            except BaseException as error:  # the error belongs to this recording only
                job.fail(error)
            self._scored_s += len(starts) * self.ensemble.step_s

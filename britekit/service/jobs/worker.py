"""The threads that take jobs from the store and do them, and one that watches over them."""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from britekit.annotations.recording_info import RecordingInfo, RecordingInfos
from britekit.audio.metadata import read_metadata
from britekit.audio.stages import Stages
from britekit.errors import BriteKitError, InputError
from britekit.inference.engine import Progress, RecordingScores, TooLong
from britekit.service import tracing
from britekit.service.analysis import Analyst, give_up, refuse_short
from britekit.service.forms import JobForm, checked
from britekit.service.jobs.database import StoreUnavailable
from britekit.service.jobs.job import DONE, FAILED, Job
from britekit.service.jobs.results import stored_result
from britekit.service.jobs.settings import JobSettings
from britekit.service.jobs.sources import S3, opened_source
from britekit.service.jobs.store import JobStore
from britekit.service.metrics import Metrics
from britekit.service.places import prior_of
from britekit.service.uploads import Refusal

log = logging.getLogger(__name__)

_LOOK_S = 2.0  # between looks for jobs that another server accepted, and for cancelled ones
_RECOVER_S = 5.0
_EXPIRE_S = 60.0
_RETRY_S = 5.0  # until a disk that was full may have room
_LEAVE_S = 2.0  # for the threads, when the server stops
_T = TypeVar("_T")


@dataclass
class Work:
    """A job in the hands of a thread."""

    job: Job
    progress: Progress = field(default_factory=Progress)
    future: Future[RecordingScores] | None = None
    wanted: bool = True

    def drop(self) -> None:
        """Let the thread leave the job soon."""
        self.wanted = False
        if self.future is not None:
            give_up(self.future)


class Workers:
    """Does the jobs of a store.

    Parameters
    ----------
    store, settings
        The jobs.
    analyst
        Returns the loaded model.
    metrics
        Counts what was done.
    """

    def __init__(
        self, store: JobStore, settings: JobSettings, analyst: Callable[[], Analyst], metrics: Metrics
    ) -> None:
        self._store, self._settings, self._analyst, self._metrics = store, settings, analyst, metrics
        self._leaving = threading.Event()
        self._news = threading.Semaphore(0)
        self._works: dict[int, Work] = {}
        self._lock = threading.Lock()
        names = [f"britekit-job-{number}" for number in range(settings.at_once)]
        self._threads = [threading.Thread(target=self._run, name=name, daemon=True) for name in names]
        self._threads.append(threading.Thread(target=self._watch, name="britekit-jobs", daemon=True))

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def leave(self) -> None:
        """Take no more jobs, and give those in hand back to the queue; returns at once."""
        self._leaving.set()
        for _ in self._threads:
            self._news.release()

    def stop(self) -> None:
        """As `leave`, and wait for the threads for a moment."""
        self.leave()
        deadline = time.monotonic() + _LEAVE_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def wake(self) -> None:
        """Look for a job now."""
        self._news.release()

    def drop(self, job: Job) -> None:
        """Stop the work on a job that was cancelled."""
        with self._lock:
            work = self._works.get(job.number)
        if work is not None:
            work.drop()

    def progress(self, job: Job) -> tuple[float, float | None]:
        """Return seconds done and seconds in all, as far as they are known."""
        with self._lock:
            work = self._works.get(job.number)
        if work is None:
            return job.done_s, job.total_s
        return max(job.done_s, work.progress.done_s), work.progress.stated_s

    # --- a thread ---

    def _run(self) -> None:
        while not self._leaving.is_set():
            try:
                job = self._kept_trying(self._store.take)
            except Exception:  # such as a damaged store; the thread must live
                log.exception("no job could be taken")
                job = None
            if job is None:
                self._news.acquire(timeout=_LOOK_S)
                continue
            work = Work(job)
            with self._lock:
                self._works[job.number] = work
            try:
                with tracing.span("job", job.trace, britekit_job=job.id, britekit_attempt=job.attempts):
                    self._do(work)
            except Exception:
                log.exception("job %s could not be ended", job.id)
                self._leaving.wait(_RETRY_S)
            finally:
                with self._lock:
                    self._works.pop(job.number, None)

    def _do(self, work: Work) -> None:
        job = work.job
        began = time.monotonic()
        try:
            facts, pieces, labels, counts = self._result(work)
        except Exception as error:
            if self._leaving.is_set():
                # If the store cannot be written now, the others notice that this server is gone.
                with suppress(StoreUnavailable):
                    self._store.give_back(job)
            elif not work.wanted:
                log.info("job %s was cancelled", job.id)
            elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                log.warning("job %s waits: no space left on the device", job.id)
                self._kept_trying(lambda: self._store.give_back(job))
                self._leaving.wait(_RETRY_S)
            else:
                self._fail(job, error)
            return
        if self._kept_trying(lambda: self._store.finish(job, facts, pieces, labels)):
            self._metrics.jobs.labels(DONE).inc()
            self._metrics.audio_seconds.inc(facts["seconds"])
            for name, count in counts.items():
                self._metrics.detections.labels(name).inc(count)
            log.info("job %s is done after %.3f s: %d detections", job.id, time.monotonic() - began, labels)

    def _fail(self, job: Job, error: Exception) -> None:
        if isinstance(error, TooLong):
            sentence = f"{error}, the most this server accepts"
        elif isinstance(error, Refusal):
            sentence = error.sentence
        elif isinstance(error, BriteKitError):
            sentence = str(error).splitlines()[0]
            if not job.source.startswith("/"):  # the client does not know the place
                path = self._store.path_of(job)
                for text in (str(path), str(path.parent), str(self._store.scratch)):
                    sentence = sentence.replace(text, job.name)
        else:
            log.error("job %s failed", job.id, exc_info=error)
            sentence = "the server failed at this recording"
        if self._kept_trying(lambda: self._store.fail(job, sentence)):
            self._metrics.jobs.labels(FAILED).inc()
            log.info("job %s failed: %s", job.id, ascii(sentence))

    def _result(self, work: Work) -> tuple[dict[str, Any], list[bytes], int, dict[str, int]]:
        """Score and label a recording; return what the store takes, and the number of labels by class."""
        job, analyst, settings = work.job, self._analyst(), self._settings
        fields: JobForm = checked(JobForm, job.options)
        if tracing.traceparent() is not None:
            work.progress.stages = Stages()
        with self._opened(work) as path:
            scratch = self._store.scratch
            work.future = analyst.submit(path, settings.max_seconds, scratch, work.progress, fields.channel)
            if not work.wanted:
                give_up(work.future)
            try:
                result = work.future.result()
            finally:
                tracing.stage_spans(work.progress)
            with closing(result), tracing.span("labels"):
                refuse_short(result)
                analyst.count_drift(job.id, result)
                known = _known(job, path)
                prior = prior_of(analyst.labeler, known, fields)
                default = analyst.labeler.rules.min_score
                labeler = analyst.labeler_at(
                    default if fields.min_score is None else fields.min_score, fields.thresholds
                )
                facts, pieces, labels = stored_result(labeler, result, prior, known, analyst.labeler.label_field)
                return facts, pieces, labels, dict(analyst.count(result, prior))

    @contextmanager
    def _opened(self, work: Work) -> Iterator[Path]:
        job = work.job
        if job.source:
            allowed, scratch, most = self._settings.sources, self._store.scratch, self._settings.max_bytes
            with tracing.span("fetch"), opened_source(job.source, allowed, scratch, most, lambda: work.wanted) as path:
                yield path
            return
        path = self._store.path_of(job)
        if not path.is_file():
            raise InputError("the uploaded recording is no longer on the server's disk; send it again")
        yield path

    def _kept_trying(self, act: Callable[[], _T]) -> _T | None:
        """Do something with the store until its disk has room again; None if the server stops before."""
        warned = False
        while True:
            try:
                return act()
            except StoreUnavailable as error:
                if not warned:
                    log.warning("%s; trying again every %g s", error, _RETRY_S)
                warned = True
                if self._leaving.wait(_RETRY_S):
                    return None

    # --- the one that watches ---

    def _watch(self) -> None:
        recovered = expired = -1e9
        while True:
            try:
                with self._lock:
                    works = list(self._works.values())
                for work in works:
                    if (
                        work.wanted
                        and not self._store.note_progress(work.job, work.progress.done_s, work.progress.stated_s)
                        and self._is_ours(work)
                    ):
                        work.drop()
                if time.monotonic() - recovered > _RECOVER_S:
                    recovered = time.monotonic()
                    if count := self._store.recover():
                        log.warning("%d jobs of a server that ended are in the queue again", count)
                        self.wake()
                if time.monotonic() - expired > _EXPIRE_S:
                    expired = time.monotonic()
                    self._store.expire()
            except StoreUnavailable as error:
                log.warning("%s", error)
            except Exception:
                log.exception("the job store could not be looked after")
            if self._leaving.wait(_LOOK_S):
                break
        with self._lock:
            works = list(self._works.values())
        for work in works:
            work.drop()

    def _is_ours(self, work: Work) -> bool:
        """Return whether a thread still has the job: it may have ended while its progress was noted."""
        with self._lock:
            return self._works.get(work.job.number) is work


def _known(job: Job, path: Path) -> RecordingInfo:
    """Return what the recording's metadata, its name and, for one that lies here, its folder tell."""
    metadata = read_metadata(path)
    if job.source and not job.source.startswith(S3):
        return RecordingInfos(path.parent).of(path, metadata)
    return RecordingInfos(None).of(f"{job.name}{path.suffix}", metadata)

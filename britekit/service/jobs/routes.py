"""The endpoints of jobs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from britekit import formats
from britekit.annotations.recording_info import RecordingInfo
from britekit.errors import InputError
from britekit.service import tracing
from britekit.service.access import TOKEN_KEY
from britekit.service.answers import JSON, JSON_TYPE, attachment
from britekit.service.forms import FILE_FIELD, SOURCE_FIELD, FormatForm, JobForm, checked
from britekit.service.jobs.database import StoreUnavailable
from britekit.service.jobs.job import CANCELLED, DONE, EXPIRED, FAILED, QUEUED, RUNNING, Job
from britekit.service.jobs.results import json_answer, text_answer
from britekit.service.jobs.settings import JobSettings
from britekit.service.jobs.sources import check_exists, check_source, name_of
from britekit.service.jobs.store import JobStore, QueueFull
from britekit.service.jobs.worker import Workers
from britekit.service.places import prior_of
from britekit.service.uploads import Refusal, receive_upload, safe_name

if TYPE_CHECKING:
    from britekit.service.recognizer import Recognizer

_MOST_LISTED = 1000
_LONGEST_KEY = 200
_SOON_S, _LATER_S = 5, 60  # for Retry-After
_T = TypeVar("_T")


class Jobs:
    """Jobs of one server.

    Parameters
    ----------
    settings
        Where they are stored.
    recognizer
        Does the work.
    """

    def __init__(self, settings: JobSettings, recognizer: Recognizer) -> None:
        self._settings, self._recognizer = settings, recognizer
        self._opened: JobStore | None = None
        self._workers: Workers | None = None

    @property
    def _store(self) -> JobStore:
        assert self._opened is not None
        return self._opened

    def open(self) -> None:
        """Open the store; calling it again does nothing.

        Raises `InputError` if the folder cannot be used.
        """
        if self._opened is None:
            self._opened = JobStore(self._settings.folder, self._settings.keep_s, self._settings.address)
            self._recognizer.metrics.watch_jobs(self._opened.counts)

    def start(self) -> None:
        """Begin to work on jobs; the model must be loaded."""
        self.open()
        recognizer = self._recognizer
        self._workers = Workers(self._store, self._settings, lambda: recognizer.analyst, recognizer.metrics)
        self._workers.start()

    def leave(self) -> None:
        """Give jobs in hand back, since the server is asked to stop."""
        if self._workers is not None:
            self._workers.leave()

    def close(self) -> None:
        """Stop the threads and close the store."""
        if self._workers is not None:
            self._workers.stop()
            self._workers = None
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        return [
            Route("/jobs", self._guarded(self._submit), methods=["POST"]),
            Route("/jobs", self._guarded(self._list), methods=["GET"]),
            Route("/jobs/{id}", self._guarded(self._state), methods=["GET"]),
            Route("/jobs/{id}", self._guarded(self._cancel), methods=["DELETE"]),
            Route("/jobs/{id}/result", self._guarded(self._result), methods=["GET"]),
        ]

    def _guarded(self, work: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def guarded(request: Request) -> Response:
            try:
                try:
                    answer: Response = await work(request)
                    return answer
                except QueueFull as error:
                    raise Refusal(429, str(error), {"Retry-After": str(_LATER_S)}) from error
                except StoreUnavailable as error:
                    text = "the server cannot store jobs now (its disk is full, or failed); try again later"
                    raise Refusal(503, text, {"Retry-After": str(_LATER_S)}) from error
                except InputError as error:
                    raise Refusal(422, str(error).splitlines()[0]) from error
            except Refusal as refusal:
                self._recognizer.metrics.refusals.labels(refusal.status).inc()
                return refusal.response()

        return guarded

    async def _submit(self, request: Request) -> Response:
        token = request.scope.get(TOKEN_KEY, "")
        key = request.headers.get("idempotency-key")
        if key is not None and not (0 < len(key) <= _LONGEST_KEY and key.isprintable()):
            raise Refusal(400, f"the header Idempotency-Key must have 1 to {_LONGEST_KEY} printable characters")
        if (known := await _aside(lambda: self._store.submitted(token, key))) is not None:
            return self._answer(known, 200)
        with self._recognizer.arriving():
            upload = await receive_upload(
                request, FILE_FIELD, self._settings.max_bytes, SOURCE_FIELD, self._store.scratch
            )
        with contextlib.closing(upload):
            fields: JobForm = checked(JobForm, upload.fields)
            source = fields.source or ""
            if upload.has_file and source:
                raise Refusal(400, f'send either a file in "{FILE_FIELD}" or the field "{SOURCE_FIELD}"')
            if source:
                check_source(source, self._settings.sources)
                check_exists(source)
            name = _stem(source) if source else upload.name
            if fields.name:
                name = safe_name(fields.name)[0] if safe_name(fields.name)[1] else safe_name(f"{fields.name}.x")[0]
            await _aside(lambda: self._check(name, fields))
            given = {key: value for key, value in upload.fields.items() if key not in (SOURCE_FIELD, "name")}
            job = await _aside(
                lambda: self._store.add(
                    token=token, name=name, source=source, upload=upload.path if upload.has_file else None,
                    options=given, request=key, trace=tracing.traceparent(), most_waiting=self._settings.max_waiting,
                )
            )  # fmt: skip
        if self._workers is not None:
            self._workers.wake()
        return self._answer(job, 202)

    def _check(self, name: str, fields: JobForm) -> None:
        """Refuse what would fail at any recording."""
        analyst = self._recognizer.analyst
        prior_of(analyst.labeler, RecordingInfo(Path(name)), fields)
        if fields.thresholds:
            analyst.labeler_at(analyst.labeler.rules.min_score, True)

    async def _list(self, request: Request) -> Response:
        token, query = request.scope.get(TOKEN_KEY, ""), request.query_params
        numbers = {"limit": 100, "before": 0}
        for name, text in query.multi_items():
            if name not in numbers or not (text.isascii() and text.isdigit() and len(text) < 19):
                raise Refusal(400, f'"{name[:40]}={text[:40]}" is not limit=N or before=N with a whole number')
            numbers[name] = int(text)
        limit = max(1, min(numbers["limit"], _MOST_LISTED))
        found = await _aside(lambda: self._store.listed(token, numbers["before"] or None, limit))
        more = found[-1].number if len(found) == limit else None
        states = await _aside(lambda: [self._described(job) for job in found])
        return JSONResponse({"jobs": states, "before": more})

    async def _state(self, request: Request) -> Response:
        return self._answer(await self._found(request), 200)

    async def _cancel(self, request: Request) -> Response:
        token, identifier = request.scope.get(TOKEN_KEY, ""), request.path_params["id"]
        job = await _aside(lambda: self._store.cancel(identifier, token))
        if job is None:
            raise _unknown()
        if job.state in (QUEUED, RUNNING):
            if self._workers is not None:
                self._workers.drop(job)
            self._recognizer.metrics.jobs.labels(CANCELLED).inc()
            return self._answer(replace(job, state=CANCELLED, finished=datetime.now(UTC).timestamp()), 200)
        return Response(status_code=204)

    async def _result(self, request: Request) -> Response:
        given: dict[str, str] = {}
        for name, value in request.query_params.multi_items():
            if given.setdefault(name, value) != value:
                raise Refusal(400, f'the field "{name[:40]}" is given twice, with different values')
        fields: FormatForm = checked(FormatForm, given, file=False)
        job = await self._found(request)
        if job.state in (QUEUED, RUNNING):
            raise Refusal(409, f"the job is {job.state}; ask again later", {"Retry-After": str(_SOON_S)})
        if job.state == FAILED:
            raise Refusal(422, job.error or "the job failed")
        if job.state in (CANCELLED, EXPIRED):
            raise Refusal(410, "the job was cancelled" if job.state == CANCELLED else "the result has expired")
        labels = self._store.pieces(job)
        known = [info.name for info in self._recognizer.analyst.found_classes]
        safe = safe_name(f"{job.name}.x")[0]
        headers = {"X-Calibrated": "yes" if job.facts["calibrated"] else "no"}
        if fields.format == JSON:
            parts = await _aside(lambda: json_answer(job, labels, fields, known))
            headers["Content-Disposition"] = attachment(f"{safe}.json")
            return StreamingResponse(parts, media_type=JSON_TYPE, headers=headers)
        form = checked(JobForm, job.options)
        kind = formats.get(fields.format)
        parts = await _aside(lambda: text_answer(job, labels, fields, known, form))
        headers["Content-Disposition"] = attachment(f"{safe}{kind.ending}")
        return StreamingResponse(parts, media_type=kind.media_type, headers=headers)

    async def _found(self, request: Request) -> Job:
        token, identifier = request.scope.get(TOKEN_KEY, ""), request.path_params["id"]
        job = await _aside(lambda: self._store.get(identifier, token))
        if job is None:
            raise _unknown()
        return job

    def _answer(self, job: Job, status: int) -> Response:
        return JSONResponse(self._described(job), status, {"Location": f"/jobs/{job.id}"})

    def _described(self, job: Job) -> dict[str, Any]:
        """Return what a client gets to know about a job."""
        done, total = (job.done_s, job.total_s) if self._workers is None else self._workers.progress(job)
        share = 1.0 if job.state == DONE else min(1.0, done / total) if total else 0.0
        left = self._store.expires_in(job)
        return {
            "id": job.id,
            "state": job.state,
            "recording": job.name,
            "source": job.source or None,
            "ahead": self._store.ahead(job) if job.state == QUEUED else None,
            "progress": round(share, 4),
            "seconds_done": round(total or done, 3) if job.state == DONE else round(done, 3),
            "seconds": total,
            "detections": job.detections,
            "error": job.error,
            "created": _time(job.created),
            "started": _time(job.started),
            "finished": _time(job.finished),
            "expires": None if left is None else _time(datetime.now(UTC).timestamp() + left),
            "result": f"/jobs/{job.id}/result" if job.state == DONE else None,
        }


async def _aside(work: Callable[[], _T]) -> _T:
    """Do what may wait for the disk without holding up other requests."""
    return await asyncio.to_thread(work)


def _stem(source: str) -> str:
    """Return the name that ``analyze`` gives a recording."""
    stem = Path(source).stem
    return stem if stem.isprintable() and stem.strip() else name_of(source)


def _unknown() -> Refusal:
    return Refusal(404, "there is no job with this id; it may have been deleted, or belong to another token")


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")

"""The recognizer's endpoints, and what is answered when something is wrong with a recording."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from britekit import formats
from britekit.annotations.recording_info import RecordingInfo, RecordingInfos
from britekit.audio.files import shown
from britekit.errors import BriteKitError, InferenceError, InputError
from britekit.formats import Recording
from britekit.inference.engine import RecordingScores, TooLong
from britekit.inference.occurrence_notes import note_of
from britekit.leftovers import temporary_folder
from britekit.occurrence.prior import RecordingPrior
from britekit.service import tracing
from britekit.service.analysis import Analyst, Found
from britekit.service.answers import JSON, JSON_TYPE, attachment, format_titles, json_text, pieces, rendered
from britekit.service.contents import read_contents
from britekit.service.forms import (
    FILE_FIELD,
    KEY_FIELD,
    DetectionsForm,
    PictureForm,
    RecordingForm,
    checked,
    wanted_classes,
)
from britekit.service.limits import Limits
from britekit.service.metrics import CONTENT_TYPE_LATEST, Metrics
from britekit.service.picture import Drawing
from britekit.service.places import note_facts, note_headers, prior_of, stated_info
from britekit.service.uploads import Refusal, Upload, receive_upload, safe_name

logger = logging.getLogger(__name__)

# Only logged, since the client has disconnected. Not a failure of the server, so below 500.
CLIENT_GONE = 499
RETRY_AFTER_SECONDS = 2
Work = Callable[[Upload, Any], Awaitable[Response]]


_CHANNEL = re.compile(r"ch(\d+)-")


class Recognizer:
    """Finds the sounds a model knows in recordings.

    Parameters
    ----------
    folder
        The model folder.
    limits
        Size, length and number of uploads.
    jobs
        Jobs that are worked on beside the requests.
    """

    def __init__(self, folder: Path, limits: Limits, jobs: int = 0) -> None:
        self._folder, self._limits, self._jobs = folder, limits, jobs
        self._analyst: Analyst | None = None
        self._stack = contextlib.ExitStack()
        self._working = self._arriving = 0
        self.metrics = Metrics(lambda: self._working, lambda: self._arriving)

    def load(self) -> None:
        """Load the model; calling it again does nothing."""
        if self._analyst is None:
            self._contents = read_contents(self._folder)
            self._analyst = Analyst(self._contents, self._limits, self._jobs)
            # Locked: a later start removes it if this process is killed.
            self._uploads = self._stack.enter_context(temporary_folder("uploads"))
            self._threads = ThreadPoolExecutor(self._limits.threads, thread_name_prefix="recording")
            for info in self.analyst.found_classes:
                self.metrics.detections.labels(info.name)

    def close(self) -> None:
        """Stop the threads."""
        if self._analyst is not None:
            self._threads.shutdown(cancel_futures=True)
            self._analyst.close()
            self._analyst = None
            self._stack.close()

    @property
    def analyst(self) -> Analyst:
        """The loaded model."""
        assert self._analyst is not None
        return self._analyst

    @contextlib.contextmanager
    def arriving(self) -> Iterator[None]:
        """Count an upload that arrives in this block."""
        self._arriving += 1
        try:
            with tracing.span("receive"):
                yield
        finally:
            self._arriving -= 1

    # --- endpoints ---

    async def detections(self, request: Request) -> Response:
        return await self._answer(request, DetectionsForm, self._detections)

    async def scores(self, request: Request) -> Response:
        return await self._answer(request, RecordingForm, self._scores)

    async def spectrogram(self, request: Request) -> Response:
        return await self._answer(request, PictureForm, self._spectrogram)

    async def model(self, request: Request) -> Response:
        limits = {"max_bytes": self._limits.max_bytes, "max_seconds": self._limits.max_seconds}
        formats = [{"name": name, "title": title} for name, title in format_titles().items()]
        return JSONResponse({**self.analyst.facts(), "limits": limits, "formats": formats})

    async def sample(self, request: Request) -> Response:
        path = self._contents.sample
        if path is None:
            raise HTTPException(404, "this service has no sample recording")
        return FileResponse(path, filename=path.name)

    async def figures(self, request: Request) -> Response:
        return Response(self.metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    # --- receiving and refusing ---

    async def _answer(self, request: Request, form: type[BaseModel], work: Work) -> Response:
        """Receive a form and do the work; refusals and bad recordings are answered with one sentence."""
        try:
            if self._working >= self._limits.max_requests:
                retry = {"Retry-After": str(RETRY_AFTER_SECONDS)}
                raise Refusal(429, "the server is busy; try again soon", retry)
            with self.arriving():
                instead = KEY_FIELD if KEY_FIELD in form.model_fields else None
                upload = await receive_upload(request, FILE_FIELD, self._limits.max_bytes, instead, self._uploads)
            with contextlib.closing(upload):
                return await self._work(request, upload, checked(form, upload.fields), work)
        except Refusal as refusal:
            self.metrics.refusals.labels(refusal.status).inc()
            return refusal.response()

    async def _work(self, request: Request, upload: Upload, fields: Any, work: Work) -> Response:
        self._working += 1
        try:
            return await _while_wanted(work(upload, fields), request, upload.name)
        except TooLong as error:
            raise Refusal(413, f"{error}, the most this server accepts") from error
        except (InputError, InferenceError) as error:
            raise Refusal(422, sentence_of(error, upload)) from error
        finally:
            self._working -= 1

    async def _scored(
        self, upload: Upload, fields: RecordingForm
    ) -> tuple[str, str, RecordingScores, RecordingPrior | None]:
        """Return name, key, scores and prior of a recording that was sent, or was sent before."""
        if not upload.has_file:
            key = _key_of(fields.key or "", fields.channel)
            kept = self.analyst.kept(key)
            if kept is None:
                raise Refusal(410, "the scores of this recording are no longer stored; send it again")
            name = safe_name(fields.name or "")[0]
            return name, key, kept, self._prior(name, key, fields)
        if fields.key:
            raise Refusal(400, f'send either a file in "{FILE_FIELD}" or the field "{KEY_FIELD}"')
        key = _key_of(upload.key, fields.channel)
        prior = self._prior(upload.name, key, fields)  # wrong fields are refused before any work
        result = self.analyst.kept(key)
        if result is None:
            result = await self.analyst.analyze(upload.path, key, fields.channel)
            prior = self._prior(upload.name, key, fields)
            self.metrics.audio_seconds.inc(result.seconds)
            for name, count in (await self._run(self.analyst.count, result, prior)).items():
                self.metrics.detections.labels(name).inc(count)
        return upload.name, key, result, prior

    def _prior(self, name: str, key: str, fields: RecordingForm) -> RecordingPrior | None:
        return prior_of(self.analyst.labeler, self._known(name, key), fields)

    async def _run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    # --- answers ---

    async def _detections(self, upload: Upload, fields: DetectionsForm) -> Response:
        name, key, result, prior = await self._scored(upload, fields)
        with tracing.span("labels"):
            return await self._run(self.labeled, name, key, result, fields, prior)

    def labeled(
        self, name: str, key: str, result: RecordingScores, fields: DetectionsForm, prior: RecordingPrior | None = None
    ) -> Response:
        """Return the detections of a scored recording."""
        infer = self._contents.cfg.infer
        min_score = infer.min_score if fields.min_score is None else fields.min_score
        found, labeler = self.analyst.label(result, min_score, fields.thresholds, prior)
        note = None if prior is None else note_of(labeler, result, prior)
        calibration = labeler.calibration
        if fields.classes is not None:
            wanted = wanted_classes(fields.classes, [info.name for info in self.analyst.found_classes])
            found = [x for x in found if x.info.name in wanted]
        field = fields.label_field or infer.label_field
        if fields.format == JSON:
            facts = {
                "recording": name,
                "key": key,
                "seconds": result.seconds,
                "damaged_at": result.damaged_at,
                **self._sound_facts(key),
                "min_score": min_score,
                "calibrated": not calibration.is_identity,
                **note_facts(note),
            }
            found.sort(key=lambda x: (x.start, x.info.name))
            rows = pieces(len(found), lambda part: [_detection(x, field) for x in found[part]])
            headers = {"Content-Disposition": attachment(f"{name}.json")}
            text = json_text(facts, "detections", rows)
            return StreamingResponse(text, media_type=JSON_TYPE, headers=headers)
        is_timed = "time_start" in formats.get(fields.format).columns
        info = self._info(name, key, fields) if is_timed else None
        recording = Recording(
            name, seconds=result.seconds, damaged_at=result.damaged_at, info=info, channel=_channel_of(key)
        )
        labels = ((x.info.label(field), x.info.name, x.info.code, x.start, x.end, x.score, x.confirmed) for x in found)
        content, media_type, filename = rendered(fields.format, recording, labels, labeler.facts)
        headers = {
            "Content-Disposition": attachment(filename),
            "X-Calibrated": "no" if calibration.is_identity else "yes",
            **note_headers(note),
        }
        return Response(content, media_type=media_type, headers=headers)

    def _sound_facts(self, key: str) -> dict[str, Any]:
        """Return the channel that was asked for, and the time expansion of the file; neither of most recordings."""
        channel, factor = _channel_of(key), self.analyst.metadata(key).time_expansion
        return {
            **({} if channel is None else {"channel": channel}),
            **({} if factor in (None, 1.0) else {"time_expansion": factor}),
        }

    def _info(self, name: str, key: str, fields: DetectionsForm) -> RecordingInfo:
        """Return when and where a recording was made: by the request, else by its metadata and name."""
        return stated_info(self._known(name, key), fields)

    def _known(self, name: str, key: str) -> RecordingInfo:
        return RecordingInfos(None).of(f"{name}{Path(key).suffix}", self.analyst.metadata(key))

    async def _scores(self, upload: Upload, fields: RecordingForm) -> Response:
        name, key, result, prior = await self._scored(upload, fields)
        labeler = self.analyst.labeler
        facts = {
            "recording": name,
            "key": key,
            "seconds": result.seconds,
            "damaged_at": result.damaged_at,
            **self._sound_facts(key),
            "calibrated": False,  # scores of windows are the models' own
            "window_seconds": self._contents.cfg.audio.spec_duration,
            "classes": [x.name for x in self.analyst.classes],
            "starts": result.starts.tolist(),
            **note_facts(None if prior is None else note_of(labeler, result, prior)),
        }
        rows = pieces(len(result.scores), lambda part: labeler.all_with_prior(result.scores[part], prior).tolist())
        return StreamingResponse(json_text(facts, "scores", rows), media_type=JSON_TYPE)

    async def _spectrogram(self, upload: Upload, fields: PictureForm) -> Response:
        cfg = self._contents.cfg.audio
        if fields.channel is not None:
            cfg = dataclasses.replace(cfg, channels=fields.channel)
        with contextlib.closing(Drawing(upload.path, cfg, self._limits.max_seconds, fields.max_width)) as drawing:
            picture = None
            while picture is None:  # between two pieces others get their turn
                piece = asyncio.ensure_future(self._run(drawing.advance))
                try:
                    picture = await asyncio.shield(piece)
                except asyncio.CancelledError:
                    await asyncio.wait({piece})
                    raise
        headers = {"X-Recording-Seconds": f"{picture.seconds:.6f}", "X-Picture-Seconds": f"{picture.shown_seconds:.6f}"}
        return Response(picture.png, media_type="image/png", headers=headers)


def _key_of(key: str, channel: int | None) -> str:
    """Return the key of a recording's channel; without one, the key as it is, which may name one."""
    return key if channel is None else f"ch{channel}-{_CHANNEL.sub('', key)}"


def _channel_of(key: str) -> int | None:
    found = _CHANNEL.match(key)
    return int(found[1]) if found else None


async def _while_wanted(work: Awaitable[Response], request: Request, name: str) -> Response:
    """Do the work, or give it up as soon as the client has gone; its body must have been read."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    task, watch = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        logger.info("the client of %s has gone; its analysis stops", ascii(name))
        return Response(status_code=CLIENT_GONE)
    finally:
        for unfinished in (task, watch):
            unfinished.cancel()
        # The upload is removed next, so it must not be in use.
        await asyncio.wait({task, watch})


def _detection(found: Found, field: str) -> dict[str, Any]:
    return {
        "class_name": found.info.name,
        "class_code": found.info.code,
        "label": found.info.label(field),
        "start": found.start,
        "end": found.end,
        "score": found.score,
        "confirmed": found.confirmed,
    }


def sentence_of(error: BriteKitError, upload: Upload) -> str:
    """Return an error's text with the client's name of the file in place of the server's path."""
    text = str(error).splitlines()[0]
    for path in (shown(upload.path), str(upload.path), str(upload.path.parent)):
        text = text.replace(path, upload.name + upload.path.suffix)
    return text

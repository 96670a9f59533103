"""The BentoML service: endpoints, what is answered when something is wrong, and OpenAPI.

BentoML brings health, readiness, metrics, workers and containers. Uploads are received by ``uploads.py``,
not by BentoML's own reader; nothing is raised through BentoML, which would log a traceback for every bad
file.
"""

import asyncio
import functools
import json
import logging
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import bentoml
from _bentoml_sdk import Service  # type: ignore[import-untyped]
from _bentoml_sdk.io_models import IODescriptor  # type: ignore[import-untyped]
from pydantic import BaseModel, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from britekit.annotations.labels import Label
from britekit.audio.files import shown
from britekit.errors import BriteKitError, InferenceError, InputError, suggest
from britekit.inference.engine import RecordingScores, TooLong
from britekit.service.analysis import Analyst
from britekit.service.answers import ENDINGS, MEDIA_TYPES, TEXT_FORMATS
from britekit.service.contents import read_contents
from britekit.service.limits import read_limits
from britekit.service.picture import MAX_WIDTH, draw_spectrogram
from britekit.service.uploads import Refusal, Upload, receive_upload

logger = logging.getLogger(__name__)

FOLDER_VARIABLE = "BRITEKIT_MODEL_FOLDER"
FILE_FIELD = "audio"
RETRY_AFTER_SECONDS = 2
# The page carries its own script and style and talks to this server alone.
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src blob: data:; "
        "media-src blob:; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class _Gate:
    """Counts the requests that hold a recording, so that more than the limit are asked to come back."""

    def __init__(self) -> None:
        self.inside = 0


_gate = _Gate()
_limits = read_limits()
_recognizer: "Recognizer | None" = None


class RecordingInput(IODescriptor):
    """A form with a recording."""

    audio: Path = Field(description="The recording, in any format that libsndfile or FFmpeg reads.")

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> Any:
        """Receive the form; a refusal takes the place of the recording and is answered by the endpoint."""
        if _gate.inside >= _limits.max_requests:
            busy = Refusal(
                429, "the server is busy; try again soon", {"Retry-After": str(RETRY_AFTER_SECONDS)}
            )
            return cls.model_construct(audio=busy)
        _gate.inside += 1
        upload = None
        try:
            upload = await receive_upload(request, FILE_FIELD, _limits.max_bytes)
            values = _checked(cls, upload)
            values["audio"] = upload
            return cls.model_construct(**values)
        except BaseException as error:
            _gate.inside -= 1
            if upload is not None:
                upload.close()
            if isinstance(error, Refusal):
                return cls.model_construct(audio=error)
            raise


class DetectionsInput(RecordingInput):
    """A form with a recording and how its detections are wanted."""

    format: Literal["json", "audacity", "raven", "csv"] = Field("json", description="Form of the answer.")
    min_score: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Lowest score that makes a detection; the model's own setting if absent.",
    )
    label_field: Literal["names", "codes", "alt_names", "alt_codes"] | None = Field(
        None, description="What a label shows; the model's own setting if absent."
    )


class PictureInput(RecordingInput):
    """A form with a recording to draw."""

    max_width: int = Field(MAX_WIDTH, ge=100, le=MAX_WIDTH, description="Most columns of the picture.")


class Detection(BaseModel):
    """A class heard in a stretch of the recording."""

    class_name: str
    class_code: str
    label: str = Field(description="What label files show: name, code or an alternate.")
    start: float = Field(description="Seconds.")
    end: float = Field(description="Seconds.")
    score: float = Field(description="A probability if the model is calibrated.")


class DetectionsAnswer(BaseModel):
    """All detections of a recording, by start."""

    recording: str
    seconds: float
    damaged_at: float | None = Field(description="Second at which a damaged recording ended, or null.")
    min_score: float
    calibrated: bool
    detections: list[Detection]


class ScoresAnswer(BaseModel):
    """The ensemble's mean score of every class in every window, not calibrated."""

    recording: str
    seconds: float
    damaged_at: float | None
    window_seconds: float
    classes: list[str]
    starts: list[float]
    scores: list[list[float]]


def _endpoint(work: Callable[..., Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
    """Answer refusals and bad recordings with one sentence, and let go of the upload in every case."""

    @functools.wraps(work)
    async def answer(self: "Recognizer", audio: Any, **fields: Any) -> Response:
        if isinstance(audio, Refusal):
            return audio.response()
        try:
            return await work(self, audio, **fields)
        except Refusal as refusal:
            return refusal.response()
        except TooLong as error:
            return Refusal(413, f"{error}, the most this server accepts").response()
        except (InputError, InferenceError) as error:
            return Refusal(422, _sentence(error, audio)).response()
        except Exception:
            logger.exception("%s of %s failed", work.__name__, audio.name)
            return JSONResponse({"error": "the server failed at this recording"}, status_code=500)
        finally:
            _gate.inside -= 1
            audio.close()

    return answer


class _DocumentedService(Service):
    """A service whose OpenAPI also names the answers and the path that BentoML does not know of."""

    @property
    def openapi_spec(self) -> Any:
        spec = super().openapi_spec
        plain = {
            "type": "object",
            "properties": {"error": {"type": "string", "description": "One sentence."}},
            "required": ["error"],
        }
        refusals = {
            400: "The form is not usable.",
            408: "The upload stopped.",
            413: "The recording is too large or too long.",
            415: "The body is no multipart form.",
            422: "The file cannot be decoded as audio.",
            429: "Busy; Retry-After says when to come back.",
            500: "A failure of the server.",
        }
        answers = {
            status: {"description": text, "content": {"application/json": {"schema": plain}}}
            for status, text in refusals.items()
        }
        document = spec.asdict()
        for path, item in document["paths"].items():
            if path.strip("/") in ("detections", "scores", "spectrogram"):
                responses = item["post"]["responses"]
                for status in [key for key in responses if int(key) >= 400]:
                    del responses[status]
                responses.update({str(status): answer for status, answer in answers.items()})
        for path, kinds in (("/detections", MEDIA_TYPES.values()), ("/spectrogram", ["image/png"])):
            content = document["paths"][path]["post"]["responses"][_success(document, path)]["content"]
            if path == "/spectrogram":
                content.clear()
            for kind in kinds:
                content.setdefault(kind.partition(";")[0], {"schema": {"type": "string", "format": "binary"}})
        document["paths"]["/model"] = {
            "get": {
                "operationId": "model",
                "description": "Classes, settings, calibration, members, limits and version.",
                "responses": {
                    "200": {
                        "description": "Facts",
                        "content": {"application/json": {"schema": {"type": "object"}}},
                    }
                },
            }
        }
        return _Document(document)


class _Document:
    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    def asdict(self) -> dict[str, Any]:
        return self._document


async def _page(request: Request) -> Response:
    return FileResponse(Path(__file__).with_name("page.html"), media_type="text/html", headers=PAGE_HEADERS)


async def _model(request: Request) -> Response:
    if _recognizer is None:
        return JSONResponse({"error": "the model is still being loaded"}, status_code=503)
    return JSONResponse(_recognizer.facts())


pages = Starlette(routes=[Route("/", _page, methods=["GET"]), Route("/model", _model, methods=["GET"])])


@bentoml.asgi_app(pages, path="/", name="pages")
@bentoml.service(
    name="britekit",
    service_class=_DocumentedService,
    # One process: it uses all cores, and the cache and the count of requests are for all clients.
    workers=1,
    envs=[{"name": "BENTOML_DO_NOT_TRACK", "value": "true"}],
    traffic={"timeout": 3600},
    metrics={"enabled": True, "namespace": "britekit"},
    logging={"access": {"enabled": True, "skip_paths": ["/healthz", "/livez", "/readyz", "/metrics"]}},
)
class Recognizer:
    """Finds the sounds a model knows in recordings."""

    def __init__(self) -> None:
        global _recognizer
        contents = read_contents(Path(os.environ.get(FOLDER_VARIABLE, "model")))
        self._contents = contents
        self._analyst = Analyst(contents, _limits)
        self._threads = ThreadPoolExecutor(_limits.threads, thread_name_prefix="recording")
        _recognizer = self

    def facts(self) -> dict[str, Any]:
        """Return what the model is: classes, settings, calibration, members, limits, version."""
        return {
            **self._analyst.facts(),
            "limits": {"max_bytes": _limits.max_bytes, "max_seconds": _limits.max_seconds},
        }

    @bentoml.on_shutdown
    def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown(cancel_futures=True)
        self._analyst.close()

    async def _run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    @bentoml.api(input_spec=DetectionsInput, output_spec=DetectionsAnswer)
    @_endpoint
    async def detections(
        self, audio: Any, format: str, min_score: float | None, label_field: str | None
    ) -> Response:
        """Return what is heard in a recording, as JSON, Audacity labels, a Raven selection table or CSV."""
        result = await self._analyst.analyze(audio.path, audio.sha256)
        return await self._run(self._detections, audio.name, result, format, min_score, label_field)

    @bentoml.api(input_spec=RecordingInput, output_spec=ScoresAnswer)
    @_endpoint
    async def scores(self, audio: Any) -> Response:
        """Return the score of every class in every window of a recording."""
        result = await self._analyst.analyze(audio.path, audio.sha256)
        return await self._run(self._scores, audio.name, result)

    @bentoml.api(input_spec=PictureInput, output_spec=DetectionsAnswer)
    @_endpoint
    async def spectrogram(self, audio: Any, max_width: int) -> Response:
        """Return a spectrogram of the recording as PNG, on the frequency scale the model sees."""
        return await self._run(self._spectrogram, audio, max_width)

    def _detections(
        self, name: str, result: RecordingScores, form: str, min_score: float | None, label_field: str | None
    ) -> Response:
        if min_score is None:
            min_score = self._contents.cfg.infer.min_score
        found, calibration = self._analyst.label(result, min_score)
        field = label_field or self._contents.cfg.infer.label_field
        if form == "json":
            body: Any = {
                "recording": name,
                "seconds": result.seconds,
                "damaged_at": result.damaged_at,
                "min_score": min_score,
                "calibrated": not calibration.is_identity,
                "detections": [
                    {
                        "class_name": x.info.name,
                        "class_code": x.info.code,
                        "label": x.info.label(field),
                        "start": x.start,
                        "end": x.end,
                        "score": x.score,
                    }
                    for x in sorted(found, key=lambda x: (x.start, x.info.name))
                ],
            }
            text = json.dumps(body, ensure_ascii=False)
        else:
            low, high = self._contents.cfg.audio.min_freq, self._contents.cfg.audio.max_freq
            labels = [Label(name, x.info.label(field), x.start, x.end, x.score) for x in found]
            text = TEXT_FORMATS[form](labels, low, high)
        headers = {} if form == "json" else {"Content-Disposition": _attachment(name + ENDINGS[form])}
        return Response(text.encode(), media_type=MEDIA_TYPES[form], headers=headers)

    def _scores(self, name: str, result: RecordingScores) -> Response:
        body = {
            "recording": name,
            "seconds": result.seconds,
            "damaged_at": result.damaged_at,
            "window_seconds": self._contents.cfg.audio.spec_duration,
            "classes": [x.name for x in self._analyst.classes],
            "starts": result.starts.tolist(),
            "scores": result.scores.tolist(),
        }
        return Response(json.dumps(body, ensure_ascii=False).encode(), media_type=MEDIA_TYPES["json"])

    def _spectrogram(self, audio: Upload, max_width: int) -> Response:
        picture = draw_spectrogram(audio.path, self._contents.cfg.audio, _limits.max_seconds, max_width)
        return Response(
            picture.png,
            media_type="image/png",
            headers={
                "X-Recording-Seconds": f"{picture.seconds:.6f}",
                "X-Picture-Seconds": f"{picture.shown_seconds:.6f}",
            },
        )


def _checked(form: Any, upload: Upload) -> dict[str, Any]:
    """Check the text fields of a form; empty ones count as absent."""
    known = [name for name in form.model_fields if name != FILE_FIELD]
    for name in upload.fields:
        if name not in known:
            hint = suggest(name, known) or (
                "; known are " + ", ".join(known) if known else "; there are none"
            )
            raise Refusal(400, f'the form has an unknown field "{name[:40]}"{hint}')
    given = {name: value for name, value in upload.fields.items() if value not in ("", "null")}
    try:
        checked = form.model_validate({**given, FILE_FIELD: upload.path})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        message = str(first["msg"])
        raise Refusal(
            400, f'field {name}: "{str(first.get("input"))[:40]}": {message[:1].lower()}{message[1:]}'
        ) from None
    return {name: getattr(checked, name) for name in known}


def _sentence(error: BriteKitError, upload: Upload) -> str:
    """Return an error's text with the client's name of the file in place of the server's path."""
    text = str(error).splitlines()[0]
    for path in (shown(upload.path), str(upload.path), str(upload.path.parent)):
        text = text.replace(path, upload.name)
    return text


def _attachment(name: str) -> str:
    plain = name.encode("ascii", "replace").decode().replace("?", "_").replace('"', "_")
    return f'attachment; filename="{plain}"'


def _success(document: dict[str, Any], path: str) -> Any:
    return next(key for key in document["paths"][path]["post"]["responses"] if int(key) == 200)

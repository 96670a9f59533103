"""The BentoML service: endpoints, what is answered when something is wrong, and OpenAPI.

BentoML brings health, readiness, metrics, workers and containers. Uploads are received by ``uploads.py``,
not by BentoML's own reader; nothing is raised through BentoML, which would log a traceback for every bad
file.
"""

import asyncio
import contextlib
import functools
import json
import logging
import os
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import bentoml
from bentoml.images import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from britekit.annotations.labels import Label
from britekit.audio.files import shown
from britekit.errors import BriteKitError, InferenceError, InputError
from britekit.inference.engine import RecordingScores, TooLong
from britekit.service.analysis import Analyst, Found
from britekit.service.answers import ENDINGS, MEDIA_TYPES, TEXT_FORMATS
from britekit.service.bento import BASE_IMAGE
from britekit.service.connections import NoPickles, close_silent_connections
from britekit.service.contents import read_contents
from britekit.service.deadlines import REQUEST_SECONDS, STOP, Deadlines, PunctualService
from britekit.service.forms import GATE, LIMITS, DetectionsInput, PictureInput, RecordingInput
from britekit.service.openapi import DetectionsAnswer, ScoresAnswer
from britekit.service.orphans import remove_leftovers, watch_serve
from britekit.service.picture import Drawing, Picture
from britekit.service.uploads import Refusal, Upload

logger = logging.getLogger(__name__)

FOLDER_VARIABLE = "BRITEKIT_MODEL_FOLDER"
# What is said to nobody: the client has left. Not a failure of the server, so below 500.
CLIENT_GONE = 499
ROWS = 256  # made into text at a time
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

_recognizer: "Recognizer | None" = None
close_silent_connections()


def _endpoint(work: Callable[..., Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
    """Answer refusals and bad recordings with one sentence, and let go of the upload in every case."""

    @functools.wraps(work)
    async def answer(self: "Recognizer", audio: Any, **fields: Any) -> Response:
        if isinstance(audio, Refusal):
            return audio.response()
        try:
            return await _while_wanted(work(self, audio, **fields), audio)
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
            GATE.inside -= 1
            audio.close()

    return answer


async def _while_wanted(work: Awaitable[Response], audio: Upload) -> Response:
    """Do the work, or give it up as soon as the client has gone."""
    task = asyncio.ensure_future(work)
    if audio.gone is None:
        return await task
    watch = asyncio.ensure_future(audio.gone())
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        logger.info("the client of %s has gone; its analysis stops", audio.name)
        return Response(status_code=CLIENT_GONE)
    finally:
        for unfinished in (task, watch):
            unfinished.cancel()
        # The upload is removed next: nobody may still be reading it.
        await asyncio.wait({task, watch})


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
    service_class=PunctualService,
    # One process: it uses all cores, and the cache and the count of requests are for all clients.
    workers=1,
    envs=[{"name": "BENTOML_DO_NOT_TRACK", "value": "true"}],
    traffic={"timeout": REQUEST_SECONDS},
    # `bentoml containerize` puts a compiler, 300 MB, into images of distributions that it knows.
    image=Image(base_image=BASE_IMAGE, distro="any"),
    metrics={"enabled": True, "namespace": "britekit"},
    logging={"access": {"enabled": True, "skip_paths": ["/healthz", "/livez", "/readyz", "/metrics"]}},
)
class Recognizer:
    """Finds the sounds a model knows in recordings."""

    def __init__(self) -> None:
        global _recognizer
        contents = read_contents(Path(os.environ.get(FOLDER_VARIABLE, "model")))
        self._contents = contents
        self._analyst = Analyst(contents, LIMITS)
        self._threads = ThreadPoolExecutor(LIMITS.threads, thread_name_prefix="recording")
        _recognizer = self
        watch_serve()
        STOP.listen(LIMITS.stop_seconds, _end)

    def facts(self) -> dict[str, Any]:
        """Return what the model is: classes, settings, calibration, members, limits, version."""
        return {
            **self._analyst.facts(),
            "limits": {"max_bytes": LIMITS.max_bytes, "max_seconds": LIMITS.max_seconds},
        }

    @bentoml.on_shutdown
    def close(self) -> None:
        """Stop the threads, and tidy up if nobody else can."""
        self._threads.shutdown(cancel_futures=True)
        self._analyst.close()
        remove_leftovers()

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
        return self._scores(audio.name, result)

    @bentoml.api(input_spec=PictureInput, output_spec=DetectionsAnswer)
    @_endpoint
    async def spectrogram(self, audio: Any, max_width: int) -> Response:
        """Return a spectrogram of the recording as PNG, on the frequency scale the model sees."""
        with contextlib.closing(
            Drawing(audio.path, self._contents.cfg.audio, LIMITS.max_seconds, max_width)
        ) as drawing:
            picture: Picture | None = None
            while picture is None:  # between two pieces others get their turn
                piece = asyncio.ensure_future(self._run(drawing.advance))
                try:
                    picture = await asyncio.shield(piece)
                except asyncio.CancelledError:
                    await asyncio.wait({piece})
                    raise
        headers = {
            "X-Recording-Seconds": f"{picture.seconds:.6f}",
            "X-Picture-Seconds": f"{picture.shown_seconds:.6f}",
        }
        return Response(picture.png, media_type="image/png", headers=headers)

    def _detections(
        self, name: str, result: RecordingScores, form: str, min_score: float | None, label_field: str | None
    ) -> Response:
        if min_score is None:
            min_score = self._contents.cfg.infer.min_score
        found, calibration = self._analyst.label(result, min_score)
        field = label_field or self._contents.cfg.infer.label_field
        if form == "json":
            facts = {
                "recording": name,
                "seconds": result.seconds,
                "damaged_at": result.damaged_at,
                "min_score": min_score,
                "calibrated": not calibration.is_identity,
            }
            found.sort(key=lambda x: (x.start, x.info.name))
            rows = _pieces(len(found), lambda part: [_detection(x, field) for x in found[part]])
            return StreamingResponse(_json_text(facts, "detections", rows), media_type=MEDIA_TYPES[form])
        low, high = self._contents.cfg.audio.min_freq, self._contents.cfg.audio.max_freq
        labels = [Label(name, x.info.label(field), x.start, x.end, x.score) for x in found]
        headers = {"Content-Disposition": _attachment(name + ENDINGS[form])}
        text = TEXT_FORMATS[form](labels, low, high)
        return Response(text.encode(), media_type=MEDIA_TYPES[form], headers=headers)

    def _scores(self, name: str, result: RecordingScores) -> Response:
        facts = {
            "recording": name,
            "seconds": result.seconds,
            "damaged_at": result.damaged_at,
            "window_seconds": self._contents.cfg.audio.spec_duration,
            "classes": [x.name for x in self._analyst.classes],
            "starts": result.starts.tolist(),
        }
        scores = result.scores
        rows = _pieces(len(scores), lambda part: scores[part].tolist())
        return StreamingResponse(_json_text(facts, "scores", rows), media_type=MEDIA_TYPES["json"])


def _detection(found: Found, field: str) -> dict[str, Any]:
    return {
        "class_name": found.info.name,
        "class_code": found.info.code,
        "label": found.info.label(field),
        "start": found.start,
        "end": found.end,
        "score": found.score,
    }


def _pieces(count: int, rows: Callable[[slice], list[Any]]) -> Iterator[list[Any]]:
    return (rows(slice(at, at + ROWS)) for at in range(0, count, ROWS))


def _json_text(facts: dict[str, Any], name: str, pieces: Iterator[list[Any]]) -> Iterator[bytes]:
    """Yield an answer piece by piece: hours of many classes are a long text, and others want their turn."""
    yield (json.dumps(facts, ensure_ascii=False)[:-1] + f', "{name}": [').encode()
    for number, piece in enumerate(pieces):
        yield ((", " if number else "") + json.dumps(piece, ensure_ascii=False)[1:-1]).encode()
    yield b"]}"


def _sentence(error: BriteKitError, upload: Upload) -> str:
    """Return an error's text with the client's name of the file in place of the server's path."""
    text = str(error).splitlines()[0]
    for path in (shown(upload.path), str(upload.path), str(upload.path.parent)):
        text = text.replace(path, upload.name)
    return text


def _attachment(name: str) -> str:
    """Return the header that names a download; other than plain letters as RFC 6266 has it."""
    plain = name.encode("ascii", "replace").decode().replace("?", "_").replace("\\", "_")
    both = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'attachment; filename="{plain}"{both}'


def _end() -> None:
    """End the process without waiting for its threads."""
    remove_leftovers()
    os._exit(0)


Recognizer.add_asgi_middleware(Deadlines)  # type: ignore[attr-defined]
Recognizer.add_asgi_middleware(NoPickles)  # type: ignore[attr-defined]

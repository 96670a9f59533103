"""The application: the routes, and what is answered where there is none."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from britekit.service.access import Access
from britekit.service.front import Front, Stop
from britekit.service.jobs.routes import Jobs
from britekit.service.limits import Limits
from britekit.service.openapi import describe
from britekit.service.recognizer import Recognizer

STATIC = Path(__file__).with_name("static")
# The page's script and style are files of this server, and it talks to this server alone.
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src blob: data:; "
        "media-src blob:; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def build_app(
    recognizer: Recognizer,
    limits: Limits,
    stop: Stop | None = None,
    access: Access | None = None,
    jobs: Jobs | None = None,
) -> Starlette:
    """Return the ASGI application; its lifespan loads the model where that has not been done.

    Parameters
    ----------
    stop
        Of the server that runs it.
    access
        Who may use it; everybody if absent.
    jobs
        Adds their endpoints.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        recognizer.load()
        if jobs is not None:
            jobs.start()
        yield
        if jobs is not None:
            jobs.close()
        recognizer.close()

    async def document(request: Request) -> Response:
        return JSONResponse(describe(jobs is not None))

    async def alive(request: Request) -> Response:
        return PlainTextResponse("\n")

    pages = {"/": "page.html", "/docs": "api.html"}
    posts = {"detections": recognizer.detections, "scores": recognizer.scores, "spectrogram": recognizer.spectrogram}
    gets = {
        "model": recognizer.model,
        "sample": recognizer.sample,
        "metrics": recognizer.figures,
        "docs.json": document,
    }
    routes: list[Any] = [
        *(Route(f"/{name}", work, methods=["POST"]) for name, work in posts.items()),
        *(Route(f"/{name}", work, methods=["GET"]) for name, work in gets.items()),
        *(Route(path, functools.partial(_page, file), methods=["GET"]) for path, file in pages.items()),
        *(Route(path, alive, methods=["GET"]) for path in ("/livez", "/healthz", "/readyz")),
        *([] if jobs is None else jobs.routes()),
    ]
    methods: dict[str, set[str]] = {}
    for route in routes:
        methods.setdefault(route.path, set()).update(route.methods or ())
    allowed = {path: ", ".join(sorted(names)) for path, names in methods.items()}
    if stop is not None and jobs is not None:
        stop.on_leave.append(jobs.leave)
    routes.append(Mount("/static", StaticFiles(directory=STATIC)))
    return Starlette(
        # The last one also keeps BentoML's own pages out.
        routes=[*routes, Route("/{path:path}", functools.partial(_nothing_there, allowed, jobs), methods=None)],
        lifespan=lifespan,
        middleware=[
            Middleware(Front, frozenset(methods), limits, recognizer.metrics, stop or Stop(), access or Access([]))
        ],
        exception_handlers={HTTPException: _http_error},
    )


async def _page(file: str, request: Request) -> Response:
    return Response((STATIC / file).read_bytes(), media_type="text/html", headers=PAGE_HEADERS)


async def _nothing_there(methods: dict[str, str], jobs: Jobs | None, request: Request) -> Response:
    if allowed := methods.get(request.url.path):
        sentence = f"{request.method[:20]} is not possible here; this address takes {allowed}"
        raise HTTPException(405, sentence, {"Allow": allowed})
    if jobs is None and f"{request.url.path}/".startswith("/jobs/"):
        raise HTTPException(
            404, "this server takes no jobs; its operator switches them on with --jobs or BRITEKIT_JOBS"
        )
    raise HTTPException(404, "there is nothing at this address; /docs lists what there is")


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)

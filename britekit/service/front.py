"""Everything that holds for any request: its Host, its time limit, its line in the log, its metrics.

A server that is asked to stop answers what is running within its grace period; the rest gets one sentence
while there is still a connection to send it on.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable

from anyio import move_on_after
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from britekit.service import tracing
from britekit.service.access import TOKEN_KEY, Access
from britekit.service.limits import HOSTS_VARIABLE, Limits
from britekit.service.logs import FACTS
from britekit.service.metrics import Metrics

logger = logging.getLogger("britekit.access")

REQUEST_SECONDS = 3600
RETRY_AFTER_SECONDS = 10  # about what a server takes to start again
HEALTH = ("/healthz", "/livez", "/readyz", "/metrics")
# After the answer, what still arrives is read and dropped for so long: closing a connection with unread bytes
# resets it, and a reset takes the answer away from a client that has not read it yet.
_DRAIN_SECONDS = 1.0


class Stop:
    """Whether the grace period of a stop is over.

    Attributes
    ----------
    on_leave
        Called when the stop is asked for.
    """

    def __init__(self) -> None:
        self._over: asyncio.Event | None = None
        self.on_leave: list[Callable[[], None]] = []

    @property
    def over(self) -> asyncio.Event:
        """The event; made in the running loop."""
        if self._over is None:
            self._over = asyncio.Event()
        return self._over


class Front:
    """Middleware around the whole application."""

    def __init__(
        self,
        app: ASGIApp,
        routes: frozenset[str],
        limits: Limits,
        metrics: Metrics,
        stop: Stop,
        access: Access | None = None,
    ) -> None:
        self._app, self._routes, self._limits = app, routes, limits
        self._metrics, self._stop, self._access = metrics, stop, access or Access([])
        # Such as /jobs/{id}: few names in the metrics, whatever clients ask for.
        self._patterns = [(re.compile(re.sub(r"\\?{\w+\\?}", "[^/]+", re.escape(x))), x) for x in routes if "{" in x]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        route = self._route(scope["path"])
        began, status = time.perf_counter(), 0

        async def noted_send(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        with (
            self._metrics.in_progress.labels(route).track_inprogress(),
            tracing.request_span(scope["method"], route, scope["headers"]) as span,
        ):
            try:
                refusal = self._refusal(scope) or self._access.refusal(scope)
                if refusal is None:
                    await self._in_time(scope, receive, noted_send, lambda: status > 0)
                else:
                    self._metrics.refusals.labels(refusal.status_code).inc()
                    await _answer_early(refusal, receive, noted_send)
            except Exception:
                logger.exception("%s failed", route)
                if status == 0:
                    failed = JSONResponse({"error": "the server failed at this request"}, 500)
                    await failed(scope, receive, noted_send)
            finally:
                took = time.perf_counter() - began
                tracing.answered(span, status)
                self._metrics.requests.labels(route, status).inc()
                self._metrics.durations.labels(route, status).observe(took)
                if route not in HEALTH:
                    # A client chooses path and address (X-Forwarded-For), so both are quoted in ASCII.
                    client = ascii((scope.get("client") or ("",))[0])[:60]
                    path = route if route != "other" else ascii(scope["path"][:200])
                    token = scope.get(TOKEN_KEY, "")
                    facts = {"method": scope["method"], "path": path, "status": status, "seconds": round(took, 3),
                             "client": client, "token": token}  # fmt: skip
                    line = "%s %s status=%d seconds=%.3f client=%s" + (" token=%s" if token else "%s")
                    logger.info(line, *(scope["method"], path, status, took, client, token), extra={FACTS: facts})

    def _route(self, path: str) -> str:
        if path in self._routes:
            return path
        return next((route for pattern, route in self._patterns if pattern.fullmatch(path)), "other")

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        """Return what to answer a request that is refused by its head alone."""
        headers = [name for name, _ in scope["headers"]]
        if b"content-length" in headers and b"transfer-encoding" in headers:
            # A proxy might take another part of the body for the next request.
            sentence = "the request has both Content-Length and Transfer-Encoding; send one of them"
            return JSONResponse({"error": sentence}, 400, {"Connection": "close"})
        if self._limits.hosts and scope["path"] not in HEALTH:
            name = next((value for key, value in scope["headers"] if key == b"host"), b"").decode("latin-1")
            bare = name.rpartition(":")[0] if name.rpartition(":")[2].isdigit() else name
            if bare.strip("[]").lower() not in self._limits.hosts:
                sentence = (
                    f'this service is not called "{bare[:60]}"; the environment variable {HOSTS_VARIABLE} '
                    "lists the names it answers to"
                )
                return JSONResponse({"error": sentence}, 421, {"Connection": "close"})
        return None

    async def _in_time(self, scope: Scope, receive: Receive, send: Send, begun: Callable[[], bool]) -> None:
        """Run the application; give it up, and say so, after an hour or when a stop's grace is over."""
        more_body = True

        async def noted_receive() -> Message:
            nonlocal more_body
            message = await receive()
            more_body = message.get("more_body", False)
            return message

        work = asyncio.ensure_future(self._app(scope, noted_receive, send))
        over = asyncio.ensure_future(self._stop.over.wait())
        try:
            await asyncio.wait({work, over}, timeout=REQUEST_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
                return
        finally:
            over.cancel()
            work.cancel()
            await asyncio.wait({work})
        if begun():
            return
        await _answer_early(self._given_up(), noted_receive, send, more_body)

    def _given_up(self) -> JSONResponse:
        headers = {"Connection": "close"}
        if not self._stop.over.is_set():
            return JSONResponse({"error": f"the server was not done within {REQUEST_SECONDS} s"}, 504, headers)
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return JSONResponse({"error": "the server is stopping; send the recording again in a moment"}, 503, headers)


async def _answer_early(answer: JSONResponse, receive: Receive, send: Send, more_body: bool = True) -> None:
    """Answer before the body has arrived, and read on for a moment, so that the client gets to see the answer."""
    await send({"type": "http.response.start", "status": answer.status_code, "headers": answer.raw_headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": True})
    with move_on_after(_DRAIN_SECONDS):
        while more_body:
            message = await receive()
            more_body = message.get("more_body", False)
    await send({"type": "http.response.body", "body": b""})

"""No request takes longer than an hour, and none is left without an answer by a server that stops.

A server that is asked to stop (SIGTERM, ctrl-C) takes no more requests and has a few seconds for those it is
at work on. Whoever is not done by then is told so, while there is still somebody to tell it.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from anyio import move_on_after
from bentoml._internal.server.http.traffic import TimeoutMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from britekit.service.openapi import DocumentedService

REQUEST_SECONDS = 3600
RETRY_AFTER_SECONDS = 10  # about what a server takes to start anew
# What still arrives after the answer is read and dropped for so long: a connection that is closed with unread
# bytes is reset, and a reset takes the answer away from a client that has not read it yet.
_DRAIN_SECONDS = 1.0
# For the last answers and to tidy up. Threads that are at work after that are at work for nobody.
_END_SECONDS = 1.5


class Stop:
    """Knows whether the server was asked to stop so long ago that all must be answered now."""

    def __init__(self) -> None:
        self._over: asyncio.Future[None] | None = None

    def listen(self, grace_seconds: float, end: Callable[[], None]) -> None:
        """Wait for SIGTERM and SIGINT; to be called in the server's loop, on the main thread.

        Parameters
        ----------
        grace_seconds
            From the signal on, for the requests under way.
        end
            Called from a thread soon after, if the process is there still: it must end it.
        """
        loop = asyncio.get_running_loop()
        over = self._over = loop.create_future()

        def be_over() -> None:
            if not over.done():  # a second signal
                over.set_result(None)

        def begin() -> None:
            loop.call_later(grace_seconds, be_over)
            last = threading.Timer(grace_seconds + _END_SECONDS, end)
            last.daemon = True
            last.start()

        before: dict[int, Any] = {}

        def note(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(begin)
            if callable(before[number]):  # uvicorn's, which takes no more requests from now on
                before[number](number, frame)

        for number in (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.getsignal(number)
            signal.signal(number, note)

    async def wait(self, work: asyncio.Future[None], seconds: float) -> None:
        """Return when the work is done, or must be given up."""
        awaited = {work} if self._over is None else {work, self._over}
        await asyncio.wait(awaited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)

    @property
    def is_over(self) -> bool:
        return self._over is not None and self._over.done()


STOP = Stop()


class Deadlines:
    """Middleware that gives up a request when its time is over, and says so if no answer has begun."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, more_body = False, True

        async def noted_receive() -> Message:
            nonlocal more_body
            message = await receive()
            more_body = message.get("more_body", False)
            return message

        async def noted_send(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        work = asyncio.ensure_future(self._app(scope, noted_receive, noted_send))
        try:
            await STOP.wait(work, REQUEST_SECONDS)
            if work.done():
                work.result()
                return
        finally:
            work.cancel()
            await asyncio.wait({work})
        if not begun:
            answer = _given_up()
            await send(
                {"type": "http.response.start", "status": answer.status_code, "headers": answer.raw_headers}
            )
            await send({"type": "http.response.body", "body": answer.body, "more_body": True})
            with move_on_after(_DRAIN_SECONDS):
                while more_body:
                    await noted_receive()
            await send({"type": "http.response.body", "body": b""})


def _given_up() -> JSONResponse:
    close = {"Connection": "close"}
    if STOP.is_over:
        sentence, status = "the server is stopping; send the recording again in a moment", 503
        return JSONResponse({"error": sentence}, status, {"Retry-After": str(RETRY_AFTER_SECONDS), **close})
    return JSONResponse({"error": f"the server was not done within {REQUEST_SECONDS} s"}, 504, close)


class PunctualService(DocumentedService):
    """A service with `Deadlines` in place of BentoML's own time limit.

    BentoML starts a timer for every request and leaves it running when the answer has been given. Each keeps
    its request, 45 kB with all that belongs to it, for as long as the limit: the server grew by 130 MB in
    3,000 requests, and would have grown for an hour.
    """

    def to_asgi(self, is_main: bool = True) -> Any:
        app = super().to_asgi(is_main)
        app.user_middleware = [kept for kept in app.user_middleware if kept.cls is not TimeoutMiddleware]
        return app

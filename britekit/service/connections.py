"""Closes connections on which nothing is asked, and refuses pickles before BentoML sees them.

uvicorn waits without limit of time for the head of a request; a thousand such clients would use up the
server's open files. It has no setting for it, so its protocol classes are extended here, when the service
starts.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

PICKLES = b"application/vnd.bentoml+pickle"
HEAD_SECONDS = 20.0  # between two looks; a head that takes longer than one to two of them is not waited for
_PROTOCOLS = (
    ("uvicorn.protocols.http.h11_impl", "H11Protocol"),
    ("uvicorn.protocols.http.httptools_impl", "HttpToolsProtocol"),
)


def close_silent_connections() -> None:
    """From now on close a connection without a request under way after 20 to 40 seconds."""
    for module, name in _PROTOCOLS:
        try:
            protocol: Any = getattr(importlib.import_module(module), name)
        except ModuleNotFoundError:  # uvicorn's faster parser is optional
            continue
        if not hasattr(protocol.connection_made, "__wrapped__"):
            protocol.connection_made = _looked_after(protocol.connection_made)


class NoPickles:
    """Middleware that refuses BentoML's pickles in one sentence; BentoML itself logs a traceback for each."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            kinds = [value for name, value in scope["headers"] if name == b"content-type"]
            if any(kind.partition(b";")[0].strip().lower() == PICKLES for kind in kinds):
                sentence = "pickles are not accepted; send the recording as multipart/form-data"
                await JSONResponse({"error": sentence}, status_code=415)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _looked_after(connection_made: Any) -> Any:
    @functools.wraps(connection_made)
    def answer(self: Any, transport: asyncio.Transport) -> None:
        connection_made(self, transport)
        self.loop.call_later(HEAD_SECONDS, _look, self, transport, object())

    return answer


def _look(protocol: Any, transport: asyncio.Transport, seen: object) -> None:
    """Close the connection if it is without a request, as it was when it was last looked at."""
    if transport.is_closing():
        return
    cycle = protocol.cycle
    idle = cycle is None or cycle.response_complete
    if idle and cycle is seen:
        transport.close()
        return
    protocol.loop.call_later(HEAD_SECONDS, _look, protocol, transport, cycle if idle else object())

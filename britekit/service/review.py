"""The page on which detections are judged: a small application for one person on this machine.

It listens on 127.0.0.1 alone. A token in the address keeps other programs and other pages out; requests of
another origin or for another host are refused. Sound goes to the browser as samples, where the spectrogram is
drawn and playback is slowed or filtered, so moving on to the next detection needs no answer from here.
"""

from __future__ import annotations

import asyncio
import hmac
import io
import json
import logging
import socket
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import soundfile  # type: ignore[import-untyped]
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from britekit.audio.decoding import AudioReader
from britekit.audio.time_expansion import factor_of
from britekit.errors import BriteKitError, InputError
from britekit.results.recordings import Recordings
from britekit.results.review import Review

log = logging.getLogger(__name__)

STATIC = Path(__file__).with_name("static")
CONTEXT_S = 3.0
"""Seconds shown before and after a detection."""
_MOST_SHOWN_S = 120.0
_KEPT = 12  # stretches of sound
_MOST_BODY = 20_000
_SCRIPTS = ("review.js", "player.js")
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Sounds:
    """Stretches of recordings as WAV, the last few kept."""

    def __init__(self, archive: Recordings, review: Review) -> None:
        self._archive, self._review = archive, review
        self._kept: OrderedDict[int, tuple[bytes, float]] = OrderedDict()
        self._lock = Lock()

    def get(self, number: int) -> tuple[bytes, float]:
        """Return the sound about an item, with some seconds around it, and the second at which it begins.

        Raises `InputError` if the recording is gone, cannot be decoded, or ends before the detection does.
        """
        with self._lock:
            if number in self._kept:
                self._kept.move_to_end(number)
                return self._kept[number]
        item = self._review.items[number]
        path = self._archive.find(item.recording)
        if path is None:
            raise InputError(f"{item.recording}: the recording was not found below {self._archive.root}")
        first = max(0.0, item.start - CONTEXT_S)
        until = min(item.end + CONTEXT_S, first + _MOST_SHOWN_S)
        samples, rate = read_stretch(path, first, until, item.channel)
        if first + len(samples) / rate < min(item.end, until) - 0.02:
            raise InputError(
                f"{item.recording} ends before the detection does, which is at {item.end:.2f} s; the recording "
                "has changed since it was analyzed"
            )
        wav = io.BytesIO()
        soundfile.write(wav, samples, rate, format="WAV", subtype="PCM_16")
        with self._lock:
            self._kept[number] = wav.getvalue(), first
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return wav.getvalue(), first


def read_stretch(path: Path, start: float, end: float, channel: str = "") -> tuple[np.ndarray, int]:
    """Return a channel of a stretch, or the mean of all, float32 (n,), and the sampling rate; less at the end."""
    which = slice(None) if not channel else slice(int(channel) - 1, int(channel))
    try:
        info = soundfile.info(str(path))
        exact = info.format in ("WAV", "WAVEX", "FLAC", "AIFF", "W64", "RF64")
    except (soundfile.LibsndfileError, RuntimeError, TypeError, OSError):
        exact = False
    if exact:
        rate = round(info.samplerate * factor_of(path))
        first, count = round(start * rate), round((end - start) * rate)
        if first + count <= info.frames:
            with soundfile.SoundFile(str(path)) as file:
                file.seek(first)
                return file.read(count, dtype="float32", always_2d=True)[:, which].mean(axis=1), rate
    with AudioReader(path, warn=False) as reader:
        first, stop = round(start * reader.rate), round(end * reader.rate)
        at, parts = 0, []
        for block in reader.blocks():
            size = block.shape[1]
            if at + size > first:
                parts.append(block[which, max(0, first - at) : stop - at].mean(axis=0))
            at += size
            if at >= stop:
                break
        return (np.concatenate(parts) if parts else np.empty(0, np.float32)), reader.rate


class ReviewApp:
    """The endpoints of one review.

    Parameters
    ----------
    archive
        Where its recordings are.
    token
        What the address holds.
    hosts
        Values of the header ``Host`` that are answered.
    """

    def __init__(self, review: Review, archive: Recordings, token: str, hosts: set[str]) -> None:
        self.review, self._token, self._hosts = review, token, hosts
        self._sounds = Sounds(archive, review)

    def build(self) -> Starlette:
        """Return the application."""
        return Starlette(
            routes=[
                Route("/", self._guarded(self._page)),
                *(Route(f"/{name}", self._guarded(_script(name), with_token=False)) for name in _SCRIPTS),
                Route("/api/session", self._guarded(self._session)),
                Route("/api/items/{number:int}", self._guarded(self._item)),
                Route("/api/items/{number:int}/sound", self._guarded(self._sound)),
                Route("/api/items/{number:int}/verdict", self._guarded(self._verdict), methods=["POST"]),
                Route("/api/next", self._guarded(self._next)),
                Route("/api/undo", self._guarded(self._undo), methods=["POST"]),
            ]
        )

    def _guarded(
        self, work: Callable[[Request], Awaitable[Response]], with_token: bool = True
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            host, origin = request.headers.get("host", ""), request.headers.get("origin")
            if host not in self._hosts or (origin is not None and origin != f"http://{host}"):
                return _error(403, "this page answers only the address that `britekit review` printed")
            given = request.headers.get("x-review-token") or request.query_params.get("token", "")
            if with_token and not hmac.compare_digest(given.encode(), self._token.encode()):
                return _error(403, "the token is missing or wrong; open the address that was printed")
            try:
                return await work(request)
            except BriteKitError as error:
                return _error(409, str(error))

        return endpoint

    async def _page(self, request: Request) -> Response:
        text = (STATIC / "review.html").read_text(encoding="utf-8")
        return Response(text, media_type="text/html", headers=_HEADERS)

    async def _session(self, request: Request) -> Response:
        first = await asyncio.to_thread(self.review.next_number)
        progress = await asyncio.to_thread(self.review.progress)
        return JSONResponse(
            {
                "reviewer": self.review.reviewer,
                "queue": self.review.queue,
                "classes": self.review.classes,
                "first": first,
                "progress": progress,
            }
        )

    async def _item(self, request: Request) -> Response:
        number = self._number(request)
        item, verdict = self.review.items[number], self.review.verdict_of(number)
        return JSONResponse(
            {
                "number": number,
                "recording": item.recording,
                "channel": item.channel,
                "site": item.site,
                "time": item.time,
                "start": item.start,
                "end": item.end,
                "name": item.name,
                "score": item.score,
                "verdict": None
                if verdict is None
                else {
                    "verdict": verdict.verdict,
                    "others": list(verdict.others),
                    "start": verdict.start,
                    "end": verdict.end,
                    "note": verdict.note,
                },
            }
        )

    async def _sound(self, request: Request) -> Response:
        wav, first = await asyncio.to_thread(self._sounds.get, self._number(request))
        return Response(wav, media_type="audio/wav", headers={**_HEADERS, "X-First-Second": f"{first:.6f}"})

    async def _next(self, request: Request) -> Response:
        after = request.query_params.get("after", "-1")
        count = request.query_params.get("count", "1")
        if not after.lstrip("-").isdecimal() or not count.isdecimal():
            raise InputError(
                f'after is "{after[:40]}" and count "{count[:40]}"; expected the number of an item, and how many'
            )
        numbers = await asyncio.to_thread(self.review.next_numbers, int(after), min(int(count), _KEPT))
        return JSONResponse({"numbers": numbers})

    async def _verdict(self, request: Request) -> Response:
        number = self._number(request)
        body = await _body(request)
        others = body.get("others") or []
        if not isinstance(others, list) or not all(isinstance(name, str) for name in others):
            raise InputError("others is not a list of class names")
        bounds = {key: body[key] for key in ("start", "end") if body.get(key) is not None}
        if not all(isinstance(value, (int, float)) for value in bounds.values()):
            raise InputError("start and end are not numbers")
        await asyncio.to_thread(
            lambda: self.review.judge(
                number, str(body.get("verdict")), others, note=str(body.get("note") or ""), **bounds
            )
        )
        return await self._after(await asyncio.to_thread(self.review.next_number, number))

    async def _undo(self, request: Request) -> Response:
        number = await asyncio.to_thread(self.review.undo)
        if number is None:
            raise InputError("there is nothing to take back in this session")
        return await self._after(number)

    async def _after(self, number: int | None) -> Response:
        return JSONResponse({"next": number, "progress": await asyncio.to_thread(self.review.progress)})

    def _number(self, request: Request) -> int:
        number: int = request.path_params["number"]
        if number >= len(self.review.items):
            raise InputError(f"there is no item {number}; there are {len(self.review.items)}")
        return number


def _script(name: str) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        text = (STATIC / name).read_text(encoding="utf-8")
        return Response(text, media_type="text/javascript", headers=_HEADERS)

    return endpoint


async def _body(request: Request) -> dict[str, Any]:
    data = b""
    async for part in request.stream():
        data += part
        if len(data) > _MOST_BODY:
            raise InputError(f"a verdict takes at most {_MOST_BODY:,} bytes; shorten the note")
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        raise InputError("the request is not JSON") from None
    if not isinstance(body, dict):
        raise InputError("the request is not a JSON object")
    return body


def _error(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"error": sentence}, status, headers=_HEADERS)


def listen(port: int) -> socket.socket:
    """Return a socket on 127.0.0.1; port 0 takes a free one.

    Raises `InputError` if the port is taken or may not be used.
    """
    if not 0 <= port <= 65535:
        raise InputError(f"--port {port}: expected a number from 0 to 65535")
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        # A browser that follows the printed address at once waits, instead of being refused.
        listener.listen()
    except OSError as error:
        listener.close()
        raise InputError(f"port {port} cannot be used ({error.strerror}); choose another with --port") from None
    return listener


def serve_review(review: Review, archive: Recordings, token: str, listener: socket.socket) -> None:
    """Answer until the process is interrupted."""
    import uvicorn

    port = listener.getsockname()[1]
    app = ReviewApp(review, archive, token, {f"127.0.0.1:{port}", f"localhost:{port}"}).build()
    config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False, lifespan="off")
    uvicorn.Server(config).run([listener])

"""Run the service in this process: ``python -m britekit.service.run`` beside a folder ``model``.

The container and ``britekit serve`` use it. A service that cannot start says why in one sentence and exits
with 1; nothing starts it again. BentoML can run the same application: see ``mounted.py``.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import logging
import math
import os
import shutil
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import NoReturn

import uvicorn

from britekit.errors import BriteKitError
from britekit.service import tracing
from britekit.service.access import NO_TOKEN_VARIABLE, check_binding, read_access
from britekit.service.app import build_app
from britekit.service.front import Stop
from britekit.service.jobs.routes import Jobs
from britekit.service.jobs.settings import read_job_settings
from britekit.service.limits import Limits, read_limits
from britekit.service.logs import start_logging
from britekit.service.recognizer import Recognizer

MODEL_VARIABLE = "BRITEKIT_MODEL_FOLDER"
# Set by `serve`: the folder that is left if `serve` itself is killed; standard input ends with it.
SERVE_VARIABLE = "BRITEKIT_SERVE_FOLDER"
# For the last answers and to tidy up. Threads that still run after that have no client any more.
_END_SECONDS = 1.0
# For requests that were sent before the signal and not read yet.
_READ_SECONDS = 0.5


class Server(uvicorn.Server):
    """A server that says when it is ready and that ends, whatever its threads do."""

    def __init__(self, config: uvicorn.Config, stop: Stop, grace_seconds: float) -> None:
        super().__init__(config)
        self._stop, self._grace, self._leaving = stop, grace_seconds, False

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup()
        self._loop = asyncio.get_running_loop()
        host = f"[{self.config.host}]" if ":" in self.config.host else self.config.host
        print(f"url = http://{host}:{self.config.port}", flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._leaving:
            super().handle_exit(sig, frame)
            return
        last = threading.Timer(self._grace + _END_SECONDS, _end)
        last.daemon = True
        last.start()
        for act in self._stop.on_leave:
            act()
        self._loop.call_soon_threadsafe(self._loop.call_later, self._grace, self._stop.over.set)
        # Closing a socket resets what waits in it unread, and the client gets no answer: read that first.
        self._leaving = True
        leave = functools.partial(super().handle_exit, sig, frame)
        self._loop.call_soon_threadsafe(self._loop.call_later, _READ_SECONDS, leave)


def load(folder: Path, limits: Limits, jobs: int = 0) -> Recognizer:
    """Return the loaded service; ends the process with one sentence if that cannot be done."""
    recognizer = Recognizer(folder, limits, jobs)
    try:
        recognizer.load()
    except BriteKitError as error:
        _fail(str(error).splitlines()[0].replace(f"{folder}{os.sep}", "").replace(str(folder), folder.name))
    except Exception as error:  # a library's, at a damaged export; a traceback would say no more to anybody
        logging.getLogger("britekit").debug("starting failed", exc_info=True)
        _fail(f"the model cannot be loaded ({(str(error) or type(error).__name__).splitlines()[0]})")
    return recognizer


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=3000, help="port to listen on (default: 3000)")
    parser.add_argument("--check", action="store_true", help="load the model and exit")
    parser.add_argument("--no-token", action="store_true", help="let everybody in, also from other machines")
    options = parser.parse_args(arguments)
    if options.no_token:
        os.environ[NO_TOKEN_VARIABLE] = "1"
    try:
        start_logging()
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        limits, access = read_limits(), read_access()
        settings = read_job_settings(limits)
        if not options.check:
            check_binding(options.host, os.environ)
            tracing.start()
    except BriteKitError as error:
        _fail("; ".join(str(error).splitlines()))
    recognizer = load(Path(os.environ.get(MODEL_VARIABLE, "model")), limits, settings.at_once if settings else 0)
    if options.check:
        return 0
    jobs = None
    if settings is not None:
        jobs = Jobs(settings, recognizer)
        try:
            jobs.open()
        except BriteKitError as error:
            _fail(str(error).splitlines()[0])
    _raise_open_files()
    _end_with_standard_input()
    stop = Stop()
    config = uvicorn.Config(
        build_app(recognizer, limits, stop, access, jobs),
        host=options.host,
        port=options.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(limits.stop_seconds + _END_SECONDS),
    )
    # uvicorn raises the signal once more when it has ended; that must not end us before we have tidied up.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    Server(config, stop, limits.stop_seconds).run()
    return 0


def _fail(sentence: str) -> NoReturn:
    if os.environ.get(SERVE_VARIABLE):  # `serve` says it
        print(f"error = {sentence}", flush=True)
    else:
        print(f"Error: {sentence}", file=sys.stderr, flush=True)
    os._exit(1)


def _end() -> None:
    """End the process without waiting for its threads."""
    tracing.stop()
    _remove_folder()
    sys.stderr.flush()
    os._exit(0)


def _remove_folder() -> None:
    if folder := os.environ.get(SERVE_VARIABLE):
        shutil.rmtree(folder, ignore_errors=True)


def _end_with_standard_input() -> None:
    """Stop when ``serve`` is no more, however it ended: the kernel then closes our standard input."""
    if not os.environ.get(SERVE_VARIABLE):
        return

    def watch() -> None:
        os.read(0, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="britekit-serve-watch", daemon=True).start()


def _raise_open_files() -> None:
    """Use as many open files as the system grants: each upload and each connection is one."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    if code := main():
        sys.exit(code)
    _end()  # taking the interpreter down by itself takes a while

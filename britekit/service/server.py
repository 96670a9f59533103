"""Runs the service in a process of its own and sees that it ends."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

import britekit
from britekit.config import BaseConfig
from britekit.errors import InferenceError, InputError
from britekit.leftovers import temporary_folder
from britekit.service.access import FILE_VARIABLE, check_binding, is_loopback, read_access
from britekit.service.bento import MODEL_FOLDER
from britekit.service.contents import write_contents
from britekit.service.jobs.settings import FOLDER_VARIABLE, read_job_settings
from britekit.service.limits import DRIFT_VARIABLE, HOSTS_VARIABLE, read_limits
from britekit.service.run import MODEL_VARIABLE, SERVE_VARIABLE

log = logging.getLogger(__name__)

DEFAULT_BENTO = "models/britekit-ensemble.bento"
# After the last answer. On idle cores 0.8 s are enough; on busy ones the process is killed, so that all has
# ended within ten seconds.
_LEAVE_SECONDS = 2.0
# A service that dies sooner than this is not started again.
_LASTING_SECONDS = 10.0


def serve_ensemble(
    cfg: BaseConfig, members: Sequence[Path], host: str, port: int, on_ready: Callable[[str], None]
) -> int:
    """Serve an ensemble until a signal comes; return the exit code.

    Parameters
    ----------
    cfg, members
        From ``britekit.inference.model_files.resolve_for_models``.
    host, port
        Where to listen.
    on_ready
        Called with the address once the service answers.

    Raises
    ------
    ModelError
        A member has no export.
    InputError
        The address cannot be listened on.
    ConfigError
        A limit in the environment is not a number.
    InferenceError
        The service ended by itself.
    """
    with temporary_folder("serve") as temporary:
        write_contents(cfg, members, temporary / MODEL_FOLDER)
        return _serve(Path(britekit.__file__).parent.parent, temporary, host, port, on_ready)


def serve_bento(bento: Path, host: str, port: int, on_ready: Callable[[str], None]) -> int:
    """Serve a packaged Bento, as ``serve_ensemble`` does; it runs the source it was packaged with."""
    with temporary_folder("serve") as temporary:
        source = temporary / "bento" / "src"
        unpack(bento, source.parent)
        (source / MODEL_FOLDER).rename(temporary / MODEL_FOLDER)
        return _serve(source, temporary, host, port, on_ready)


def unpack(bento: Path, folder: Path) -> None:
    """Unpack an exported Bento.

    Raises `InputError` if the file is missing, is not a Bento, or was made by a version that this one cannot serve.
    """
    if not bento.is_file():
        raise InputError(f'{bento} does not exist; make it with "britekit package"')
    try:
        if zipfile.is_zipfile(bento):
            with zipfile.ZipFile(bento) as archive:
                archive.extractall(folder)
        else:
            with tarfile.open(bento) as archive:
                _extract(archive, folder)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise InputError(f"{bento} cannot be unpacked ({error}); expected a file made by britekit package") from None
    if not (folder / "src" / "service.py").is_file() or not (folder / "src" / MODEL_FOLDER).is_dir():
        raise InputError(f"{bento} is not a Bento made by britekit package")
    if not (folder / "src/britekit/service/run.py").is_file():
        raise InputError(f"{bento} was packaged by an older britekit; package the ensemble again")


def _extract(archive: tarfile.TarFile, folder: Path) -> None:
    """Extract an archive that may write nowhere but below ``folder``."""
    if hasattr(tarfile, "data_filter"):
        archive.extractall(folder, filter="data")
        return
    for member in archive.getmembers():  # before Python 3.11.4
        inside = (folder / member.name).resolve().is_relative_to(folder.resolve())
        if not inside or not (member.isfile() or member.isdir()):
            raise tarfile.ExtractError(f"{member.name} is not a plain file inside the archive")
    archive.extractall(folder)


def _serve(source: Path, temporary: Path, host: str, port: int, on_ready: Callable[[str], None]) -> int:
    address = _address(host, port)
    read_access()  # reports what is wrong with tokens before anything else starts
    check_binding(address, os.environ)
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    environment[MODEL_VARIABLE] = str(temporary / MODEL_FOLDER)
    environment[SERVE_VARIABLE] = str(temporary)
    environment["TMPDIR"] = str(temporary / "tmp")  # uploads vanish with everything else
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(source), os.environ.get("PYTHONPATH", "")]))
    for name in (FOLDER_VARIABLE, FILE_VARIABLE, DRIFT_VARIABLE):  # the service runs in another folder
        if environment.get(name, "").strip():
            environment[name] = os.path.abspath(environment[name].strip())
    if is_loopback(address):
        # A page elsewhere could otherwise reach us under a name of its own that points to this machine.
        environment.setdefault(HOSTS_VARIABLE, f"localhost 127.0.0.1 ::1 {host} {address}")
    command = [sys.executable, "-m", "britekit.service.run", "--host", address, "--port", str(port)]
    limits = read_limits()
    read_job_settings(limits)
    while True:
        (temporary / "tmp").mkdir()
        began = time.monotonic()
        # A session of its own: ctrl-C reaches us alone. Its standard input ends with us, however we end.
        process = subprocess.Popen(
            command, cwd=temporary, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            start_new_session=True, text=True,
        )  # fmt: skip
        with _stopping(process, limits.stop_seconds + _LEAVE_SECONDS) as stopped:
            assert process.stdout is not None
            for line in process.stdout:
                kind, _, text = line.strip().partition(" = ")
                if kind == "url":
                    on_ready(text)
                elif kind == "error" and not stopped:
                    raise InferenceError(text)
            code = process.wait()
        if stopped:
            return 0
        if time.monotonic() - began < _LASTING_SECONDS:
            raise InferenceError(f"the service ended by itself with code {code}; its messages above say why")
        log.warning("the service ended with code %d and is started again; open requests are lost", code)
        shutil.rmtree(temporary / "tmp")


@contextlib.contextmanager
def _stopping(process: subprocess.Popen[str], seconds: float) -> Iterator[list[int]]:
    """Pass ctrl-C and SIGTERM on, in this block; collect them, and end what has not ended after that time."""
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if not received:
            process.terminate()
            last = threading.Timer(seconds, process.kill)
            last.daemon = True
            last.start()
        received.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        process.kill()
        process.wait()
        for number, handler in before.items():
            signal.signal(number, handler)


def _address(host: str, port: int) -> str:
    """Return the numeric address to listen on; raise now if it is unavailable."""
    if not 0 < port < 65536:
        raise InputError(f"port {port} is not a port; expected 1 to 65535")
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError):
        raise InputError(f'host "{host}" has no address; expected an address such as 127.0.0.1') from None
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(place)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise InputError(f"cannot listen on {host}, port {port}: {reason}; choose another --port") from None
    return str(place[0])

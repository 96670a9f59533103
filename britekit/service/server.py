"""Runs the service in processes of its own and sees that all of them end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

import britekit
from britekit.config import BaseConfig
from britekit.errors import InferenceError, InputError
from britekit.leftovers import temporary_folder
from britekit.service.bento import MODEL_FOLDER, clean_environment, write_service
from britekit.service.contents import write_contents
from britekit.service.limits import read_limits
from britekit.service.orphans import FOLDER_VARIABLE, PARENT_VARIABLE, die_with_parent

DEFAULT_BENTO = "models/britekit-ensemble.bento"
# After the last answer. On idle cores 0.8 s are enough; on busy ones the rest is killed, so that all has
# ended within ten seconds.
_LEAVE_SECONDS = 1.5
_START_SECONDS = 120.0


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
        folder = temporary / "src"
        write_contents(cfg, members, folder / MODEL_FOLDER)
        write_service(folder, with_source=False)
        return _serve("service:Recognizer", folder, temporary, host, port, on_ready)


def serve_bento(bento: Path, host: str, port: int, on_ready: Callable[[str], None]) -> int:
    """Serve a packaged Bento, as ``serve_ensemble`` does; it runs the source it was packaged with."""
    with temporary_folder("serve") as temporary:
        folder = temporary / "bento"
        unpack(bento, folder)
        return _serve("service:Recognizer", folder / "src", temporary, host, port, on_ready)


def unpack(bento: Path, folder: Path) -> None:
    """Unpack an exported Bento.

    Raises
    ------
    InputError
        The file is missing or no Bento.
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
        raise InputError(
            f"{bento} cannot be unpacked ({error}); expected a file made by britekit package"
        ) from None
    if not (folder / "src" / "service.py").is_file() or not (folder / "src" / MODEL_FOLDER).is_dir():
        raise InputError(f"{bento} is no Bento made by britekit package")


def _extract(archive: tarfile.TarFile, folder: Path) -> None:
    """Extract an archive that may write nowhere but below ``folder``."""
    if hasattr(tarfile, "data_filter"):
        archive.extractall(folder, filter="data")
        return
    for member in archive.getmembers():  # before Python 3.11.4
        inside = (folder / member.name).resolve().is_relative_to(folder.resolve())
        if not inside or not (member.isfile() or member.isdir()):
            raise tarfile.ExtractError(f"{member.name} is no plain file inside the archive")
    archive.extractall(folder)


def _serve(
    service: str, folder: Path, temporary: Path, host: str, port: int, on_ready: Callable[[str], None]
) -> int:
    address = _address(host, port)
    stop_seconds = read_limits().stop_seconds + _LEAVE_SECONDS
    environment = clean_environment(temporary / "home")
    environment["BRITEKIT_MODEL_FOLDER"] = str(folder / MODEL_FOLDER)
    # The folder first: a Bento brings the source it was packaged with; the folder of an ensemble has none.
    roots = [str(folder), str(Path(britekit.__file__).parent.parent), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, roots))
    # Uploads and sockets go where everything else goes, and vanish with it.
    (temporary / "tmp").mkdir()
    environment["TMPDIR"] = str(temporary / "tmp")
    environment[PARENT_VARIABLE], environment[FOLDER_VARIABLE] = str(os.getpid()), str(temporary)
    command = [sys.executable, "-m", "bentoml", "serve", service, "--working-dir", str(folder)]
    command += ["--host", address, "--port", str(port)]
    # A session of its own: ctrl-C reaches us alone, and the whole group can be ended.
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno(),
        start_new_session=True, preexec_fn=die_with_parent(),
    )  # fmt: skip
    try:
        with _stop_signals() as stopped:
            return _watch(process, address, port, stopped, on_ready)
    finally:
        _end(process, stop_seconds)


def _watch(
    process: subprocess.Popen[bytes],
    host: str,
    port: int,
    stopped: list[int],
    on_ready: Callable[[str], None],
) -> int:
    deadline, ready = time.monotonic() + _START_SECONDS, False
    while not stopped:
        code = process.poll()
        if code is not None:
            raise InferenceError(f"the service ended by itself with code {code}; its messages above say why")
        if not ready and _answers(host, port):
            ready = True
            on_ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        elif not ready and time.monotonic() > deadline:
            raise InferenceError(f"the service did not become ready within {_START_SECONDS:g} s")
        time.sleep(0.1)
    return 0


def _answers(host: str, port: int) -> bool:
    import http.client

    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    except http.client.HTTPException:
        return False
    finally:
        connection.close()


@contextlib.contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Collect ctrl-C and SIGTERM in a list instead of ending at once."""
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """End the process and everything it started: politely, then not."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _address(host: str, port: int) -> str:
    """Return the numeric address to listen on, which is what BentoML wants; say now if it cannot be had."""
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
            raise InputError(
                f"cannot listen on {host}, port {port}: {reason}; choose another --port"
            ) from None
    return str(place[0])

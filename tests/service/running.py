"""A service in processes of its own, on a port of its own, for tests."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


class Running:
    """The process of ``britekit serve`` and the address it listens on."""

    def __init__(self, process: subprocess.Popen, url: str, temporary: Path, log: Path) -> None:
        self.process = process
        self.url = url
        self.temporary = temporary
        self.log = log

    def post(self, path: str, file: Path | bytes, name: str = "x.wav", **fields: object) -> httpx.Response:
        content = file if isinstance(file, bytes) else file.read_bytes()
        data = {key: str(value) for key, value in fields.items()}
        return httpx.post(f"{self.url}/{path}", files={"audio": (name, content)}, data=data, timeout=30)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.url}/{path}", timeout=10)

    def uploads(self) -> list[str]:
        """Return the folders of uploads that are there; they come and go while one looks."""
        found = (name for _, names, _ in os.walk(self.temporary) for name in names)
        return [name for name in found if name.startswith("britekit-upload-")]

    def family(self) -> list[int]:
        """Return the processes that the server consists of."""
        found, queue = [], [self.process.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            with contextlib.suppress(FileNotFoundError):
                text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
                queue += [int(word) for word in text.split()]
        return found

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(20)


@contextlib.contextmanager
def serving(arguments: Sequence[str], folder: Path, **environment: str) -> Iterator[Running]:
    """Run ``britekit serve`` with these options until the block ends."""
    port, temporary, log = free_port(), folder / "tmp", folder / "serve.log"
    temporary.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", "import sys; from tests.service.running import run; run(sys.argv[1:])"]
    command += [*arguments, "--port", str(port)]
    settings = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary), "HOME": str(folder / "home")}
    (folder / "home").mkdir(exist_ok=True)
    with open(log, "wb") as errors:
        process = subprocess.Popen(
            command, cwd=folder, env={**settings, **environment}, stdout=subprocess.PIPE, stderr=errors
        )
    try:
        line = process.stdout.readline().decode()
        assert line == f"url = http://127.0.0.1:{port}\n", log.read_text()
        yield Running(process, f"http://127.0.0.1:{port}", temporary, log)
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


def run(arguments: list[str]) -> None:
    """Be ``britekit serve``."""
    from britekit.cli import main

    began = time.monotonic()
    code = main(["serve", *arguments])
    print(f"ended after {time.monotonic() - began:.1f} s", file=sys.stderr)
    sys.exit(code)

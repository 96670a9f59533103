"""How many 5-second clips does the service answer, and how fast, also beside a long upload?

    python benchmarks/service.py [--quick] [--members N] [--work DIR]
    python benchmarks/service.py --jobs 1000 [--work DIR]      # a queue of jobs instead
    python benchmarks/service.py --against TREE [--quick]      # requests/s of this and another tree, in turn

Prints requests per second, the median and the 95th percentile of their times for 1, 8 and 64 clients, alone
and with one upload of two hours among them, and how long that upload took. Every recording is new to the
server, which keeps the scores of those it has seen. 429 counts as asked to come back, not as failure;
anything else but 200 ends the measurement.

With --jobs, as many clips are submitted as jobs: what each costs beyond its share of the same clips in one run of
`analyze`, and the server's memory on the way. With --against, servers of two source trees take turns.
"""

from __future__ import annotations

import argparse
import http.client
import io
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from made_models import own_models
from made_recordings import clips, joined

ROOT = Path(__file__).resolve().parents[1]
HEAD = b'--ab\r\nContent-Disposition: form-data; name="audio"; filename="x.wav"\r\n\r\n'
TAIL = b"\r\n--ab--\r\n"
TYPE = {"Content-Type": "multipart/form-data; boundary=ab"}


@dataclass
class Figures:
    """What clients saw: seconds of every answered request, and how often they had to come back."""

    clients: int
    seconds: list[float]
    wall_s: float
    came_back: int

    def __str__(self) -> str:
        middle, late = np.percentile(self.seconds, [50, 95])
        return (
            f"{self.clients:3d} clients: {len(self.seconds) / self.wall_s:6.1f} requests/s, median "
            f"{1000 * middle:6.0f} ms, 95th percentile {1000 * late:6.0f} ms, "
            f"{self.came_back} asked to come back"
        )


class Clips:
    """Clips of 5 s that no request has had before: recordings with a little noise of their own."""

    def __init__(self) -> None:
        samples, self._rate = soundfile.read(clips()[0], dtype="float32", always_2d=True)
        self._samples = np.resize(samples[:, 0], 5 * self._rate)
        self._lock = threading.Lock()
        self._number = 0

    def next(self) -> bytes:
        """Return the next clip as a WAV."""
        with self._lock:
            self._number += 1
            number = self._number
        out = io.BytesIO()
        shifted = np.roll(self._samples, 37 * number) * (1 - 1e-4 * (number % 1000))
        soundfile.write(out, shifted, self._rate, format="WAV", subtype="PCM_16")
        return out.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few requests, and ten minutes for the two hours")
    parser.add_argument("--jobs", type=int, default=0, help="number of jobs to measure instead of requests")
    parser.add_argument("--against", type=Path, help="another source tree, to be measured in turn")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each tree")
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "britekit-benchmark")
    options = parser.parse_args()
    models = own_models(options.work / f"effnet.1-{options.members}", "effnet.1", options.members)
    if options.jobs:
        measure_jobs(models, options.jobs)
        return
    if options.against:
        compare_trees(models, options.against, options.rounds, (24, 48, 64) if options.quick else (100, 200, 300))
        return
    seconds = 600 if options.quick else 7200
    long = joined(options.work / f"long-{seconds}.flac", seconds, seed=1)
    requests = (24, 48, 64) if options.quick else (200, 600, 1000)
    with tempfile.TemporaryDirectory() as temporary:
        process, port = start(Path(temporary), models)
        try:
            report(port, process.pid, requests, long, seconds)
        finally:
            process.terminate()
            process.wait(30)


def start(
    folder: Path, models: Path, root: Path = ROOT, options: tuple[str, ...] = ()
) -> tuple[subprocess.Popen[str], int]:
    """Start ``britekit serve`` of a source tree and wait until it answers."""
    (folder / "c.yaml").write_text(f"misc: {{ckpt_folder: {models}}}\n")
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port = trial.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "britekit", "serve", "-c", str(folder / "c.yaml"), "--port", str(port)]
    command += options
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    if not process.stdout.readline().startswith("url"):
        raise SystemExit((folder / "log").read_text())
    return process, port


def compare_trees(models: Path, other: Path, rounds: int, requests: tuple[int, ...]) -> None:
    """Print requests/s of the other tree and of this one, taking turns, and the ratio of their medians."""
    trees = {"other": other, "this": ROOT}
    found: dict[tuple[str, int], list[float]] = {}
    source = Clips()
    for number in range(rounds):
        for name, tree in list(trees.items())[:: 1 if number % 2 else -1]:
            with tempfile.TemporaryDirectory() as temporary:
                process, port = start(Path(temporary), models, tree)
                try:
                    ask(port, 2, 8, source)
                    for clients, count in zip((1, 8, 64), requests, strict=True):
                        figures = ask(port, clients, count, source)
                        found.setdefault((name, clients), []).append(len(figures.seconds) / figures.wall_s)
                finally:
                    process.terminate()
                    process.wait(30)
    for clients in (1, 8, 64):
        before, after = (float(np.median(found[name, clients])) for name in trees)
        print(f"{clients:3d} clients: {before:6.1f} before, {after:6.1f} requests/s after, ratio {after / before:.3f}")


def measure_jobs(models: Path, count: int) -> None:
    """Print what a job costs beyond the analysis of its recording, and the server's memory."""
    source = Clips()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "clips").mkdir()
        for number in range(count):
            (folder / "clips" / f"{number:05d}.wav").write_bytes(source.next())
        command = [
            sys.executable,
            "-m",
            "britekit",
            "analyze",
            "-c",
            str(folder / "c.yaml"),
            "-i",
            str(folder / "clips"),
        ]
        os.environ["BRITEKIT_JOB_SOURCES"] = str(folder / "clips")
        process, port = start(folder, models, options=("--jobs", str(folder / "jobs")))
        try:
            ask(port, 2, 8, source)
            alone = min(_analyzed(command, folder / f"labels-{turn}") for turn in range(2))
            one = min(
                _analyzed([*command[:-1], str(folder / "clips" / "00000.wav")], folder / f"one-{turn}")
                for turn in range(2)
            )
            began, memory = time.perf_counter(), [memory_mb(process.pid)]
            for number in range(count):
                _request(port, "POST", "/jobs", _form("source", str(folder / "clips" / f"{number:05d}.wav")))
            submitted = time.perf_counter() - began
            while _open_jobs(port):
                memory.append(memory_mb(process.pid))
                time.sleep(0.2)
            took = time.perf_counter() - began
        finally:
            process.terminate()
            process.wait(30)
    share = (alone - one) / (count - 1)
    print(f"{count} jobs of 5 s: {took:.1f} s, {1000 * took / count:.1f} ms each; submitted in {submitted:.1f} s")
    print(f"analyze: {alone:.1f} s for all, {one:.1f} s for one, so {1000 * share:.1f} ms each")
    print(f"overhead per job: {1000 * (took / count - share):.1f} ms")
    print(f"memory: {memory[0]:.0f} MB before, {max(memory):.0f} MB at most, {memory[-1]:.0f} MB at the end")


def _analyzed(command: list[str], out: Path) -> float:
    began = time.perf_counter()
    subprocess.run([*command, "-o", str(out)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def _form(name: str, value: str) -> bytes:
    return f'--ab\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n--ab--\r\n'.encode()


def _request(port: int, method: str, path: str, body: bytes | None = None) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request(method, path, body, TYPE if body else {})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    if answer.status not in (200, 202):
        raise SystemExit(f"{answer.status}: {text[:200]!r}")
    return text


def _open_jobs(port: int) -> float:
    lines = _request(port, "GET", "/metrics").decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("britekit_jobs{"))


def report(port: int, pid: int, requests: tuple[int, ...], long: Path, seconds: int) -> None:
    """Measure and print."""
    source = Clips()
    ask(port, 2, 8, source)  # what is only done once
    print(f"clips of 5 s alone; {memory_mb(pid):.0f} MB")
    alone = [ask(port, clients, count, source) for clients, count in zip((1, 8, 64), requests, strict=True)]
    for figures in alone:
        print(f"  {figures}")
    print(f"beside one upload of {seconds / 3600:.2g} h")
    for before, count in zip(alone, requests, strict=True):
        upload = Upload(port, long, before.clients)
        upload.start()
        time.sleep(1.0)  # its upload is over, its analysis goes on
        figures = ask(port, before.clients, count, source)
        still = upload.is_alive()
        upload.join()
        ratio = np.percentile(figures.seconds, 95) / np.percentile(before.seconds, 95)
        print(f"  {figures}; 95th percentile {ratio:.1f} times that alone", end="")
        print("" if still else " (the upload was answered before the clips were)")
        print(f"      the upload took {upload.took_s:.1f} s, {seconds / upload.took_s:.0f} times real time")
    print(f"{memory_mb(pid):.0f} MB at the end")


def ask(port: int, clients: int, count: int, source: Clips) -> Figures:
    """Send ``count`` clips with ``clients`` at once, each with a connection of its own."""
    taken: list[float] = []
    came_back = 0
    failures: list[str] = []
    lock = threading.Lock()
    left = iter(range(count))

    def client() -> None:
        nonlocal came_back
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        while True:
            with lock:
                if failures or next(left, None) is None:
                    break
            body = HEAD + source.next() + TAIL
            began = time.perf_counter()
            while True:
                connection.request("POST", "/detections", body, TYPE)
                answer = connection.getresponse()
                text = answer.read()
                if answer.status != 429:
                    break
                with lock:
                    came_back += 1
                time.sleep(float(answer.headers["Retry-After"]))
            with lock:
                taken.append(time.perf_counter() - began)
                if answer.status != 200:
                    failures.append(f"{answer.status}: {text[:200]!r}")
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise SystemExit(failures[0])
    return Figures(clients, taken, time.perf_counter() - began, came_back)


class Upload(threading.Thread):
    """One long recording on its way; ``took_s`` says how long it took, in seconds."""

    def __init__(self, port: int, path: Path, number: int) -> None:
        super().__init__()
        self._port = port
        # A byte behind the sound makes it new to the server.
        self._body = HEAD + path.read_bytes() + bytes([number]) + TAIL
        self.took_s = 0.0

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=3600)
        began = time.perf_counter()
        connection.request("POST", "/detections", self._body, TYPE)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status != 200:
            raise SystemExit(f"{answer.status}: {text[:200]!r}")
        self.took_s = time.perf_counter() - began


def memory_mb(pid: int) -> float:
    """Return the resident memory of a process and all its children, 10**6 bytes."""
    import psutil

    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return float(sum(process.memory_info().rss for process in family) / 1e6)


if __name__ == "__main__":
    main()

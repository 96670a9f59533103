"""Clients that leave, hold or hurry, and a server that is killed: nothing stays behind, nobody starves."""

import concurrent.futures
import functools
import io
import signal
import socket
import time

import numpy as np
import psutil
import pytest
import soundfile

from tests.service.running import serving
from tests.service.tone_model import write_tones

HEAD = "POST /{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=ab\r\n"
FORM = b'--ab\r\nContent-Disposition: form-data; name="audio"; filename="x.wav"\r\n\r\n'


pytestmark = pytest.mark.xdist_group("service")


@functools.cache
def silence(hours: float, form: str = "FLAC") -> bytes:
    """Return hours of silence in few bytes."""
    out = io.BytesIO()
    with soundfile.SoundFile(out, "w", 8000, 1, format=form) as file:
        for _ in range(round(hours * 60)):
            file.write(np.zeros(8000 * 60, np.float32))
    return out.getvalue()


def until(condition, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def spent(running) -> float:
    """Return the CPU seconds the server has taken so far."""
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in running.family())


def works(running, cpu_s: float = 0.3, within_s: float = 10.0) -> bool:
    """Tell whether the server takes that much CPU time soon."""
    before = spent(running)
    return until(lambda: spent(running) - before > cpu_s, within_s)


def rests(running) -> bool:
    """Tell whether the server takes next to no CPU time for a second."""
    before = spent(running)
    time.sleep(1.0)
    return spent(running) - before < 0.1


def begin(running, path: str, content: bytes) -> socket.socket:
    """Send a whole request and do not wait for its answer."""
    host, port = running.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)))
    body = FORM + content + b"\r\n--ab--\r\n"
    connection.sendall((HEAD.format(path=path) + f"Content-Length: {len(body)}\r\n\r\n").encode() + body)
    return connection


@pytest.mark.parametrize("path", ["detections", "spectrogram"])
def test_the_work_for_a_client_that_leaves_stops(server, path):
    with begin(server, path, silence(4)):
        assert works(server), "the long recording was not begun"
        assert server.uploads()
    assert until(lambda: not server.uploads())
    assert until(lambda: rests(server)), "the analysis goes on for nobody"
    assert until(lambda: "status=499" in server.log.read_text()), server.log.read_text()[-600:]
    assert "Traceback" not in server.log.read_text()


def test_a_long_recording_does_not_starve_clips(server, tmp_path):
    alone = min(timed(server, tmp_path, seed) for seed in range(100, 103))
    with begin(server, "detections", silence(2)), begin(server, "spectrogram", silence(2)):
        assert works(server)
        beside = [timed(server, tmp_path, seed) for seed in range(3)]
        assert len(server.uploads()) == 2, "the long ones have ended"
    assert sorted(beside)[1] < 10 * alone + 0.5, (beside, alone)
    assert until(lambda: not server.uploads())


def timed(server, folder, seed: int) -> float:
    content = write_tones(folder / f"{seed}.wav", 5, seed=seed).read_bytes()
    began = time.perf_counter()
    assert server.post("detections", content).status_code == 200
    return time.perf_counter() - began


def test_equal_scores_beside_others(server, tmp_path):
    """Windows that share batches with those of other requests get the scores they get alone."""
    contents = [write_tones(tmp_path / f"{n}.wav", 6, seed=50 + n).read_bytes() for n in range(8)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda content: server.post("scores", content).json(), contents))
    assert all(answer["scores"] for answer in together)
    with serving(["-c", str(server.log.parent / "settings.yaml")], tmp_path) as fresh:
        for content, expected in zip(contents, together, strict=True):
            assert fresh.post("scores", content).json() == expected


def test_kill_leaves_no_process_and_no_file(server, tmp_path):
    with serving(["-c", str(server.log.parent / "settings.yaml")], tmp_path) as running:
        pids = running.family()
        assert len(pids) == 2
        with begin(running, "detections", silence(1)):
            assert until(lambda: running.uploads())
            running.process.send_signal(signal.SIGKILL)
            running.process.wait(5)
            assert until(lambda: not any(alive(pid) for pid in pids), 20), [p for p in pids if alive(p)]
        assert until(lambda: not list(running.temporary.iterdir())), list(running.temporary.rglob("*"))


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

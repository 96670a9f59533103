"""Clients that leave, hold or hurry, and a server that is killed: nothing stays behind, nobody starves."""

import concurrent.futures
import functools
import io
import signal
import socket
import time

import httpx
import numpy as np
import psutil
import pytest
import soundfile

from tests.service.running import serving
from tests.service.tone_model import write_tones

HEAD = "POST /{path} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=ab\r\n"
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
        assert list(server.temporary.rglob("britekit-upload-*"))
    assert until(lambda: not list(server.temporary.rglob("britekit-upload-*")))
    assert until(lambda: rests(server)), "the analysis goes on for nobody"
    assert until(lambda: "status=499" in server.log.read_text()), server.log.read_text()[-600:]
    assert "Traceback" not in server.log.read_text()


def test_a_long_recording_does_not_starve_clips(server, tmp_path):
    alone = min(timed(server, tmp_path, seed) for seed in range(100, 103))
    with begin(server, "detections", silence(2)), begin(server, "spectrogram", silence(2)):
        assert works(server)
        beside = [timed(server, tmp_path, seed) for seed in range(3)]
        assert len(list(server.temporary.rglob("britekit-upload-*"))) == 2, "the long ones have ended"
    assert sorted(beside)[1] < 10 * alone + 0.5, (beside, alone)
    assert until(lambda: not list(server.temporary.rglob("britekit-upload-*")))


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
        assert len(pids) >= 3
        with begin(running, "detections", silence(1)):
            assert until(lambda: list(running.temporary.rglob("britekit-upload-*")))
            running.process.send_signal(signal.SIGKILL)
            running.process.wait(5)
            assert until(lambda: not any(alive(pid) for pid in pids), 20), [p for p in pids if alive(p)]
        assert until(lambda: not list(running.temporary.iterdir())), list(running.temporary.rglob("*"))


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_slow_and_silent_clients_are_given_up(monkeypatch):
    import asyncio

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.routing import Route

    from britekit.service.uploads import Refusal, receive_upload

    monkeypatch.setattr("britekit.service.uploads.IDLE_SECONDS", 0.3)
    monkeypatch.setattr("britekit.service.uploads._DRAIN_SECONDS", 0.1)

    async def receive(request: Request):
        try:
            (await receive_upload(request, "audio", 10**6)).close()
        except Refusal as refusal:
            return refusal.response()
        raise AssertionError("a drop every 50 ms went on to the end")

    async def drops():
        yield FORM
        for _ in range(100):
            await asyncio.sleep(0.05)
            yield b"1"

    async def send() -> httpx.Response:
        app = Starlette(routes=[Route("/", receive, methods=["POST"])])
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as client:
            kind = {"content-type": "multipart/form-data; boundary=ab"}
            return await client.post("/", content=drops(), headers=kind)

    answer = asyncio.run(send())
    assert answer.status_code == 408 and "too slowly" in answer.json()["error"]


def test_connections_without_a_request_are_closed(monkeypatch, tmp_path):
    """The real protocol class of uvicorn, in this process."""
    import asyncio

    import uvicorn

    from britekit.service import connections

    async def answer(scope, receive, send):
        if scope["type"] == "http":
            await asyncio.sleep(1.0)  # longer than two looks: work under way is not cut off
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"done"})

    async def main() -> tuple[bytes, bytes]:
        config = uvicorn.Config(answer, port=0, log_level="error", timeout_keep_alive=60)
        running = uvicorn.Server(config)
        task = asyncio.create_task(running.serve())
        while not running.started:
            await asyncio.sleep(0.01)
        port = running.servers[0].sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHo")  # and nothing more
        silent = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        asked = await asyncio.wait_for(reader.read(), 5)  # answered, and closed when nothing more is asked
        writer.close()
        running.should_exit = True
        await task
        return silent, asked

    import uvicorn.protocols.http.h11_impl as h11_impl

    monkeypatch.setattr(h11_impl.H11Protocol, "connection_made", h11_impl.H11Protocol.connection_made)
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    connections.close_silent_connections()
    silent, asked = asyncio.run(main())
    assert silent == b"" and asked.endswith(b"done\r\n0\r\n\r\n")

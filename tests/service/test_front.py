"""Requests end, in time and wholly: nothing of them stays in memory; a server that stops answers first."""

import asyncio
import concurrent.futures
import contextlib
import gc
import select
import signal
import socket
import subprocess
import sys
import time

import httpx
import psutil
import pytest
import uvicorn
from uvicorn.protocols.http.h11_impl import RequestResponseCycle

from britekit.inference.model_files import resolve_for_models
from britekit.service import front
from britekit.service.app import Recognizer, build_app
from britekit.service.contents import write_contents
from britekit.service.limits import Limits
from britekit.service.metrics import Metrics
from tests.service.running import serving
from tests.service.test_reliability import FORM, HEAD, begin, silence, until
from tests.service.tone_model import write_project, write_tones

pytestmark = pytest.mark.xdist_group("service")

MARGIN_S = 4.0  # from the last answer until all processes have ended, on a busy machine


def test_nothing_of_a_request_stays(tmp_path):
    """The whole server in this process; of a recording its scores are kept, and nothing else."""
    cfg, members = resolve_for_models(write_project(tmp_path), None)
    write_contents(cfg, members, tmp_path / "model")
    clip = write_tones(tmp_path / "x.wav").read_bytes()
    app = build_app(Recognizer(tmp_path / "model", Limits()), Limits())

    async def main() -> None:
        server = uvicorn.Server(uvicorn.Config(app, port=0, http="h11", log_config=None))
        running = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            for number in range(8):
                for path in ("detections", "scores", "spectrogram"):
                    for content, status in ((clip + bytes([number]), 200), (clip, 200), (b"no sound", 422)):
                        answer = await client.post(path, files={"audio": content})
                        assert answer.status_code == status
        gc.collect()
        kept = [x for x in gc.get_objects() if type(x) is RequestResponseCycle]
        server.should_exit = True
        await running
        # The last one on the connection, and what the engine's threads have in hand until the next comes.
        assert len(kept) < 8, len(kept)

    asyncio.run(main())


def fronted(work, stop: front.Stop | None = None, **limits) -> front.Front:
    metrics = Metrics(lambda: 0, lambda: 0)
    return front.Front(work, frozenset({"/"}), Limits(**limits), metrics, stop or front.Stop())


def answered(work, stop: front.Stop | None = None, path: str = "/", limits=None, **options) -> httpx.Response:
    """Ask an application that does ``work`` behind the middleware."""

    async def main() -> httpx.Response:
        transport = httpx.ASGITransport(app=fronted(work, stop, **(limits or {})))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return await client.post(path, **options)

    return asyncio.run(main())


async def done(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})


def test_a_request_that_takes_too_long(monkeypatch):
    monkeypatch.setattr(front, "REQUEST_SECONDS", 0.05)
    given_up = []

    async def work(scope, receive, send):
        try:
            await asyncio.sleep(60)
        finally:
            given_up.append(True)

    answer = answered(work)
    assert answer.status_code == 504 and "not done" in answer.json()["error"] and given_up


def test_a_request_that_a_stop_overtakes():
    """It is answered when the grace is over, also while its body still arrives."""
    stop = front.Stop()

    async def work(scope, receive, send):
        asyncio.get_running_loop().call_later(0.1, stop.over.set)
        while True:
            await receive()

    async def body():
        while True:
            yield b"1"
            await asyncio.sleep(0.01)

    began = time.monotonic()
    answer = answered(work, stop, content=body())
    assert answer.status_code == 503 and "stopping" in answer.json()["error"]
    assert int(answer.headers["retry-after"]) > 0 and 0.1 <= time.monotonic() - began < 2.0


def test_a_short_request_beside_a_stop():
    stop = front.Stop()

    async def work(scope, receive, send):
        asyncio.get_running_loop().call_later(5, stop.over.set)
        await asyncio.sleep(0.1)
        await done(scope, receive, send)

    assert answered(work, stop).text == "done"


def test_an_answer_that_has_begun_is_not_begun_again():
    sent, stop = [], front.Stop()

    async def work(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        stop.over.set()
        await asyncio.sleep(60)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "path": "/", "method": "POST", "headers": []}
    asyncio.run(fronted(work, stop)(scope, None, send))
    assert [message["type"] for message in sent] == ["http.response.start"]


def test_a_bug_is_one_sentence_for_the_client_and_a_trace_in_the_log(caplog):
    async def work(scope, receive, send):
        raise ZeroDivisionError

    answer = answered(work)
    assert answer.status_code == 500 and answer.json() == {"error": "the server failed at this request"}
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:3000", 200), ("LOCALHOST", 200), ("[::1]:3000", 200), ("evil.example:3000", 421), ("", 421)],
)
def test_only_names_that_are_listed_reach_the_service(host, status):
    limits = {"hosts": frozenset({"localhost", "::1"})}
    answer = answered(done, limits=limits, headers={"Host": host})
    assert answer.status_code == status
    assert status == 200 or "BRITEKIT_HOSTS" in answer.json()["error"]
    assert answered(done, headers={"Host": host}).status_code == 200  # none listed: any
    # Kubernetes asks for the health by the address of the pod.
    assert answered(done, path="/readyz", limits=limits, headers={"Host": "10.0.0.7:3000"}).status_code == 200


def test_two_statements_of_the_length_are_refused():
    headers = {"Content-Length": "3", "Transfer-Encoding": "chunked"}
    answer = answered(done, content=b"abc", headers=headers)
    assert answer.status_code == 400 and "Transfer-Encoding" in answer.json()["error"]
    assert answered(done, content=b"abc").status_code == 200


def test_a_line_of_the_log_cannot_be_forged(caplog):
    caplog.set_level("INFO")
    transport = httpx.ASGITransport(app=fronted(done), client=("1.2.3.4\n2026 INFO POST / status=200", 1))

    async def main():
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            await client.post("/a%0a2026%20INFO%20POST%20/model%20status=200%1b[31m\u2028")

    asyncio.run(main())
    (line,) = [x.getMessage() for x in caplog.records if x.name == "britekit.access"]
    assert len(line.splitlines()) == 1 and line.isascii() and line.isprintable()
    assert line.startswith("POST '/a\\n2026") and "client='1.2.3.4\\n2026" in line


@pytest.mark.parametrize("parser", ["h11", "httptools"])
def test_a_client_that_still_sends_reads_the_answer(monkeypatch, parser):
    """It is not cut off with what it sent unread, which would take the answer away from it again."""
    pytest.importorskip(parser)
    monkeypatch.setattr(front, "REQUEST_SECONDS", 0.2)

    async def work(scope, receive, send):
        await asyncio.sleep(60)

    def send_until_answered(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999\r\n\r\n")
            while not select.select([client], [], [], 0)[0]:
                if select.select([], [client], [], 0.1)[1]:
                    client.send(bytes(1 << 20))
            time.sleep(0.2)  # a slow reader
            answer = b""
            while piece := client.recv(65536):
                answer += piece
            return answer

    async def main() -> list[bytes]:
        config = uvicorn.Config(fronted(work), port=0, http=parser, lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        clients = [asyncio.to_thread(send_until_answered, port) for _ in range(4)]
        answers = await asyncio.gather(*clients)
        server.should_exit = True
        await running
        return answers

    for answer in asyncio.run(main()):
        assert answer.startswith(b"HTTP/1.1 504 ") and answer.endswith(b'was not done within 0.2 s"}')


def test_the_time_that_docker_grants():
    assert Limits().stop_seconds + MARGIN_S <= 10.0


def test_stop_with_requests_under_way_on_a_busy_machine(tmp_path):
    """Short ones are finished, others told to come back: long recordings, and an upload that does not end."""
    settings = write_project(tmp_path)
    with serving(["-c", str(settings)], tmp_path, BRITEKIT_STOP_SECONDS="2") as server, busy(4):
        held = [begin(server, path, silence(4)) for path in ("detections", "spectrogram", "scores")]
        host, port = server.url.removeprefix("http://").split(":")
        held.append(socket.create_connection((host, int(port))))
        held[-1].sendall((HEAD.format(path="detections") + "Content-Length: 9999\r\n\r\n").encode() + FORM)
        assert until(lambda: len(server.uploads()) == 4)
        clip = write_tones(tmp_path / "x.wav", 5).read_bytes()
        short = [begin(server, "detections", clip + bytes([number])) for number in range(4)]
        pids = server.family()
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(whole_answer, [*short, *held]))
        assert server.process.wait(20) == 0
        took = time.monotonic() - began
        assert [status for status, _ in answers] == 4 * [200] + 4 * [503]
        assert all("stopping" in text and "retry-after:" in text.lower() for _, text in answers[4:])
        assert 2.0 <= took < 2.0 + MARGIN_S
        assert not [pid for pid in pids if psutil.pid_exists(pid)] and not list(server.temporary.iterdir())
    assert "Traceback" not in server.log.read_text()


@contextlib.contextmanager
def busy(processes: int):
    """Keep the machine busy."""
    at_work = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in at_work:
            process.kill()
            process.wait()


def whole_answer(connection: socket.socket) -> tuple[int, str]:
    """Read until the server closes the connection; return the status and all that was sent."""
    with connection:
        connection.settimeout(20)
        content = b""
        while part := connection.recv(65536):
            content += part
    return int(content.split()[1]), content.decode()

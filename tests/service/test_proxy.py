"""docker/nginx.conf before the service: what a reverse proxy does better."""

import os
import shutil
import socket
import subprocess
import time

import httpx
import pytest

from tests.service.running import ROOT, free_port
from tests.service.test_attacks import arriving
from tests.service.test_reliability import until
from tests.service.tone_model import write_tones

pytestmark = [
    pytest.mark.xdist_group("service"),
    pytest.mark.skipif(shutil.which("nginx") is None, reason="no nginx on the PATH: its configuration is not tested"),
]


class Proxied:
    """The service as clients of the proxy see it."""

    def __init__(self, url: str) -> None:
        self.url = url


@pytest.fixture(scope="module")
def proxy(server, tmp_path_factory):
    """Run nginx with the committed configuration; only places, names and the times to wait for are others."""
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    text = (ROOT / "docker/nginx.conf").read_text()
    for old, new in (
        ("serve:3000", server.url.removeprefix("http://")),
        ("listen 8080;", f"listen 127.0.0.1:{port};"),
        (" /tmp/", f" {folder}/"),
        ("client_header_timeout 20s", "client_header_timeout 1s"),
        ("client_max_body_size 1025m", "client_max_body_size 1m"),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / "nginx.conf").write_text(text)
    orders = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")  # who may write in the folder
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", orders]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    proxied = Proxied(f"http://127.0.0.1:{port}")
    try:
        assert until(lambda: _answers(proxied)), (folder / "log").read_text()
        yield proxied
    finally:
        process.terminate()
        process.wait(10)


def _answers(proxied: Proxied) -> bool:
    try:
        return httpx.get(f"{proxied.url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def test_the_service_behind_it(server, proxy, tmp_path):
    content = write_tones(tmp_path / "x.wav").read_bytes()
    direct = server.post("detections", content).json()
    assert httpx.post(f"{proxy.url}/detections", files={"audio": ("x.wav", content)}).json() == direct
    page = httpx.get(f"{proxy.url}/")
    assert page.status_code == 200 and "content-security-policy" in page.headers
    assert httpx.get(f"{proxy.url}/static/page.js").status_code == 200
    assert httpx.get(f"{proxy.url}/metrics").status_code == 404


def test_slow_uploads_do_not_reach_the_service(server, proxy):
    held = [arriving(proxy) for _ in range(10)]
    try:
        time.sleep(1.0)
        assert "britekit_uploads_arriving 0.0" in server.get("metrics").text
        assert server.uploads() == []
    finally:
        for connection in held:
            connection.close()


def test_a_head_that_does_not_end_is_not_waited_for(proxy):
    host, port = proxy.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHo")
        began = time.monotonic()
        while connection.recv(4096):
            pass
    assert time.monotonic() - began < 5


def test_refusals_are_one_sentence(proxy):
    answer = httpx.post(f"{proxy.url}/scores", files={"audio": bytes(2 << 20)})
    assert answer.status_code == 413 and "larger" in answer.json()["error"]
    held = [arriving(proxy) for _ in range(16)]
    try:
        assert until(lambda: httpx.get(f"{proxy.url}/readyz").status_code == 429)
        answer = httpx.get(f"{proxy.url}/model")
        assert answer.status_code == 429 and "one address" in answer.json()["error"]
        assert int(answer.headers["retry-after"]) > 0
    finally:
        for connection in held:
            connection.close()
    assert until(lambda: httpx.get(f"{proxy.url}/readyz").status_code == 200)

"""Tokens: who gets in, how often, and that no server listens for others without one."""

import hashlib
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from britekit.errors import ConfigError
from britekit.service import access as module
from britekit.service.access import check_binding, read_access
from tests.service.running import ROOT, free_port, serving

SECRET = "Zk3v9T0wqXr5LbNc"
TODAY = datetime.now(UTC).date()


def ask(access, token=None, path="/model", server="127.0.0.1", scheme="Bearer"):
    """Return status, sentence and headers of a refusal, or the name of the token."""
    headers = [] if token is None else [(b"authorization", f"{scheme} {token}".encode())]
    scope = {"type": "http", "path": path, "headers": headers, "server": (server, 80)}
    refusal = access.refusal(scope)
    if refusal is None:
        return scope[module.TOKEN_KEY]
    return refusal.status_code, refusal.body.decode(), refusal.headers


def tokens(text, **more):
    return read_access({"BRITEKIT_TOKENS": text, **more})


def test_several_named_tokens():
    hashed = hashlib.sha256(b"another-token-of-24-byte").hexdigest()
    access = tokens(f"lab:{SECRET},\n# none\nfield:sha256:{hashed} rate=9, old:{SECRET[::-1]} expires={TODAY}")
    assert [ask(access, x) for x in (SECRET, "another-token-of-24-byte", SECRET[::-1])] == ["lab", "field", "old"]
    assert ask(access, SECRET, scheme="bearer") == "lab"
    assert ask(access, hashed)[0] == 401, "a hash is no token"


@pytest.mark.parametrize("given", [None, "", "wrong", SECRET[:-1], SECRET + "x", SECRET.lower(), "é" * 20])
def test_a_wrong_or_missing_token(given):
    status, sentence, headers = ask(tokens(f"lab:{SECRET}"), given)
    assert status == 401 and SECRET not in sentence and "lab" not in sentence
    assert headers["www-authenticate"].startswith('Bearer realm="britekit"')
    assert ("invalid_token" in headers["www-authenticate"]) == (given is not None)
    assert ask(tokens(f"lab:{SECRET}"), SECRET, scheme="Basic")[0] == 401


def test_all_tokens_are_compared_whole(monkeypatch):
    """A comparison that ends early would tell by its time how much of a token is right."""
    seen = []
    real = module.hmac.compare_digest
    monkeypatch.setattr(module.hmac, "compare_digest", lambda a, b: seen.append((a, b)) or real(a, b))
    ask(tokens(f"a:{SECRET}, b:{SECRET}2, c:{SECRET}3"), SECRET)
    assert len(seen) == 3 and all(len(a) == len(b) == 32 for a, b in seen)


def test_an_expired_token_also_with_the_clock_set_back(monkeypatch):
    access = tokens(f"lab:{SECRET} expires={TODAY - timedelta(1)}")
    status, sentence, _ = ask(access, SECRET)
    assert status == 401 and f"the token lab expired on {TODAY - timedelta(1)}" in sentence
    monkeypatch.setattr(time, "time", lambda: 1e9)
    assert ask(access, SECRET)[0] == 401


def test_what_is_open():
    access = tokens(f"lab:{SECRET}")
    for path in ("/", "/docs", "/docs.json", "/livez", "/readyz", "/healthz", "/static/page.js"):
        assert ask(access, path=path) == ""
    for path in ("/metrics", "/model", "/sample", "/detections", "/jobs", "/jobs/x/result", "/static", "/livez/x"):
        assert ask(access, path=path)[0] == 401, path


def test_a_rate_per_token(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    access = tokens(f"lab:{SECRET}, fast:{SECRET}2 rate=600", BRITEKIT_RATE="60")
    assert [ask(access, SECRET) for _ in range(10)] == ["lab"] * 10, "ten seconds' worth at once"
    status, sentence, headers = ask(access, SECRET)
    assert status == 429 and "60 requests per minute" in sentence and headers["retry-after"] == "1"
    assert [ask(access, f"{SECRET}2") for _ in range(100)] == ["fast"] * 100
    assert ask(access, path="/readyz") == ""
    now[0] += 3.0
    assert [ask(access, SECRET) for _ in range(4)][:3] == ["lab"] * 3 and ask(access, SECRET)[0] == 429
    slow = tokens(f"lab:{SECRET} rate=0.5")
    assert ask(slow, SECRET) == "lab" and ask(slow, SECRET)[2]["retry-after"] == "120"


def test_a_file_that_changes(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(module, "_LOOK_S", 0.0)
    file = tmp_path / "tokens"
    file.write_text(f"lab:{SECRET}\n")
    access = read_access({"BRITEKIT_TOKENS_FILE": str(file)})
    assert ask(access, SECRET) == "lab"
    file.write_text("lab:short\n")
    assert ask(access, SECRET) == "lab" and "the tokens that were read before stay valid" in caplog.text
    file.write_text(f"lab:{SECRET}-the-new-one\n")
    assert ask(access, SECRET)[0] == 401 and ask(access, f"{SECRET}-the-new-one") == "lab"
    file.unlink()
    assert ask(access, f"{SECRET}-the-new-one") == "lab" and ask(access)[0] == 401


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"BRITEKIT_TOKENS": "lab"}, "entry 1 is not of the form NAME:TOKEN"),
        ({"BRITEKIT_TOKENS": f"lab:{SECRET}, lab two:{SECRET}"}, "entry 2"),
        ({"BRITEKIT_TOKENS": "lab:short-token"}, "the token of lab is shorter than 16"),
        ({"BRITEKIT_TOKENS": f"lab:{SECRET} expires=soon"}, '"expires=soon" of the token lab'),
        ({"BRITEKIT_TOKENS": f"lab:{SECRET} rate=-1"}, '"rate=-1"'),
        ({"BRITEKIT_TOKENS_FILE": "/nowhere"}, "/nowhere cannot be read"),
        ({"BRITEKIT_TOKENS_FILE": os.devnull}, "is empty"),
        ({"BRITEKIT_TOKENS": f"lab:{SECRET}", "BRITEKIT_TOKENS_FILE": "x"}, "set one of them"),
        ({"BRITEKIT_TOKENS": f"lab:{SECRET}", "BRITEKIT_NO_TOKEN": "1"}, "unset one of them"),
        ({"BRITEKIT_TOKENS": f"lab:{SECRET}", "BRITEKIT_RATE": "often"}, "BRITEKIT_RATE"),
        ({"BRITEKIT_RATE": "60"}, "there are no tokens"),
    ],
)
def test_settings_that_cannot_be_used(environment, words):
    with pytest.raises(ConfigError, match=words) as caught:
        read_access(environment)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "environment", "fine"),
    [
        ("127.0.0.1", {}, True), ("::1", {}, True), ("localhost", {}, True), ("127.8.8.8", {}, True),
        ("0.0.0.0", {}, False), ("::", {}, False), ("192.168.1.9", {}, False), ("example.org", {}, False),
        ("0.0.0.0", {"BRITEKIT_NO_TOKEN": "0"}, False), ("0.0.0.0", {"BRITEKIT_NO_TOKEN": "1"}, True),
        ("0.0.0.0", {"BRITEKIT_TOKENS": f"lab:{SECRET}"}, True), ("0.0.0.0", {"BRITEKIT_TOKENS_FILE": "/x"}, True),
    ],
)  # fmt: skip
def test_no_address_for_others_without_a_token(host, environment, fine):
    if fine:
        check_binding(host, environment)
    else:
        with pytest.raises(ConfigError, match="needs a token.*--no-token or BRITEKIT_NO_TOKEN=1"):
            check_binding(host, environment)


def test_a_server_whose_address_bentoml_chooses():
    closed = read_access({}, local_only=True)
    assert ask(closed) == "" and ask(closed, server="172.17.0.2")[0] == 403
    assert ask(closed, server="172.17.0.2", path="/readyz") == ""
    assert ask(read_access({"BRITEKIT_NO_TOKEN": "1"}, local_only=True), server="172.17.0.2") == ""
    assert ask(read_access({"BRITEKIT_TOKENS": f"lab:{SECRET}"}, local_only=True), SECRET, server="172.17.0.2") == "lab"


def run(folder, *arguments, module="britekit", **environment):
    command = [sys.executable, "-m", module, *arguments]
    settings = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.xdist_group("service")
def test_serve_and_the_image_refuse_to_listen_for_all(server):
    folder = server.log.parent
    port = str(free_port())
    for told in (
        run(folder, "serve", "-c", "settings.yaml", "--host", "0.0.0.0", "--port", port),
        run(folder, "--host", "0.0.0.0", "--port", port, module="britekit.service.run"),  # as the image does
    ):
        assert told.returncode == 1 and "so it needs a token" in told.stderr and "Traceback" not in told.stderr


@pytest.mark.xdist_group("service")
def test_a_server_with_tokens(server, tmp_path):
    """Every address is behind the token, the log names the token and never shows it."""
    settings = str(server.log.parent / "settings.yaml")
    with serving(["-c", settings], tmp_path, BRITEKIT_TOKENS=f"lab:{SECRET}") as running:
        assert [running.get(x).status_code for x in ("readyz", "livez", "", "docs", "static/token.js")] == [200] * 5
        assert [running.get(x).status_code for x in ("metrics", "model", "jobs", "x")] == [401] * 4
        refused = running.post("detections", b"RIFF" + bytes(8_000_000))  # the client sees the answer all the same
        assert refused.status_code == 401 and "send a token" in refused.json()["error"]
        head = {"Authorization": f"Bearer {SECRET}"}
        assert httpx.get(f"{running.url}/model", headers=head).status_code == 200
        assert 'code="401"' in httpx.get(f"{running.url}/metrics", headers=head).text
        text = running.log.read_text()
    assert "GET /model status=200" in text and "token=lab" in text and SECRET not in text

"""Everything that a form can be but should not: no 5xx, nothing left on disk, no path told, still alive."""

import functools
import io
import os
import random
import time
from collections import Counter

import httpx
import numpy as np
import pytest
import schemathesis
import soundfile

from tests.service.tone_model import tones

pytestmark = pytest.mark.xdist_group("service")
PATHS = ("detections", "scores", "spectrogram")
EXPECTED = {200, 400, 408, 411, 413, 415, 422, 429}
# What must never be told: where things lie on the server, and how it is built.
SECRETS = ("/tmp", "britekit-upload", "Traceback", "site-packages", 'File "')


@functools.cache
def sounds() -> dict[str, bytes]:
    """Return the same 6 s in every format that libsndfile writes and people record in."""
    found = {}
    for form, subtype in (
        ("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"),
        ("MP3", None), ("AIFF", "PCM_16"), ("RF64", "PCM_16"), ("CAF", "PCM_16"), ("W64", "PCM_16"),
    ):  # fmt: skip
        out = io.BytesIO()
        soundfile.write(out, tones(6.0), 16000, format=form, subtype=subtype)
        found[f"{form}-{subtype}"] = out.getvalue()
    return found


def checked(server, answer: httpx.Response) -> int:
    assert answer.status_code in EXPECTED, (answer.status_code, answer.text[:300])
    if answer.status_code >= 400:
        error = answer.json()["error"]
        assert error and "\n" not in error
    told = answer.text if answer.headers["content-type"].startswith(("application/json", "text")) else ""
    told += " ".join(answer.headers.values())
    assert not [secret for secret in SECRETS if secret in told], told[:500]
    return answer.status_code


def left(server) -> list:
    deadline = time.monotonic() + 10
    while (found := server.uploads()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


@pytest.fixture(autouse=True)
def still_well(server):
    """After each attack the server answers as before, and contains no file."""
    before, logged = server.family(), len(server.log.read_text())
    yield
    assert left(server) == []
    assert server.get("readyz").status_code == 200
    assert server.post("detections", server.log.parent / "x.wav").status_code == 200
    assert server.family() == before, "a process was lost and started anew"
    assert "Traceback" not in server.log.read_text()[logged:]


def attack(server, rounds: int, seed: int) -> Counter:
    """Send damaged sounds and damaged forms, and count the statuses."""
    rng = random.Random(seed)
    counts: Counter = Counter()
    kinds = list(sounds().values())
    with httpx.Client(base_url=server.url, timeout=60) as client:
        for _ in range(rounds):
            content = bytearray(rng.choice(kinds))
            damage = rng.choice(("cut", "flip", "noise", "head", "insert", "double", "random"))
            if damage == "cut":
                del content[rng.randrange(len(content)) :]
            elif damage == "flip":
                for _ in range(rng.randrange(1, 200)):
                    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
            elif damage == "noise":
                at = rng.randrange(len(content))
                content[at : at + 2000] = rng.randbytes(2000)
            elif damage == "head":
                for _ in range(rng.randrange(1, 12)):
                    content[rng.randrange(60)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
            elif damage == "insert":
                at = rng.randrange(len(content))
                content[at:at] = rng.randbytes(rng.randrange(1, 500))
            elif damage == "double":
                content += rng.choice(kinds)
            else:
                content = bytearray(rng.randbytes(rng.randrange(1, 5000)))
            name = rng.choice(("x.wav", "x.flac", "x.mp3", "x.opus", "x.m4a", "x", "x.amr", "x.exe"))
            answer = client.post(f"/{rng.choice(PATHS)}", files={"audio": (name, bytes(content))})
            counts[checked(server, answer)] += 1
    return counts


def test_damaged_recordings(server):
    counts = attack(server, 50, seed=7)
    # Most damage leaves something to hear, random bytes do not: an attack of which all is one is none.
    assert counts[200] >= 5 and counts[422] >= 5


def test_every_truncation_of_a_head(server):
    with httpx.Client(base_url=server.url, timeout=60) as client:
        for content in sounds().values():
            for length in (1, 4, 12, 44, 100):
                assert checked(server, client.post("/scores", files={"audio": ("x", content[:length])})) == 422


@pytest.mark.parametrize("seed", [1])
def test_random_bodies(server, seed):
    """Bodies that claim to be forms, from random bytes to forms with a few bytes changed."""
    rng = random.Random(seed)
    good = b'--ab\r\nContent-Disposition: form-data; name="audio"; filename="x.wav"\r\n\r\n%b\r\n--ab--\r\n'
    good %= sounds()["WAV-PCM_16"][:3000]
    with httpx.Client(base_url=server.url, timeout=60) as client:
        for _ in range(60):
            body = bytearray(rng.choice((good, rng.randbytes(500))))
            for _ in range(rng.randrange(8)):
                body[rng.randrange(min(len(body), 120))] = rng.randrange(256)
            kind = rng.choice(("multipart/form-data; boundary=ab", "multipart/form-data; boundary=",
                               "audio/wav", "application/json", "application/vnd.bentoml+pickle",
                               "multipart/form-data; boundary=" + "x" * 500, ""))  # fmt: skip
            answer = client.post(f"/{rng.choice(PATHS)}", content=bytes(body), headers={"content-type": kind})
            checked(server, answer)


@pytest.mark.parametrize(
    "name",
    ["../../../../etc/passwd", "..\\..\\windows\\x.wav", "/etc/shadow", "x\x00.wav", "a" * 5000 + ".wav",
     "-i.wav", "concat:/etc/passwd", "%2e%2e%2fx.wav", "x.wav\r\nSet-Cookie: a=b", '"; rm -rf /.wav', "", ".",
     "..", "CON.wav", "🐦.wav", "<script>.wav", "http://127.0.0.1:1/x.m3u8", "x.m3u8", "x.sdp"],
)  # fmt: skip
def test_tricks_in_file_names(server, name):
    for form in ("csv", "audacity"):
        answer = server.post("detections", sounds()["WAV-PCM_16"], name=name, format=form)
        status = checked(server, answer)
        assert "set-cookie" not in answer.headers
        if not name or len(name) > 1000:  # no name means no file; and a head has its limits
            assert status == 400
            continue
        assert status == 200
        shown = answer.headers["content-disposition"]
        assert "/" not in shown and "\\" not in shown and ".." not in shown
    listed = [path for path in server.temporary.parent.rglob("*") if path.name.startswith("passwd")]
    assert listed == []


@pytest.mark.parametrize(
    "text",
    ["#EXTM3U\n#EXTINF:1,\n/etc/hostname\n", "ffconcat version 1.0\nfile /etc/hostname\n",
     "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:{port}/x.wav\n", "v=0\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n",
     '<?xml version="1.0"?><MPD><BaseURL>file:///etc/hostname</BaseURL></MPD>'],
)  # fmt: skip
@pytest.mark.parametrize("suffix", ["m3u8", "wav", "ffconcat", "sdp", "mpd"])
def test_lists_that_name_other_files_are_not_followed(server, text, suffix):
    content = text.replace("{port}", server.url.rpartition(":")[2]).encode()
    assert checked(server, server.post("scores", content, name=f"x.{suffix}")) == 422


def test_hours_of_silence_in_a_small_file(server):
    """A kilobyte-sized upload that decodes to 10 h is refused at the limit of 4 h, in bounded memory."""
    out = io.BytesIO()
    with soundfile.SoundFile(out, "w", 1000, 1, format="FLAC") as file:  # few samples, and as many hours
        for _ in range(10):
            file.write(np.zeros(3600 * 1000, np.int16))
    assert len(out.getvalue()) < 300_000
    before = memory(server)
    answer = httpx.post(f"{server.url}/spectrogram", files={"audio": out.getvalue()}, timeout=120)
    assert checked(server, answer) == 413 and "longer than 14400 s" in answer.json()["error"]
    assert memory(server) - before < 200e6


def memory(server) -> float:
    import psutil

    return sum(psutil.Process(pid).memory_info().rss for pid in server.family())


def test_its_own_openapi(server):
    """Schemathesis makes requests from what the server says of itself, right and wrong ones."""
    assert api_attack(server, 6) > 40


@pytest.mark.soak
def test_its_own_openapi_for_long(server):
    assert api_attack(server, 400) > 1000


@pytest.mark.soak
def test_damaged_recordings_for_long(server):
    for seed in range(60):
        attack(server, 100, seed)


def api_attack(server, examples: int) -> int:
    """Run the checks of schemathesis over every operation; return how many requests were sent."""
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    checks = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
    schema = schemathesis.openapi.from_url(f"{server.url}/docs.json")
    sent = 0
    import hypothesis

    for operation in schema.get_all_operations():
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            strategy = operation.ok().as_strategy(generation_mode=mode)

            @hypothesis.seed(1)
            @hypothesis.settings(
                max_examples=examples, database=None, suppress_health_check=list(hypothesis.HealthCheck)
            )
            @hypothesis.given(case=strategy)
            def run(case):
                nonlocal sent
                sent += 1
                case.call_and_validate(base_url=server.url, checks=checks)

            try:
                run()
            except hypothesis.errors.Unsatisfiable:  # an operation without input cannot be asked wrongly
                continue
    return sent


def test_attacks_left_no_file_in_the_working_folder(server):
    names = {path.name for path in server.log.parent.iterdir()}
    assert names <= {"tmp", "home", "serve.log", "settings.yaml", "models", "x.wav"}, names
    assert os.listdir(server.log.parent / "home") == []

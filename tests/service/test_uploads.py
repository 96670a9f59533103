"""Receiving a form: what is stored, what is refused, and that nothing stays behind."""

import asyncio
import hashlib
import tempfile

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from britekit.errors import ConfigError
from britekit.service.limits import Limits, read_limits
from britekit.service.uploads import Refusal, receive_upload, safe_name

MAX_BYTES = 300_000


async def _receive(request: Request) -> Response:
    try:
        upload = await receive_upload(request, "audio", MAX_BYTES)
    except Refusal as refusal:
        return refusal.response()
    content = upload.path.read_bytes()
    answer = {
        "name": upload.name,
        "file": upload.path.name,
        "size": upload.size,
        "fields": upload.fields,
        "key": upload.key,
        "read": hashlib.sha256(content).hexdigest(),
    }
    upload.close()
    return JSONResponse(answer)


APP = Starlette(routes=[Route("/", _receive, methods=["POST"])])


@pytest.fixture(autouse=True)
def _nothing_left(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    assert list(tmp_path.iterdir()) == []


def post(**options) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=APP)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post("/", **options)

    return asyncio.run(send())


def test_file_and_fields_arrive():
    body = bytes(range(256)) * 1000
    answer = post(
        files={"audio": ("a recording.wav", body)}, data={"format": "csv"}, params={"min_score": "0.5"}
    ).json()
    assert answer["size"] == len(body)
    assert answer["read"] == hashlib.sha256(body).hexdigest()
    assert answer["key"] == answer["read"] + ".wav"
    assert answer["name"] == "a recording" and answer["file"] == "recording.wav"
    assert answer["fields"] == {"format": "csv", "min_score": "0.5"}


def test_boundary_like_bytes_inside_a_file_stay():
    body = b"\r\n--xyz\r\n--abc--\r\n--" * 50
    content = (
        b'--abcd\r\nContent-Disposition: form-data; name="audio"; filename="x"\r\n\r\n' + body + b"\r\n--abcd--\r\n"
    )
    answer = post(content=content, headers={"content-type": "multipart/form-data; boundary=abcd"}).json()
    assert answer["key"] == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize(
    ("name", "stem", "suffix"),
    [
        ("../../etc/passwd", "passwd", ""),
        ("C:\\sounds\\dawn chorus.WAV", "dawn chorus", ".wav"),
        ("", "recording", ""),
        ("...", "recording", ""),
        ("x" * 300 + ".mp3", "x" * 255, ".mp3"),
        ("a\x00b\n<c>.wav", "a_b__c_", ".wav"),
        ("O'Brien [site 3] & 12°C 50%!.wav", "O'Brien [site 3] & 12°C 50%!", ".wav"),
        ("Ku\u0308ken 🐦.wav", "Ku\u0308ken 🐦", ".wav"),
        ("song.w\x00v", "song", ""),
        ("Zilpzalp früh.flac", "Zilpzalp früh", ".flac"),
    ],
)
def test_file_names_are_made_harmless(name, stem, suffix):
    assert safe_name(name) == (stem, suffix)


@pytest.mark.parametrize(
    ("data", "params"),
    [({"format": ["csv", "json"]}, {}), ({"format": "csv"}, {"format": "json"}), ({}, {"a": ["1", "2"]})],
)
def test_a_field_with_two_values_is_refused(data, params):
    answer = post(files={"audio": ("x.wav", b"x")}, data=data, params=params)
    assert answer.status_code == 400 and "given twice" in answer.json()["error"]


@pytest.mark.parametrize("declared", [True, False])
def test_too_large_is_413(declared):
    body = b"x" * (MAX_BYTES + 1 if not declared else MAX_BYTES + 200_000)
    answer = post(files={"audio": ("x.wav", body)})
    assert answer.status_code == 413
    assert "larger than 293 KiB" in answer.json()["error"]


@pytest.mark.parametrize(
    ("options", "status", "part"),
    [
        ({"json": {"audio": "/etc/passwd"}}, 415, "multipart/form-data"),
        ({"data": {"audio": "http://127.0.0.1/x.wav"}}, 415, "multipart/form-data"),
        ({"content": b"RIFF", "headers": {"content-type": "audio/wav"}}, 415, "multipart/form-data"),
        ({"files": {"audio": (None, "http://127.0.0.1/x.wav")}}, 400, "must be a file"),
        ({"files": {"sound": ("x.wav", b"RIFF")}}, 400, 'in the field "audio"'),
        ({"files": [("audio", ("a", b"1")), ("audio", ("b", b"2"))]}, 400, "exactly one file"),
        ({"files": {"audio": ("x.wav", b"")}}, 400, "empty"),
        ({"files": {"format": (None, "csv")}}, 400, "no file"),
        ({"files": {"audio": ("x", b"1")}, "data": {"format": "x" * 20_000}}, 400, "longer than"),
        ({"files": {"audio": ("x", b"1")}, "data": {f"f{i}": "1" for i in range(40)}}, 400, "more than"),
        ({"content": b"--ab", "headers": {"content-type": "multipart/form-data; boundary=ab"}}, 400, "closing"),
        ({"content": b"what", "headers": {"content-type": "multipart/form-data; boundary=ab"}}, 400, "well-formed"),
        ({"content": b"", "headers": {"content-type": "multipart/form-data"}}, 415, "multipart/form-data"),
    ],
)
def test_refusals(options, status, part):
    answer = post(**options)
    assert answer.status_code == status
    assert part in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


def test_cut_file_is_refused():
    content = b'--ab\r\nContent-Disposition: form-data; name="audio"; filename="x"\r\n\r\n' + b"1" * 5000
    answer = post(content=content, headers={"content-type": "multipart/form-data; boundary=ab"})
    assert answer.status_code == 400


def test_silent_client_is_given_up(monkeypatch):
    monkeypatch.setattr("britekit.service.uploads.IDLE_SECONDS", 0.1)
    monkeypatch.setattr("britekit.service.uploads._DRAIN_SECONDS", 0.1)

    async def slow():
        yield b'--ab\r\nContent-Disposition: form-data; name="audio"; filename="x"\r\n\r\n1'
        await asyncio.sleep(5)

    answer = post(content=slow(), headers={"content-type": "multipart/form-data; boundary=ab"})
    assert answer.status_code == 408


def test_limits_come_from_the_environment():
    assert read_limits({}).max_bytes == Limits().max_bytes
    limits = read_limits({"BRITEKIT_MAX_UPLOAD_MIB": "2", "BRITEKIT_MAX_HOURS": "0.5", "BRITEKIT_MAX_REQUESTS": "3"})
    assert (limits.max_bytes, limits.max_seconds, limits.max_requests) == (2 << 20, 1800.0, 3)
    assert read_limits({"BRITEKIT_STOP_SECONDS": "55"}).stop_seconds == 55.0
    with pytest.raises(ConfigError) as caught:
        read_limits({"BRITEKIT_MAX_HOURS": "many", "BRITEKIT_MAX_UPLOAD_MIB": "-1"})
    assert len(caught.value.problems) == 2

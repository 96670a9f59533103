"""Recordings that a job names by an ``s3://`` address, from a real S3 store: `rclone serve s3` on this machine."""

import os
import shutil
import socket
import subprocess
import sysconfig
import time
from pathlib import Path

import pytest

from britekit.errors import InputError
from britekit.service.jobs import sources
from britekit.service.jobs.sources import Gone, check_source, name_of, opened_source
from britekit.service.uploads import Refusal
from tests.service.running import free_port

RCLONE = shutil.which("rclone") or shutil.which("rclone", path=sysconfig.get_path("scripts"))
MOST = 1 << 20


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ("s3://birds/2026/x.wav", 0), ("s3://birds/2026/pond/x.wav", 0), ("s3://all/x.wav", 0),
        ("s3://birds/2026-old/x.wav", 403), ("s3://birds/x.wav", 403), ("s3://other/2026/x.wav", 403),
        ("s3://birds/2026", 403), ("s3://birds/2026/", 400), ("s3://birds/2026/../secret/x.wav", 400),
        ("s3://birds//2026/x.wav", 400), ("s3://", 400), ("s3://birds", 400), ("S3://birds/2026/x.wav", 400),
        ("https://birds/2026/x.wav", 400), ("/birds/2026/x.wav", 403),
    ],
)  # fmt: skip
def test_addresses_that_are_allowed(source, status):
    allowed = ("s3://birds/2026/", "s3://all")
    if not status:
        check_source(source, allowed)
        return
    with pytest.raises(Refusal) as caught:
        check_source(source, allowed)
    assert caught.value.status == status, caught.value.sentence


def test_nothing_is_allowed_by_default():
    with pytest.raises(Refusal, match="accepts no paths"):
        check_source("s3://birds/x.wav", ())


def test_names():
    assert [name_of(x) for x in ("s3://b/a/dawn.chorus.wav", "s3://b/x", "s3://b/a?b.wav")] == [
        "dawn.chorus",
        "x",
        "a_b",
    ]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    if RCLONE is None:
        pytest.skip("no rclone on the PATH: the S3 store is not tested")
    folder, port = tmp_path_factory.mktemp("store"), free_port()
    (folder / "birds" / "2026").mkdir(parents=True)
    (folder / "birds" / "2026" / "x.wav").write_bytes(bytes(range(256)) * 1000)
    (folder / "birds" / "2026" / "large.wav").write_bytes(bytes(MOST + 1))
    command = [RCLONE, "serve", "s3", str(folder), "--addr", f"127.0.0.1:{port}", "--auth-key", "key,secret-secret"]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen([*command, "--config", os.devnull], stdout=log, stderr=log)
    deadline = time.monotonic() + 20
    while True:
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert time.monotonic() < deadline and process.poll() is None, (folder / "log").read_text()
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(10)


@pytest.fixture
def keys(store, monkeypatch):
    for name, value in (
        ("AWS_ENDPOINT_URL", store), ("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret-secret"),
        ("AWS_REGION", "us-east-1"), ("AWS_EC2_METADATA_DISABLED", "true"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)


def fetched(source: str, scratch: Path, wanted=lambda: True) -> bytes:
    with opened_source(source, ("s3://birds/2026",), scratch, MOST, wanted) as path:
        assert path.parent == scratch and path.suffix == ".wav"
        return path.read_bytes()


def test_a_recording_comes_whole_and_its_copy_goes(keys, tmp_path):
    assert fetched("s3://birds/2026/x.wav", tmp_path) == bytes(range(256)) * 1000
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("s3://birds/2026/missing.wav", "does not exist|cannot be read from the store"),
        ("s3://birds/2026/large.wav", "larger than 1 MiB"),
        ("s3://birds/2025/x.wav", "not below an address"),
    ],
)
def test_what_cannot_be_fetched(keys, tmp_path, source, words):
    with pytest.raises(InputError, match=words):
        fetched(source, tmp_path)
    assert not list(tmp_path.iterdir())


def test_wrong_keys(keys, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
    with pytest.raises(InputError, match=r"s3://birds/2026/x.wav cannot be read from the store") as caught:
        fetched("s3://birds/2026/x.wav", tmp_path)
    assert "another-secret" not in str(caught.value)


def test_a_job_that_is_cancelled_ends_its_copy(keys, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_BLOCK", 1000)
    with pytest.raises(Gone):
        fetched("s3://birds/2026/x.wav", tmp_path, lambda: False)
    assert not list(tmp_path.iterdir())

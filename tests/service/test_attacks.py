"""What an attacker tried against the service, each with the answer that keeps others served."""

import concurrent.futures
import io
import os
import re
import socket
import subprocess
import sys
import time

import httpx
import numpy as np
import psutil
import pytest
import soundfile

from britekit.inference import recording_job
from britekit.inference.engine import Engine
from britekit.inference.ensemble import load_ensemble
from britekit.inference.model_files import resolve_for_models
from tests.service.running import ROOT, serving
from tests.service.test_reliability import FORM, HEAD, begin, silence, until
from tests.service.tone_model import write_project, write_tones

pytestmark = pytest.mark.xdist_group("service")


def arriving(server, path: str = "detections", declared: int = 10**6) -> socket.socket:
    """Begin an upload that does not end."""
    host, port = server.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)))
    connection.sendall((HEAD.format(path=path) + f"Content-Length: {declared}\r\n\r\n").encode() + FORM + b"RIFF")
    return connection


def worker(server) -> psutil.Process:
    """Return the process that holds the model."""
    (child,) = psutil.Process(server.process.pid).children()
    return child


def open_uploads(server) -> list[str]:
    """Return the files below TMPDIR that the service has open, deleted ones too."""
    folder, found = f"/proc/{worker(server).pid}/fd", []
    for name in os.listdir(folder):
        try:
            found.append(os.readlink(f"{folder}/{name}"))
        except FileNotFoundError:
            continue
    return [path for path in found if "britekit-upload-" in path]


@pytest.fixture
def small_disk(tmp_path):
    """Return a file system of 12 MB; skips where none can be mounted."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=12m", "none", str(place)]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no small file system can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("declared", [True, False])
def test_an_upload_larger_than_the_disk(small_disk, tmp_path, declared):
    """It is refused, the process stays the same, and others are served while and after it."""
    settings = str(write_project(tmp_path))
    clip = write_tones(tmp_path / "x.wav").read_bytes()

    def body():
        yield FORM
        for _ in range(40):
            yield bytes(1 << 20)

    with serving(["-c", settings], small_disk) as server:
        pid = worker(server).pid
        if declared:
            with arriving(server, declared=40 << 20) as held:
                held.settimeout(10)
                head = b""
                while b"no room" not in head and (part := held.recv(65536)):
                    head += part  # head and body may come apart
            assert head.startswith(b"HTTP/1.1 429") and b"no room" in head
        else:
            for _ in range(3):
                kind = {"content-type": "multipart/form-data; boundary=ab"}
                answer = httpx.post(f"{server.url}/detections", content=body(), headers=kind, timeout=30)
                assert answer.status_code == 429 and "no room" in answer.json()["error"]
        assert server.post("detections", clip).status_code == 200
        assert server.get("metrics").status_code == 200
        assert worker(server).pid == pid and open_uploads(server) == []
        assert not list(server.temporary.rglob("*.db"))  # of metrics in mapped files
    assert "Traceback" not in server.log.read_text()


def test_paths_that_a_client_makes_up_are_one_label(server):
    with httpx.Client(base_url=server.url) as client:
        for number in range(300):
            assert client.get(f"/{'x' * 500}{number}").status_code == 404
    text = server.get("metrics").text
    assert "xxx" not in text and len(text) < 100_000
    (count,) = re.findall(r'britekit_request_total\{endpoint="other",http_response_code="404"\} (\S+)', text)
    assert float(count) >= 300


def test_figures_of_what_was_heard(server, tmp_path):
    def figure(name: str) -> float:
        found = re.findall(rf"(?m)^{re.escape(name)} (\S+)$", server.get("metrics").text)
        return float(found[0]) if found else 0.0

    names = (
        "britekit_audio_seconds_total",
        'britekit_detections_total{class_name="Low Tone"}',
        'britekit_refusals_total{status="422"}',
    )
    before = [figure(name) for name in names]
    content = write_tones(tmp_path / "x.wav", seed=301).read_bytes()
    assert server.post("detections", content).status_code == 200
    assert server.post("detections", content, min_score=0.01).status_code == 200  # not analyzed again
    assert server.post("detections", b"no sound").status_code == 422
    after = [figure(name) for name in names]
    # 8 s with one low tone, by construction of the sound.
    assert [b - a for a, b in zip(before, after, strict=True)] == [8.0, 1.0, 1.0]
    assert figure("britekit_recordings_in_queue") == figure("britekit_uploads_arriving") == 0


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    cfg, members = resolve_for_models(write_project(tmp_path_factory.mktemp("engine")), None)
    with Engine(load_ensemble(cfg, members), 1, open_recordings=64) as engine:
        yield engine


def heavy(seconds: float, rate: int = 655_000, channels: int = 8) -> bytes:
    """Return silence that is small as a file and large as samples."""
    out = io.BytesIO()
    with soundfile.SoundFile(out, "w", rate, channels, format="FLAC") as file:
        for _ in range(round(seconds)):
            file.write(np.zeros((rate, channels), np.int16))
    return out.getvalue()


def test_a_turn_is_bounded_by_samples(engine, tmp_path, monkeypatch):
    (tmp_path / "heavy.flac").write_bytes(heavy(20))
    decoded = []
    take = recording_job.Job.read

    def read(self):
        before = self.served
        batch = take(self)
        decoded.append(self.served - before)
        return batch

    monkeypatch.setattr(recording_job.Job, "read", read)
    engine.score(tmp_path / "heavy.flac", max_seconds=100)
    # A window of 2 s is 10.5 million samples here, which is more than a turn has, so each is one.
    assert len(decoded) >= 10 and max(decoded) == 2 * 655_000 * 8
    decoded.clear()
    soundfile.write(tmp_path / "long.wav", np.zeros(600 * 8000), 8000)
    engine.score(tmp_path / "long.wav", max_seconds=1000)
    assert max(decoded) == recording_job.CHUNK * 2 * 8000


def test_short_recordings_overtake_heavy_ones(engine, tmp_path):
    """The order of the answers, whatever the machine's speed: all short ones before any heavy one."""
    for number in range(4):
        (tmp_path / f"heavy{number}.flac").write_bytes(heavy(40) + bytes([number]))
    ended: list[str] = []
    futures = []
    for name in [f"heavy{n}.flac" for n in range(4)]:
        futures.append(engine.submit(tmp_path / name, max_seconds=100))
        futures[-1].add_done_callback(lambda _, name=name: ended.append(name))
    for number in range(6):
        path = write_tones(tmp_path / f"short{number}.wav", 5, seed=number)
        futures.append(engine.submit(path, max_seconds=100))
        futures[-1].add_done_callback(lambda _, path=path: ended.append(path.name))
    concurrent.futures.wait(futures, 120)
    assert all(name.startswith("short") for name in ended[:6]), ended


def test_a_header_that_says_too_long_is_refused_at_once(server, monkeypatch):
    content = silence(10)  # the limit is 4 h
    began = time.monotonic()
    answer = server.post("detections", content)
    assert answer.status_code == 413 and "longer than 14400 s" in answer.json()["error"]
    answer = server.post("spectrogram", content)
    assert answer.status_code == 413
    assert time.monotonic() - began < 2.0  # it took minutes to decode so far


def test_uploads_that_arrive_slowly_hold_nobody_up(server, tmp_path):
    """As many as may be analyzed at once, none complete."""
    held = [arriving(server) for _ in range(64)]
    try:
        assert until(lambda: "britekit_uploads_arriving 64.0" in server.get("metrics").text)
        content = write_tones(tmp_path / "x.wav", seed=77).read_bytes()
        assert server.post("detections", content).status_code == 200
    finally:
        for connection in held:
            connection.close()
    assert until(lambda: not server.uploads())
    assert open_uploads(server) == []  # at once, not when the garbage collector comes by


def test_refused_uploads_are_closed_at_once(server):
    bad = FORM + bytes(2 << 20)  # no end
    kind = {"content-type": "multipart/form-data; boundary=ab"}
    for _ in range(20):
        assert httpx.post(f"{server.url}/scores", content=bad, headers=kind).status_code == 400
    assert open_uploads(server) == [] and not server.uploads()


def test_a_killed_worker_is_started_again_and_leaves_nothing(tmp_path):
    with serving(["-c", str(write_project(tmp_path))], tmp_path) as server:
        time.sleep(10)  # one that dies at once is not started again
        first = worker(server)
        with arriving(server):
            assert until(lambda: server.uploads())
            first.kill()
            assert until(lambda: _answers(server))
        assert worker(server).pid != first.pid
        assert not server.uploads()


def _answers(server) -> bool:
    try:
        return server.get("readyz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("damage", ["export", "settings", "limit"])
def test_a_model_that_cannot_be_loaded(tmp_path, damage):
    """One sentence, exit code 1, and nothing starts it again: as the container runs it."""
    from britekit.service.contents import write_contents

    write_contents(*resolve_for_models(write_project(tmp_path), None), tmp_path / "model")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "BRITEKIT_MODEL_FOLDER": str(tmp_path / "model")}
    if damage == "export":
        path = tmp_path / "model/exports/seed-1.onnx"
        path.write_bytes(path.read_bytes()[:5000])
    elif damage == "settings":
        (tmp_path / "model/settings.yaml").write_text("infer: {min_scor: 1}")
    else:
        environment["BRITEKIT_MAX_HOURS"] = "many"
    done = subprocess.run(
        [sys.executable, "-m", "britekit.service.run", "--port", "1"],
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("Error: ")


def test_serve_ends_when_its_model_cannot_be_loaded(tmp_path, capfd):
    from britekit.cli import main
    from britekit.commands.package import package

    settings = str(write_project(tmp_path))
    package(cfg_path=settings, output_path=str(tmp_path / "x.tar"))
    content = (tmp_path / "x.tar").read_bytes()
    (tmp_path / "x.tar").write_bytes(content.replace(b"min_score: 0.5", b"min_scor3: 0.5"))
    capfd.readouterr()
    assert main(["serve", "--bento", str(tmp_path / "x.tar"), "--port", "39517"]) == 1
    out, err = capfd.readouterr()
    assert out == "" and len(err.strip().splitlines()) == 1 and "min_scor3" in err


def test_scores_are_kept_by_bytes_and_suffix(server, tmp_path):
    """A WAV that was cut: without its suffix another decoder reads it and sees no damage."""
    content = write_tones(tmp_path / "x.wav", seed=5).read_bytes()[:100_000]
    first = server.post("detections", content, name="x.raw")
    second = server.post("detections", content, name="x.wav")
    assert second.json()["damaged_at"] == pytest.approx((100_000 - 44) / 2 / 16_000, abs=0.1)
    assert first.status_code == 422 or first.json()["key"] != second.json()["key"]


def test_the_key_takes_the_place_of_the_recording(server, tmp_path):
    path = write_tones(tmp_path / "dawn.wav", seed=6)
    sent = server.post("detections", path, name="dawn.wav", min_score=0.3, format="csv")
    key = server.post("detections", path, name="dawn.wav").json()["key"]

    def ask(where="detections", **fields):
        files = {name: (None, str(value)) for name, value in fields.items()}
        return httpx.post(f"{server.url}/{where}", files=files)

    answer = ask(key=key, name="dawn", min_score=0.3, format="csv")
    assert answer.text == sent.text
    assert answer.headers["content-disposition"] == sent.headers["content-disposition"]
    assert ask("scores", key=key).json()["scores"] == server.post("scores", path).json()["scores"]
    gone = ask(key="0" * 64 + ".wav")
    assert gone.status_code == 410 and "send it again" in gone.json()["error"]
    assert ask("spectrogram", key=key).status_code == 400
    assert server.post("detections", path, key=key).status_code == 400
    named = ask(key=key, name="../../etc/passwd", format="csv")
    assert named.headers["content-disposition"] == 'attachment; filename="passwd_scores.csv"'


@pytest.mark.parametrize("kind", [b"multipart/form-data; boundary=\xff\xfe", b"\xc3\x28; \xff=1", b"\xff"])
def test_a_content_type_that_is_not_utf8(server, kind):
    logged = len(server.log.read_text())
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = b"POST /detections HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4\r\nContent-Type: "
        connection.sendall(head + kind + b"\r\n\r\nRIFF")
        status = int(connection.recv(65536).split()[1])
    assert status in (400, 415) and "Traceback" not in server.log.read_text()[logged:]


def refused(server):
    """Return whether a new request is refused at once: one that waits for an answer fails the test by its timeout."""
    try:
        httpx.get(f"{server.url}/model", timeout=1.0)
    except (httpx.ConnectError, httpx.ReadError):  # the second: connected, and the listening socket then closed
        return True
    return False


def test_new_connections_during_a_stop_are_refused(tmp_path):
    settings = str(write_project(tmp_path))
    with serving(["-c", settings], tmp_path, BRITEKIT_STOP_SECONDS="3") as server:
        with begin(server, "spectrogram", silence(4)):
            assert until(lambda: "britekit_recordings_in_queue 1.0" in server.get("metrics").text)
            server.process.terminate()
            # What was sent before the signal is still read, for half a second; then nobody waits for an answer.
            assert until(lambda: refused(server), seconds=2.0)
            assert server.process.poll() is None
        assert server.process.wait(10) == 0


def test_serve_on_loopback_answers_to_its_own_names_alone(server):
    assert server.get("model").status_code == 200
    port = server.url.rpartition(":")[2]
    for name, status in ((f"localhost:{port}", 200), (f"attacker.example:{port}", 421)):
        assert httpx.get(f"{server.url}/model", headers={"Host": name}).status_code == status


def test_min_score_0_is_calibrated_like_any_other(tmp_path):
    (tmp_path / "calibration.yaml").write_text("coefficient: 0.7\nintercept: -0.4\n")
    settings = str(write_project(tmp_path, calibration=str(tmp_path / "calibration.yaml")))
    path = write_tones(tmp_path / "x.wav")
    with serving(["-c", settings], tmp_path) as server:
        all_of_them, some = (server.post("detections", path, min_score=score).json() for score in (0, 0.5))
    assert all_of_them["min_score"] == 0 and all_of_them["calibrated"] is some["calibrated"] is True
    scores = {(x["class_name"], x["start"]): x["score"] for x in all_of_them["detections"]}
    assert some["detections"]
    for x in some["detections"]:
        assert max(v for (name, _), v in scores.items() if name == x["class_name"]) >= x["score"] - 1e-9

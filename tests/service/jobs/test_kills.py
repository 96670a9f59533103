"""A server that is killed again and again: every job is done once, with the bytes of `analyze`; and a day of sound."""

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter

import httpx
import numpy as np
import psutil
import pytest
import soundfile

from britekit import formats
from britekit.inference.analysis import analyze_recordings
from britekit.inference.ensemble import load_ensemble
from britekit.inference.model_files import resolve_for_models
from britekit.service.contents import write_contents
from tests.service.running import ROOT, free_port
from tests.service.tone_model import tones, write_project

pytestmark = pytest.mark.xdist_group("service")
FORMATS = ("audacity", "raven")  # those with a file per recording; test_jobs.py compares the others


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kills")
    settings = write_project(folder, frames=True, overlap=0.5)
    cfg, members = resolve_for_models(settings, None)
    write_contents(cfg, members, folder / "model")
    return folder


def recordings(folder, count, seconds):
    """Write recordings of tones, each of another length and noise."""
    folder.mkdir(exist_ok=True)
    for number in range(count):
        sound = np.tile(tones(8.0, 8000, number), round(seconds / 8))
        soundfile.write(folder / f"{number:03d}.flac", sound[: len(sound) - 8000 * (number % 7)], 8000)
    return sorted(folder.glob("*.flac"))


class Server:
    """The process that the image runs, to be killed and started again."""

    def __init__(self, project, folder, address=None, **environment):
        self._project, self._folder, self.port = project, folder, free_port()
        jobs = {"BRITEKIT_JOBS": str(folder / "jobs")}
        if address is not None:
            jobs = {"BRITEKIT_JOBS": address, "BRITEKIT_JOBS_FOLDER": str(folder / "jobs")}
        self._environment = {
            **os.environ, "PYTHONPATH": str(ROOT), "BRITEKIT_MODEL_FOLDER": str(project / "model"),
            "BRITEKIT_JOB_SOURCES": str(folder), **jobs, **environment,
        }  # fmt: skip
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "log"

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.end()

    def start(self):
        command = [sys.executable, "-m", "britekit.service.run", "--port", str(self.port)]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self._folder, env=self._environment, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self.process.stdout.readline().startswith("url"), self.log.read_text()[-2000:]

    def end(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        code = self.process.wait(30)
        self.process.stdout.close()
        return code

    def submit(self, path):
        """Submit by path, or every other one as an upload; a request that a kill tears off is repeated."""
        upload = int(path.stem) % 2
        files = {"audio": (path.name, path.read_bytes())} if upload else {"source": (None, str(path))}
        return httpx.post(f"{self.url}/jobs", files=files, headers={"Idempotency-Key": path.stem}, timeout=60).json()

    def jobs(self):
        return httpx.get(f"{self.url}/jobs?limit=1000", timeout=60).json()["jobs"]


def killed(project, folder, count, seconds, kills, seed, address=None):
    """Submit recordings, kill the server meanwhile, and compare what comes with `analyze`."""
    draw = random.Random(seed)
    paths = recordings(folder / "sound", count, seconds)
    server = Server(project, folder, address)
    with server:
        left, ids = list(paths), {}
        for _ in range(kills):
            until = time.monotonic() + draw.uniform(0.2, 2.0)
            with contextlib.suppress(httpx.HTTPError):
                while left and time.monotonic() < until:
                    path = left[0]
                    if draw.random() < 0.1:  # the answer is lost, and the client asks again
                        server.submit(path)
                    ids[path.stem] = server.submit(path)["id"]
                    left.pop(0)
            time.sleep(max(0.0, until - time.monotonic()))
            server.end()
            server.start()
        for path in left:
            ids[path.stem] = server.submit(path)["id"]
        deadline = time.monotonic() + 60 + count * seconds / 20
        while any(job["state"] in ("queued", "running") for job in server.jobs()):
            assert time.monotonic() < deadline, Counter(job["state"] for job in server.jobs())
            time.sleep(0.2)
        jobs = {job["id"]: job for job in server.jobs()}
        assert len(jobs) == count and {job["state"] for job in jobs.values()} == {"done"}, jobs
        cfg, members = resolve_for_models(project / "settings.yaml", None)
        analyze_recordings(cfg, load_ensemble(cfg, members), paths, folder / "labels", rtype=",".join(FORMATS))
        for path in paths:
            for form in FORMATS:
                expected = (folder / "labels" / f"{path.stem}{formats.get(form).ending}").read_bytes()
                got = httpx.get(f"{server.url}/jobs/{ids[path.stem]}/result?format={form}", timeout=60).content
                assert got == expected != b"", (path.name, form)
        done = Counter(re.findall(r"job (\S+) is done", server.log.read_text()))
        assert max(done.values()) == 1 and set(done) <= set(jobs), "a job was done twice"
        assert not list((folder / "jobs" / "recordings").iterdir())
        assert server.end(signal.SIGTERM) == 0
        assert not [*(folder / "jobs").glob(".server*"), *(folder / "jobs").glob("server*")], "a server's folder stayed"


def test_two_kills_in_a_queue(project, tmp_path):
    killed(project, tmp_path, count=6, seconds=240, kills=2, seed=1)


@pytest.mark.soak
def test_twenty_kills_in_a_queue_of_a_hundred(project, tmp_path):
    killed(project, tmp_path, count=100, seconds=480, kills=20, seed=2)


@pytest.mark.soak
def test_twenty_kills_on_postgresql(project, tmp_path, postgres_url):
    killed(project, tmp_path, count=100, seconds=240, kills=20, seed=3, address=postgres_url)


def test_a_stop_gives_jobs_back(project, tmp_path):
    """A stop is quick, and the next server begins with the job at once."""
    path = recordings(tmp_path / "sound", 1, 3600)[0]
    server = Server(project, tmp_path)
    with server:
        job = server.submit(path)["id"]
        deadline = time.monotonic() + 30
        while httpx.get(f"{server.url}/jobs/{job}").json()["seconds_done"] == 0:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        began = time.monotonic()
        assert server.end(signal.SIGTERM) == 0
        assert time.monotonic() - began < 12
        server.start()
        httpx.get(f"{server.url}/jobs/{job}").raise_for_status()
        assert not re.search(r"of a server that ended", server.log.read_text()), "the job was left behind"
        assert httpx.delete(f"{server.url}/jobs/{job}").json()["state"] == "cancelled"
        server.end()


@pytest.mark.soak
def test_a_recording_of_a_day(project, tmp_path):
    """24 hours in near-constant memory, beside short ones, with the bytes of `analyze`."""
    (tmp_path / "sound").mkdir()
    path = tmp_path / "sound" / "0.flac"
    rate = 16000
    with soundfile.SoundFile(path, "w", rate, 1) as file:
        for minute in range(24 * 60):
            file.write(np.tile(tones(8.0, rate, minute), 8)[: rate * 60])
    server = Server(project, tmp_path)
    with server:
        clip = recordings(tmp_path / "clips", 1, 60)[0]
        assert httpx.post(f"{server.url}/detections", files={"audio": clip.read_bytes()}, timeout=60).status_code == 200
        process, memory, progress = psutil.Process(server.process.pid), [], []
        before = process.memory_info().rss / 1e6
        job = server.submit(path)["id"]
        while (state := httpx.get(f"{server.url}/jobs/{job}", timeout=60).json())["state"] in ("queued", "running"):
            memory.append(process.memory_info().rss / 1e6)
            progress.append(state["progress"])
            answer = httpx.post(f"{server.url}/detections", files={"audio": clip.read_bytes()}, timeout=60)
            assert answer.status_code == 200
            time.sleep(0.2)  # the search of the whole file, at the beginning, takes seconds
        assert state["state"] == "done" and state["seconds"] == 86400.0, state
        assert progress == sorted(progress) and sum(0.1 < x < 0.9 for x in progress) >= 3
        used = sum(process.cpu_times()[:2])
        print(f"memory: {before:.0f} MB before, {max(memory):.0f} MB at most; {len(memory)} looks; "
              f"{state['detections']} detections; {used:.0f} s of a core")  # fmt: skip
        assert max(memory) < before + 120
        cfg, members = resolve_for_models(project / "settings.yaml", None)
        analyze_recordings(cfg, load_ensemble(cfg, members), [path], tmp_path / "labels", rtype="audacity")
        got = httpx.get(f"{server.url}/jobs/{job}/result?format=audacity", timeout=60).content
        assert got == (tmp_path / "labels" / "0_scores.txt").read_bytes() != b""
        server.end()

"""Jobs over HTTP, in this process: states, results, cancelling, sources, tokens, what goes wrong."""

import contextlib
import csv
import errno
import logging
import os
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from starlette.testclient import TestClient

from britekit import formats
from britekit.errors import ConfigError
from britekit.inference.analysis import analyze_recordings
from britekit.inference.ensemble import load_ensemble
from britekit.inference.model_files import resolve_for_models
from britekit.inference.recording_job import Job as EngineJob
from britekit.service.access import read_access
from britekit.service.app import build_app
from britekit.service.contents import write_contents
from britekit.service.jobs import worker
from britekit.service.jobs.routes import Jobs
from britekit.service.jobs.settings import JobSettings, read_job_settings
from britekit.service.limits import Limits
from britekit.service.recognizer import Recognizer
from tests.service.tone_model import write_project, write_tones

pytestmark = pytest.mark.xdist_group("service")

TOKENS = {"BRITEKIT_TOKENS": "lab:0123456789abcdef, field:fedcba9876543210"}
LAB, FIELD = ({"Authorization": f"Bearer {x}"} for x in ("0123456789abcdef", "fedcba9876543210"))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "calibration.yaml").write_text("coefficient: 0.7\nintercept: -0.4\n")
    settings = write_project(folder, frames=True, calibration=str(folder / "calibration.yaml"), overlap=0.5)
    # Two classes with one label: tables name the first of them, and merge their rows.
    text = yaml.safe_load(settings.read_text())
    text["misc"]["map_codes"] = {"HIGT": "TONE", "LOWT": "TONE"}
    settings.write_text(yaml.safe_dump(text))
    cfg, members = resolve_for_models(settings, None)
    write_contents(cfg, members, folder / "model")
    (folder / "sound").mkdir()
    for number in range(3):
        write_tones(folder / "sound" / f"2026050{number + 1}_063000.wav", seconds=8 + number, seed=number)
    return folder


@pytest.fixture(scope="module")
def recognizer(project):
    return Recognizer(project / "model", Limits(), 2)


@contextlib.contextmanager
def served(recognizer, folder, sources=(), environment=None, **settings):
    """Run the application in this process; the model is loaded once per client."""
    fresh = Recognizer(recognizer._folder, Limits(), 2)
    jobs = Jobs(JobSettings(folder / "jobs", tuple(map(str, sources)), **settings), fresh)
    app = build_app(fresh, Limits(), access=read_access(environment or {}), jobs=jobs)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        client.jobs = jobs
        yield client


@pytest.fixture(scope="module")
def client(recognizer, project, tmp_path_factory):
    with served(recognizer, tmp_path_factory.mktemp("store"), [project / "sound"], TOKENS) as running:
        yield running


def submit(client, path=None, headers=LAB, **fields):
    files = {"audio": (Path(path).name, Path(path).read_bytes())} if path else {}
    files |= {name: (None, str(value)) for name, value in fields.items()}
    return client.post("/jobs", files=files, headers=headers)


def ended(client, answer, headers=LAB, seconds=20.0):
    assert answer.status_code == 202, answer.text
    deadline = time.monotonic() + seconds
    while (job := client.get(answer.headers["location"], headers=headers).json())["state"] in ("queued", "running"):
        assert time.monotonic() < deadline, job
        time.sleep(0.02)
    return job


def test_results_equal_the_files_of_analyze(client, project, tmp_path):
    """For every format with a file per recording; for tables, of the recording alone."""
    cfg, members = resolve_for_models(project / "settings.yaml", None)
    ensemble = load_ensemble(cfg, members)
    for path in sorted((project / "sound").iterdir()):
        analyze_recordings(cfg, ensemble, [path], tmp_path / path.stem, rtype=",".join(formats.written()))
        sent, named = (ended(client, submit(client, **how)) for how in ({"path": path}, {"source": path}))
        assert sent["detections"] == named["detections"] > 0 and sent["seconds"] == named["seconds"]
        for name in formats.written():
            form = formats.get(name)
            expected = (tmp_path / path.stem / (form.table or f"{path.stem}{form.ending}")).read_bytes()
            answer = client.get(f"{named['result']}?format={name}", headers=LAB)
            assert answer.content == expected, name
            assert answer.headers["content-type"].startswith(form.media_type.partition(";")[0])
        direct = client.post("/detections", files={"audio": (path.name, path.read_bytes())}, headers=LAB).json()
        for job in (sent, named):
            ours = client.get(job["result"], headers=LAB).json()
            assert {k: v for k, v in direct.items() if k != "key"} == {k: v for k, v in ours.items() if k != "job"}


def test_options_of_a_job_and_of_its_result(client, project):
    path = project / "sound" / "20260501_063000.wav"
    fields = {"min_score": 0.05, "site": "Pond", "time": "2026-06-01T04:00:00", "time_zone": "Europe/Berlin"}
    job = ended(client, submit(client, path, **fields, name="dawn.wav"))
    result = f"{job['result']}?format=detections&label_field=names&classes=High Tone"
    direct = client.post(
        "/detections",
        files={"audio": ("dawn.wav", path.read_bytes())},
        data={**fields, "format": "detections", "label_field": "names", "classes": "High Tone"},
        headers=LAB,
    )
    answer = client.get(result, headers=LAB)
    assert answer.content == direct.content and b"Pond" in answer.content and b"Low Tone" not in answer.content
    assert answer.headers["content-disposition"] == direct.headers["content-disposition"]


def test_a_job_about_a_channel_equals_one_about_that_channel_alone(client, project, tmp_path):
    one, rate = soundfile.read(project / "sound" / "20260501_063000.wav")
    other = np.roll(one, rate)
    soundfile.write(tmp_path / "two.wav", np.stack([one, other], 1), rate)
    found = []
    for channel, samples in ((1, one), (2, other)):
        soundfile.write(tmp_path / "alone.wav", samples, rate)
        alone = ended(client, submit(client, tmp_path / "alone.wav"))
        job = ended(client, submit(client, tmp_path / "two.wav", channel=channel))
        assert job["detections"] == alone["detections"] > 0
        there, here = (client.get(each["result"], headers=LAB).json() for each in (alone, job))
        assert here["detections"] == there["detections"] and here["channel"] == channel and "channel" not in there
        table = client.get(f"{job['result']}?format=detections", headers=LAB).text
        assert {row["channel"] for row in csv.DictReader(table.splitlines())} == {str(channel)}
        found.append(here["detections"])
    assert found[0] != found[1]
    gone = ended(client, submit(client, tmp_path / "two.wav", channel=3))
    assert gone["state"] == "failed" and "has 2 channels; channel 3" in gone["error"]


def test_states(client, project, monkeypatch):
    gate = threading.Event()
    add = EngineJob.add

    def wait(self, *arguments):
        add(self, *arguments)
        gate.wait(10)

    monkeypatch.setattr(EngineJob, "add", wait)
    path = project / "sound" / "20260501_063000.wav"
    answers = [submit(client, path) for _ in range(4)]
    try:
        deadline = time.monotonic() + 10
        while True:
            states = [client.get(x.headers["location"], headers=LAB).json() for x in answers]
            if [x["state"] for x in states[:2]] == ["running"] * 2 and states[0]["seconds_done"] > 0:
                break
            assert time.monotonic() < deadline, states
            time.sleep(0.02)
        assert 0 < states[0]["progress"] < 1 and states[0]["seconds"] == 8.0
        assert [x["state"] for x in states[2:]] == ["queued"] * 2 and [x["ahead"] for x in states[2:]] == [0, 1]
        early = client.get(f"{answers[0].headers['location']}/result", headers=LAB)
        assert early.status_code == 409 and int(early.headers["retry-after"]) > 0
        metrics = client.get("/metrics", headers=LAB).text
        assert 'britekit_jobs{state="queued"} 2.0' in metrics and 'britekit_jobs{state="running"} 2.0' in metrics
        for place in (0, 3):  # a running and a waiting one
            gone = client.delete(answers[place].headers["location"], headers=LAB)
            assert gone.status_code == 200 and gone.json()["state"] == "cancelled"
    finally:
        gate.set()
    assert [ended(client, x)["state"] for x in answers] == ["cancelled", "done", "done", "cancelled"]
    assert client.get(f"{answers[0].headers['location']}/result", headers=LAB).status_code == 410
    assert client.delete(answers[1].headers["location"], headers=LAB).status_code == 204
    assert client.get(answers[1].headers["location"], headers=LAB).status_code == 404
    assert not any(client.jobs._store.recordings.iterdir()), "an upload stayed"


def test_jobs_belong_to_their_token(client, project):
    path = project / "sound" / "20260501_063000.wav"
    mine = ended(client, submit(client, path))
    for method, place in (("GET", ""), ("GET", "/result"), ("DELETE", "")):
        assert client.request(method, f"/jobs/{mine['id']}{place}", headers=FIELD).status_code == 404
    assert client.get("/jobs", headers=FIELD).json() == {"jobs": [], "before": None}
    listed = client.get("/jobs?limit=2", headers=LAB).json()
    assert listed["jobs"][0]["id"] == mine["id"] and len(listed["jobs"]) == 2
    older = client.get(f"/jobs?limit=1&before={listed['before']}", headers=LAB).json()["jobs"]
    assert older and older[0]["id"] not in {x["id"] for x in listed["jobs"]}
    sound, head = {"audio": ("x.wav", path.read_bytes())}, {**LAB, "Idempotency-Key": "7"}
    again = [client.post("/jobs", files=sound, headers=head) for _ in range(2)]
    assert [x.status_code for x in again] == [202, 200] and again[0].json()["id"] == again[1].json()["id"]


def test_sources_that_are_not_allowed(client, project, tmp_path):
    allowed = project / "sound"
    (tmp_path / "secret.wav").write_bytes((allowed / "20260501_063000.wav").read_bytes())
    (allowed / "link.wav").symlink_to(tmp_path / "secret.wav")
    (allowed / "way").symlink_to(tmp_path)
    try:
        for source in (
            tmp_path / "secret.wav", f"{allowed}/../../{tmp_path.name}/secret.wav", allowed / "link.wav",
            allowed / "way" / "secret.wav", allowed, f"{allowed}-2/x.wav", "/etc/passwd", "/does/not/exist",
            "s3://bucket/x.wav",
        ):  # fmt: skip
            answer = submit(client, source=source)
            assert answer.status_code == 403, (source, answer.text)
            assert "allowed" in answer.json()["error"]
        for source, status in (("x.wav", 400), ("http://127.0.0.1/x.wav", 400), ("file:///etc/passwd", 400),
                               (allowed / "missing.wav", 422)):  # fmt: skip
            assert submit(client, source=source).status_code == status, source
        os.mkfifo(allowed / "pipe.wav")
        assert "is not a file" in submit(client, source=allowed / "pipe.wav").json()["error"]
        both = submit(client, allowed / "20260501_063000.wav", source=allowed / "20260501_063000.wav")
        assert both.status_code == 400 and "either" in both.json()["error"]
    finally:
        for name in ("link.wav", "way", "pipe.wav"):
            (allowed / name).unlink(missing_ok=True)


def test_a_link_that_changes_while_the_job_waits(client, project, tmp_path, monkeypatch):
    allowed = project / "sound"
    link = allowed / "late.wav"
    link.symlink_to(allowed / "20260501_063000.wav")
    store = client.jobs._store
    take = store.take
    monkeypatch.setattr(store, "take", lambda: None)
    answer = submit(client, source=link)
    link.unlink()
    link.symlink_to("/etc/passwd")
    monkeypatch.setattr(store, "take", take)
    job = ended(client, answer)
    link.unlink()
    assert job["state"] == "failed" and "not below a folder" in job["error"]


@pytest.mark.parametrize("what", ["upload", "source"])
def test_a_recording_that_vanished(client, project, tmp_path, monkeypatch, what):
    store = client.jobs._store
    take = store.take
    monkeypatch.setattr(store, "take", lambda: None)
    path = write_tones(project / "sound" / "short-lived.wav")
    answer = submit(client, path) if what == "upload" else submit(client, source=path)
    for gone in [*store.recordings.iterdir(), path]:
        gone.unlink()
    monkeypatch.setattr(store, "take", take)
    job = ended(client, answer)
    assert job["state"] == "failed"
    assert ("no longer on the server's disk" if what == "upload" else "no such file") in job["error"]
    assert client.get(f"/jobs/{job['id']}/result", headers=LAB).status_code == 422


def test_recordings_that_cannot_be_analyzed(client, tmp_path):
    (tmp_path / "noise.wav").write_bytes(b"no sound at all" * 100)
    soundfile.write(tmp_path / "short.wav", np.zeros(100, np.float32), 8000)
    for name, words in (("noise.wav", "noise"), ("short.wav", "too short")):
        job = ended(client, submit(client, tmp_path / name))
        assert job["state"] == "failed" and words in job["error"], job
        assert str(client.jobs._store.folder) not in job["error"]
    for fields, words in (
        ({"colour": 1}, "unknown field"), ({"min_score": 2}, "min_score"), ({"week": 3}, "occurrence"),
        ({"thresholds": "true"}, "thresholds per class"),
    ):  # fmt: skip
        answer = submit(client, tmp_path / "noise.wav", **fields)
        assert answer.status_code in (400, 422) and words in answer.json()["error"], answer.text
    assert client.get("/jobs/x/result?format=ravn", headers=LAB).json()["error"].endswith('did you mean "raven"?')


def test_limits_of_jobs(recognizer, project, tmp_path):
    path = project / "sound" / "20260502_063000.wav"
    limits = {"max_seconds": 8.5, "max_bytes": 300_000, "max_waiting": 1}
    with served(recognizer, tmp_path, [project / "sound"], **limits) as client:
        job = ended(client, submit(client, source=path, headers={}), headers={})
        assert job["state"] == "failed" and "longer than 8.5 s" in job["error"]
        large = write_tones(tmp_path / "large.wav", 60)
        assert submit(client, large, headers={}).status_code == 413
        client.jobs._workers.stop()
        good = project / "sound" / "20260501_063000.wav"
        assert submit(client, good, headers={}).status_code == 202
        full = submit(client, good, headers={})
        assert full.status_code == 429 and int(full.headers["retry-after"]) > 0
        assert len(list(client.jobs._store.recordings.iterdir())) == 1


def test_a_disk_that_is_full_while_a_job_writes(recognizer, project, tmp_path, monkeypatch, caplog):
    """The job waits, and is done once there is room."""
    monkeypatch.setattr(worker, "_RETRY_S", 0.05)
    caplog.set_level(logging.INFO)
    path = project / "sound" / "20260501_063000.wav"
    with served(recognizer, tmp_path, [path.parent]) as client:
        db = client.jobs._store._database._connection
        finish = client.jobs._store.finish

        def full(*arguments):
            db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0]}")
            monkeypatch.setattr(client.jobs._store, "finish", finish)
            return finish(arguments[0], arguments[1] | {"padding": "x" * 100_000}, *arguments[2:])

        monkeypatch.setattr(client.jobs._store, "finish", full)
        answer = submit(client, source=path, headers={})
        deadline = time.monotonic() + 10
        while "no space left" not in caplog.text:
            assert time.monotonic() < deadline, caplog.text
            time.sleep(0.02)
        assert client.get(answer.headers["location"]).json()["state"] == "running"
        refused = submit(client, source=path, headers={}, site="y" * 150)
        assert refused.status_code in (202, 503)
        db.execute("PRAGMA max_page_count = 1000000")
        assert ended(client, answer, headers={})["state"] == "done"


def test_scores_of_a_long_recording_that_do_not_fit(recognizer, project, tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "_RETRY_S", 0.05)
    finish, tries = EngineJob.finish, []

    def full(self):
        tries.append(1)
        if len(tries) < 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        finish(self)

    monkeypatch.setattr(EngineJob, "finish", full)
    path = project / "sound" / "20260501_063000.wav"
    with served(recognizer, tmp_path, [path.parent]) as client:
        assert ended(client, submit(client, source=path, headers={}), headers={})["state"] == "done"
        job = client.jobs._store.listed("", None, 1)[0]
        assert len(tries) == 3 and job.attempts == 1


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_servers_on_one_store(recognizer, project, tmp_path, kind, request):
    path = project / "sound" / "20260501_063000.wav"
    address = None if kind == "sqlite" else request.getfixturevalue("postgres_url")
    served_there = partial(served, recognizer, tmp_path, [path.parent], address=address)
    with served_there() as one, served_there() as two:
        jobs = [submit(client, source=path, headers={}) for _ in range(6) for client in (one, two)]
        assert {ended(two, job, headers={})["state"] for job in jobs} == {"done"}
        texts = {one.get(f"{job.headers['location']}/result?format=audacity").text for job in jobs}
        assert len(texts) == 1
        store = one.jobs._store
        assert {job.attempts for job in store.listed("", None, 99)} == {1}


def test_settings(tmp_path):
    assert read_job_settings(Limits(), {}) is None
    given = {
        "BRITEKIT_JOBS": str(tmp_path),
        "BRITEKIT_JOB_SOURCES": "/data, s3://birds/2026/",
        "BRITEKIT_JOB_DAYS": "2",
    }
    settings = read_job_settings(Limits(threads=3), given)
    assert (settings.sources, settings.keep_s, settings.at_once) == (("/data", "s3://birds/2026/"), 2 * 86400, 3)
    for wrong, words in (
        ({"BRITEKIT_JOB_DAYS": "0"}, "BRITEKIT_JOB_DAYS"), ({"BRITEKIT_JOB_SOURCES": "data"}, '"data"'),
        ({"BRITEKIT_JOB_SOURCES": "s3://"}, '"s3://"'), ({"BRITEKIT_JOBS": ""}, "BRITEKIT_JOBS is not"),
        ({"BRITEKIT_JOBS": "postgresql://me:hunter2@db/jobs"}, "set BRITEKIT_JOBS_FOLDER too"),
        ({"BRITEKIT_JOBS": "mysql://me:hunter2@db/jobs"}, r"mysql://me:\*\*\*@db/jobs"),
        ({"BRITEKIT_JOBS_FOLDER": "/jobs"}, "unset it"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=words) as caught:
            read_job_settings(Limits(), given | wrong)
        assert "hunter2" not in str(caught.value)
    there = {"BRITEKIT_JOBS": "postgresql://db/jobs", "BRITEKIT_JOBS_FOLDER": str(tmp_path)}
    settings = read_job_settings(Limits(), there)
    assert (settings.address, settings.folder) == ("postgresql://db/jobs", tmp_path)


def test_without_a_folder_there_are_no_jobs(recognizer):
    with TestClient(build_app(Recognizer(recognizer._folder, Limits()), Limits())) as client:
        answer = client.get("/jobs")
        assert answer.status_code == 404 and "BRITEKIT_JOBS" in answer.json()["error"]
        assert "/jobs" not in client.get("/docs.json").json()["paths"]

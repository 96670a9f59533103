"""A real server: what it answers, and that nothing brings it down."""

import concurrent.futures
import csv
import io
import json
import signal
import subprocess
import sys
import time
import urllib.parse
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import numpy as np
import pytest
import soundfile
from PIL import Image
from pyarrow import parquet

from britekit.inference.analysis import analyze_recordings
from britekit.inference.ensemble import load_ensemble
from britekit.inference.model_files import resolve_for_models
from tests.service.running import ROOT, serving
from tests.service.test_reliability import begin, silence, until
from tests.service.tone_model import write_project, write_tones


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("service")
    (path / "calibration.yaml").write_text("coefficient: 0.7\nintercept: -0.4\n")
    (path / "ignore.txt").write_text("Noise\n")
    calibration = str(path / "calibration.yaml")
    write_project(path, frames=True, calibration=calibration, overlap=0.5)
    write_tones(path / "x.wav")
    return path


@pytest.fixture(scope="module")
def server(folder):
    limits = {"BRITEKIT_MAX_UPLOAD_MIB": "2", "BRITEKIT_MAX_HOURS": "0.02"}
    with serving(["-c", str(folder / "settings.yaml")], folder, **limits) as running:
        yield running


@pytest.fixture(scope="module")
def analyzed(folder):
    """Return what the batch engine writes about the same recording."""
    cfg, paths = resolve_for_models(folder / "settings.yaml", None)
    analyze_recordings(cfg, load_ensemble(cfg, paths), [folder / "x.wav"], folder / "labels")
    return folder / "labels"


def test_the_texts_equal_the_files_of_analyze(server, folder, analyzed):
    answer = server.post("detections", folder / "x.wav", format="audacity")
    assert answer.headers["content-disposition"] == 'attachment; filename="x_scores.txt"'
    assert answer.text == (analyzed / "x_scores.txt").read_text() != ""
    assert server.post("detections", folder / "x.wav", format="csv").text == (analyzed / "scores.csv").read_text()
    raven = server.post("detections", folder / "x.wav", format="raven").text.splitlines()
    assert len(raven) == 1 + len((analyzed / "x_scores.txt").read_text().splitlines())


def test_a_download_has_the_name_of_the_recording(server, folder):
    name = "O'Brien [3] Ku\u0308ken 🐦"
    answer = server.post("detections", folder / "x.wav", name=f"{name}.wav", format="csv")
    assert answer.text.splitlines()[1].startswith(f"{name},")
    coded = answer.headers["content-disposition"].partition("filename*=UTF-8''")[2]
    assert urllib.parse.unquote(coded) == f"{name}_scores.csv"


def test_detections(server, folder):
    answer = server.post("detections", folder / "x.wav", name="dawn.wav").json()
    assert (answer["recording"], answer["seconds"], answer["min_score"]) == ("dawn", 8.0, 0.5)
    assert answer["calibrated"] is True and answer["damaged_at"] is None
    heard = {(x["class_name"], x["label"], round(x["start"]), round(x["end"])) for x in answer["detections"]}
    assert heard == {("Low Tone", "LOWT", 2, 4), ("High Tone", "HIGT", 4, 6)}
    names = server.post("detections", folder / "x.wav", label_field="names", min_score=0.2).json()
    assert {x["label"] for x in names["detections"]} == {"Low Tone", "High Tone"}


def test_scores_are_the_mean_of_the_members_to_the_last_digit(server, folder):
    cfg, paths = resolve_for_models(folder / "settings.yaml", None)
    from britekit.inference.engine import Engine

    with Engine(load_ensemble(cfg, paths)) as engine:
        expected = engine.score(folder / "x.wav")
    answer = server.post("scores", folder / "x.wav").json()
    assert answer["classes"] == ["Low Tone", "High Tone", "Noise"]
    assert np.array_equal(np.array(answer["scores"], np.float32), expected.scores)
    assert answer["starts"] == expected.starts.tolist() == [0.0, 1.5, 3.0, 4.5, 6.0]


def test_other_formats_and_raw_names(server, folder):
    samples, rate = soundfile.read(folder / "x.wav", dtype="float32")
    for kind in ("flac", "ogg", "mp3"):
        out = io.BytesIO()
        soundfile.write(out, samples, rate, format=kind)
        answer = server.post("detections", out.getvalue(), name="no suffix at all")
        assert {x["label"] for x in answer.json()["detections"]} == {"LOWT", "HIGT"}, kind


def test_detections_say_when_and_where(server, folder):
    """By the request, else by name and metadata; nothing else is known of one upload."""
    here = {"site": "pond, east", "latitude": "52.5", "longitude": "13.25", "time_zone": "Europe/Berlin"}
    berlin = ZoneInfo("Europe/Berlin")
    named = "A_20261025_015958.wav"  # two seconds before 02:00, an hour before the clock goes back

    def ask(name, **more):
        answer = server.post("detections", folder / "x.wav", name=name, format="detections", **more)
        return answer.status_code, list(csv.DictReader(io.StringIO(answer.text)))

    status, rows = ask(named, **here)
    assert status == 200 and len(rows) == 2
    for row in rows:
        passed = timedelta(seconds=float(row["start"]))
        begin = datetime(2026, 10, 25, 1, 59, 58, tzinfo=berlin).astimezone(UTC)
        assert datetime.fromisoformat(row["time_start"]) == begin + passed
        assert row["time_start"].endswith("+02:00")
        assert (row["site"], float(row["latitude"]), float(row["longitude"])) == ("pond, east", 52.5, 13.25)
    # What the request says stands over the name; without a zone the clock stays as it is.
    _, rows = ask(named, time="2026-05-01T23:59:59.5Z")
    assert rows[0]["time_start"].startswith("2026-05-02T00:00:0") and rows[0]["site"] == ""
    _, rows = ask(named)
    assert rows[0]["time_start"].startswith("2026-10-25T02:00:0") and "+" not in rows[0]["time_start"]
    _, rows = ask("x.wav")
    assert {row["time_start"] for row in rows} == {""}
    answer = server.post("detections", folder / "x.wav", name=named, format="detections-parquet", **here)
    table = parquet.read_table(io.BytesIO(answer.content)).to_pylist()
    assert [row["site"] for row in table] == ["pond, east"] * 2 and table[0]["time_end"].endswith("+02:00")
    for fields, said in (({"time_zone": "Mars/Base"}, "time_zone"), ({"latitude": "1"}, "belong together"),
                         ({"time": "noon"}, "field time")):  # fmt: skip
        refused = server.post("detections", folder / "x.wav", format="detections", **fields)
        assert refused.status_code == 400 and said in refused.text


def test_a_channel_has_the_answer_of_a_file_of_its_own(server, folder):
    samples, rate = soundfile.read(folder / "x.wav")
    both = np.stack([samples, 0.5 * np.roll(samples, rate)], axis=1)
    soundfile.write(folder / "two.wav", both, rate, subtype="FLOAT")
    for channel in (1, 2):
        soundfile.write(folder / "alone.wav", both[:, channel - 1], rate, subtype="FLOAT")
        alone = server.post("detections", folder / "alone.wav").json()
        answer = server.post("detections", folder / "two.wav", channel=str(channel)).json()
        assert answer["detections"] == alone["detections"] and answer["channel"] == channel and "channel" not in alone
        again = httpx.post(f"{server.url}/detections", data={"key": answer["key"], "format": "detections"}, timeout=30)
        assert {row["channel"] for row in csv.DictReader(again.text.splitlines())} <= {str(channel)}
        pictures = [
            server.post("spectrogram", folder / "two.wav", channel=str(channel)),
            server.post("spectrogram", folder / "alone.wav"),
        ]
        assert pictures[0].content == pictures[1].content
    refused = server.post("detections", folder / "two.wav", channel="3")
    assert refused.status_code == 422 and "has 2 channels; channel 3" in refused.json()["error"]


def test_spectrogram(server, folder):
    answer = server.post("spectrogram", folder / "x.wav", max_width=200)
    assert answer.headers["content-type"] == "image/png"
    assert float(answer.headers["x-recording-seconds"]) == 8.0
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.size == (192, 64)


def test_facts(server):
    facts = server.get("model").json()
    assert [x["code"] for x in facts["classes"]] == ["LOWT", "HIGT", "NOIS"]
    assert facts["calibration"]["coefficient"] == 0.7
    assert facts["limits"] == {"max_bytes": 2 << 20, "max_seconds": 72.0}
    assert len(facts["members"]) == 2 and facts["settings"]["min_score"] == 0.5
    assert "/" not in json.dumps({k: v for k, v in facts.items() if k != "version"})


def test_health_metrics_and_description(server):
    for path in ("livez", "healthz", "readyz"):
        assert server.get(path).status_code == 200
    assert "britekit_request_total" in server.get("metrics").text
    document = server.get("docs.json").json()
    assert {"/detections", "/scores", "/spectrogram", "/model"} <= set(document["paths"])
    responses = document["paths"]["/detections"]["post"]["responses"]
    assert {"200", "400", "413", "415", "422", "429"} <= set(responses)
    form = document["paths"]["/detections"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    text = json.dumps(form) + json.dumps(document["components"])
    for field in ("audio", "format", "min_score", "label_field"):
        assert f'"{field}"' in text


def test_page_asks_nobody_else(server):
    page = server.get("")
    assert page.headers["content-type"].startswith("text/html")
    assert "connect-src 'self'" in page.headers["content-security-policy"]
    assert "://" not in page.text


@pytest.mark.parametrize(
    ("content", "fields", "status", "part"),
    [
        (b"this is no sound", {}, 422, "x.wav cannot be decoded"),
        (b"RIFF\xff\xff\xff\x7fWAVEfmt ", {}, 422, "x.wav cannot be decoded"),
        (b"tones", {"min_score": "high"}, 400, "min_score"),
        (b"tones", {"min_score": "1.5"}, 400, "min_score"),
        (b"tones", {"min_score": "nan"}, 400, "min_score"),
        (b"tones", {"format": "xml"}, 400, "format"),
        (b"tones", {"labelfield": "names"}, 400, 'did you mean "label_field"'),
        (b"short", {}, 422, "too short"),
        (b"long", {}, 413, "longer than 72 s"),
        (b"x" * (3 << 20), {}, 413, "larger than 2 MiB"),
    ],
)
def test_refusals(server, folder, content, fields, status, part):
    if content == b"tones":
        content = (folder / "x.wav").read_bytes()
    elif content in (b"short", b"long"):
        out = io.BytesIO()
        # Silence compresses well: few bytes may hold hours.
        soundfile.write(out, np.zeros(2000 if content == b"short" else 8000 * 300), 8000, format="FLAC")
        content = out.getvalue()
    answer = server.post("detections", content, **fields)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert part in error
    assert "\n" not in error and str(server.temporary) not in error and "/" not in error.replace("form-data", "")


def test_many_at_once_and_nothing_left(server, folder):
    contents = []
    for seed in range(12):
        path = write_tones(folder / "many" / f"{seed}.wav", seconds=8 + seed / 2, seed=seed)
        contents.append(path.read_bytes())
    contents += [b"no sound"] * 4
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda content: server.post("detections", content), contents))
    assert [answer.status_code for answer in answers] == [200] * 12 + [422] * 4
    for seed, answer in enumerate(answers[:12]):
        assert answer.json()["seconds"] == 8 + seed / 2
    deadline = time.monotonic() + 5
    while (left := server.uploads()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []
    assert "Traceback" not in server.log.read_text()


def test_busy_is_429(folder, tmp_path):
    with serving(["-c", str(folder / "settings.yaml")], tmp_path, BRITEKIT_MAX_REQUESTS="1") as server:
        with begin(server, "spectrogram", silence(4)):
            assert until(lambda: "britekit_recordings_in_queue 1.0" in server.get("metrics").text)
            answer = server.post("detections", folder / "x.wav")
            assert answer.status_code == 429 and int(answer.headers["retry-after"]) > 0
            assert server.get("readyz").status_code == 200
        assert until(lambda: "britekit_recordings_in_queue 0.0" in server.get("metrics").text)
        assert server.post("detections", folder / "x.wav").status_code == 200
        pids = server.family()
        assert len(pids) == 2
        assert server.stop(signal.SIGINT) == 0
        assert until(lambda: not any(_is_running(pid) for pid in pids))
        assert list(server.temporary.iterdir()) == [] and list((tmp_path / "home").iterdir()) == []


def test_the_service_imports_only_what_its_image_holds():
    """The image installs requirements.txt without dependencies: another package would end its start."""
    code = """
import sys
from importlib.metadata import packages_distributions
plain = lambda name: name.lower().replace("_", "-")
listed = {plain(line.partition("==")[0]) for line in open("britekit/service/requirements.txt") if "==" in line}
absent = {top for top, names in packages_distributions().items() if not listed & {*map(plain, names), "britekit"}}
class Image:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"the image has no {name}", name=name)
sys.meta_path.insert(0, Image())
import britekit.service.run
print(*sys.modules, sep="\\n")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "britekit.service.app" in done.stdout.splitlines(), done.stderr
    assert not {"torch", "pandas", "sqlalchemy", "lightning", "matplotlib", "bentoml"} & set(done.stdout.splitlines())


def _is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False

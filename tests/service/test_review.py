"""The review page: what it answers and refuses, and what a browser does with it."""

import csv
import io
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from starlette.testclient import TestClient

from britekit.annotations.verdicts import current_verdicts, read_verdicts
from britekit.errors import InputError
from britekit.results.review_queue import build_review
from britekit.service.review import ReviewApp, read_stretch

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
RATE = 16000
HOST = "127.0.0.1:9"


def project(folder: Path, detections: int = 12) -> None:
    """Recordings of two sites, and labels of two classes; a name is HTML."""
    rng = np.random.default_rng(1)
    rows = []
    for number in range(3):
        path = folder / "rec" / "ab"[number % 2] / f"2026050{number + 1}_060000.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, rng.normal(0, 0.1, RATE * 60), RATE)
        stem = path.relative_to(folder / "rec").with_suffix("").as_posix()
        for k in range(detections // 3):
            name = ("Wren", "<b>Owl</b>")[k % 2]
            start = k * 50.0 / (detections // 3)
            rows.append((stem, name, start, start + 0.2, round(float(rng.uniform(0.2, 1)), 3)))
    (folder / "l").mkdir()
    with open(folder / "l" / "scores.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("recording", "name", "start_time", "end_time", "score"))
        writer.writerows(rows)


def client_of(folder: Path, queue: str = "random", **options) -> tuple[TestClient, ReviewApp]:
    review, archive = build_review(
        folder / "rec", folder / "l", queue, verdicts=folder / "v.csv", reviewer="Jo", **options
    )
    app = ReviewApp(review, archive, "secret", {HOST})
    client = TestClient(app.build(), base_url=f"http://{HOST}", headers={"X-Review-Token": "secret"})
    return client, app


@pytest.fixture
def client(tmp_path: Path):
    project(tmp_path)
    return client_of(tmp_path)


def test_sound_is_the_recordings_with_seconds_around(client, tmp_path: Path) -> None:
    http, app = client
    for number, item in enumerate(app.review.items):
        answer = http.get(f"/api/items/{number}/sound")
        first = float(answer.headers["X-First-Second"])
        assert first == max(0.0, item.start - 3)
        samples, rate = soundfile.read(io.BytesIO(answer.content), dtype="int16")
        whole, _ = soundfile.read(tmp_path / "rec" / f"{item.recording}.wav", dtype="int16")
        a = round(first * RATE)
        assert rate == RATE and len(samples) == round((item.end + 3 - first) * RATE)
        np.testing.assert_array_equal(samples, whole[a : a + len(samples)])


def test_a_verdict_is_on_the_disk_before_the_answer(client, tmp_path: Path) -> None:
    http, app = client
    answer = http.post("/api/items/0/verdict", json={"verdict": "yes", "others": ["Wren"], "note": "far away"})
    assert answer.status_code == 200 and answer.json()["next"] == 1
    (row,) = read_verdicts(tmp_path / "v.csv")
    assert (row.verdict, row.others, row.note, row.queue) == ("yes", ("Wren",), "far away", "random")
    assert row.share == 1.0 and row.recording == app.review.items[0].recording
    assert http.post("/api/undo", json={}).json()["next"] == 0
    assert current_verdicts(read_verdicts(tmp_path / "v.csv")) == []
    assert http.post("/api/undo", json={}).status_code == 409


def test_a_full_disk_is_a_sentence_and_the_detection_stays(client, tmp_path: Path) -> None:
    """The system refuses to let the file grow in the middle of a row, as a full disk does."""
    http, app = client
    http.post("/api/items/0/verdict", json={"verdict": "yes"})
    before = (tmp_path / "v.csv").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, limits[1]))
    try:
        answer = http.post("/api/items/1/verdict", json={"verdict": "no"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert answer.status_code == 409 and "v.csv" in answer.json()["error"]
    assert (tmp_path / "v.csv").read_bytes() == before and app.review.next_number() == 1
    assert http.post("/api/items/1/verdict", json={"verdict": "no"}).json()["next"] == 2
    assert [row.verdict for row in read_verdicts(tmp_path / "v.csv")] == ["yes", "no"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-Review-Token": "wrong"}, 403), ({"X-Review-Token": ""}, 403), ({"Host": "evil.example"}, 403),
        ({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403), ({"Origin": f"http://{HOST}"}, 200),
    ],
)  # fmt: skip
def test_other_pages_and_programs_are_kept_out(client, headers: dict, status: int) -> None:
    http, _ = client
    assert http.get("/api/session", headers=headers).status_code == status
    posted = http.post("/api/items/0/verdict", json={"verdict": "yes"}, headers=headers)
    assert posted.status_code == status
    assert "access-control-allow-origin" not in posted.headers


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("items/0/verdict", b"not json", "is not JSON"), ("items/0/verdict", b"[1]", "not a JSON object"),
        ("items/0/verdict", b"[" * 9000, "is not JSON"),
        ("items/0/verdict", b"x" * 30_000, "at most 20,000 bytes"),
        ("items/0/verdict", b'{"verdict": "maybe"}', "is not a verdict"),
        ("items/0/verdict", b'{"verdict": "yes", "others": "Wren"}', "not a list"),
        ("items/0/verdict", b'{"verdict": "yes", "start": "a"}', "not numbers"),
        ("items/99/verdict", b'{"verdict": "yes"}', "no item 99"),
    ],
)  # fmt: skip
def test_bad_requests_get_a_sentence_and_write_nothing(client, tmp_path: Path, path, body, sentence) -> None:
    http, _ = client
    answer = http.post(f"/api/{path}", content=body)
    assert answer.status_code == 409 and sentence in answer.json()["error"]
    assert not (tmp_path / "v.csv").exists()


def test_a_recording_that_is_gone_or_was_cut(client, tmp_path: Path) -> None:
    http, app = client
    last = max(app.review.items, key=lambda item: item.start)
    path = tmp_path / "rec" / f"{last.recording}.wav"
    soundfile.write(path, np.zeros(RATE), RATE)
    answer = http.get(f"/api/items/{last.number}/sound")
    assert answer.status_code == 409 and "ends before the detection does" in answer.json()["error"]
    path.unlink()
    answer = http.get(f"/api/items/{last.number}/sound")
    assert answer.status_code == 409 and "cannot be read" in answer.json()["error"]


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3"])
def test_stretches_of_every_kind(tmp_path: Path, kind: str) -> None:
    from britekit.audio.decoding import read_audio

    soundfile.write(tmp_path / f"a.{kind}", np.random.default_rng(1).uniform(-0.5, 0.5, (44100 * 6, 2)), 44100)
    found, rate = read_stretch(tmp_path / f"a.{kind}", 2.5, 9.0)
    whole = read_audio(tmp_path / f"a.{kind}").samples.mean(axis=0)[round(2.5 * 44100) :]
    assert rate == 44100
    np.testing.assert_allclose(found, whole, atol=1e-6)


def test_a_queue_from_a_table(tmp_path: Path) -> None:
    project(tmp_path)
    table = tmp_path / "queue.csv"
    table.write_text("recording,start,end,name,score\nb/20260502_060000,3,4,Wren,0.5\na/20260501_060000,1,2,Owl,\n")
    _, app = client_of(tmp_path, str(table))
    assert [(item.recording, item.start, item.share) for item in app.review.items] == [
        ("b/20260502_060000", 3, None), ("a/20260501_060000", 1, None),
    ]  # fmt: skip
    for text, message in (
        ("recording,start,end,name,score\n", "lists no detection"),
        ("recording,start,end,name,score\nx,3,a,Wren,1\n", "row 2: .* is not a number"),
        ("recording,start,end,name,score\nx,3,2,Wren,1\n", "row 2: expected a recording"),
        ("recording,begin\n", 'no column "start"'),
    ):
        table.write_text(text)
        with pytest.raises(InputError, match=message):
            client_of(tmp_path, str(table))


def test_the_same_seed_gives_the_same_queue(tmp_path: Path) -> None:
    project(tmp_path, 60)
    first, again, other = (
        [item.key for item in client_of(tmp_path, "random", num=10, seed=seed)[1].review.items] for seed in (4, 4, 5)
    )
    assert first == again != other


# --- in a browser ---


class Running:
    """`britekit review` as a process."""

    def __init__(self, folder: Path, *options: str) -> None:
        command = [sys.executable, "-m", "britekit", "review", "-i", "rec", "-l", "l", "--verdicts", "v.csv"]
        self.process = subprocess.Popen(
            [*command, "--reviewer", "Jo", *options], cwd=folder, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        text = ""
        while not (found := re.search(r"url = (\S+)", text)):
            line = self.process.stdout.readline()
            assert line, text
            text += line
        self.url = found[1]

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium on the PATH: the page is not tested")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        )
        yield launched
        launched.close()


def opened(browser, url: str):
    page = browser.new_page(viewport={"width": 1000, "height": 900})
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(url)
    page.wait_for_selector("body[data-number]", timeout=30_000)
    return page


def press(page, key: str) -> int:
    """Press a key that moves on; return the next item."""
    before = page.get_attribute("body", "data-number")
    page.keyboard.press(key)
    page.wait_for_selector(f"body:not([data-number='{before}'])", timeout=30_000)
    return int(page.get_attribute("body", "data-number"))


@pytest.mark.xdist_group("service")
def test_keys_in_a_browser(browser, tmp_path: Path) -> None:
    project(tmp_path)
    running = Running(tmp_path, "--queue", "random")
    try:
        page = opened(browser, running.url)
        assert page.inner_text("#name") in ("Wren", "<b>Owl</b>")
        assert press(page, "y") == 1
        page.keyboard.press("o")
        page.keyboard.type("wren")
        page.keyboard.press("Enter")
        assert page.inner_text("#others").startswith("Wren")
        page.keyboard.press("t")
        page.keyboard.type("yes, no: not keys here")
        page.keyboard.press("Enter")
        assert press(page, "n") == 2
        box = page.locator("#overlay").bounding_box()
        page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 50)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 60)
        page.mouse.up()
        assert press(page, "u") == 3
        assert press(page, "ArrowRight") == 4
        assert press(page, "ArrowLeft") == 3
        assert press(page, "z") == 2
        rows = read_verdicts(tmp_path / "v.csv")
        assert [row.verdict for row in rows] == ["yes", "no", "unsure", ""]
        assert rows[1].others == ("Wren",) and rows[1].note == "yes, no: not keys here"
        assert rows[2].start > rows[2].detection_start - 3 and rows[2].end != rows[2].detection_end
        assert page.inner_text("#progress").startswith("2 of 12 judged (1 yes, 1 no, 0 unsure); 10 left")
        assert page.errors == []
        page.close()
    finally:
        running.kill()


@pytest.mark.xdist_group("service")
def test_the_players_arithmetic(browser, tmp_path: Path) -> None:
    """The module that both pages load: heterodyne, spectrogram and WAV against numpy."""
    project(tmp_path)
    running = Running(tmp_path, "--queue", "random")
    try:
        page = opened(browser, running.url)
        rate, frequency = 192_000, 45_000.0
        times = np.arange(rate // 10) / rate
        sound = 0.5 * np.sin(2 * np.pi * 47_000 * times) + 0.3 * np.sin(2 * np.pi * 70_000 * times)
        load = "import('./player.js').then(m => "
        found = page.evaluate(
            f"x => {load}{{ const y = m.heterodyne(Float32Array.from(x), {rate}, {frequency}); "
            "return [Array.from(y.samples), y.rate]; })",
            sound.tolist(),
        )
        heard, heard_rate = np.array(found[0]), found[1]
        assert heard_rate == 48_000 and len(heard) == len(sound) // 4
        levels = np.abs(np.fft.rfft(heard[480:-480] * np.hanning(len(heard) - 960))) / (len(heard) - 960) * 4
        hz = np.fft.rfftfreq(len(heard) - 960, 1 / heard_rate)
        # 47 kHz is heard at 2 kHz, as loud; 70 kHz would be at 25 kHz, which is filtered out.
        assert hz[np.argmax(levels)] == pytest.approx(2000, abs=30) and levels.max() == pytest.approx(0.5, rel=0.05)
        assert levels[np.abs(hz - 2000) > 300].max() < 0.005
        rng = np.random.default_rng(0)
        noise = rng.normal(0, 0.1, 1024 + 64 * 2)  # three columns, the last one alone in its transform
        found = page.evaluate(
            f"x => {load}{{ const y = m.spectrogram(Float32Array.from(x)); "
            "return [Array.from(y.decibels), y.columns, y.hop]; })",
            noise.tolist(),
        )
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024)
        power = [np.abs(np.fft.fft(noise[at : at + 1024] * window)[:512]) ** 2 for at in (0, 64, 128)]
        decibels = 10 * np.log10(np.array(power) + 1e-9)
        floor = np.maximum(np.sort(decibels, axis=0)[1], decibels.max() - 65)
        assert found[1:] == [3, 64]
        assert np.abs(np.array(found[0]).reshape(3, 512) - (decibels - floor)).max() < 1e-3
        for subtype, tolerance in (("PCM_16", 1e-4), ("PCM_24", 1e-6), ("FLOAT", 1e-7), ("PCM_32", 1e-7)):
            file = io.BytesIO()
            stereo = rng.uniform(-0.5, 0.5, (50, 2))
            soundfile.write(file, stereo, 250_000, format="WAV", subtype=subtype)
            found = page.evaluate(
                f"x => {load}{{ const y = m.wavSamples(Uint8Array.from(x).buffer); "
                "return [Array.from(y.samples), y.rate]; })",
                list(file.getvalue()),
            )
            assert found[1] == 250_000 and np.abs(np.array(found[0]) - stereo.mean(axis=1)).max() < tolerance
        assert page.evaluate(f"{load}m.wavSamples(new ArrayBuffer(100)))") is None
        page.locator(".heterodyne").check()
        page.keyboard.press("s")
        assert page.locator(".speed").input_value() == "0.5" and page.errors == []
    finally:
        running.kill()


def killed_while_judging(browser, folder: Path, verdicts: int, kills: int) -> None:
    """Give verdicts, killing the server at random; then every acknowledged one is there, once."""
    chance, acknowledged, moved = random.Random(2), 0, 0
    kill_at = sorted(chance.sample(range(5, verdicts), kills))
    running = Running(folder, "--queue", "random", "--num", str(verdicts))
    page = opened(browser, running.url)
    try:
        while acknowledged < verdicts:
            if kill_at and acknowledged >= kill_at[0]:
                kill_at.pop(0)
                page.keyboard.press("y")  # on its way when the server dies
                time.sleep(chance.random() * 0.05)
                running.kill()
                page.close()
                running = Running(folder, "--queue", "random", "--num", str(verdicts))
                page = opened(browser, running.url)
                acknowledged = int(page.inner_text("#progress").split()[0])
                continue
            page.wait_for_selector("body:not([data-busy])")
            before = page.inner_text("#progress")
            page.keyboard.press("yn"[chance.randrange(2)])
            page.locator("#progress").filter(has_not_text=before).wait_for(timeout=30_000)
            acknowledged += 1
            moved += 1
        rows = read_verdicts(folder / "v.csv")
        items = [row.item for row in current_verdicts(rows)]
        assert len(items) == len(set(items)) == verdicts
        # None doubled: a verdict on its way when the server died was stored once or not at all.
        assert len(rows) == verdicts and moved <= verdicts
        assert page.errors == []
    finally:
        page.close()
        running.kill()


@pytest.mark.xdist_group("service")
def test_kills_lose_and_double_no_verdict(browser, tmp_path: Path) -> None:
    project(tmp_path, 30)
    killed_while_judging(browser, tmp_path, 15, 2)


@pytest.mark.soak
def test_500_verdicts_and_20_kills(browser, tmp_path: Path) -> None:
    project(tmp_path, 1000)
    killed_while_judging(browser, tmp_path, 500, 20)


@pytest.mark.soak
def test_time_from_a_key_to_the_next_detection(browser, tmp_path: Path) -> None:
    project(tmp_path, 420)
    running = Running(tmp_path, "--queue", "random", "--num", "210")
    try:
        page, took = opened(browser, running.url), []
        for _ in range(200):
            time.sleep(0.3)  # nobody is quicker
            begun = time.perf_counter()
            press(page, "y")
            took.append((time.perf_counter() - begun) * 1000)
        print(f"key to next detection: median {np.median(took):.0f} ms, worst of 200 {max(took):.0f} ms")
        slowest = np.argsort(took)[-3:][::-1].tolist()
        print("the slowest: " + ", ".join(f"number {place + 1} {took[place]:.0f} ms" for place in slowest))
        assert np.median(took) < 150
    finally:
        running.kill()

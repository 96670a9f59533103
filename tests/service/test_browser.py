"""The page in a real Chromium: what a person does with it, and that nothing leaves the server."""

import io
import re
import shutil
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import soundfile

from tests.service.tone_model import tones, write_tones

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.xdist_group("service"),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH: the page is not tested"),
]
WAIT_MS = 30_000


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def page(server, browser):
    """Return the page; any request to another host, any error in it, fails the test."""
    opened = browser.new_page(viewport={"width": 1200, "height": 1000})
    opened.set_default_timeout(WAIT_MS)
    strangers: list[str] = []
    errors: list[str] = []
    ours = urlsplit(server.url).netloc

    def look(route):
        address = urlsplit(route.request.url)
        if address.scheme not in ("data", "blob") and address.netloc != ours:
            strangers.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    opened.route("**/*", look)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda line: errors.append(line.text) if _is_error(line) else None)
    opened.goto(server.url)
    yield opened
    opened.close()
    assert strangers == [] and errors == []


def _is_error(line) -> bool:
    """Leave out the browser's own note that an answer had a status of 4xx."""
    return line.type == "error" and not line.text.startswith("Failed to load resource: the server responded")


def holds(page, expression: str) -> None:
    """Wait until JavaScript is true; the page's own policy forbids the browser driver's way of waiting."""
    deadline = time.monotonic() + WAIT_MS / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(50)


def analysed(page) -> None:
    page.wait_for_selector("#result:not([hidden])")
    holds(page, "document.getElementById('picture').naturalWidth > 0")


def test_pick_move_the_threshold_play_and_download(server, page, tmp_path):
    page.set_input_files("#file", write_tones(tmp_path / "dawn chorus.wav", seed=3))
    analysed(page)
    assert page.inner_text("#heard") == "dawn chorus.wav (0:08.00)"
    assert page.inner_text("#summary") == "2 detections of 2 classes"
    names = page.locator("#rows td:first-child").all_inner_texts()
    assert names == ["Low Tone", "High Tone"]
    # The box lies where the tone sounds: from 2 s to 4 s of 8 s.
    stage, box = page.locator("#stage").bounding_box(), page.locator(".box").first.bounding_box()
    assert box["x"] - stage["x"] == pytest.approx(stage["width"] * 2 / 8, abs=4)
    assert box["width"] == pytest.approx(stage["width"] * 2 / 8, abs=4)
    assert page.evaluate("document.getElementById('picture').naturalWidth") == 4 * 96

    page.evaluate("document.getElementById('player').muted = true")
    page.get_by_role("button", name="Play High Tone").click()
    holds(page, "document.getElementById('player').currentTime > 4")

    with page.expect_download() as caught:
        page.get_by_role("button", name="CSV").click()
    assert caught.value.suggested_filename == "dawn chorus_scores.csv"
    caught.value.save_as(tmp_path / "table.csv")
    expected = server.post("detections", tmp_path / "dawn chorus.wav", "dawn chorus.wav", format="csv")
    assert (tmp_path / "table.csv").read_text() == expected.text != ""
    with page.expect_download() as caught:
        page.get_by_role("button", name="Audacity").click()
    caught.value.save_as(tmp_path / caught.value.suggested_filename)
    assert len((tmp_path / "dawn chorus_scores.txt").read_text().splitlines()) == 2

    # The tones are as loud as can be and stay; the server labels anew with what the slider says.
    with page.expect_response("**/detections") as answer:
        page.locator("#threshold").fill("0.97")
    assert answer.value.json()["min_score"] == 0.97
    assert page.inner_text("#value") == "0.97"
    # What a class is heard for long enough may be weaker than the threshold: it is in every download.
    page.evaluate("state.detections.forEach(d => { d.score = 0.9; }); draw()")
    assert page.locator("#rows tr").count() == page.locator(".box").count() == 2
    # While the slider moves up, what is shown is what reaches it.
    page.evaluate("$('threshold').value = 0.98; $('threshold').dispatchEvent(new Event('input'))")
    assert page.locator("#rows tr").count() == 0 and page.locator(".box").count() == 0
    assert "lower it" in page.inner_text("#summary")


def file_dialog(page):
    """Open it by Enter; at times a fresh Chromium opens none for the first."""
    from playwright.sync_api import TimeoutError as NoDialog

    try:
        with page.expect_file_chooser(timeout=5000) as chooser:
            page.keyboard.press("Enter")
    except NoDialog:
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Enter")
    return chooser.value


def test_by_keyboard_alone(page, tmp_path):
    path = write_tones(tmp_path / "x.wav", seed=4)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"
    file_dialog(page).set_files(path)
    analysed(page)
    page.evaluate("document.getElementById('player').muted = true")
    reached = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        name = page.evaluate("document.activeElement.id || document.activeElement.textContent")
        if name == "scroller" and name in reached:
            break  # once around
        reached.add(name)
        if page.evaluate("document.activeElement.id") == "scroller":
            page.keyboard.press("n")
            assert "Low Tone, 0:02" in page.inner_text("#status")
            page.keyboard.press("n")
            assert "High Tone, 0:04" in page.inner_text("#status")
            page.keyboard.press("p")
            assert "Low Tone" in page.inner_text("#status")
            page.keyboard.press("Space")
            holds(page, "document.getElementById('player').currentTime > 2.1")
            page.keyboard.press("Space")
            assert page.evaluate("document.getElementById('player').paused")
        if page.evaluate("document.activeElement.id") == "threshold":
            before = page.inner_text("#value")
            page.keyboard.press("ArrowRight")
            assert float(page.inner_text("#value")) == pytest.approx(float(before) + 0.01)
    assert {"player", "scroller", "threshold", "zoom", "Play", "CSV", "JSON"} <= reached


def test_drop_and_bad_files(page):
    drop = """([bytes, name]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], name));
        document.getElementById('drop').dispatchEvent(
            new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true}));
    }"""
    page.evaluate(drop, [[1, 2, 3], "<img src=x onerror=alert(1)>.wav"])
    page.wait_for_selector("#status.bad")
    assert "cannot be decoded" in page.inner_text("#status")
    assert page.locator("#status img").count() == 0
    assert page.locator("#result").is_hidden()
    out = io.BytesIO()
    soundfile.write(out, tones(seed=5), 16000, format="WAV")
    page.evaluate(drop, [list(out.getvalue()), "good.wav"])
    analysed(page)
    assert re.match(r"2 detections", page.inner_text("#summary"))
    assert not page.locator("#status.bad").count()


@pytest.mark.parametrize("width", [360, 1200])
def test_nothing_sticks_out(page, tmp_path, width):
    page.set_viewport_size({"width": width, "height": 800})
    page.set_input_files("#file", write_tones(Path(tmp_path) / "x.wav", seed=6))
    analysed(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width

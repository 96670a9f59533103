"""The page in a real Chromium: what a person does with it, and that nothing leaves the server."""

import contextlib
import io
import re
import shutil
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile

from tests.audio.test_time_expansion import add_guano
from tests.occurrence.test_prior import HEAD, ROWS
from tests.service.running import serving
from tests.service.tone_model import tones, write_project, write_tones

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


def analyzed(page) -> None:
    page.wait_for_selector("#result:not([hidden])")
    holds(page, "document.querySelector('.picture').naturalWidth > 0")


def mute(page) -> None:
    page.evaluate("document.querySelector('audio').muted = true")


def current_time(page) -> float:
    return page.evaluate("document.querySelector('audio').currentTime")


def set_threshold(page, value: float) -> None:
    page.locator("#threshold").fill(str(value))


def uploads(page) -> list[int]:
    """Return a list to which every request with a recording adds its size."""
    sizes: list[int] = []
    page.on("request", lambda r: sizes.append(len(r.post_data_buffer or b"")) if r.method == "POST" else None)
    return sizes


def test_pick_play_and_download(server, page, tmp_path):
    page.set_input_files("#file", write_tones(tmp_path / "dawn chorus.wav", seed=3))
    analyzed(page)
    assert page.inner_text("#heard") == "dawn chorus.wav (0:08.00)"
    assert page.inner_text("#summary") == "2 detections of 2 classes"
    assert page.locator("#rows td.class_name").all_inner_texts() == ["Low Tone", "High Tone"]
    # The box lies where the tone sounds: from 2 s to 4 s of 8 s.
    stage, box = page.locator(".stage").bounding_box(), page.locator(".box").first.bounding_box()
    assert box["x"] - stage["x"] == pytest.approx(stage["width"] * 2 / 8, abs=4)
    assert box["width"] == pytest.approx(stage["width"] * 2 / 8, abs=4)
    assert page.evaluate("document.querySelector('.picture').naturalWidth") == 4 * 96
    # Linear scale from 100 to 3800 Hz on 256 pixels: the mark of 2 kHz.
    mark = page.locator(".axis span", has_text="2 kHz").first.bounding_box()
    bottom = stage["y"] + stage["height"]
    assert bottom - (mark["y"] + mark["height"] / 2) == pytest.approx(256 * 1900 / 3700, abs=4)

    mute(page)
    page.get_by_role("button", name="Play High Tone").click()
    holds(page, "document.querySelector('audio').currentTime > 4")
    with page.expect_download() as caught:
        page.get_by_role("button", name="CSV", exact=True).click()
    assert caught.value.suggested_filename == "dawn chorus_scores.csv"
    caught.value.save_as(tmp_path / "table.csv")
    expected = server.post("detections", tmp_path / "dawn chorus.wav", "dawn chorus.wav", format="csv")
    assert (tmp_path / "table.csv").read_text() == expected.text != ""
    with page.expect_download() as caught:
        page.get_by_role("button", name="JSON", exact=True).click()
    assert caught.value.suggested_filename == "dawn chorus.json"


def test_a_time_expanded_recording_has_true_seconds(page, tmp_path):
    plain = write_tones(tmp_path / "x.wav", seed=3)
    samples, rate = soundfile.read(plain, dtype="int16")
    soundfile.write(tmp_path / "slow.wav", samples, rate // 5)
    add_guano(tmp_path / "slow.wav", "GUANO|Version: 1.0\nTE: 5\n")
    page.set_input_files("#file", tmp_path / "slow.wav")
    analyzed(page)
    assert page.inner_text("#heard") == "slow.wav (0:08.00)"
    assert page.locator("#rows td.start").all_inner_texts() == ["0:02.00", "0:04.00"]
    mute(page)
    # A tenth of the speed at first; a fifth is the file as it is stored.
    assert page.locator(".speed").input_value() == "0.1"
    page.locator(".speed").select_option("0.2")
    page.get_by_role("button", name="Play High Tone").click()
    holds(page, "document.querySelector('audio').currentTime > 20")
    head = "parseFloat(document.querySelector('.head').style.left) / document.querySelector('.stage').clientWidth"
    holds(page, f"Math.abs({head} - document.querySelector('audio').currentTime / 5 / 8) < 0.02")
    # Through its samples: twice as slow, from the same place.
    page.locator(".speed").select_option("0.1")
    page.get_by_role("button", name="Play Low Tone").click()
    holds(page, f"{head} > 2 / 8 && {head} < 2.6 / 8")
    page.set_input_files("#file", plain)
    page.get_by_role("button", name="x.wav").click()
    holds(page, "document.querySelector('.speed').value === '1'")


def test_threshold_filter_and_sorting_send_no_recording(server, page, tmp_path):
    path = write_tones(tmp_path / "x.wav", seed=31)
    page.set_input_files("#file", path)
    analyzed(page)
    sizes = uploads(page)
    with page.expect_response("**/detections") as answer:
        set_threshold(page, 0.03)
    assert answer.value.json()["min_score"] == 0.03
    # What the server says of the whole recording at that threshold, and not the old labels filtered.
    expected = server.post("detections", path, min_score=0.03).json()["detections"]
    holds(page, f"document.querySelectorAll('#rows tr').length === {len(expected)}")
    assert page.locator(".box").count() == len(expected)
    set_threshold(page, 0.5)
    holds(page, "document.querySelectorAll('#rows tr').length === 2")

    colors = page.evaluate("[...document.querySelectorAll('.box')].map(b => b.style.getPropertyValue('--hue'))")
    page.get_by_role("button", name="Low Tone 1", exact=True).click()
    assert page.locator("#rows td.class_name").all_inner_texts() == ["High Tone"]
    hue = "document.querySelector('.box').style.getPropertyValue('--hue')"
    assert page.locator(".box").count() == 1 and page.evaluate(hue) == colors[1]  # its color stays
    with page.expect_download() as caught:
        page.get_by_role("button", name="Audacity labels").click()
    caught.value.save_as(tmp_path / caught.value.suggested_filename)
    (line,) = (tmp_path / "x_scores.txt").read_text().splitlines()
    assert "HIGT" in line
    page.get_by_role("button", name="Low Tone 1", exact=True).click()
    page.locator("th.class_name button").click()
    assert page.locator("#rows td.class_name").all_inner_texts() == ["High Tone", "Low Tone"]
    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("Class")
    page.locator("th.class_name button").click()
    assert page.locator("#rows td.class_name").all_inner_texts() == ["Low Tone", "High Tone"]
    # The recording has 256 kB.
    assert sizes and max(sizes) < 3000, sizes


def test_nothing_at_a_threshold(page, tmp_path):
    silent = tmp_path / "silent.wav"
    soundfile.write(silent, 0.01 * np.random.default_rng(0).standard_normal(8 * 16000), 16000)
    page.set_input_files("#file", silent)
    page.wait_for_selector("#result:not([hidden])")
    expected = "No detections at 0.50. Lower the threshold to see weaker ones."
    assert page.inner_text("#summary") == expected


def test_several_files_and_what_is_not_a_recording(page, tmp_path):
    folder = tmp_path / "site 1"
    for number in range(3):
        write_tones(folder / f"night {number}.wav", seed=40 + number)
    (folder / "night 3.wav").write_bytes(b"no sound")
    (folder / "notes.txt").write_text("wind")
    page.set_input_files("#folder", folder)
    holds(page, "document.getElementById('count').textContent === '4 of 4, 1 failed'")
    assert page.inner_text("#status") == "1 file is not a recording and was skipped."
    assert "cannot be decoded" in page.inner_text("#files")
    assert page.inner_text("#summary") == "6 detections of 2 classes"
    assert page.locator("#cancel").is_hidden()
    page.get_by_role("button", name="site 1/night 2.wav").click()
    holds(page, "document.getElementById('heard').textContent.startsWith('site 1/night 2.wav')")
    page.locator("#all").uncheck()
    assert page.locator("#rows tr").count() == 2
    page.locator("#all").check()
    # Playing a detection of another recording shows that recording.
    mute(page)
    page.locator("#rows button").first.click()
    holds(page, "document.getElementById('heard').textContent.startsWith('site 1/night 0.wav')")
    holds(page, "document.querySelector('audio').currentTime >= 2")


def test_a_queue_can_be_cancelled(page, tmp_path):
    out = io.BytesIO()
    soundfile.write(out, np.zeros(3600 * 4 * 1000, np.int16), 1000, format="FLAC")
    for number in range(4):  # hours of silence take their time
        (tmp_path / f"{number}.flac").write_bytes(out.getvalue() + bytes([number]))
    page.set_input_files("#file", [tmp_path / f"{number}.flac" for number in range(4)])
    page.locator("#cancel").click()
    holds(page, "document.getElementById('count').textContent === '4 of 4, 4 cancelled'")


def file_dialog(page):
    """Open it by Enter; at times a fresh Chromium opens none for the first ones."""
    from playwright.sync_api import TimeoutError as NoDialog

    for _ in range(4):
        with contextlib.suppress(NoDialog):
            with page.expect_file_chooser(timeout=5000) as chooser:
                page.keyboard.press("Enter")
            return chooser.value
    raise AssertionError("Enter on the file field opens no dialog")


def settle(page):
    """Wait until the player has been where it was sent for a fifth of a second."""
    still = 0
    for _ in range(200):
        still = 0 if page.evaluate("document.querySelector('audio').seeking") else still + 1
        if still == 4:
            return
        page.wait_for_timeout(50)
    raise AssertionError("the player never settles")


def test_by_keyboard_alone(page, tmp_path):
    path = write_tones(tmp_path / "x.wav", seed=4)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"
    file_dialog(page).set_files(path)
    analyzed(page)
    mute(page)
    # Keys work wherever the focus is.
    for place in ("#file", ".scroller", "#threshold", "th button"):
        page.locator(place).first.focus()
        settle(page)  # the player goes to the place of each key, one after the other
        page.evaluate("document.querySelector('audio').currentTime = 0")
        settle(page)
        page.keyboard.press("n")
        assert "Low Tone, 0:02" in page.inner_text("#now"), place
        page.keyboard.press("n")
        assert "High Tone, 0:04" in page.inner_text("#now"), place
        page.keyboard.press("p")
        assert "Low Tone" in page.inner_text("#now"), place
    page.locator(".scroller").focus()
    page.keyboard.press("Space")
    holds(page, "document.querySelector('audio').currentTime > 2.1")
    page.keyboard.press("Space")
    assert page.evaluate("document.querySelector('audio').paused")
    before = page.inner_text("#value")
    page.locator("#threshold").focus()
    page.keyboard.press("ArrowRight")
    assert float(page.inner_text("#value")) == pytest.approx(float(before) + 0.01)
    reached = set()
    page.locator("#file").focus()
    for _ in range(40):
        page.keyboard.press("Tab")
        focus = "document.activeElement"
        reached.add(page.evaluate(f"{focus}.id || {focus}.className || {focus}.textContent"))
    assert {"scroller", "threshold", "zoom", "contrast", "Play", "CSV", "JSON"} <= reached


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
    assert page.locator("#status img, #files img").count() == 0
    assert page.locator("#result").is_hidden()
    out = io.BytesIO()
    soundfile.write(out, tones(seed=5), 16000, format="WAV")
    page.evaluate(drop, [list(out.getvalue()), "good.wav"])
    analyzed(page)
    assert re.match(r"2 detections", page.inner_text("#summary"))


@pytest.mark.parametrize("width", [360, 1200])
def test_nothing_sticks_out(page, tmp_path, width):
    page.set_viewport_size({"width": width, "height": 800})
    page.set_input_files("#file", write_tones(Path(tmp_path) / "x.wav", seed=6))
    analyzed(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_description_can_be_read_and_tried(server, page, tmp_path):
    page.goto(f"{server.url}/docs")
    page.set_input_files("#detections input[type=file]", write_tones(tmp_path / "x.wav", seed=7))
    page.locator("#detections select[name=format]").select_option("csv")
    page.locator("#detections").get_by_role("button", name="Try").click()
    page.wait_for_selector("#detections pre")
    text = page.inner_text("#detections")
    assert "Status 200, text/csv" in text and "recording,name,start_time" in text
    page.locator("#model").get_by_role("button", name="Try").click()
    page.wait_for_selector("#model pre")
    assert '"classes"' in page.inner_text("#model")


def test_a_sample_recording_to_try(browser, tmp_path):
    settings = write_project(tmp_path)
    write_tones(tmp_path / "meadow.flac", seed=9)
    text = settings.read_text() + f"pipeline:\n  sample: {tmp_path / 'meadow.flac'}\n"
    settings.write_text(text)
    with serving(["-c", str(settings)], tmp_path) as server:
        page = browser.new_page()
        page.goto(server.url)
        page.get_by_role("button", name="Try a sample recording").click()
        analyzed(page)
        assert page.inner_text("#heard") == "meadow.flac (0:08.00)"
        page.close()


def test_each_class_at_its_own_threshold(browser, tmp_path):
    # Low tones score about 0.9, high tones too: one threshold above, one for which none was found.
    (tmp_path / "cal.yaml").write_text(
        "coefficient: 0.3\nintercept: 0.0\n"
        "thresholds: {precision: 0.95, classes: {Low Tone: 0.9999, High Tone: null}}\n"
    )
    settings = write_project(tmp_path, calibration=str(tmp_path / "cal.yaml"))
    with serving(["-c", str(settings)], tmp_path) as server:
        opened = browser.new_page()
        opened.set_default_timeout(WAIT_MS)
        opened.goto(server.url)
        opened.set_input_files("#file", write_tones(tmp_path / "x.wav", seed=5))
        analyzed(opened)
        holds(opened, "document.querySelectorAll('#rows tr').length === 2")
        assert "precision 0.95, 1 class" in opened.inner_text("#each")
        opened.check("#own")
        holds(opened, "document.querySelectorAll('#rows tr').length === 1")
        assert opened.locator("#rows td.class_name").all_inner_texts() == ["High Tone"]
        with opened.expect_download() as caught:
            opened.get_by_role("button", name="Audacity").click()
        caught.value.save_as(tmp_path / "x.txt")
        assert "LOWT" not in (tmp_path / "x.txt").read_text() and "HIGT" in (tmp_path / "x.txt").read_text()
        opened.uncheck("#own")
        holds(opened, "document.querySelectorAll('#rows tr').length === 2")
        opened.close()


def test_place_and_date_are_asked_for_where_the_model_uses_them(server, page, browser, tmp_path):
    assert page.is_hidden("#where")  # this model has no occurrence data
    (tmp_path / "occurrence.csv").write_text(HEAD + ROWS)
    settings = write_project(
        tmp_path, occurrence=str(tmp_path / "occurrence.csv"), min_score=0.05, scaling_coefficient=0.3
    )
    sound = write_tones(tmp_path / "x.wav", seed=5)

    def scores(found):
        return sorted(f"{x['score']:.3f}" for x in found["detections"])

    with serving(["-c", str(settings)], tmp_path) as with_data:
        opened = browser.new_page(viewport={"width": 1200, "height": 1000})
        opened.set_default_timeout(WAIT_MS)
        opened.goto(with_data.url)
        opened.set_input_files("#file", sound)
        analyzed(opened)
        anywhere = scores(with_data.post("detections", sound, min_score=0.05).json())
        north = {"latitude": 51, "longitude": 11, "date": "2024-05-28"}
        expected = scores(with_data.post("detections", sound, min_score=0.05, **north).json())
        assert expected != anywhere
        shown = "[...document.querySelectorAll('#rows td.score')].map(x => x.innerText).sort().join()"
        holds(opened, f"{shown} === '{','.join(anywhere)}'")
        opened.fill("#latitude", "51")
        opened.fill("#longitude", "11")
        opened.fill("#date", "2024-05-28")
        opened.press("#date", "Tab")
        holds(opened, f"{shown} === '{','.join(expected)}'")
        opened.screenshot(path=tmp_path / "where.png", full_page=True)
        opened.fill("#longitude", "-40")  # at sea
        opened.press("#longitude", "Tab")
        holds(opened, "document.getElementById('status').innerText.includes('area')")
        opened.close()


def test_a_channel_is_chosen_named_and_taken_back(server, page, tmp_path):
    left, right = tones(), tones(seed=1)
    right[64_000:96_000] = right[96_000:128_000]  # the high tone is in one channel only
    soundfile.write(tmp_path / "two.wav", np.stack([left, right], 1), 16_000)
    page.set_input_files("#file", tmp_path / "two.wav")
    analyzed(page)
    assert "channel" not in page.inner_text("#heard")
    counts = []
    for channel in ("2", "1"):
        page.fill("#channel", channel)
        page.press("#channel", "Tab")
        holds(page, f"document.getElementById('heard').innerText.includes('two.wav, channel {channel}')")
        at = page.input_value("#threshold")
        answer = server.post("detections", tmp_path / "two.wav", channel=channel, min_score=at).json()
        counts.append(len(answer["detections"]))
        holds(page, f"document.querySelectorAll('#rows tr').length === {counts[-1]}")
    assert counts[0] != counts[1]
    page.fill("#channel", "3")
    page.press("#channel", "Tab")
    holds(page, "document.getElementById('status').innerText.includes('has 2 channels; channel 3')")
    page.fill("#channel", "")
    page.press("#channel", "Tab")
    holds(page, "!document.getElementById('heard').innerText.includes('channel')")


def test_the_page_asks_for_the_token_once(server, browser, tmp_path):
    """It keeps it for the tab: a reload does not ask, another tab does; a token that expires is asked for again."""
    token = "Zk3v9T0wqXr5LbNc"
    settings = str(server.log.parent / "settings.yaml")
    with serving(["-c", settings], tmp_path, BRITEKIT_TOKENS=f"lab:{token}") as running:
        context = browser.new_context(viewport={"width": 1000, "height": 700})
        opened = context.new_page()
        opened.set_default_timeout(WAIT_MS)
        errors: list[str] = []
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.goto(running.url)
        opened.fill("#token", "a-wrong-token-of-24-byte")
        opened.click("dialog button")
        holds(opened, "document.querySelector('dialog .bad')?.textContent.includes('not valid')")
        opened.fill("#token", token)
        opened.keyboard.press("Enter")
        holds(opened, "document.querySelector('#facts').textContent.includes('classes')")
        assert opened.locator("dialog").count() == 0
        opened.set_input_files("#file", write_tones(tmp_path / "x.wav"))
        analyzed(opened)
        opened.reload()
        holds(opened, "document.querySelector('#facts').textContent.includes('classes')")
        assert opened.locator("dialog").count() == 0 and opened.evaluate("localStorage.length") == 0
        opened.goto(f"{running.url}/docs")
        opened.click("#model button")
        holds(opened, "document.querySelector('#model p:last-of-type, #model pre').textContent.length > 0")
        assert "Status 200" in opened.locator("#model").inner_text()
        other = context.new_page()
        other.set_default_timeout(WAIT_MS)
        other.goto(running.url)
        other.wait_for_selector("dialog[open] #token")
        assert token not in opened.url and errors == []
        context.close()

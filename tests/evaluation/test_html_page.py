"""The page of a test: one file that needs no other, with what a reader looks for."""

import html
import io
import re
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile

from britekit.annotations.classes import ClassInfo
from britekit.audio.decoding import AudioReader
from britekit.config import BaseConfig
from britekit.evaluation.class_curves import detection_curves
from britekit.evaluation.html_page import write_page
from britekit.evaluation.mistake_sounds import cut_sounds
from britekit.evaluation.report_files import write_report
from britekit.evaluation.scored_segments import read_scored_segments
from britekit.evaluation.seconds import THRESHOLDS
from britekit.evaluation.thresholded_values import ThresholdedValues
from britekit.evaluation.unit_report import report_units
from britekit.evaluation.worst_mistakes import Example, draw_examples, worst_examples
from tests.evaluation.made_sets import simulate, write_annotations, write_table


class Page(HTMLParser):
    """Collects what the tests ask of a page, and complains of tags that are not closed."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.images, self.open = set(), [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if "id" in attributes:
            assert attributes["id"] not in self.ids
            self.ids.add(attributes["id"])
        if tag == "a":
            self.links.append(attributes["href"])
        if tag == "img":
            assert attributes["alt"]
            self.images.append(attributes["src"])
        if tag not in ("img", "meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def report_of(root, threshold=0.5):
    data = read_scored_segments(root / "annotations.csv", root / "labels", None, BaseConfig())
    return report_units(data, threshold, ThresholdedValues(data.scores_NC, "scores"))


def page_of(root, report, pictures=True, examples=6):
    worst = worst_examples(report, examples)
    write_report(report, root / "out", save_matrices=False, pictures=pictures)
    drawn = draw_examples(worst, root, BaseConfig().audio)
    write_page(root / "out" / "report.html", report, root / "out", worst, drawn, root)
    return (root / "out" / "report.html").read_text(), worst, drawn


def add_audio(root, names, seconds=60):
    rng = np.random.default_rng(0)
    for name in names:
        soundfile.write(root / f"{name}.wav", rng.normal(0, 0.1, seconds * 18000), 18000)


def test_page_stands_alone_and_its_links_lead_somewhere(tmp_path):
    simulate(tmp_path, recordings=6, segments=20)
    add_audio(tmp_path, [f"rec{k:03}" for k in range(6)])
    text, worst, drawn = page_of(tmp_path, report_of(tmp_path))
    page = Page(text)
    assert all(drawn) and len(worst) == 12
    assert page.links and all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert page.images and all(source.startswith("data:image/") for source in page.images)
    assert len([x for x in page.images if x.startswith("data:image/jpeg")]) == 12
    assert not re.search(r"(src|href)=.?(https?:|//|file:)|@import|url\(", text)
    # Links in the table of classes do not run together.
    assert 'href="#e' in text and not re.search(r"</a><a href=.#e", text)
    for word in ("Macro PR-AUC", "cmAP", "only 6 recordings", "95 % interval", "OVEN", "Worst misses"):
        assert word in text


def test_page_without_recordings_says_so(tmp_path):
    simulate(tmp_path, recordings=4)
    text, worst, drawn = page_of(tmp_path, report_of(tmp_path), pictures=False)
    assert worst and not any(drawn) and "Spectrograms require the recordings" in text
    assert f"at {worst[0].start_s:g}" not in text  # times are clocks
    assert Page(text).images == []


def test_page_links_only_to_pictures_that_are_there(tmp_path):
    simulate(tmp_path, recordings=6)
    add_audio(tmp_path, ["rec001"])
    text, worst, drawn = page_of(tmp_path, report_of(tmp_path), pictures=False)
    page = Page(text)
    assert 0 < sum(map(bool, drawn)) < len(drawn)
    assert all(link[1:] in page.ids for link in page.links)


def test_names_cannot_break_the_page(tmp_path):
    bad = [ClassInfo('<b>"Owl"</b> & Co', ""), ClassInfo("</script><i>", "")]
    write_table(tmp_path / "labels", ["a<b>&"], [30.0], [(0, 3.0 * k) for k in range(10)],
                np.random.default_rng(0).random((10, 2)), bad)  # fmt: skip
    write_annotations(
        tmp_path / "annotations.csv", [("a<b>&", '"<b>""Owl""</b> & Co"', 0, 9), ("a<b>&", "</script><i>", 5, 20)]
    )
    text, _, _ = page_of(tmp_path, report_of(tmp_path), pictures=False)
    Page(text)
    assert '<b>"Owl"</b> & Co' in html.unescape(text) and '<b>"Owl"' not in text
    assert "<i>" not in text.split("<table")[1]


def test_worst_examples_are_the_worst_and_spread_out(tmp_path):
    truth, scores = simulate(tmp_path, recordings=30, slope=0.3)
    report = report_of(tmp_path)
    worst = worst_examples(report, 100)
    for kind, mask, order in (
        ("false positive", ~truth & (scores >= 0.5), -scores),
        ("miss", truth & (scores < 0.5), scores),
    ):
        found = [x for x in worst if x.kind == kind]
        values = [x.value for x in found]
        assert values == sorted(values, reverse=kind == "false positive")
        best = np.unravel_index(np.argmin(np.where(mask, order, np.inf)), mask.shape)
        assert found[0].value == scores[best] and found[0].recording == f"rec{best[0] // 20:03}"
        assert found[0].start_s == 3.0 * (best[0] % 20)
        for names in ([x.label for x in found], [x.recording for x in found]):
            assert max(names.count(name) for name in names) <= 2
    assert worst_examples(report, 0) == []


def test_a_recording_that_ends_too_early_has_no_picture(tmp_path, caplog):
    simulate(tmp_path, recordings=2)
    add_audio(tmp_path, ["rec000", "rec001"], seconds=4)
    worst = [x for x in worst_examples(report_of(tmp_path), 20) if x.start_s > 9]
    assert worst and draw_examples(worst, tmp_path, BaseConfig().audio) == [None] * len(worst)
    assert "ends before" in caplog.text


def test_detection_curves_equal_counting(tmp_path):
    truth, scores = simulate(tmp_path, recordings=10)
    found = detection_curves(report_of(tmp_path))
    for t in range(0, 100, 7):
        said = scores >= np.float32(THRESHOLDS[t])
        np.testing.assert_array_equal(found.detections_TA[t], said.sum(axis=0))
        np.testing.assert_array_equal(found.false_TA[t], (said & ~truth).sum(axis=0))
        np.testing.assert_allclose(found.recall_TA[t], (said & truth).sum(axis=0) / truth.sum(axis=0))


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_nothing_missed_or_nothing_said(tmp_path, threshold):
    simulate(tmp_path, recordings=3)
    report = report_of(tmp_path, threshold)
    text, worst, _ = page_of(tmp_path, report, examples=2)
    assert ("No species was missed" in text) == (threshold == 0)
    assert (tmp_path / "out" / "confusion.png").exists() == (threshold == 1)
    if threshold == 1:
        rows = (tmp_path / "out" / "confusion.csv").read_text().splitlines()
        assert rows[0] == "missed,misses,said,segments,share,wrongly in segments"
        assert all(row.split(",")[2] == "(nothing)" and row.endswith("1.000,0") for row in rows[1:])


def test_the_page_lets_one_hear_a_mistake_and_says_what_it_is_about(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    simulate(tmp_path, recordings=3, segments=10)
    rate = 18000
    tone = {k: 0.1 * np.sin(2 * np.pi * (500 + 300 * k) * np.arange(60 * rate) / rate) for k in range(3)}
    for k in range(2):  # the third recording is missing
        soundfile.write(tmp_path / f"rec{k:03}.wav", np.stack([tone[k], tone[k]], 1), rate)
    report = report_of(tmp_path)
    worst = worst_examples(report, 4)
    sounds = cut_sounds(worst, tmp_path)
    write_report(report, tmp_path / "out", save_matrices=False, pictures=False)
    write_page(tmp_path / "out/report.html", report, tmp_path / "out", worst, [b"jpeg"] * len(worst), tmp_path, sounds)
    text = (tmp_path / "out/report.html").read_text()
    assert text.count("data:audio/ogg;base64,") == sum(sound is not None for sound in sounds) > 0
    for example, sound in zip(worst, sounds, strict=True):
        assert (sound is None) == (example.recording == "rec002")
        if sound is not None:
            samples, found_rate = soundfile.read(io.BytesIO(sound))
            # Two seconds around it, cut at the beginning of the recording; the recording's own tone.
            expected = example.start_s + example.length_s + 2 - max(0, example.start_s - 2)
            assert found_rate == rate and len(samples) / rate == pytest.approx(expected, abs=0.01)
            peak = np.argmax(np.abs(np.fft.rfft(samples))) * rate / len(samples)
            assert peak == pytest.approx(500 + 300 * int(example.recording[3:]), abs=2)
    assert tmp_path.name in text and "Revision" in text and 'loading="lazy"' not in text


def test_figures_and_curves_come_once_where_all_trained_classes_are_annotated(tmp_path):
    simulate(tmp_path, recordings=6, segments=20)
    report = report_of(tmp_path)
    text, _worst, _drawn = page_of(tmp_path, report)
    every = len(report.data.annotated) == len(report.data.labels)
    assert ("Micro PR-AUC, trained" in text) is not every
    assert text.count('alt="Precision against recall') == (1 if every else 2)


def test_each_recording_is_decoded_once_for_sounds_and_once_for_pictures(tmp_path, monkeypatch):
    simulate(tmp_path, recordings=3, segments=10)
    add_audio(tmp_path, ["rec000", "rec001", "rec002"], seconds=60)
    worst = worst_examples(report_of(tmp_path), 6)
    inner = [x for x in worst if x.start_s >= 2]  # excerpts of equal length
    assert max(Counter(x.recording for x in inner).values()) > 1
    opened: list[str] = []

    class Counting(AudioReader):
        def __init__(self, path, *args, **kwargs):
            opened.append(path.stem)
            super().__init__(path, *args, **kwargs)

    for module, draw in (
        ("britekit.evaluation.mistake_sounds", lambda: cut_sounds(inner, tmp_path)),
        ("britekit.audio.windows", lambda: draw_examples(inner, tmp_path, BaseConfig().audio)),
    ):
        opened.clear()
        monkeypatch.setattr(f"{module}.AudioReader", Counting)
        assert None not in draw()
        assert sorted(opened) == sorted({x.recording for x in inner})


@pytest.mark.parametrize(("rate", "seconds", "hz"), [(384_000, 42.56, 4500.0), (44_100, 4.256, 4500.0)])
def test_ultrasound_of_a_mistake_is_slowed(tmp_path, rate, seconds, hz):
    """A tone of 45 kHz becomes one of 4.5 kHz; other sound stays as it is."""
    time = np.arange(rate * 6) / rate
    tone = 0.3 * np.sin(2 * np.pi * (45_000.0 if rate > 100_000 else hz) * time)
    soundfile.write(tmp_path / "x.wav", tone, rate)
    example = Example("miss", "x", "Bat", 0.1, 2.0, 0.256, [], [])
    (sound,) = cut_sounds([example], tmp_path)
    samples, found_rate = soundfile.read(io.BytesIO(sound))
    assert len(samples) / found_rate == pytest.approx(seconds, abs=0.1)
    spectrum = np.abs(np.fft.rfft(samples))
    assert spectrum.argmax() * found_rate / len(samples) == pytest.approx(hz, abs=5)

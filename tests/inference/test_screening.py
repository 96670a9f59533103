"""Screens: exact bounds against scipy, the same scores where computed, NaN elsewhere, never 0."""

import csv
import dataclasses
import logging
import math
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from scipy.stats import binomtest

from britekit.annotations.classes import ClassInfo
from britekit.annotations.scores import ScoreTable
from britekit.audio.window_grid import WindowGrid
from britekit.audio.windows import SpectrogramBatch
from britekit.commands.analyze import analyze
from britekit.commands.rpt_test import rpt_test
from britekit.commands.screen import screen
from britekit.errors import BriteKitError, InputError
from britekit.inference.engine import Engine
from britekit.inference.ensemble import load_ensemble
from britekit.inference.labeling import Labeler
from britekit.inference.model_files import resolve_for_models
from britekit.inference.screen_file import read_screen, threshold_for, upper_bound
from britekit.inference.screen_fit import least_detections
from britekit.inference.screening import Screen, open_screen
from tests.inference.conftest import place, write_recording  # noqa: F401
from tests.inference.fakes import SMALL_AUDIO, make_fake_member

CLASSES = [ClassInfo("Wren", "WREN"), ClassInfo("Owl", "OWL")]


def test_the_bound_is_clopper_and_pearsons():
    for count in (1, 2, 10, 298, 299, 1000):
        for lost in {0, 1, count // 3, count - 1, count} & set(range(count + 1)):
            # A two-sided interval of 90 % leaves 5 % on either side.
            theirs = binomtest(lost, count).proportion_ci(confidence_level=0.9, method="exact").high
            assert upper_bound(lost, count) == pytest.approx(theirs, abs=1e-12)
    assert least_detections(0.01) == math.ceil(math.log(0.05) / math.log(0.99)) == 299


@pytest.mark.parametrize("count", [100, 299, 600, 2000])
def test_the_threshold_is_the_highest_with_that_bound(count):
    scores = np.random.default_rng(count).random(count).round(3)
    found = threshold_for(scores, 0.01)
    possible = [t for t in np.unique(scores) if upper_bound(int((scores < t).sum()), count) <= 0.01]
    assert found.threshold == (max(possible) if possible else None) and found.detections == count
    if possible:
        assert found.lost == (scores < found.threshold).sum() and found.bound <= 0.01


def test_the_bound_holds_for_the_threshold_that_was_chosen():
    """Scores of detections are uniform, so the true share that is lost is the threshold itself."""
    rng = np.random.default_rng(0)
    lost = np.array([threshold_for(rng.random(500), 0.05).threshold for _ in range(1000)])
    assert 0.01 < np.mean(lost > 0.05) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1000)


@pytest.mark.parametrize("step", [3.0, 2.0, 0.7])
@pytest.mark.parametrize("chunk", [1, 4, 16])
def test_windows_that_share_sound_with_one_that_passes_are_computed(step, chunk):
    rng = np.random.default_rng(int(10 * step))
    starts = WindowGrid.for_overlap(3.0, 3.0 - step).starts(61.3)
    passed = rng.random(len(starts)) < 0.1
    for reach in (3.0, 4.5, 0.0):
        gate = Screen(None, None, reach)
        gate.passes = lambda images: passed[images[:, 0, 0].astype(int)]
        jobs, found = [SimpleNamespace(), SimpleNamespace()], {0: [], 1: []}
        for first in range(0, len(starts) + 2 * chunk, chunk):  # two recordings by turns, and their ends
            here = list(range(first, min(first + chunk, len(starts))))
            images = np.array(here, np.float32).reshape(-1, 1, 1)
            batch = SpectrogramBatch([starts[k] for k in here], images) if here else None
            for each in gate.decide([(job, batch) for job in jobs]):
                assert [starts[int(image[0, 0])] for image in each.images] == each.starts
                found[0 if each.job is jobs[0] else 1] += zip(each.starts, each.computed_N.tolist(), strict=True)
            if batch is None:
                break
        expected = [
            (start, any(passed[k] and (abs(other - start) < reach - 1e-6 or other == start)
                        for k, other in enumerate(starts)))
            for start in starts
        ]  # fmt: skip
        assert found[0] == expected and found[1] == expected


def prepare(frames: int | None = None, overlap: float = 0.0) -> Path:
    """Write two members, a student that resembles them, recordings, and settings."""
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 0.8, (2, SMALL_AUDIO.spec_height))
    # About a quarter of the windows hold each class; the highest frame counts where there are frames.
    bias = np.array([0.38, -1.1]) if frames is None else np.array([0.02, -1.8])
    for seed in (1, 2):
        own = weights + rng.normal(0, 0.05, weights.shape)
        make_fake_member(
            Path("models/ckpt"), CLASSES, name=f"seed-{seed}", seed=seed, frames=frames, weights_CH=own, bias_C=bias
        )
    own = weights + rng.normal(0, 0.1, weights.shape)
    make_fake_member(
        Path("models/student"), CLASSES, name="student", seed=9, frames=frames, weights_CH=own, bias_C=bias
    )
    for number in range(3):
        write_recording(Path(f"rec/r{number}.wav"), 300.4, seed=number)
    Path("params.yaml").write_text(yaml.safe_dump({"infer": {"overlap": overlap, "min_score": 0.5}}))
    return Path("rec")


def made(overlap: float = 2.5, **more) -> Path:
    screen(input_path="rec", student="models/student/student.ckpt", overlap=overlap, **more)
    return Path("models/screen.yaml")


def labels_of(folder: str) -> dict[tuple[str, ...], str]:
    with open(Path(folder) / "scores.csv", newline="") as file:
        return {tuple(row[:4]): row[4] for row in list(csv.reader(file))[1:]}


@pytest.mark.parametrize(("frames", "overlap"), [(None, 0.0), (None, 1.0), (12, 0.0), (12, 2.0)])
def test_analyze_with_a_screen(frames, overlap, capsys):
    prepare(frames, overlap)
    path = made()
    printed = capsys.readouterr().out
    stored = read_screen(path)
    assert stored.student == "student/student.onnx" and 0 < stored.classes["Wren"].threshold < 1
    with open(path.with_suffix(".csv"), newline="") as file:
        rows = {row["class"]: row for row in csv.DictReader(file)}
    assert "cost = " in printed and int(rows["Wren"]["detections"]) == stored.classes["Wren"].detections > 299
    Path("c.yaml").write_text(yaml.safe_dump({"infer": {"screen": str(path), "overlap": overlap}}))
    for name, cfg in (("with", "c.yaml"), ("without", None)):
        for low in (0.5, 0.0):
            analyze(cfg_path=cfg, input_path="rec", output_path=f"{name}-{low:g}", min_score=low, segment_len=0.25)
    assert "screened = " in capsys.readouterr().out
    few, all_ = labels_of("with-0.5"), labels_of("without-0.5")
    assert all_ and few.items() <= all_.items() and len(few) >= 0.98 * len(all_)
    table, whole = ScoreTable.load("with-0/scores.npz"), ScoreTable.load("without-0/scores.npz")
    left = np.isnan(table.scores)
    assert (left.all(axis=1) == left.any(axis=1)).all() and (0.2 if frames is None else 0.01) < left.mean() < 1
    np.testing.assert_array_equal(table.scores[~left], whole.scores[~left])  # bit for bit, frames averaged too
    np.testing.assert_array_equal(table.starts, whole.starts)
    assert not (table.scores == 0).any()
    manifest = yaml.safe_load(Path("with-0/manifest.yaml").read_text())
    assert set(manifest["screen"]) == {"screen", "student"}
    assert "screen" not in yaml.safe_load(Path("without-0/manifest.yaml").read_text())


def test_one_threshold_for_all_classes(capsys):
    """The highest threshold on the student's best score at which windows with detections are lost within the bound."""
    prepare()
    path = made(together=True, lose=0.02)
    printed, stored = capsys.readouterr().out, read_screen(path)
    both = []
    for name in ("ckpt", "student"):
        analyze(input_path="rec", output_path=name, ckpt_path=f"models/{name}", min_score=0.0, overlap=2.5)
        both.append(ScoreTable.load(f"{name}/scores.npz").scores)
    best = both[1].max(axis=1)[(both[0] >= 0.5).any(axis=1)]

    def bound(lost):
        return binomtest(lost, len(best)).proportion_ci(confidence_level=0.9, method="exact").high

    highest = max(t for t in np.unique(best) if bound(int((best < t).sum())) <= 0.02)
    assert stored.together and [x.threshold for x in stored.classes.values()] == pytest.approx([highest] * 2, abs=1e-6)
    assert f"of {len(best)} with a detection" in printed
    assert stored.passing == pytest.approx((both[1].max(axis=1) >= highest - 1e-6).mean(), abs=1e-9)
    for c, name in enumerate(("Wren", "Owl")):
        heard = both[0][:, c] >= 0.5
        lost = (both[1].max(axis=1)[heard] < highest - 1e-6).sum()
        assert (stored.classes[name].detections, stored.classes[name].lost) == (heard.sum(), lost)


@pytest.mark.parametrize(("frames", "overlap"), [(None, 0.0), (12, 2.0)])
def test_a_student_of_smaller_spectrograms(frames, overlap):
    """It sees what `analyze` gives it alone; windows that pass have the ensemble's scores, to the last bit."""
    prepare(frames, overlap)
    half = dataclasses.replace(SMALL_AUDIO, spec_height=SMALL_AUDIO.spec_height // 2, spec_width=32)
    make_fake_member(Path("models/half"), CLASSES, half, name="half", seed=9)
    found = screen(input_path="rec", student="models/half/half.ckpt", overlap=2.5, lose=0.3, together=True)
    analyze(input_path="rec", output_path="student", ckpt_path="models/half", min_score=0.0, overlap=2.5)
    best = ScoreTable.load("student/scores.npz").scores.max(axis=1)
    threshold = found.screen.classes["Wren"].threshold
    assert found.passed == pytest.approx((best >= threshold - 1e-6).sum(), abs=1) and 0 < found.passed < found.windows
    for drift in (None, "drift"):
        settings = {"infer": {"screen": "models/screen.yaml", "overlap": overlap}, "service": {"drift_folder": drift}}
        Path("c.yaml").write_text(yaml.safe_dump(settings))
        analyze(cfg_path="c.yaml", input_path="rec", output_path=f"out-{drift}", min_score=0.0, segment_len=0.25)
    analyze(input_path="rec", output_path="all", min_score=0.0, overlap=overlap, segment_len=0.25)
    table, whole = ScoreTable.load("out-None/scores.npz"), ScoreTable.load("all/scores.npz")
    left = np.isnan(table.scores)
    assert left.any() and not left.all()
    np.testing.assert_array_equal(table.scores[~left], whole.scores[~left])
    np.testing.assert_array_equal(table.scores, ScoreTable.load("out-drift/scores.npz").scores)
    larger = dataclasses.replace(SMALL_AUDIO, spec_height=SMALL_AUDIO.spec_height * 2)
    make_fake_member(Path("models/larger"), CLASSES, larger, name="larger", seed=9)
    with pytest.raises(BriteKitError, match="audio.spec_height.*or on smaller ones"):
        screen(input_path="rec", student="models/larger/larger.ckpt")


@pytest.mark.parametrize(
    ("fitted", "seen", "passed", "warns"),
    [(0.5, 1000, 20, True), (0.02, 1000, 20, False), (0.02, 1000, 500, True), (0.5, 100, 2, False),
     (0.05, 1000, 20, False), (0.5, 1000, 0, True), (None, 1000, 500, False)],
)  # fmt: skip
def test_recordings_unlike_those_of_the_fit_are_warned_of(fitted, seen, passed, warns):
    gate = Screen(None, None, 0.0, fitted)
    gate.seen, gate.passed = seen, passed
    assert (gate.warning() is not None) == warns
    if warns:
        assert f"{passed / seen:.1%} of the windows passed the screen, but {fitted:.1%}" in gate.warning()


def test_analyze_warns_of_a_screen_from_other_recordings(caplog, capsys):
    prepare()
    path = made()
    content = yaml.safe_load(path.read_text())
    content["passing"] /= 4  # as if it had been fitted where less is heard
    path.write_text(yaml.safe_dump(content))
    Path("c.yaml").write_text(yaml.safe_dump({"infer": {"screen": str(path), "overlap": 2.5}}))
    with caplog.at_level(logging.WARNING):
        analyze(cfg_path="c.yaml", input_path="rec", output_path="out")
    assert "so its bound does not hold here" in caplog.text
    assert f"{content['passing']:.1%} where the screen was fitted" in capsys.readouterr().out


def test_tests_take_screened_scores_only_when_asked(caplog):
    prepare()
    Path("c.yaml").write_text(yaml.safe_dump({"infer": {"screen": str(made())}}))
    analyze(cfg_path="c.yaml", input_path="rec", output_path="out", min_score=0.0)
    Path("a.csv").write_text("recording,class,start_time,end_time\nr0,Wren,3,6\nr1,Owl,9,12\n")
    given = {"annotations_path": "a.csv", "label_dir": "out", "output_path": "report", "recordings_path": "rec"}
    with pytest.raises(InputError, match="out was made with a screen, so most windows have no score"):
        rpt_test(**given)
    Path("t.yaml").write_text(yaml.safe_dump({"infer": {"test_screened": True}}))
    with caplog.at_level(logging.WARNING):
        rpt_test(cfg_path="t.yaml", **given)
    assert "windows were not computed and count as 0" in caplog.text


def test_too_few_detections_are_named_and_not_screened(caplog):
    prepare()
    with caplog.at_level(logging.WARNING):
        found = screen(input_path="rec/r0.wav", student="models/student/student.ckpt", min_score=0.5)
    assert "2 of 2 classes have too few detections for a bound of 0.01, which needs 299" in caplog.text
    assert found.passed == found.windows and {x.threshold for x in found.screen.classes.values()} == {None}
    marked = screen(input_path="rec/r0.wav", student="models/student/student.ckpt", min_score=0.5, mark=True)
    assert (marked.passed, marked.with_) == (0, 0) and marked.screen.unscreened == "mark"


def test_refusals_and_warnings(caplog):
    prepare()
    path = made()
    text = path.read_text()

    def opened(content: str = text, **infer):
        path.write_text(content)
        cfg, members = resolve_for_models(None, {"infer.screen": str(path), **infer})
        ensemble = load_ensemble(cfg, members)
        return open_screen(cfg, ensemble, Labeler(cfg, ensemble))

    assert opened() is not None
    with caplog.at_level(logging.WARNING):
        opened(**{"infer.min_score": 0.3})
    assert "bounds what is lost of detections that score 0.5 or more; of those from 0.3 on" in caplog.text
    first = yaml.safe_load(text)["members"][0]
    for content, sentence in (
        (text.replace(first, "f" * 64), "was made for other models than these"),
        (text.replace("Owl", "Rook"), "does not know Owl"),
        (text.replace("britekit-screen-1", "britekit-screen-9"), 'expected the format "britekit-screen-1"'),
        (text.replace("threshold: 0.", "threshold: 7."), "a threshold is not a score"),
        ("[1", "is not a screen"),
    ):
        with pytest.raises(BriteKitError, match=sentence):
            opened(content)
    for name, value in (("top_weight", 1.0), ("quantile", 0.5), ("shift_s", 0.5), ("window_s", 6.0)):
        with pytest.raises(BriteKitError, match=f"infer.{name}.*leave out one of the two"):
            opened(**{f"infer.{name}": value, "infer.segment_len": 1.0})
    make_fake_member(Path("models/student"), CLASSES, name="student", seed=3)
    with pytest.raises(BriteKitError, match="is not the student that models/screen.yaml was made with"):
        opened()
    shutil.rmtree("models/student")
    with pytest.raises(BriteKitError, match="the student models/student/student.onnx does not exist"):
        opened()
    with pytest.raises(InputError, match="--lose 1: expected a share"):
        made(lose=1.0)
    with pytest.raises(InputError, match="infer.screen works on this machine alone"):
        prepare()
        made()
        analyze(input_path="rec", output_path="out", cfg_path="c.yaml" if _ray_settings() else None, engine="ray")


def _ray_settings() -> bool:
    Path("c.yaml").write_text(yaml.safe_dump({"infer": {"screen": "models/screen.yaml"}}))
    return True


def test_a_recording_that_fails_leaves_nothing_behind(caplog):
    prepare(12, 1.0)
    path = made()
    Path("rec/r1.wav").write_bytes(Path("rec/r1.wav").read_bytes()[:2000] + b"\0" * 50)
    Path("rec/bad.wav").write_bytes(b"RIFF")
    cfg, members = resolve_for_models(None, {"infer.screen": str(path)})
    ensemble = load_ensemble(cfg, members)
    ensemble.screen = open_screen(cfg, ensemble, Labeler(cfg, ensemble))
    with Engine(ensemble) as engine:
        waiting = [engine.submit(each) for each in sorted(Path("rec").glob("*.wav"))]
        done = [future.exception(timeout=60) is None for future in waiting]
    assert done.count(True) >= 2 and not done[0] and ensemble.screen._held == {}


def test_the_service_screens_as_analyze_does():
    import asyncio

    from britekit.service.analysis import Analyst
    from britekit.service.contents import write_contents
    from britekit.service.limits import Limits

    prepare()
    Path("c.yaml").write_text(yaml.safe_dump({"infer": {"screen": str(made())}}))
    analyze(cfg_path="c.yaml", input_path="rec", output_path="out", min_score=0.0)
    table = ScoreTable.load("out/scores.npz")
    cfg, members = resolve_for_models("c.yaml", None)
    contents = write_contents(cfg, members, Path("bento"))
    assert sorted(path.name for path in Path("bento/screen").iterdir()) == ["screen.yaml", "student.onnx"]
    shutil.rmtree("models")  # the folder has all that it needs
    analyst = Analyst(contents, Limits())
    try:
        result = asyncio.run(analyst.analyze(Path("rec/r0.wav"), "key"))
        np.testing.assert_array_equal(result.scores, table.scores[table.row_recording == 0])
        assert np.isnan(result.scores).any()
    finally:
        analyst.close()

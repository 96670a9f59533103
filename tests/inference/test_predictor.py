"""`Predictor` and `Analyzer` say what the command analyze writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import britekit as bk
from britekit.annotations.labels import read_labels
from britekit.annotations.scores import ScoreTable
from tests.inference.conftest import CLASSES, write_recording
from tests.inference.fakes import SMALL_AUDIO, make_fake_member


@pytest.fixture(params=[None, 12], ids=["windows", "frames"])
def frames(request: pytest.FixtureRequest) -> int | None:
    make_fake_member(Path("models/ckpt"), CLASSES, frames=request.param)
    write_recording(Path("rec/a.wav"), 40.0)
    Path("params.yaml").write_text("infer: {min_score: 0.4, overlap: 1.5}\n")
    return request.param


def test_labels_are_those_of_the_command(frames: int | None):
    bk.commands.analyze(input_path="rec", output_path="out")
    wanted = [(x.name, x.start, x.end, round(x.score, 6)) for x in read_labels("out")]
    predictor = bk.Predictor(device="cpu")
    scores, frame_map, starts = predictor.get_raw_scores("rec/a.wav")
    assert scores.shape == (len(starts), 3) and (frame_map is None) == (frames is None)
    found = predictor.get_segment_labels(scores, starts)
    if frame_map is not None:
        found = predictor.get_frame_labels(frame_map)
    assert sorted((x.name, x.start, x.end, round(x.score, 6)) for x in found) == sorted(wanted) and wanted
    table = predictor.get_dataframe(scores, frame_map, starts, "a")
    assert list(table.columns) == ["recording", "name", "start_time", "end_time", "score"]
    assert len(table) == len(wanted) and set(table.recording) == {"a"}
    predictor.save_audacity_labels(scores, frame_map, starts, "a.txt")
    assert Path("a.txt").read_bytes() == Path("out/a_scores.txt").read_bytes()


def test_a_scored_recording_gives_what_the_command_writes(frames: int | None):
    bk.commands.analyze(input_path="rec", output_path="out")
    scored = bk.Predictor(device="cpu").score("rec/a.wav")
    found, written = (
        [(x.name, x.start, x.end, round(x.score, 6)) for x in y] for y in (scored.labels(), read_labels("out"))
    )
    assert sorted(found) == sorted(written) != []
    scored.to_audacity("a.txt")
    assert Path("a.txt").read_bytes() == Path("out/a_scores.txt").read_bytes()
    assert len(scored.to_dataframe()) == len(scored.labels())
    assert repr(scored) == f"<ScoredRecording a.wav: 40.0 s, {len(scored.starts)} windows, 3 classes>"
    assert scored.plot("a.png", limit=2).png == Path("a.png").read_bytes()
    assert bk.Predictor(device="cpu").score(write_recording(Path("b.wav"), 0.05)).plot()  # no window


def test_analyzer_writes_the_commands_files(frames: int | None):
    bk.commands.analyze(input_path="rec", output_path="out", rtype="both")
    summary = bk.Analyzer().run("rec", "again")
    assert summary.done == 1 and not summary.failed
    for name in ("a_scores.txt", "scores.csv", "manifest.yaml"):
        assert Path("again", name).read_bytes() == Path("out", name).read_bytes()


def test_settings_of_ones_own_get_the_models_audio(frames: int | None):
    cfg = bk.BaseConfig()
    cfg.infer.min_score = 0.0
    bk.Analyzer(cfg).run("rec", "out")
    table = ScoreTable.load("out/scores.npz")
    assert table.duration == SMALL_AUDIO.spec_duration
    assert cfg.audio.spec_duration != SMALL_AUDIO.spec_duration  # not changed behind the caller's back
    scores, _, _ = bk.Predictor(cfg=cfg).get_raw_scores("rec/a.wav")
    if frames is None:
        assert scores.tobytes() == table.scores.tobytes()


def test_frames_of_windows_are_averaged_where_they_overlap(frames: int | None):
    predictor = bk.Predictor()
    windows = np.stack([np.full((3, 12), 0.2), np.full((3, 12), 0.6)])
    grid = predictor.to_global_frames(windows, [0.0, 1.5], 5.0)
    assert grid.shape == (20, 3)
    np.testing.assert_allclose(grid[:, 0], [0.2] * 6 + [0.4] * 6 + [0.6] * 6 + [0] * 2, atol=1e-6)


def test_what_does_not_fit_is_said(frames: int | None):
    with pytest.raises(bk.InputError, match="not one of cpu"):
        bk.Predictor(device="tpu")
    with pytest.raises(bk.InputError, match="each of 3 classes"):
        bk.Predictor().get_segment_labels(np.zeros((2, 4)), [0.0, 3.0])

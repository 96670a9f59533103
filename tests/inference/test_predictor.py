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
    scores, frame_map, starts = predictor.get_recording_scores("rec/a.wav")
    assert scores.shape == (len(starts), 3) and (frame_map is None) == (frames is None)
    found = predictor.get_segment_labels(scores, starts)
    if frame_map is not None:
        found = predictor.get_frame_labels(frame_map)
    rows = [(n, x.start_time, x.end_time, round(x.score, 6)) for n, stretches in found.items() for x in stretches]
    assert sorted(rows) == sorted(wanted) and wanted
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
    assert summary is not None
    assert summary.done == 1 and not summary.failed
    for name in ("a_scores.txt", "scores.csv", "manifest.yaml"):
        assert Path("again", name).read_bytes() == Path("out", name).read_bytes()


def test_settings_of_ones_own_get_the_models_audio(frames: int | None):
    cfg = bk.BaseConfig()
    cfg.infer.min_score = 0.0
    bk.Analyzer(cfg=cfg).run("rec", "out")
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


def test_too_little_audio_is_reported(frames: int | None, caplog: pytest.LogCaptureFixture):
    predictor, path = bk.Predictor(device="cpu"), write_recording(Path("b.wav"), 0.05)
    assert predictor.get_recording_scores(path) == (None, None, [])
    assert predictor.get_overlapping_scores(path, [0.0]) is None
    assert caplog.text.count("b.wav contains too little audio to be scored (0.05 s)") == 2


def test_models_may_begin_at_different_times(frames: int | None):
    for number, name in enumerate(("second", "third"), start=1):
        make_fake_member(Path("models/ckpt"), CLASSES, frames=frames, name=name, seed=number)
    predictor = bk.Predictor()
    duration, fps = predictor.cfg.audio.spec_duration, predictor.cfg.train.sed_fps
    found = predictor.get_overlapping_scores("rec/a.wav", [0.0, 1.0, 0.0])
    assert found is not None and found.shape == (round(40.0 * fps), 3)
    # By hand: each window of each model alone, laid on the grid; frames are averaged over what covers them.
    total, count = np.zeros(found.shape), np.zeros((len(found), 1))
    for place, first in ((0, 0.0), (1, 1.0 - duration), (2, 0.0)):
        starts = np.arange(first, 40.0 - 0.999, duration).tolist()
        if starts[-1] + duration < 40.0 - 0.05:
            starts.append(40.0 - duration)
        for start in starts:
            images, _ = predictor.audio.get_spectrograms([start])
            segment, per_frame = predictor._ensemble.score(images, [place])
            size = round(fps * duration)
            window = np.repeat(segment, size, axis=0) if per_frame is None else per_frame[0].T
            for k in range(len(window)):
                if 0 <= (row := round(start * fps) + k) < len(found):
                    total[row] += window[k]
                    count[row] += 1
    np.testing.assert_allclose(found, total / count, atol=1e-6)


def test_recording_scores_are_block_scores_with_the_power(frames: int | None):
    predictor = bk.Predictor()
    scores, frame_map, starts = predictor.get_recording_scores("rec/a.wav")
    assert starts == predictor.get_start_times(40.0, 0, predictor.cfg.audio.spec_duration)
    images, _ = predictor.get_specs()
    powered = (images ** np.float32(predictor.cfg.infer.audio_power))[:, None]
    by_hand, laid = predictor.get_block_scores(powered, starts, 40.0)
    np.testing.assert_allclose(scores, by_hand, atol=1e-5)
    assert (laid is None) == (frame_map is None) == (frames is None)
    if frame_map is not None:
        np.testing.assert_allclose(laid, frame_map, atol=1e-5)
    again, _, later = predictor.get_recording_scores("any name", 20.0, use_loaded_audio=True)
    assert later[0] == 20.0 and len(again) < len(scores)
    with pytest.raises(bk.InferenceError, match="nowhere"):
        predictor.get_recording_scores("nowhere.wav")
    assert predictor.get_recording_scores(write_recording(Path("b.wav"), 0.05)) == (None, None, [])


def test_settings_scale_each_model_before_the_mean(frames: int | None):
    make_fake_member(Path("models/ckpt"), CLASSES, frames=frames, name="second")
    cfg = bk.BaseConfig()
    cfg.infer.scaling_coefficient, cfg.infer.scaling_intercept = 0.9, 0.5
    scaled = bk.Predictor(cfg=cfg).get_recording_scores("rec/a.wav")[0]
    predictor = bk.Predictor(cfg=bk.BaseConfig())
    images, _ = (predictor.get_recording_scores("rec/a.wav"), predictor.get_specs())[1]
    logits = [np.log(p / (1 - p)) for p in (predictor._ensemble.score(images, [k])[0] for k in (0, 1))]
    by_hand = np.mean([1 / (1 + np.exp(-(0.9 * z + 0.5))) for z in logits], axis=0)
    np.testing.assert_allclose(scaled, by_hand, atol=1e-5)


def test_a_quantile_of_frames_may_be_the_score_of_a_label():
    make_fake_member(Path("models/ckpt"), CLASSES, frames=12)
    cfg = bk.BaseConfig()
    cfg.infer.min_score, cfg.infer.segment_len = 0.4, 3.0
    frame_map = np.zeros((24, 3), np.float32)
    frame_map[4:9, 1], frame_map[9, 1], frame_map[10, 1] = 0.6, 0.39, 0.5
    for quantile, score in ((None, 0.6), (0.5, 0.445)):  # as 1.8.4 answers
        found = bk.Predictor(cfg=cfg, quantile=quantile).get_frame_labels(frame_map)
        (stretch,) = found["OWL"]
        assert (stretch.start_time, stretch.end_time) == (0.0, 3.0)
        assert stretch.score == pytest.approx(score)


def test_names_overrides_and_settings_of_other_programs(frames: int | None, capsys, tmp_path):
    predictor = bk.Predictor(audio_overrides={"check_seconds": 9.0, "use_spec_cache": True})
    assert predictor.cfg.audio.check_seconds == 9.0
    assert [predictor.get_class_name(x) for x in ("OWL", "Owl", "x")] == ["Owl", "Owl", "x"]
    scores, frame_map, _ = predictor.get_recording_scores("rec/a.wav")
    predictor.show_scores(scores, frame_map)
    assert len(capsys.readouterr().out.splitlines()) == 3
    predictor.save_manifest(tmp_path)
    assert "models" not in Path(tmp_path, "manifest.yaml").read_text().splitlines()[0]
    with pytest.raises(bk.InferenceError, match='"chek_seconds"; did you mean "check_seconds"'):
        bk.Predictor(audio_overrides={"chek_seconds": 1})
    with pytest.raises(bk.InputError, match="quantile"):
        bk.Predictor(quantile=2)
    plain = {"infer": {"min_score": 0.3, "openvino_block_size": 5}, "hawkears": {"date": None}}
    assert bk.Predictor(cfg=plain).cfg.infer.min_score == 0.3

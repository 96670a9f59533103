"""Each step of inference against a twin in plain numpy that holds the whole recording, through the engine and above."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.special import expit

import britekit as bk
from britekit.annotations.scores import ScoreTable
from britekit.audio.spectrogram import compute_spectrograms
from britekit.config import BaseConfig, resolve
from britekit.errors import BriteKitError, ConfigError, ModelError
from britekit.inference import spilled_array
from britekit.inference.analysis import score_first_window
from britekit.inference.engine import Engine
from britekit.inference.ensemble import Ensemble, load_ensemble
from britekit.inference.label_rules import group_frames
from britekit.inference.model_files import resolve_for_models
from britekit.inference.score_steps import scale_by_top, smooth
from britekit.inference.spilled_array import SpilledArray
from tests.inference.conftest import CLASSES, write_recording
from tests.inference.fakes import SMALL_AUDIO, make_fake_member

DURATION, FPS = 3.0, 4
HANN = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1, 13) / 13)


def ensemble_of(members: int, frames: int | None, **infer: object) -> Ensemble:
    for number in range(members):
        make_fake_member(Path("models/ckpt"), CLASSES, frames=frames, name=f"seed-{number}", seed=number)
    cfg, paths = resolve_for_models(
        None, {"misc.force_cpu": True, **{f"infer.{name}": value for name, value in infer.items()}}
    )
    return load_ensemble(cfg, paths)


def scored(ensemble: Ensemble, path: Path, folder: Path | None = None):
    with Engine(ensemble, threads=1, folder=folder) as engine:
        return engine.score(path)


def member_scores(ensemble: Ensemble, path: Path, member: int, starts: list[float]):
    """Return scores (N, C) and frames (N, C, T) or None of one member, windows without a second of sound left out."""
    signal, rate = soundfile.read(path, dtype="float32")
    heard = [t for t in starts if min(t + DURATION, len(signal) / rate) - max(t, 0.0) >= 1.0 - 1e-9]
    images = compute_spectrograms(signal, heard, ensemble.audio)[0]
    segment, frames = ensemble._models[member].start(images)
    ensemble._models[member].wait()
    return heard, expit(segment.astype(np.float64)), None if frames is None else expit(frames.astype(np.float64))


def grid_of(seconds: float, first: float, step: float) -> list[float]:
    """Return the starts that the format page gives: at every step with a second left, and one at the end."""
    if seconds - first <= DURATION:
        return [first]
    starts = [first + step * n for n in range(1000) if first + step * n <= seconds - 1.0]
    rest = seconds - (starts[-1] + DURATION)
    return starts + ([np.floor((seconds - DURATION) * 100 + 1e-6) / 100] if rest > 0.03 else [])


def mean_frames(seconds: float, windows, weights: np.ndarray | None = None) -> np.ndarray:
    """Return the weighted mean (F, C) of windows (start, frames (C, T), factor) that cover each frame."""
    weights = np.ones(12) if weights is None else weights
    count = round(seconds * FPS)
    total, weight = np.zeros((count, len(CLASSES))), np.zeros(count)
    for start, frames, factor in windows:
        for t in range(12):
            place = round(start * FPS) + t
            if 0 <= place < count:
                total[place] += factor * weights[t] * frames[:, t]
                weight[place] += factor * weights[t]
    return total / np.maximum(weight, 1e-9)[:, None]


@pytest.mark.parametrize("seconds", [0.7, 2.5, 31.97])
@pytest.mark.parametrize("frames", [12, None], ids=["frames", "windows"])
def test_staggered_members_are_averaged_per_frame(tmp_path, seconds, frames):
    offsets = [0.0, 1.0, 2.25]
    ensemble = ensemble_of(4, frames, initial_offsets=offsets)
    path = write_recording(tmp_path / "r.wav", seconds, 1)
    found = scored(ensemble, path)
    windows = []
    for member in range(4):
        offset = offsets[member % 3]
        starts = grid_of(seconds, offset - DURATION if offset > 0 else offset, DURATION)
        heard, segment, own = member_scores(ensemble, path, member, starts)
        if own is None:  # a window's score counts for all of its frames
            own = np.repeat(segment[:, :, None], 12, axis=2)
        windows += [(start, values, 1.0) for start, values in zip(heard, own, strict=True)]
    expected = mean_frames(seconds, windows) if windows else np.zeros((0, 3))
    np.testing.assert_allclose(found.frames, expected, atol=2e-6)
    assert len(found.starts) == len({start for start, _, _ in windows})


def test_labels_of_staggered_windows_are_as_long_as_windows(tmp_path):
    ensemble_of(2, None)
    write_recording(Path("rec/a.wav"), 13.0)
    Path("params.yaml").write_text("infer: {initial_offsets: [0, 1.5], min_score: 0}\n")
    bk.commands.analyze(input_path="rec", output_path="out", rtype="csv")
    table = ScoreTable.load("out/scores.npz")
    assert table.starts.tolist() == [0.0, 3.0, 6.0, 9.0, 12.0] and table.duration == DURATION
    frames = bk.Predictor(device="cpu").score("rec/a.wav").frames
    np.testing.assert_array_equal(table.scores[1], frames[12:24].max(axis=0))


@pytest.mark.parametrize("seconds, overlap", [(2.5, 0.0), (3.4, 0.0), (31.25, 0.0), (10.6, 1.5)])
@pytest.mark.parametrize("frames", [12, None], ids=["frames", "windows"])
def test_shifted_windows_are_averaged(tmp_path, seconds, overlap, frames):
    ensemble = ensemble_of(2, frames, shift_s=0.4, overlap=overlap)
    path = write_recording(tmp_path / "r.wav", seconds, 2)
    found = scored(ensemble, path)
    rows = grid_of(seconds, 0.0, DURATION - overlap)
    np.testing.assert_allclose(found.starts, rows)
    windows: dict[float, np.ndarray] = {}
    for number, row in enumerate(rows):
        # Not before the recording, and not past its end unless the window itself is.
        starts = {round(min(max(row + d, 0.0), max(row, seconds - DURATION)), 6) for d in (-0.4, 0.0, 0.4)}
        parts = [member_scores(ensemble, path, member, sorted(starts)) for member in range(2)]
        np.testing.assert_allclose(found.scores[number], np.mean([p[1].mean(0) for p in parts], axis=0), atol=2e-6)
        if frames:
            windows |= dict(zip(parts[0][0], (parts[0][2] + parts[1][2]) / 2, strict=True))
    if frames:
        expected = mean_frames(seconds, [(start, values, 1.0) for start, values in windows.items()])
        np.testing.assert_allclose(found.frames, expected, atol=2e-6)


def test_overlapping_frames_count_by_a_taper(tmp_path):
    ensemble = ensemble_of(2, 12, overlap=2.0, frame_taper=True)
    path = write_recording(tmp_path / "r.wav", 21.3, 3)
    parts = [member_scores(ensemble, path, member, grid_of(21.3, 0.0, 1.0)) for member in range(2)]
    windows = [(start, values, 1.0) for start, values in zip(parts[0][0], (parts[0][2] + parts[1][2]) / 2, strict=True)]
    np.testing.assert_allclose(scored(ensemble, path).frames, mean_frames(21.3, windows, HANN), atol=2e-6)


def smoothed(starts: np.ndarray, scores: np.ndarray, reach: float) -> np.ndarray:
    """Return the same as `smooth` from the whole table at once, (N, N) weights."""
    weights = np.maximum(0, 1 - np.abs(starts[:, None] - starts[None]) / reach) * scores.any(axis=1)[None]
    mean = weights @ scores.astype(np.float64) / np.maximum(weights.sum(axis=1), 1e-12)[:, None]
    mean[~scores.any(axis=1)] = 0
    return mean


@pytest.mark.parametrize("reach", [0.3, 5.0, 61.0])
def test_smoothing_and_top_of_rows_on_disk(tmp_path, reach):
    rng = np.random.default_rng(0)
    starts = np.sort(np.append(np.arange(0, 1500, 1.0), 1499.37))
    scores = rng.random((len(starts), 7), dtype=np.float32)
    scores[200:300] = 0  # no window covers these
    rows = SpilledArray(7, tmp_path, kept_bytes=2000)
    for first in range(0, len(scores), 16):
        rows.append(scores[first : first + 16])
    np.testing.assert_allclose(smooth(starts, rows, reach).array(), smoothed(starts, scores, reach), atol=1e-6)
    expected = scores * scores.max(axis=0) ** 0.5
    np.testing.assert_allclose(scale_by_top(rows, 0.5).array(), expected, atol=1e-6)
    for first, past in ((0, 1), (3, 900), (1490, 1501), (700, 700)):
        np.testing.assert_array_equal(rows.part(first, past), scores[first:past])


def test_memory_does_not_grow_with_the_recording(tmp_path):
    rows = SpilledArray(50, tmp_path)
    block = np.random.default_rng(0).random((2000, 50), dtype=np.float32)
    for _ in range(60):  # 24 MB
        rows.append(block)
    starts = np.arange(len(rows)) / FPS
    tracemalloc.start()
    made = scale_by_top(smooth(starts, rows, 1.0), 1.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(made) == len(rows)
    assert peak < 4 * spilled_array.KEPT_BYTES + 4 * starts.nbytes


def test_a_quantile_of_frames_stands_for_their_maximum():
    frames = np.random.default_rng(1).random((27, 3), dtype=np.float32)
    found = group_frames(frames, 8, 0.7)
    expected = [np.quantile(frames[at : at + 8], 0.7, axis=0) for at in (0, 8, 16, 24)]
    np.testing.assert_allclose(found, expected, atol=1e-7)
    np.testing.assert_array_equal(group_frames(frames, 8, 1.0), group_frames(frames, 8))
    assert group_frames(frames[:0], 8, 0.5).shape == (0, 3)


SETTINGS = """
infer:
  {min_score: 0, overlap: 1.0, shift_s: 0.3, frame_taper: true, smoothing_s: 1.1, top_weight: 0.5, segment_len: 2,
   quantile: 0.75, calibration: c.yaml}
"""


def test_all_steps_together_are_in_the_order_of_the_design_everywhere(tmp_path):
    ensemble = ensemble_of(2, 12)
    for number in range(2):
        write_recording(Path(f"rec/r{number}.wav"), 17.3 + number, number)
    Path("params.yaml").write_text(SETTINGS)
    Path("c.yaml").write_text("coefficient: 0.8\nintercept: -0.3\n")
    bk.commands.analyze(input_path="rec", output_path="out", rtype="csv")
    table = ScoreTable.load("out/scores.npz")
    predictor = bk.Predictor(device="cpu")
    for number in range(2):
        seconds, path = 17.3 + number, Path(f"rec/r{number}.wav")
        windows = {}
        for row in grid_of(seconds, 0.0, 2.0):
            starts = {round(min(max(row + d, 0.0), max(row, seconds - DURATION)), 6) for d in (-0.3, 0.0, 0.3)}
            parts = [member_scores(ensemble, path, member, sorted(starts)) for member in range(2)]
            windows |= dict(zip(parts[0][0], (parts[0][2] + parts[1][2]) / 2, strict=True))
        frames = mean_frames(seconds, [(start, values, 1.0) for start, values in windows.items()], HANN)
        frames = smoothed(np.arange(len(frames)) / FPS, frames, 1.1)
        frames = frames * frames.max(axis=0) ** 0.5
        grouped = np.stack([np.quantile(frames[at : at + 8], 0.75, axis=0) for at in range(0, len(frames), 8)])
        rows = table.scores[table.row_recording == table.recordings.index(path.stem)]
        np.testing.assert_allclose(rows, grouped, atol=5e-6)
        calibrated = expit(0.8 * np.log(frames / (1 - frames)) - 0.3)
        labels = [label.score for label in predictor.score(path).labels() if label.name == "OWL"]
        levels = [np.quantile(calibrated[at : at + 8, 1], 0.75) for at in range(0, len(frames), 8)]
        np.testing.assert_allclose(labels, levels, atol=2e-5)
        found = predictor.get_recording_scores(path)
        np.testing.assert_allclose(found[1], calibrated, atol=1e-5)
    manifest = Path("out/manifest.yaml").read_text()
    assert "smoothing_s: 1.1" in manifest and "top_weight: 0.5" in manifest
    start, first, _ = score_first_window(
        predictor.cfg, sorted(Path("models/ckpt").glob("*.ckpt")), Path("rec/r0.wav"), raw=True
    )
    assert start == 0.0 and {c.name: s for c, s in first} == pytest.approx(
        dict(zip(["Wren", "Owl", "Noise"], predictor.score("rec/r0.wav").scores[0].tolist(), strict=True))
    )


@pytest.mark.parametrize(
    ("infer", "said"),
    [
        ("initial_offsets: [0, 1], overlap: 1", "infer.initial_offsets.*infer.overlap to 0"),
        ("initial_offsets: [0, 1], shift_s: 0.2", "infer.initial_offsets.*infer.shift_s to 0"),
        ("initial_offsets: []", "the list is empty"),
        ("initial_offsets: [0, 3]", "3 s is not less than audio.spec_duration, 3 s"),
        ("initial_offsets: [-1]", "out of range"),
        ("shift_s: 1.5", "not less than half the step of windows, 1.5 s"),
        ("shift_s: 0.6, overlap: 2", "not less than half the step of windows, 0.5 s"),
        ("window_s: 3", "not longer than the model's windows"),
        ("window_s: 4.01", "columns of a spectrogram, which must be whole; try 4.03125 s"),
        ("quantile: 0.5", "set infer.segment_len"),
        ("overlap: 3", "not less than audio.spec_duration"),
        ("precision: f16", "not one of f32, bf16"),
    ],
)
def test_contradictions_are_refused(infer, said):
    audio = "audio: {spec_duration: 3, spec_width: 64, spec_height: 32}\n"
    Path("params.yaml").write_text(f"{audio}infer: {{{infer}}}\n")
    with pytest.raises(ConfigError, match=said):
        resolve()


@pytest.mark.parametrize("setting", [{"window_s": 6.0}, {"frame_taper": True, "overlap": 1.0},
                                     {"quantile": 0.5, "segment_len": 3.0}])  # fmt: skip
def test_steps_on_frames_need_frames(setting):
    with pytest.raises(ModelError, match=f"infer.{next(iter(setting))} needs .*seed-0"):
        ensemble_of(1, None, **setting)


def test_members_cannot_be_chosen_apart_where_their_mean_is_changed(tmp_path):
    from britekit.tuning.member_scores import score_members

    cfg = BaseConfig(audio=SMALL_AUDIO)
    cfg.infer.top_weight = 0.5
    with pytest.raises(BriteKitError, match="infer.top_weight cannot be used here"):
        score_members(cfg, [], [], tmp_path, "a.csv", tmp_path)

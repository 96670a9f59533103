"""Scores as a value: the same numbers that `analyze` writes, kept under all that they depend on."""

from __future__ import annotations

from pathlib import Path

import pytest

from britekit.cli import main
from britekit.config import BaseConfig
from britekit.errors import InferenceError
from britekit.inference.ensemble import Ensemble, load_ensemble
from britekit.inference.model_files import resolve_for_models
from britekit.inference.score_tables import ScoreCache, score_all
from tests.inference.conftest import CLASSES, write_recording
from tests.inference.fakes import make_fake_member


@pytest.fixture
def paths(place: Path) -> list[Path]:
    make_fake_member(Path("models/ckpt"), CLASSES)
    make_fake_member(Path("models/ckpt"), CLASSES[::-1], name="seed-2", seed=1)
    return [write_recording(Path(f"rec/{name}.wav"), 2.0 + 7 * n, n) for n, name in enumerate(("b", "a", "c"))]


@pytest.mark.parametrize("frames", [None, 12])
def test_a_table_equals_what_analyze_writes_to_the_byte(paths: list[Path], frames: int | None):
    Path("data").mkdir()
    Path("data/ignore.txt").write_text("Noise\n")
    for seed, classes in ((1, CLASSES), (2, CLASSES[::-1])):
        make_fake_member(Path("models/ckpt"), classes, name=f"seed-{seed}", seed=seed, frames=frames)
    assert main(["analyze", "-i", "rec", "-o", "out", "--min-score", "0", "--overlap", "1"]) == 0
    # Neither a threshold nor a calibration of the settings counts.
    cfg, members = resolve_for_models(None, {"infer.overlap": 1.0, "infer.scaling_intercept": 2.0})
    score_all(load_ensemble(cfg, members), paths, Path("rec")).save("scores.npz")
    assert Path("scores.npz").read_bytes() == Path("out/scores.npz").read_bytes()


def test_every_recording_that_fails_is_named(paths: list[Path]):
    bad = [Path("rec/bad.wav"), Path("rec/gone.wav")]
    bad[0].write_bytes(b"no sound")
    cfg, members = resolve_for_models(None, None)
    with pytest.raises(InferenceError, match=r"2 of 5 recordings could not be scored \(rec/bad.wav: .*; rec/gone"):
        score_all(load_ensemble(cfg, members), [*paths, *bad], Path("rec"))


def test_scores_are_kept_until_something_changes_them(paths: list[Path]):
    cfg, members = resolve_for_models(None, None)
    loaded = 0

    def get(cfg: BaseConfig, members: list[Path] = members) -> bool:
        def load() -> Ensemble:
            nonlocal loaded
            loaded += 1
            return load_ensemble(cfg, members)

        before = loaded
        table, was_kept = ScoreCache(Path("kept")).get(cfg, members, paths, Path("rec"), load)
        assert was_kept == (loaded == before) and table.recordings == ["a", "b", "c"]
        return was_kept

    assert not get(cfg) and get(cfg)
    cfg.infer.min_score, cfg.infer.scaling_coefficient, cfg.infer.num_threads = 0.3, 2.0, 1
    assert get(cfg), "these decide about labels or speed alone"
    cfg.infer.overlap = 1.0
    assert not get(cfg) and get(cfg)
    assert not get(cfg, members[:1]) and get(cfg)
    Path("data").mkdir()
    Path("data/ignore.txt").write_text("Noise\n")
    assert not get(cfg)
    write_recording(paths[0], 5.0, 9)
    assert not get(cfg) and get(cfg)
    assert {path.suffix for path in Path("kept").iterdir()} == {".npz"}

"""Members matched by class name, checked, averaged; which ones, and what runs them."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pytest

from britekit.annotations.classes import ClassInfo
from britekit.config import BaseConfig
from britekit.errors import ConfigError, ModelError
from britekit.inference import backend
from britekit.inference.backend import choose_backend
from britekit.inference.ensemble import Ensemble, load_ensemble
from britekit.inference.model_files import member_paths, resolve_for_models
from tests.inference.conftest import CLASSES
from tests.inference.fakes import SMALL_AUDIO, make_fake_member

H, W = SMALL_AUDIO.spec_height, SMALL_AUDIO.spec_width
FOLDER = Path("models/ckpt")


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "has_gpu", lambda: False)


def _load(**overrides: object) -> Ensemble:
    cfg, paths = resolve_for_models(None, dict(overrides))
    return load_ensemble(cfg, paths)


def _images(count: int) -> np.ndarray:
    return np.random.default_rng(1).random((count, H, W), dtype=np.float32)


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def test_the_mean_of_members_whose_classes_stand_in_another_order():
    rng = np.random.default_rng(5)
    one, two = rng.normal(size=(2, 3, H)).astype(np.float32)
    zero = np.zeros(3)
    make_fake_member(FOLDER, CLASSES, weights_CH=one, bias_C=zero)
    make_fake_member(FOLDER, CLASSES[::-1], name="seed-2", weights_CH=two, bias_C=zero)
    ensemble = _load(**{"infer.audio_power": 0.5})
    images = _images(5)
    segment, frames = ensemble.score(images)
    rows = (images**0.5).mean(2)
    expected = (_sigmoid(rows @ one.T) + _sigmoid(rows @ two[::-1].T)) / 2
    np.testing.assert_allclose(segment, expected, atol=1e-5)
    assert segment.dtype == np.float32
    assert frames is None and ensemble.sed_fps is None
    assert ensemble.classes == CLASSES
    assert [member.path.name for member in ensemble.members] == ["seed-1.onnx", "seed-2.onnx"]


def test_softmax_without_multi_label():
    make_fake_member(FOLDER, CLASSES, multi_label=False)
    segment, _ = _load().score(_images(4))
    np.testing.assert_allclose(segment.sum(1), 1, atol=1e-6)


def test_frames_need_all_members(caplog: pytest.LogCaptureFixture):
    make_fake_member(FOLDER, CLASSES, frames=12)
    ensemble = _load()
    assert ensemble.sed_fps == 4
    assert ensemble.score(_images(2))[1].shape == (2, 3, 12)
    make_fake_member(FOLDER, CLASSES, name="seed-2")
    ensemble = _load()
    assert ensemble.sed_fps is None and ensemble.score(_images(2))[1] is None
    assert "seed-2.onnx has no SED head" in caplog.text


def test_a_window_does_not_depend_on_its_neighbors():
    make_fake_member(FOLDER, CLASSES, frames=12)
    make_fake_member(FOLDER, CLASSES, name="seed-2", frames=12, seed=1)
    ensemble = _load()
    images = _images(70)
    segment, frames = ensemble.score(images)
    for first, past in [(0, 1), (3, 20), (64, 70)]:
        part, part_frames = ensemble.score(images[first:past])
        assert part.tobytes() == segment[first:past].tobytes()
        assert part_frames.tobytes() == frames[first:past].tobytes()


def test_no_window_is_fine():
    make_fake_member(FOLDER, CLASSES)
    assert _load().score(_images(0))[0].shape == (0, 3)


def test_new_names_for_old_models():
    make_fake_member(FOLDER, CLASSES)
    ensemble = _load(**{"misc.map_codes": {"OWL": "OWLS"}, "misc.map_names": {"Owl": "Owls"}})
    assert ensemble.classes[1] == ClassInfo("Owls", "OWLS")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda: make_fake_member(FOLDER, [*CLASSES, ClassInfo("Crow")], name="seed-2"), 'adds "Crow"'),
        (lambda: make_fake_member(FOLDER, CLASSES[:2], name="seed-2"), 'lacks "Noise"'),
        (
            lambda: make_fake_member(
                FOLDER, CLASSES, dataclasses.replace(SMALL_AUDIO, sampling_rate=9000), name="seed-2"
            ),
            "audio.sampling_rate 9000",
        ),
        (lambda: make_fake_member(FOLDER, CLASSES, name="seed-2", multi_label=False), "train.multi_label"),
    ],
)
def test_members_must_agree(change, words):
    make_fake_member(FOLDER, CLASSES)
    change()
    with pytest.raises(ModelError, match=words):
        _load()


def test_frames_must_fit_the_frame_rate():
    make_fake_member(FOLDER, CLASSES, frames=15, sed_fps=5)
    assert _load().sed_fps == 5
    with pytest.raises(ModelError, match="gives 15 frames per window"):
        _load(**{"train.sed_fps": 6})


def test_settings_of_the_model_lie_below_the_file_and_above_the_working_directory(caplog):
    make_fake_member(FOLDER, CLASSES, sed_fps=8)
    Path("params.yaml").write_text("audio: {min_freq: 50, spec_width: 320}\ntrain: {sed_fps: 2}\n")
    cfg, _ = resolve_for_models(None, None)
    assert (cfg.audio.min_freq, cfg.audio.spec_width, cfg.train.sed_fps) == (100, W, 8)
    # right only on top of the model's settings: half of the default rate is above 3000 Hz, not of this one
    Path("mine.yaml").write_text("audio: {min_freq: 200}\n")
    assert resolve_for_models("mine.yaml", None)[0].audio.min_freq == 200
    assert "audio.min_freq: 200 is used instead of the checkpoint's 100" in caplog.text
    Path("mine.yaml").write_text("audio: {spec_height: 64}\n")
    with pytest.raises(ConfigError, match="audio.spec_height: 64 disagrees"):
        resolve_for_models("mine.yaml", None)


def test_the_file_of_c_chooses_models():
    make_fake_member(Path("elsewhere"), CLASSES)
    Path("mine.yaml").write_text("misc: {ckpt_folder: elsewhere}\n")
    assert resolve_for_models("mine.yaml", None)[1] == [Path("elsewhere/seed-1.ckpt")]


class TestMembers:
    def test_all_checkpoints_of_the_folder(self):
        for name in ("b", "a", "c"):
            make_fake_member(FOLDER, CLASSES, name=name)
        (FOLDER / "._a.ckpt").write_bytes(b"")
        cfg = BaseConfig()
        assert [p.stem for p in member_paths(cfg)] == ["a", "b", "c"]
        cfg.infer.max_models = 2
        assert [p.stem for p in member_paths(cfg)] == ["a", "b"]
        assert member_paths(cfg, FOLDER / "c.ckpt") == [FOLDER / "c.ckpt"]

    def test_the_pipeline_takes_its_seeds(self, monkeypatch: pytest.MonkeyPatch):
        for name in ("seed-1", "seed-2", "stray"):
            make_fake_member(FOLDER, CLASSES, name=name)
        monkeypatch.setenv("DVC_STAGE", "analyze")
        cfg = BaseConfig()
        cfg.pipeline.seeds = [2, 1]
        assert [p.stem for p in member_paths(cfg)] == ["seed-2", "seed-1"]
        cfg.pipeline.seeds = [1, 7]
        with pytest.raises(ModelError, match=r"seed-7.ckpt is missing.*train@7"):
            member_paths(cfg)

    def test_exports_alone_will_do(self):
        path = make_fake_member(FOLDER, CLASSES)
        path.with_suffix(".ckpt").unlink()
        cfg, paths = resolve_for_models(None, None)
        assert paths == [path]
        assert load_ensemble(cfg, paths).backend == "openvino"
        cfg.infer.backend = "torch"
        with pytest.raises(ModelError, match="is an export"):
            choose_backend(cfg, paths)

    def test_no_models(self):
        with pytest.raises(ModelError, match=r"models/ckpt \(misc.ckpt_folder\) does not exist"):
            member_paths(BaseConfig())
        FOLDER.mkdir(parents=True)
        with pytest.raises(ModelError, match=r"models/ckpt \(misc.ckpt_folder\) contains no models"):
            member_paths(BaseConfig())
        Path("notes.txt").write_text("")
        with pytest.raises(ModelError, match="is not a model"):
            member_paths(BaseConfig(), "notes.txt")


class TestBackend:
    @pytest.fixture
    def paths(self) -> list[Path]:
        names = ("seed-1", "seed-2")
        return [make_fake_member(FOLDER, CLASSES, name=name).with_suffix(".ckpt") for name in names]

    def test_exports_on_a_cpu(self, paths: list[Path]):
        choice = choose_backend(BaseConfig(), paths)
        assert (choice.name, choice.reason) == ("openvino", "")
        assert [path.name for path in choice.exports] == ["seed-1.onnx", "seed-2.onnx"]

    def test_never_a_mix(self, paths: list[Path]):
        (FOLDER / "seed-2.onnx").unlink()
        choice = choose_backend(BaseConfig(), paths)
        assert choice.name == "torch" and "seed-2.ckpt has no export" in choice.reason

    def test_only_exports_of_exactly_that_checkpoint(self, paths: list[Path]):
        paths[1].write_bytes(b"trained again")
        choice = choose_backend(BaseConfig(), paths)
        assert choice.name == "torch" and "made from another checkpoint" in choice.reason
        cfg = BaseConfig()
        cfg.infer.backend = "openvino"
        with pytest.raises(ModelError, match="made from another checkpoint"):
            choose_backend(cfg, paths)

    def test_a_damaged_export_does_not_count(self, paths: list[Path]):
        (FOLDER / "seed-1.onnx").write_bytes(b"half")
        assert choose_backend(BaseConfig(), paths).name == "torch"

    def test_a_gpu_takes_the_checkpoints(self, paths: list[Path], monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(backend, "has_gpu", lambda: True)
        cfg = BaseConfig()
        assert choose_backend(cfg, paths).name == "torch"
        cfg.misc.force_cpu = True
        assert choose_backend(cfg, paths).name == "openvino"

    def test_torch_absent(self, paths: list[Path], monkeypatch: pytest.MonkeyPatch):
        (FOLDER / "seed-2.onnx").unlink()
        monkeypatch.setattr(backend.importlib.util, "find_spec", lambda name: None if name == "torch" else 1)
        with pytest.raises(ModelError, match="not installed"):
            choose_backend(BaseConfig(), paths)


def test_the_reason_is_said_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch):
    caplog.set_level(logging.WARNING)
    path = make_fake_member(FOLDER, CLASSES)
    path.unlink()
    with pytest.raises(ModelError, match="is not a checkpoint or is damaged"):
        _load()

"""Exports read back and run without torch; expected numbers are the fakes' matrices by numpy."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest

from britekit.errors import ModelError
from britekit.inference.exported import ExportedModel, read_export_facts
from britekit.inference.seal import sealed
from tests.inference.conftest import CLASSES
from tests.inference.fakes import SMALL_AUDIO, make_fake_member

H, W = SMALL_AUDIO.spec_height, SMALL_AUDIO.spec_width


def _images(count: int) -> np.ndarray:
    images = np.random.default_rng(1).random((count, H, W), dtype=np.float32)
    images[:, :3] = 0
    return images


def test_facts(tmp_path: Path):
    path = make_fake_member(tmp_path, CLASSES, frames=12)
    facts = read_export_facts(path)
    assert facts.classes == CLASSES
    assert facts.training_cfg["audio"]["spec_height"] == H
    assert (facts.multi_label, facts.frames, facts.training_date) == (True, 12, None)
    assert len(facts.source_sha256) == 64


@pytest.mark.parametrize("power", [1.0, 0.7])
def test_runs(tmp_path: Path, power: float):
    weights = np.random.default_rng(2).normal(size=(3, H)).astype(np.float32)
    path = make_fake_member(tmp_path, CLASSES, weights_CH=weights, bias_C=np.array([0.5, 0, -1]), frames=4)
    model = ExportedModel(path, power, H, W)
    images = _images(9)
    segment, frames = model.start(images)
    model.wait()
    raised = images**power
    np.testing.assert_allclose(segment, raised.mean(2) @ weights.T + [0.5, 0, -1], atol=1e-4)
    stretches = raised.reshape(9, H, 4, W // 4).mean(3)
    expected = np.einsum("ch,bht->bct", weights, stretches) + np.array([0.5, 0, -1])[:, None]
    assert frames is not None
    np.testing.assert_allclose(frames, expected, atol=1e-4)


def test_a_window_does_not_depend_on_its_neighbors(tmp_path: Path):
    model = ExportedModel(make_fake_member(tmp_path, CLASSES), 0.7, H, W)
    images = _images(7)
    together, _ = model.start(images)
    model.wait()
    for place in range(7):
        alone, _ = model.start(images[place : place + 1])
        model.wait()
        assert alone.tobytes() == together[place : place + 1].tobytes()


def test_refuses_other_files(tmp_path: Path):
    (tmp_path / "noise.onnx").write_bytes(b"\x00\x01no model" * 20)
    with pytest.raises(ModelError, match="not an ONNX model or is damaged"):
        read_export_facts(tmp_path / "noise.onnx")
    with pytest.raises(ModelError, match="does not exist"):
        read_export_facts(tmp_path / "none.onnx")
    path = make_fake_member(tmp_path, CLASSES)
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, path)
    with pytest.raises(ModelError, match="britekit did not write it"):
        read_export_facts(path)


def test_refuses_another_size(tmp_path: Path):
    with pytest.raises(ModelError, match="takes spectrograms of 32 x 64"):
        ExportedModel(make_fake_member(tmp_path, CLASSES), 1.0, H, 2 * W)


def test_cut_short_at_any_place_is_one_sentence(tmp_path: Path):
    content = make_fake_member(tmp_path, CLASSES).read_bytes()
    for share in (0.1, 0.5, 0.9, 0.99):
        cut = tmp_path / "cut.onnx"
        cut.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(ModelError):
            read_export_facts(cut)


def test_a_changed_weight_is_noticed(tmp_path: Path):
    """Such a network still runs, and scores something else."""
    path = make_fake_member(tmp_path, CLASSES)
    content = path.read_bytes()
    assert path.write_bytes(sealed(content))
    assert onnx.load(path).metadata_props[-1].value == hashlib.sha256(content).hexdigest()
    assert read_export_facts(path).classes == CLASSES
    for place in (len(content) // 2, len(content) - 1):
        damaged = bytearray(sealed(content))
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(ModelError, match="is damaged: its content does not match its digest"):
            read_export_facts(path)

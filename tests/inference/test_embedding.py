"""Embeddings of a real network: PyTorch and the export agree, and scores do not notice them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from britekit.config import resolve
from britekit.errors import ModelError
from britekit.inference.embedding import SearchModel, load_models, open_search_model, run
from britekit.inference.exported import EMBEDDING_NAME

torch = pytest.importorskip("torch")

from britekit.inference.export import export_onnx  # noqa: E402
from britekit.models.checkpoint import load_checkpoint  # noqa: E402
from tests.inference.test_export import make_checkpoint  # noqa: E402

IMAGES = np.random.default_rng(0).random((19, 32, 96), dtype=np.float32)


def embedded(cfg, path: Path) -> np.ndarray:
    return run(load_models(cfg, [path], 1.0)[0][0], IMAGES)


@pytest.fixture
def checkpoint(place: Path) -> Path:
    return make_checkpoint(place / "m.ckpt", "basic_sed")


def test_torch_gives_the_mean_of_the_backbones_output(checkpoint: Path):
    cfg = resolve(None, {"misc.force_cpu": True})
    recognizer = load_checkpoint(checkpoint).recognizer
    with torch.inference_mode():
        features = recognizer.backbone(torch.from_numpy(IMAGES[:, None]))
    expected = features.numpy().mean(axis=(2, 3))
    np.testing.assert_allclose(embedded(cfg, checkpoint), expected, atol=1e-5)


def test_the_export_agrees_and_is_preferred(checkpoint: Path):
    cfg = resolve(None, {"misc.force_cpu": True, "audio.spec_height": 32, "audio.spec_width": 96})
    by_torch = embedded(cfg, checkpoint)
    export_onnx(load_checkpoint(checkpoint), checkpoint.with_suffix(".onnx"))
    by_export = embedded(cfg, checkpoint)
    np.testing.assert_allclose(by_export, by_torch, atol=1e-4)
    Path("params.yaml").write_text("misc:\n  search_ckpt_path: m.ckpt\n  force_cpu: true\n")
    model = open_search_model(None)
    # The settings of the checkpoint count, not those of the project.
    assert (model.height, model.width, model.num_features) == (32, 96, by_torch.shape[1])
    np.testing.assert_array_equal(model.embed(IMAGES), by_export)


def test_an_export_of_before_falls_back_on_torch_or_says_so(checkpoint: Path):
    path = checkpoint.with_suffix(".onnx")
    export_onnx(load_checkpoint(checkpoint), path)
    old = onnx.load(path)
    (output,) = [entry for entry in old.graph.output if entry.name == EMBEDDING_NAME]
    old.graph.output.remove(output)
    (seal,) = [entry for entry in old.metadata_props if entry.key == "sha256"]
    old.metadata_props.remove(seal)
    onnx.save(old, path)
    cfg = resolve(None, {"misc.force_cpu": True, "audio.spec_height": 32, "audio.spec_width": 96})
    assert SearchModel(cfg, [checkpoint]).num_features > 1
    with pytest.raises(ModelError, match="gives no embeddings.*ckpt-onnx"):
        SearchModel(cfg, [path])

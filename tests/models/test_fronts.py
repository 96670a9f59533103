"""Learned layers before the backbone against formulas in NumPy, in checkpoints and in exports."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from britekit.annotations.classes import ClassInfo
from britekit.config import BaseConfig, to_dict
from britekit.inference.export import export_onnx
from britekit.models.checkpoint import hyper_parameters, load_checkpoint, save_checkpoint
from britekit.models.fronts import build_front
from britekit.models.fronts.pcen import Pcen
from britekit.models.options import Blueprint
from britekit.models.recognizer import build

CLASSES = [ClassInfo("A", "A", "", ""), ClassInfo("B", "B", "", "")]


@pytest.mark.parametrize("width", [1, 16, 40, 77])
@pytest.mark.parametrize("smoothing", [0.01, 0.04, 0.9])
def test_pcen_is_the_recursion_of_the_paper(width, smoothing):
    """The filter by scipy, as `librosa.pcen` does it, with the steady state of the first column to begin with."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (3, 5, width)) ** 3
    gain, bias, root = 0.9, 1.5, 0.4
    slow = lfilter([smoothing], [1, smoothing - 1], x, axis=2, zi=(1 - smoothing) * x[:, :, :1])[0]
    expected = (x / (1e-3 + slow) ** gain + bias) ** root - bias**root
    found = Pcen(5, smoothing, gain, bias, root)(torch.from_numpy(x[:, None]).float())
    np.testing.assert_allclose(found[:, 0].detach().numpy(), expected, rtol=2e-4, atol=2e-5)


def test_every_parameter_of_pcen_is_learned():
    layer = build_front("pcen", 5)
    layer(torch.rand(2, 1, 5, 40)).pow(2).sum().backward()
    assert all(p.grad.abs().min() > 0 for p in layer.parameters())


def test_bands_are_normalized_each_by_itself():
    layer = build_front("band_norm", 4).train()
    x = torch.rand(6, 1, 4, 30) * torch.tensor([0.1, 1.0, 0.5, 0.01])[:, None]
    found = layer(x)[:, 0].detach().numpy()
    level = np.log(1 + 10 * x[:, 0].numpy().astype(np.float64))
    mean, variance = level.mean((0, 2), keepdims=True), level.var((0, 2), keepdims=True)
    np.testing.assert_allclose(found, (level - mean) / np.sqrt(variance + 1e-5), atol=2e-4)


@pytest.mark.parametrize("front", ["pcen", "band_norm"])
def test_a_front_is_stored_and_exported_with_the_network(tmp_path, front):
    cfg = BaseConfig()
    cfg.train.front, cfg.train.model_type, cfg.audio.spec_height, cfg.audio.spec_width = front, "effnet.1", 32, 70
    blueprint = Blueprint("effnet.1", None, 2, 32, 70, hidden_channels=16, front=front)
    torch.manual_seed(0)
    network = build(blueprint)
    for value in network.front.parameters():
        value.data += 0.1 * torch.randn_like(value)
    path = tmp_path / "one.ckpt"
    save_checkpoint(path, network, hyper_parameters(blueprint, CLASSES, 8, True), to_dict(cfg), epoch=0)
    stored = load_checkpoint(path)
    assert stored.recognizer.blueprint.front == front
    images = torch.rand(3, 1, 32, 70)
    with torch.inference_mode():
        torch.testing.assert_close(stored.recognizer(images)[0], network.eval()(images)[0])
        bare = build(replace(blueprint, front=None)).eval()
        bare.load_state_dict({n: v for n, v in network.state_dict().items() if not n.startswith("front.")})
        assert (bare(images)[0] - network(images)[0]).abs().max() > 1e-5
    export_onnx(stored, tmp_path / "one.onnx")  # raises if a score differs from PyTorch's


def test_without_a_front_a_checkpoint_says_nothing_of_it():
    assert "front" not in hyper_parameters(Blueprint("effnet.1", None, 2, 32, 64), CLASSES, 8, True)


def test_a_frozen_backbone_freezes_its_front():
    network = build(Blueprint("effnet.1", None, 2, 32, 64, front="band_norm"))
    network.freeze_backbone()
    network.train()
    assert not network.front.training and not any(p.requires_grad for p in network.front.parameters())

"""Heads: counts of the specification, the attention formula by hand, every pair saved and reloaded."""

import math

import pytest
import torch

from britekit.annotations.classes import ClassInfo
from britekit.config.model_names import head_names
from britekit.errors import ModelError
from britekit.models.checkpoint import hyper_parameters, load_checkpoint, save_checkpoint
from britekit.models.options import Blueprint
from britekit.models.recognizer import build
from britekit.models.registry import find_backbone, find_head, is_sed_head
from tests.models.pairs import PAIRS

# Specification, algorithms §5: millions of parameters for C = 50, hidden 256, F = 320 and F = 1920.
COUNTS = {
    "basic": (0.016, 0.096),
    "effnet": (0.096, 0.505),
    "hgnet": (0.095, 0.505),
    "basic_sed": (0.259, 1.49),
    "scalable_sed": (0.221, 0.27),
}


@pytest.mark.parametrize("head", sorted(COUNTS))
@pytest.mark.parametrize("which, features", [(0, 320), (1, 1920)])
def test_heads_have_the_specified_size(head, which, features):
    options = Blueprint("effnet.1", head, 50, 128, 480, frames=20)
    module = find_head(head).build(features, 50, options)
    assert sum(p.numel() for p in module.parameters()) / 1e6 == pytest.approx(COUNTS[head][which], rel=0.05)


@pytest.mark.parametrize("head", sorted(head_names()))
def test_every_head_gives_the_specified_shapes(head):
    options = Blueprint("effnet.1", head, 6, 128, 480, frames=20, drop_rate=0.2)
    module = find_head(head).build(64, 6, options)
    segment, frames = module(torch.rand(3, 64, 4, 15))
    assert segment.shape == (3, 6)
    if is_sed_head(head):
        assert frames.shape == (3, 6, 20)
    else:
        assert frames is None


@pytest.mark.parametrize("head", ["basic_sed", "scalable_sed"])
def test_segment_logit_is_the_attention_weighted_sum(head):
    options = Blueprint("effnet.1", head, 4, 128, 480, frames=15)
    module = find_head(head).build(32, 4, options).eval()
    seen = {}
    module.attention.register_forward_hook(lambda m, i, o: seen.update(attention=o.detach()))
    with torch.no_grad():
        segment, frames = module(torch.rand(2, 32, 4, 15))  # as many frames as columns: no interpolation
    temperature = 0.7 if head == "scalable_sed" else 1.0
    for b in range(2):
        raw = [math.exp(v / temperature) for v in seen["attention"][b, 0].tolist()]
        weights = [v / sum(raw) for v in raw]
        for c in range(4):
            expected = sum(w * z for w, z in zip(weights, frames[b, c].tolist(), strict=True))
            assert segment[b, c].item() == pytest.approx(expected, abs=1e-5)


def test_temporal_pooling_is_log_mean_exp():
    options = Blueprint("effnet.1", "temporal_sed", 3, 128, 480, frames=15, hidden_channels=16, lse_temp=0.5)
    module = find_head("temporal_sed").build(32, 3, options).eval()
    with torch.no_grad():
        segment, frames = module(torch.rand(2, 32, 4, 15))
    expected = 0.5 * math.log(sum(math.exp(z / 0.5) for z in frames[1, 2].tolist()) / 15)
    assert segment[1, 2].item() == pytest.approx(expected, abs=1e-5)


def test_frames_are_interpolated_linearly():
    options = Blueprint("effnet.1", "basic_sed", 2, 128, 480, frames=4)
    module = find_head("basic_sed").build(16, 2, options).eval()
    module.frames = 2
    with torch.no_grad():
        image = torch.rand(1, 16, 4, 2)
        two = module(image)[1][0, 0]
        module.frames = 4
        four = module(image)[1][0, 0]
    a, b = two.tolist()
    expected = [a, 0.75 * a + 0.25 * b, 0.25 * a + 0.75 * b, b]
    assert four.tolist() == pytest.approx(expected, abs=1e-6)


def smallest(family):
    """First size of a family; of timm's a tiny network made for tests."""
    module, _ = find_backbone(f"{family}.test_resnet" if family == "timm" else f"{family}.1")
    return f"{family}.{'test_resnet' if module.SIZES is None else next(iter(module.SIZES))}"


@pytest.mark.parametrize(("family", "head"), PAIRS)
def test_every_pair_trains_saves_and_reloads_bit_equal(family, head, tmp_path):
    classes = [ClassInfo("a", "A", "", ""), ClassInfo("b", "B", "", ""), ClassInfo("c", "C", "", "")]
    blueprint = Blueprint(smallest(family), head, 3, 32, 64, frames=8, hidden_channels=16)
    network = build(blueprint)
    # AdamW, as in training: gradients of MobileNetV4's layer scales are of the order of a million at first.
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.001)
    image, targets = torch.rand(4, 1, 32, 64), torch.eye(4, 3)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits
    before = {name: value.clone() for name, value in network.state_dict().items()}
    segment, frames = network(image)
    loss = entropy(segment, targets)
    if frames is not None:
        loss = loss + entropy(frames, targets[:, :, None].expand_as(frames))
    loss.backward()
    optimizer.step()
    # A branch that begins at zero hands no gradient to what lies before it until it has moved.
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
    changed = [name for name, value in network.state_dict().items() if not torch.equal(value, before[name])]
    assert any(name.startswith("backbone.") for name in changed)
    network.eval()
    hyper = hyper_parameters(blueprint, classes, 10, True)
    cfg = {"audio": {"spec_height": 32, "spec_width": 64, "spec_duration": 2.0}, "train": {"sed_fps": 4}}
    save_checkpoint(tmp_path / "a.ckpt", network, hyper, cfg, epoch=0)
    again = load_checkpoint(tmp_path / "a.ckpt")
    assert again.classes == classes
    with torch.no_grad():
        for ours, theirs in zip(network(image), again.recognizer(image), strict=True):
            assert (ours is None and theirs is None) or torch.equal(ours, theirs)


def test_unknown_head_is_refused_with_a_suggestion():
    with pytest.raises(ModelError, match='did you mean "basic_sed"'):
        build(Blueprint("effnet.1", "basicsed", 3, 64, 64))


def test_scalable_head_needs_channels_in_eights():
    with pytest.raises(ModelError, match="divisible by 8"):
        build(Blueprint("effnet.1", "scalable_sed", 3, 64, 64, hidden_channels=100))


def test_frozen_backbone_keeps_its_statistics():
    network = build(Blueprint("effnet.1", "effnet", 3, 64, 64))
    network.freeze_backbone()
    before = {n: v.clone() for n, v in network.backbone.state_dict().items()}
    network.train()
    network(torch.rand(4, 1, 64, 64))[0].sum().backward()
    assert all(torch.equal(v, before[n]) for n, v in network.backbone.state_dict().items())
    assert all(p.grad is None for p in network.backbone.parameters())
    assert all(p.grad is not None for p in network.head.parameters())

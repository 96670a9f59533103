"""The loss against its formula, and where its gradient goes."""

import math

import numpy as np
import pytest
import torch

from britekit.config import BaseConfig
from britekit.models.recognizer import build_recognizer
from britekit.pretraining.contrast import ContrastiveLoss, contrastive_loss


def by_hand(projected, temperature):
    """Equation 1 of Chen et al. (2020), view by view."""
    unit = projected / np.linalg.norm(projected, axis=1, keepdims=True)
    count, total = len(unit), 0.0
    for i in range(count):
        j = (i + count // 2) % count
        others = sum(math.exp(unit[i] @ unit[k] / temperature) for k in range(count) if k != i)
        total -= math.log(math.exp(unit[i] @ unit[j] / temperature) / others)
    return total / count


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_the_loss_is_that_of_the_paper(temperature):
    projected = np.random.default_rng(3).normal(size=(10, 6))
    found = contrastive_loss(torch.from_numpy(projected), temperature)
    assert float(found) == pytest.approx(by_hand(projected, temperature), rel=1e-5)


def test_known_losses():
    # Nothing is told from anything: a guess among 2B - 1 others.
    assert float(contrastive_loss(torch.ones(8, 4), 0.1)) == pytest.approx(math.log(7), rel=1e-5)
    # Twins are equal, all others at a right angle.
    twins = torch.eye(4).repeat(2, 1)
    assert float(contrastive_loss(twins, 0.5)) == pytest.approx(math.log(1 + 6 * math.exp(-2)), rel=1e-5)


@pytest.mark.parametrize("model", ["effnet.1", "timm.test_vit", "timm.test_efficientnet"])
def test_gradients_reach_the_backbone_and_no_head(model):
    cfg = BaseConfig()
    cfg.train.model_type, cfg.audio.spec_height, cfg.audio.spec_width = model, 32, 64
    recognizer = build_recognizer(cfg.train, cfg.audio, 3)
    names = [name for name, _ in recognizer.named_parameters()]
    assert any(name.startswith("head.") for name in names) or model.startswith("timm.")
    loss = ContrastiveLoss(recognizer, 0.1, torch.contiguous_format)
    loss(torch.rand(6, 32, 64)).backward()
    reached = {name for name, p in loss.named_parameters() if p.grad is not None and bool(p.grad.any())}
    classifier = {name for name in names if name.startswith("head.") or "classifier" in name or ".model.head." in name}
    assert classifier and not any(f"recognizer.{name}" in reached for name in classifier)
    inside = {f"recognizer.{n}" for n in names if n not in classifier}
    # A bias in front of a norm, and weights that start at zero behind one, may get none.
    assert len(inside & reached) > 0.8 * len(inside)
    assert {name for name, _ in loss.named_parameters() if name.startswith("projection.0")} <= reached


def test_the_loss_sees_only_differences_in_direction():
    """A projection scaled by 10 has the same loss, so its gradient has no part along itself."""
    projected = torch.randn(8, 5, generator=torch.Generator().manual_seed(2), requires_grad=True)
    contrastive_loss(projected, 0.2).backward()
    assert (projected.grad * projected).sum(1).abs().max() < 1e-6
    assert float(contrastive_loss(10 * projected.detach(), 0.2)) == pytest.approx(
        float(contrastive_loss(projected.detach(), 0.2))
    )
